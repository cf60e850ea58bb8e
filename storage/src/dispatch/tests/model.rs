//! Random runs against a model: lists of what was sent to each queue.

use std::collections::BTreeMap;
use std::path::Path;

use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::property;
use proptest::prelude::*;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::dispatch::*;
use crate::index::KeyQuery;
use crate::*;

/// In all, over all cases: 10 000 with optimization, fewer without.
const STEPS: usize = if cfg!(debug_assertions) { 3_000 } else { 10_000 };
const CASE_STEPS: usize = 100;
const TOPICS: [&str; 3] = ["orders", "other", "%RETRY%group"];
const KEYS: [&str; 3] = ["red", "green", "blue"];

#[derive(Clone, Debug)]
enum Step {
    Send {
        topic: usize,
        queue: i32,
        count: usize,
        key: usize,
        body_bytes: usize,
    },
    Dispatch,
    Flush,
    Sync,
    Retain {
        share: u8,
    },
    RemoveTopic {
        topic: usize,
    },
    Reset {
        topic: usize,
        queue: i32,
        by: i64,
    },
    /// Without the files of the queues, or of the index, if so.
    Restart {
        in_order: bool,
        power: Option<u64>,
        no_queues: bool,
        no_index: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..3_usize, 0..3, 1..6_usize, 0..3_usize, 0..200_usize).prop_map(
            |(topic, queue, count, key, body_bytes)| Step::Send { topic, queue, count, key, body_bytes }
        ),
        4 => Just(Step::Dispatch),
        4 => Just(Step::Flush),
        2 => Just(Step::Sync),
        2 => any::<u8>().prop_map(|share| Step::Retain { share }),
        1 => (0..3_usize).prop_map(|topic| Step::RemoveTopic { topic }),
        1 => (0..3_usize, 0..3, 0..20_i64).prop_map(|(topic, queue, by)| Step::Reset { topic, queue, by }),
        4 => (any::<bool>(), any::<Option<u64>>(), 0..6, 0..6).prop_map(
            |(in_order, power, queues, index)| Step::Restart {
                in_order,
                power,
                no_queues: queues == 0,
                no_index: index == 0,
            }
        ),
    ]
}

/// One queue: the log offsets of its messages, from the first one that it ever knew.
#[derive(Clone, Debug, Default)]
struct Queue {
    first: i64,
    offsets: Vec<LogOffset>,
}

struct Model {
    layout: Layout,
    disk: SimulatedDisk,
    boot: u8,
    store: Option<Store>,
    queues: BTreeMap<(usize, i32), Queue>,
    /// By topic and key, in the order of the log.
    keys: BTreeMap<(usize, usize), Vec<LogOffset>>,
    /// A queue or a topic of which the log tells another story: a rebuild would bring the old one back.
    edited: bool,
}

