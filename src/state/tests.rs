//! Runs the scripts in `testscripts/`: blocks of commands, then `---`, then what they print. `UPDATE=1` writes the output anew.
//!
//! Every command goes through its bytes before it is applied, and after every block the tables go through a checkpoint.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ferrymq_proto::bodies::{GroupConfig, TopicConfig};
use ferrymq_proto::name::{BrokerName, ClusterName};
use ferrymq_proto::position::{QueueId, Timestamp};

use super::*;

mod locks;
pub(in crate::state) mod random;
mod scale;

/// One line of a script: a word, then values; those with an equals sign have names.
struct Line<'a> {
    command: &'a str,
    plain: Vec<&'a str>,
    named: Vec<(&'a str, &'a str)>,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Self {
        let mut words = line.split_whitespace();
        let command = words.next().expect("a command");
        let (named, plain): (Vec<_>, Vec<_>) = words.partition(|word| word.contains('='));
        Self { command, plain, named: named.into_iter().filter_map(|word| word.split_once('=')).collect() }
    }

    fn named(&self, name: &str) -> Option<&'a str> {
        self.named.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.named(name).map(|value| value.parse().expect("a number"))
    }

    fn has(&self, word: &str) -> bool {
        self.plain.contains(&word)
    }

    fn group(&self, at: usize) -> GroupName {
        GroupName::parse(self.plain[at]).unwrap()
    }

    fn topic(&self, at: usize) -> TopicName {
        TopicName::parse(self.plain[at]).unwrap()
    }

    /// `4/4/6`, and `order`, `flag=`, `attribute=key:value`.
    fn config(&self) -> TopicConfig {
        let numbers: Vec<i32> = self.plain[1].split('/').map(|number| number.parse().unwrap()).collect();
        TopicConfig {
            read_queue_nums: numbers[0],
            write_queue_nums: numbers[1],
            perm: numbers[2],
            order: self.has("order"),
            topic_sys_flag: self.number("flag").unwrap_or_default() as i32,
            attributes: self.named("attribute").into_iter().filter_map(entry).collect(),
            ..TopicConfig::default()
        }
    }

    /// `group topic queue:offset …`.
    fn change(&self) -> OffsetChange {
        let lines = self.plain[2..].iter().map(|line| line.split_once(':').unwrap());
        let queues = lines.map(|(queue, next)| QueueLine {
            queue: QueueId(queue.parse().unwrap()),
            next: QueueOffset(next.parse().unwrap()),
        });
        OffsetChange { group: self.group(0), topic: self.topic(1), queues: queues.collect() }
    }

    /// `topic/queue …`, from position `from` on.
    fn queues(&self, from: usize) -> Vec<TopicQueue> {
        let queues = self.plain[from..].iter().map(|queue| queue.split_once('/').unwrap());
        queues
            .map(|(topic, queue)| TopicQueue {
                topic: TopicName::parse(topic).unwrap(),
                queue: QueueId(queue.parse().unwrap()),
            })
            .collect()
    }
}

fn entry(text: &str) -> Option<(String, String)> {
    text.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned()))
}

struct Script {
    tables: Tables,
    leases: Leases,
    now: i64,
}

impl Script {
    fn new() -> Self {
        Self { tables: Tables::default(), leases: Leases::new(Timestamp(0)), now: 1_000 }
    }

    fn stamp(&self) -> Stamp {
        Stamp { at: Timestamp(self.now), term: 7 }
    }

    fn run(&mut self, line: &Line<'_>) -> String {
        match line.command {
            "wait" => {
                self.now += line.plain[0].parse::<i64>().unwrap() * 1_000;
                String::new()
            }
            "lead" => {
                self.leases = Leases::new(Timestamp(self.now));
                String::new()
            }
            "dump" => {
                let dump = self.tables.dump();
                let lines =
                    dump.lines().filter(|text| line.plain.iter().any(|start| text.starts_with(start)));
                lines.collect::<Vec<_>>().join("\n")
            }
            "ask" => self.ask(line),
            "find" => self.find(line),
            "release" => {
                let (group, client) = (line.group(0), ClientId::from(line.plain[1]));
                let command = self.leases.release(self.tables.locks(), &group, &client, line.queues(2));
                command.map_or("nothing to do".to_owned(), |command| self.apply(&command))
            }
            _ => match self.command(line) {
                Ok(Some(command)) => self.apply(&command),
                Ok(None) => "nothing to do".to_owned(),
                Err(refusal) => refusal,
            },
        }
    }

