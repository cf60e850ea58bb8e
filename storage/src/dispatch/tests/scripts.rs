//! Runs the scripts in `testscripts/`: blocks of commands, then `---`, then what they print. `UPDATE=1` writes the output anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::property;
use ferrymq_proto::record::{SysFlag, TransactionState};

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Fault;
use crate::dispatch::*;
use crate::index::KeyQuery;
use crate::queues::{Boundary, QueueEntry};
use crate::*;

#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Arrivals for Heard {
    fn arrived(&mut self, arrival: &Arrival<'_>) {
        let Arrival { topic, queue, queue_offset, .. } = arrival;
        self.0.lock().unwrap().push(format!("{topic}/{queue}@{queue_offset}"));
    }
}

struct Script {
    disk: SimulatedDisk,
    layout: Layout,
    boot: u8,
    now: i64,
    settings: DerivedSettings,
    heard: Heard,
    store: Option<Store>,
}

fn said<T, E: std::fmt::Display>(result: Result<T, E>, say: impl FnOnce(T) -> String) -> String {
    result.map_or_else(|error| error.to_string(), say)
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

fn queue(text: &str) -> (TopicName, QueueId) {
    let (name, id) = text.rsplit_once('/').expect("topic/queue");
    (topic(name), QueueId(number(id)))
}

impl Script {
    fn new() -> Self {
        Self {
            disk: SimulatedDisk::default(),
            layout: Layout::Classic,
            boot: 1,
            now: START_TIME,
            settings: settings(),
            heard: Heard::default(),
            store: None,
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("an open store")
    }

    fn run(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ok = |()| String::new();
        match *words.as_slice() {
            ["framed"] => self.layout = Layout::Framed,
            ["open"] => return self.open(),
            ["rebuild"] => {
                self.settings.rebuild = true;
                let opened = self.open();
                self.settings.rebuild = false;
                return opened;
            }
            ["kill"] => self.store = None,
            ["close"] => return said(self.store.take().expect("an open store").close(), ok),
            ["power-loss", seed] => {
                self.store = None;
                self.disk = self.disk.power_loss(number(seed));
                self.boot += 1;
            }
            ["time", ms] => self.now += number::<i64>(ms),
            ["send", to, ..] => return self.send(to, &words[2..]),
            ["confirm"] => self.store().confirm(),
            ["flush-log"] => return said(self.store().log().flush(), ok),
            ["dispatch"] => return self.dispatch(),
            ["flush"] => return said(self.store().derived.flush(), ok),
            ["sync"] => return said(self.store().derived.sync(), ok),
            ["all"] => return said(self.store().catch_up(), ok),
            ["position"] => {
                let derived = &self.store().derived;
                return format!(
                    "{}, last stored {}",
                    derived.position(),
                    derived.last_store_time().0 - START_TIME
                );
            }
            ["drop", offset] => return self.drop_before(LogOffset(number(offset))),
            ["remove", name] => {
                let removed = self.store().derived.remove_topic(&topic(name));
                self.store().forget(&topic(name));
                return said(removed, ok);
            }
            ["reset", of, next] => {
                let (topic, id) = queue(of);
                return said(self.store().derived.queues().reset(&topic, id, QueueOffset(number(next))), ok);
            }
            ["heal", of] => {
                let (topic, id) = queue(of);
                return said(self.store().derived.queues().rebuild(&topic, id), ok);
            }
            ["files"] => return self.files(),
            ["uproot", path] => {
                let path = Path::new("/store").join(path);
                self.disk.uproot(&path);
                uproot(&self.disk, &path);
            }
            ["plant", path, bytes] => {
                self.disk.plant(&Path::new("/store").join(path), &vec![7; number(bytes)]);
            }
            ["flip", path, bit] => {
                assert!(self.disk.flip_bit(&Path::new("/store").join(path), number(bit)), "no such bit");
            }
            ["cut", path, bytes] => {
                let path = Path::new("/store").join(path);
                let content = self.disk.files().remove(&path).expect("a file");
                self.disk.plant(&path, &content[..number::<usize>(bytes)]);
            }
            ["fail", others, how] => {
                let fault = if how == "io" { Fault::Io } else { Fault::NoRoom };
                self.disk.fail_call(self.disk.calls() + number::<u64>(others), fault);
            }
            _ => return self.ask(&words),
        }
        String::new()
    }

    fn ask(&mut self, words: &[&str]) -> String {
        let derived = self.store().derived.clone();
        let queues = derived.queues();
        match *words {
            ["range", of] => {
                let (topic, id) = queue(of);
                said(queues.range(&topic, id), |range| {
                    range.map_or("none".to_owned(), |range| format!("{}..{}", range.min, range.max))
                })
            }
            ["read", of, from, count] => {
                let (topic, id) = queue(of);
                let read = queues.read(&topic, id, QueueOffset(number(from)), number(count));
                let entry = |entry: &QueueEntry| {
                    format!("{}+{}:{}", entry.log_offset, entry.bytes, entry.tags_code.0)
                };
                said(read, |entries| entries.iter().map(entry).collect::<Vec<_>>().join(" "))
            }
            ["search", of, time] => {
                let (topic, id) = queue(of);
                let time = Timestamp(START_TIME + number::<i64>(time));
                let search = |boundary| {
                    let found = queues.search_time(&topic, id, time, boundary);
                    said(found, |offset| offset.map_or("none".to_owned(), |offset| offset.to_string()))
                };
                format!("lower {} upper {}", search(Boundary::Lower), search(Boundary::Upper))
            }
            ["earliest", of] => {
                let (topic, id) = queue(of);
                said(queues.earliest_time(&topic, id), |time| {
                    time.map_or("none".to_owned(), |time| (time.0 - START_TIME).to_string())
                })
            }
            ["query", name, key, max, begin, end] => {
                let query = KeyQuery {
                    topic: &topic(name),
                    key,
                    records_max: number(max),
                    begin: Timestamp(START_TIME + number::<i64>(begin)),
                    end: Timestamp(START_TIME + number::<i64>(end)),
                };
                said(derived.index().query(query), |found| {
                    let records: Vec<_> = found.records.iter().map(ToString::to_string).collect();
                    let last = (found.last_offset, found.last_store_time.0 - START_TIME);
                    format!("[{}], last {} at {}", records.join(" "), last.0, last.1)
                })
            }
            ["topics"] => said(queues.topics(), |topics| {
                let of = |topic| format!("{topic}: {:?}", queues.queues_of(topic).unwrap());
                topics.iter().map(of).collect::<Vec<_>>().join("\n")
            }),
            ref other => panic!("no command {other:?}"),
        }
    }

    fn open(&mut self) -> String {
        let heard = Box::new(self.heard.clone());
        let opened = Store::open(&self.disk, self.layout, self.boot, self.settings.clone(), heard);
        said(opened, |store| {
            let position = store.derived.position();
            self.store = Some(store);
            format!("dispatches from {position}")
        })
    }

    /// `send topic/queue [count=n] [tags=t] [keys=a,b] [key=unique] [delay=level] [body=bytes] [kind=prepared|rolled-back]`
    fn send(&mut self, to: &str, words: &[&str]) -> String {
        let (topic, id) = queue(to);
        let mut new = message(topic.as_str(), id.0);
        let mut count = 1;
        for word in words {
            let (name, value) = word.split_once('=').expect("name=value");
            match name {
                "count" => count = number(value),
                "tags" => new.properties.push((property::TAGS, value.into())),
                "keys" => new.properties.push((property::KEYS, value.replace(',', " "))),
                "key" => new.properties.push((property::UNIQUE_KEY, value.into())),
                "delay" => new.properties.push((property::DELAY_LEVEL, value.into())),
                "body" => new.body_bytes = number(value),
                "kind" if value == "prepared" => {
                    new.sys_flag = SysFlag(0).with_transaction(TransactionState::Prepared);
                }
                "kind" => new.sys_flag = SysFlag(0).with_transaction(TransactionState::RolledBack),
                other => panic!("no {other}"),
            }
        }
        let now = self.now;
        said(self.store().send(&vec![new; count], now), |stamped| {
            let one = |stamped: &stamp::Stamped| format!("{}@{}", stamped.queue_offset, stamped.span.start);
            stamped.iter().map(one).collect::<Vec<_>>().join(" ")
        })
    }

    fn dispatch(&mut self) -> String {
        let dispatched = self.store().dispatch();
        let heard = std::mem::take(&mut *self.heard.0.lock().unwrap());
        said(dispatched, |()| heard.join(" "))
    }

    fn drop_before(&mut self, offset: LogOffset) -> String {
        let store = self.store();
        let dropped = store.log().drop_before(offset).map_err(|error| error.to_string());
        let start = store.log().start();
        said(
            dropped.and_then(|_| store.derived.drop_before(start).map_err(|error| error.to_string())),
            |()| format!("the log begins at {start}"),
        )
    }

    fn files(&self) -> String {
        let files = self.disk.files().into_iter();
        let is_derived = |path: &Path| !path.starts_with("/store/commitlog") && path.components().count() > 3;
        let files = files.filter(|(path, _)| is_derived(path)).map(|(path, bytes)| {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            format!("{} {used} of {}", path.strip_prefix("/store").unwrap().display(), bytes.len())
        });
        files.collect::<Vec<_>>().join("\n")
    }
}

fn run_script(text: &str) -> String {
    let mut script = Script::new();
    let mut output = String::new();
    for block in text.split_terminator("\n\n") {
        let commands = block.split("---").next().unwrap_or_default();
        writeln!(output, "{}\n---", commands.trim()).unwrap();
        for line in commands.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let printed = script.run(line);
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dispatch/tests/testscripts");
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
    assert!(count >= 7, "only {count} scripts were found");
}