impl Model {
    fn new(layout: Layout) -> Self {
        let disk = SimulatedDisk::default();
        let store = Store::open(&disk, layout, 1, settings(), Box::new(NoArrivals)).unwrap();
        let (queues, keys) = (BTreeMap::new(), BTreeMap::new());
        Self { layout, disk, boot: 1, store: Some(store), queues, keys, edited: false }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Send { topic, queue, count, key, body_bytes } => {
                self.send(topic, queue, count, key, body_bytes);
            }
            Step::Dispatch => {
                self.store().catch_up().unwrap();
                self.check();
            }
            Step::Flush => self.store().derived.flush().unwrap(),
            Step::Sync => self.store().derived.sync().unwrap(),
            Step::Retain { share } => self.retain(share),
            Step::RemoveTopic { topic: of } => {
                self.store().catch_up().unwrap();
                self.store().derived.remove_topic(&topic(TOPICS[of])).unwrap();
                self.store().forget(&topic(TOPICS[of]));
                self.queues.retain(|(topic, _), _| *topic != of);
                self.edited = true;
            }
            Step::Reset { topic: of, queue, by } => self.reset(of, queue, by),
            Step::Restart { in_order, power, no_queues, no_index } => {
                self.restart(in_order, power, no_queues, no_index);
                self.check();
            }
        }
    }

    fn send(&mut self, of: usize, queue: i32, count: usize, key: usize, body_bytes: usize) {
        let mut one = message(TOPICS[of], queue);
        one.body_bytes = body_bytes;
        one.properties.push((property::KEYS, KEYS[key].to_owned()));
        let stamped = self.store().send(&vec![one; count], START_TIME).unwrap();
        let known = self.queues.entry((of, queue)).or_default();
        for stamped in stamped {
            assert_eq!(stamped.queue_offset.0, known.first + known.offsets.len() as i64);
            known.offsets.push(stamped.span.start);
            self.keys.entry((of, key)).or_default().push(stamped.span.start);
        }
    }

    fn retain(&mut self, share: u8) {
        self.store().catch_up().unwrap();
        let store = self.store();
        let (start, synced) = (store.log().start().0, store.derived.synced().0);
        let to = start + (synced - start).max(0) * i64::from(share) / 255;
        store.log().drop_before(LogOffset(to)).unwrap();
        store.derived.drop_before(store.log().start()).unwrap();
        self.check();
    }

    /// As a snapshot does. The stamper asks the queue again.
    fn reset(&mut self, of: usize, queue: i32, by: i64) {
        self.store().catch_up().unwrap();
        let known = self.queues.entry((of, queue)).or_default();
        let next = known.first + known.offsets.len() as i64 + by;
        *known = Queue { first: next, offsets: Vec::new() };
        let store = self.store();
        store.derived.queues().reset(&topic(TOPICS[of]), QueueId(queue), QueueOffset(next)).unwrap();
        store.derived.sync().unwrap();
        store.forget(&topic(TOPICS[of]));
        self.edited = true;
        self.check();
    }

    fn restart(&mut self, in_order: bool, power: Option<u64>, no_queues: bool, no_index: bool) {
        // What is in the log is not in question here, only what is made of it.
        self.store().catch_up().unwrap();
        let store = self.store.take().unwrap();
        if in_order {
            store.close().unwrap();
        } else {
            drop(store);
        }
        if let Some(seed) = power {
            self.disk = self.disk.power_loss(seed);
            self.boot += 1;
        }
        let gone = [(no_queues && !self.edited, "/store/consumequeue"), (no_index, "/store/index")];
        for (_, folder) in gone.into_iter().filter(|(is_gone, _)| *is_gone) {
            uproot(&self.disk, Path::new(folder));
        }
        let store = Store::open(&self.disk, self.layout, self.boot, settings(), Box::new(NoArrivals));
        self.store = Some(store.unwrap());
        self.store().catch_up().unwrap();
    }

    /// All was dispatched: everything is found, and nothing else.
    fn check(&self) {
        let store = self.store.as_ref().unwrap();
        let (queues, start) = (store.derived.queues(), store.log().start());
        for ((of, queue), known) in &self.queues {
            let (name, id) = (topic(TOPICS[*of]), QueueId(*queue));
            let range = queues.range(&name, id).unwrap().expect("a queue that was sent to");
            let dropped = known.offsets.iter().take_while(|offset| **offset < start).count();
            assert_eq!(range.min.0, known.first + dropped as i64, "{name}/{queue}");
            assert_eq!(range.max.0, known.first + known.offsets.len() as i64, "{name}/{queue}");
            let entries = queues.read(&name, id, range.min, usize::MAX).unwrap();
            let offsets: Vec<_> = entries.iter().map(|entry| entry.log_offset).collect();
            assert_eq!(offsets, known.offsets[dropped..], "{name}/{queue}");
        }
        for (of, name) in TOPICS.into_iter().enumerate() {
            let ids = queues.queues_of(&topic(name)).unwrap();
            let known = self.queues.keys().filter(|(topic, _)| *topic == of).map(|(_, id)| QueueId(*id));
            assert_eq!(ids, known.collect::<Vec<_>>(), "{name}");
        }
        for ((of, key), offsets) in &self.keys {
            let query = KeyQuery {
                topic: &topic(TOPICS[*of]),
                key: KEYS[*key],
                records_max: usize::MAX,
                begin: Timestamp(0),
                end: Timestamp(i64::MAX),
            };
            let mut found = store.derived.index().query(query).unwrap().records;
            found.retain(|offset| *offset >= start);
            let expected: Vec<_> = offsets.iter().rev().copied().filter(|offset| *offset >= start).collect();
            assert_eq!(found, expected, "{} {}", TOPICS[*of], KEYS[*key]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: (STEPS / CASE_STEPS) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queues_are_lists(framed in any::<bool>(), steps in prop::collection::vec(step(), CASE_STEPS)) {
        let mut model = Model::new(if framed { Layout::Framed } else { Layout::Classic });
        steps.iter().for_each(|step| model.run(step));
    }
}