    fn apply(&mut self, command: &Command) -> String {
        let read = Command::decode(&command.encode()).unwrap();
        assert_eq!(read, *command);
        format!("{:?}", self.tables.apply(read))
    }

    fn command(&self, line: &Line<'_>) -> Result<Option<Command>, String> {
        Ok(Some(match line.command {
            "together" => {
                let parts = line.plain.join(" ");
                let parts = parts.split(';').map(|part| self.command(&Line::parse(part)));
                Command::Together(parts.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
            }
            "delay" => Command::Advance {
                delay: vec![(
                    DelayLevel(line.plain[0].parse().unwrap()),
                    QueueOffset(line.plain[1].parse().unwrap()),
                )],
                registers: Vec::new(),
            },
            "register" => Command::Advance { delay: Vec::new(), registers: vec![register(line)] },
            "set" => Command::Configure {
                namespace: line.plain[0].into(),
                key: line.plain[1].into(),
                value: line.plain.get(2).map(|value| (*value).into()),
            },
            word if word.contains("topic") || ["message", "retry", "dead-letter"].contains(&word) => {
                return self.topic_command(line);
            }
            word if word.contains("group") || word == "forbid" => return self.group_command(line),
            _ => self.offset_command(line),
        }))
    }

    fn topic_command(&self, line: &Line<'_>) -> Result<Option<Command>, String> {
        let (topics, stamp) = (self.tables.topics(), self.stamp());
        let topic = || vec![Topic::new(line.topic(0), line.config())];
        Ok(match line.command {
            "put-topic" => Some(Command::PutTopics { topics: topic(), stamp }),
            "create-topic" => Some(Command::CreateTopics { topics: topic(), stamp }),
            "missing-topic" => topics.create_missing(topic(), stamp),
            "delete-topic" => Some(Command::DeleteTopics {
                topics: vec![line.topic(0)],
                offsets: line.has("offsets"),
                stamp,
            }),
            "system-topics" => {
                let system = SystemTopics {
                    cluster: ClusterName::parse(line.plain[0]).unwrap(),
                    broker: BrokerName::parse(line.plain[1]).unwrap(),
                    default_queues: 8,
                    auto_create: !line.has("strict"),
                    cluster_topic: true,
                    broker_topic: !line.has("strict"),
                    trace: line.named("trace").map(|name| TopicName::parse(name).unwrap()),
                    revive_queues: 8,
                    timers: true,
                };
                topics.create_missing(system.list().unwrap(), stamp)
            }
            "retry" => {
                let queues = line.number("queues").unwrap_or(1) as i32;
                let retry = topics.create_retry(&line.group(0), queues, line.has("ordered"), 0, stamp);
                retry.map_err(|error| error.to_string())?
            }
            "dead-letter" => {
                topics.create_dead_letter(&line.group(0), stamp).map_err(|error| error.to_string())?
            }
            "message" => {
                let new = NewTopic {
                    name: line.topic(0),
                    template: line.named("like").unwrap_or("TBW102"),
                    queues: line.number("queues").unwrap_or(4) as i32,
                    sys_flag: 0,
                };
                let rules = TopicRules { auto_create: !line.has("strict") };
                Some(topics.create_for_message(new, rules, stamp).map_err(|refusal| refusal.to_string())?)
            }
            other => panic!("no command {other}"),
        })
    }

    fn group_command(&self, line: &Line<'_>) -> Result<Option<Command>, String> {
        let (groups, stamp) = (self.tables.groups(), self.stamp());
        let config = || GroupConfig {
            retry_max_times: line.number("retries").unwrap_or(16) as i32,
            attributes: line.named("attribute").into_iter().filter_map(entry).collect(),
            ..GroupConfig::default()
        };
        let group = || vec![Group::new(line.group(0), config())];
        Ok(match line.command {
            "put-group" => Some(Command::PutGroups { groups: group(), stamp }),
            "create-group" => Some(Command::CreateGroups { groups: group(), stamp }),
            "delete-group" => Some(Command::DeleteGroups {
                groups: vec![line.group(0)],
                offsets: line.has("offsets"),
                stamp,
            }),
            "first-groups" => groups.create_missing(Groups::from_the_start(), stamp),
            "client-group" => {
                let rules =
                    GroupRules { auto_create: !line.has("strict"), auto_create_system: line.has("system") };
                groups.create_for_client(line.plain[0], rules, stamp).map_err(|error| error.to_string())?
            }
            "forbid" => {
                let bits = line.plain[2].parse().unwrap();
                Some(Command::Forbid { group: line.group(0), topic: line.topic(1), bits, stamp })
            }
            other => panic!("no command {other}"),
        })
    }

    fn offset_command(&self, line: &Line<'_>) -> Command {
        let stamp = self.stamp();
        match line.command {
            "commit" => Command::CommitOffsets { changes: vec![line.change()], stamp },
            "reset" => Command::ResetOffsets { changes: vec![line.change()], stamp },
            "told" => {
                let queues = line.plain[2..].iter().map(|queue| QueueId(queue.parse().unwrap())).collect();
                Command::ForgetResets { group: line.group(0), topic: line.topic(1), queues }
            }
            "clone" => {
                let topics = line.plain[2..].iter().map(|topic| TopicName::parse(topic).unwrap()).collect();
                Command::CloneOffsets { from: line.group(0), to: line.group(1), topics, stamp }
            }
            "forget" => Command::RemoveOffsets {
                group: line.named("group").map(|group| GroupName::parse(group).unwrap()),
                topic: line.named("topic").map(|topic| TopicName::parse(topic).unwrap()),
                stamp,
            },
            other => panic!("no command {other}"),
        }
    }

    /// `ask group client topic/queue …`: as the service would do it, from the question to the answer.
    fn ask(&mut self, line: &Line<'_>) -> String {
        let (group, client, now) = (line.group(0), ClientId::from(line.plain[1]), Timestamp(self.now));
        let answer = self.leases.ask(self.tables.locks(), &group, &client, line.queues(2), now);
        let mut output = format!("held {}", list(&answer.held));
        if let Some(command) = answer.grant {
            let Reply::Granted(queues) = self.tables.apply(command) else { panic!("no answer to a grant") };
            self.leases.granted(self.tables.locks(), &group, &client, &queues, now);
            write!(output, " granted {}", list(&queues)).unwrap();
        }
        self.leases.tidy(self.tables.locks());
        output
    }

    fn find(&self, line: &Line<'_>) -> String {
        let Tables { topics, groups, offsets, .. } = &self.tables;
        match (line.plain[0], line.plain.get(1), line.plain.get(2)) {
            ("topic", Some(topic), _) => format!("{:?}", topics.find(topic).map(|config| config.perm)),
            ("group", Some(group), _) => {
                format!("{:?}", groups.find(group).map(|config| config.retry_max_times))
            }
            ("topics-of", Some(group), _) => format!("{:?}", offsets.topics_of(group).collect::<Vec<_>>()),
            ("groups-of", Some(topic), _) => format!("{:?}", offsets.groups_of(topic).collect::<Vec<_>>()),
            ("offset", Some(group), Some(topic)) => {
                let queue = QueueId(line.plain[3].parse().unwrap());
                let (next, reset) =
                    (offsets.find(group, topic, queue), offsets.pending_reset(group, topic, queue));
                format!("{next:?} {reset:?}")
            }
            _ => panic!("nothing to find"),
        }
    }
}

fn list(queues: &[TopicQueue]) -> String {
    format!("[{}]", queues.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn register(line: &Line<'_>) -> (Arc<str>, Option<Register>) {
    let number = line.number("number").map(Register::Number);
    let bytes = line.named("bytes").map(|bytes| Register::Bytes(bytes.as_bytes().to_vec()));
    (line.plain[0].into(), number.or(bytes))
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
        let restored = Tables::restore(&script.tables.checkpoint()).unwrap();
        assert_eq!(restored, script.tables);
        output.push('\n');
    }
    output
}

#[test]
fn scripts_print_what_they_should() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/state/testscripts");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let output = run_script(&text);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &output).unwrap();
        } else {
            assert!(output == text, "{} prints\n{output}", path.display());
        }
        count += 1;
    }
    assert!(count > 0, "no scripts found");
}
