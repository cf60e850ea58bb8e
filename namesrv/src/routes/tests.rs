//! Runs the scripts in `testscripts/`: blocks of commands, then `---`, then what they print. `UPDATE=1` writes the output anew.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use ferrymq_proto::bodies::DataVersion;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::{BrokerName, ClusterName, TopicName};
use ferrymq_proto::position::Timestamp;

use super::*;
use crate::settings::Settings;

/// One line of a script: a word, then values, named or in order.
struct Line<'a> {
    command: &'a str,
    named: HashMap<&'a str, &'a str>,
    plain: Vec<&'a str>,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let command = words.next().expect("a command");
        let (named, plain): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
        Self { command, named: named.into_iter().filter_map(|word| word.split_once('=')).collect(), plain }
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.named.get(name).map(|value| value.parse().expect("a number"))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.named.get(name).map(ToString::to_string)
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.named.get(name).map(|value| *value == "true")
    }
}

struct Script {
    routes: Routes,
    settings: Settings,
    now: Instant,
}

impl Script {
    fn new() -> Self {
        Self { routes: Routes::default(), settings: crate::settings::for_tests(), now: Instant::now() }
    }

    fn run(&mut self, line: &Line<'_>) -> String {
        match line.command {
            "register" => self.register(line),
            "leave" => self.leave(line),
            "lost" => self.lost(line),
            "touch" => {
                self.routes.touch(line.plain[0], line.plain[1], self.now);
                String::new()
            }
            "wait" => self.wait(line),
            "route" => self.route(line),
            "version" => {
                format!("{:?}", self.routes.data_version(line.plain[0], line.plain[1]).map(|v| v.counter))
            }
            "members" => format!("{:?}", self.routes.members(line.plain[0])),
            "wipe" => self.routes.wipe_write_permission(line.plain[0]).to_string(),
            "add" => self.routes.add_write_permission(line.plain[0]).to_string(),
            "delete" => {
                self.routes.delete_topic(line.plain[0], line.named.get("cluster").copied());
                String::new()
            }
            "put" => {
                let queues = line.plain[1..]
                    .iter()
                    .map(|name| ((*name).to_owned(), queues("1/1/6")))
                    .collect::<Vec<_>>();
                self.routes.add_topic(line.plain[0], &queues);
                String::new()
            }
            "clusters" => json::to_string(&self.routes.cluster_info(), Dialect::Fastjson),
            "topics" => self.routes.all_topics().topic_list.join(" "),
            "topics-of" => self.routes.topics_of_cluster(line.plain[0]).topic_list.join(" "),
            "system" => json::to_string(&self.routes.system_topics(), Dialect::Fastjson),
            "unit" => self.routes.topics_flagged(UNIT, 0).topic_list.join(" "),
            "unit-subscribed" => self.routes.topics_flagged(UNIT_SUBSCRIBED, 0).topic_list.join(" "),
            "unit-subscribed-plain" => self.routes.topics_flagged(UNIT_SUBSCRIBED, UNIT).topic_list.join(" "),
            "set" => {
                self.settings.notify_min_broker_id_changed |= line.plain.contains(&"notify");
                self.settings.delete_topic_with_broker_registration |= line.plain.contains(&"delete-topics");
                String::new()
            }
            other => panic!("no command {other}"),
        }
    }

    fn register(&mut self, line: &Line<'_>) -> String {
        let topics = line.named.get("topics").into_iter().flat_map(|list| list.split(','));
        let registration = Registration {
            cluster: ClusterName::parse(line.named.get("cluster").unwrap_or(&"c1")).unwrap(),
            group: BrokerName::parse(line.plain[0]).unwrap(),
            id: line.plain[1].parse().unwrap(),
            address: line.plain[2].to_owned(),
            ha_address: line.text("ha"),
            zone: line.text("zone"),
            silence_max: line.number("silence").map(|seconds| Duration::from_secs(seconds.unsigned_abs())),
            acting_master: line.flag("acting"),
            version: DataVersion {
                counter: line.number("counter").unwrap_or_default(),
                state_version: line.number("state").unwrap_or_default(),
                timestamp: Timestamp(0),
            },
            topics: topics.map(|topic| topic.split_once(':').unwrap()).map(read_topic).collect(),
            mappings: BTreeMap::new(),
            filter_servers: line
                .named
                .get("filters")
                .map(|list| list.split(',').map(str::to_owned).collect()),
            connection: ConnectionId(line.number("connection").unwrap_or_default().unsigned_abs()),
        };
        format!("{:?}", self.routes.register(&registration, &self.settings, self.now))
    }

    fn leave(&mut self, line: &Line<'_>) -> String {
        let departure = Departure {
            cluster: line.text("cluster").unwrap_or("c1".to_owned()),
            group: line.plain[0].to_owned(),
            id: line.plain[1].parse().unwrap(),
            address: line.plain[2].to_owned(),
        };
        format!("{:?}", self.routes.unregister(&[departure], &self.settings))
    }

    fn lost(&mut self, line: &Line<'_>) -> String {
        let departures = self.routes.on_connection(ConnectionId(line.plain[0].parse().unwrap()));
        self.routes.unregister(&departures, &self.settings);
        format!("{:?}", departures.iter().map(|departure| &departure.address).collect::<Vec<_>>())
    }

    fn wait(&mut self, line: &Line<'_>) -> String {
        self.now += Duration::from_secs(line.plain[0].parse().unwrap());
        let expired = self.routes.expire(self.now, &self.settings);
        let left: Vec<_> = expired.departures.iter().map(|departure| &departure.address).collect();
        format!("{left:?} {:?}", expired.connections)
    }

    fn route(&mut self, line: &Line<'_>) -> String {
        let lookup = Lookup {
            dialect: if line.plain.contains(&"fastjson") { Dialect::Fastjson } else { Dialect::Standard },
            zone: line.named.get("zone").copied(),
            acting_masters: line.plain.contains(&"acting"),
            order: line.named.get("order").copied(),
        };
        self.routes.route(line.plain[0], &lookup).unwrap_or("none".to_owned())
    }
}

fn read_topic((topic, numbers): (&str, &str)) -> (TopicName, Queues) {
    (TopicName::parse(topic).unwrap(), queues(numbers))
}

/// `read/write/permission`, and `/flag` where it is not 0.
fn queues(numbers: &str) -> Queues {
    let numbers: Vec<i32> = numbers.split('/').map(|number| number.parse().unwrap()).collect();
    let sys_flag = numbers.get(3).copied().unwrap_or_default();
    Queues { read: numbers[0], write: numbers[1], permission: numbers[2], sys_flag }
}

/// Runs the blocks of a script and returns it with the output it should have.
fn run_script(text: &str) -> String {
    let mut script = Script::new();
    let mut output = String::new();
    for block in text.split_terminator("\n\n") {
        let commands = block.split("---").next().unwrap_or_default();
        writeln!(output, "{}\n---", commands.trim()).unwrap();
        for line in commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let printed = script.run(&Line::parse(line));
            if !printed.is_empty() {
                writeln!(output, "{printed}").unwrap();
            }
        }
        output.push('\n');
    }
    output
}

#[test]
fn scripts_print_what_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/routes/testscripts");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let output = run_script(&text);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &output).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), output, "{}", path.display());
        count += 1;
    }
    assert!(count >= 5, "only {count} scripts were found");
}
