use std::collections::BTreeMap;
use std::time::Duration;

use ferrymq_proto::bodies::TimerCheckpoint;
use ferrymq_proto::name::{SystemTopic, TIMER_TOPIC, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{PropertyList, Record, property};

use super::deliverer::{command, register};
use super::levels::Levels;
use super::timers::apaches::{self, Legacy};
use super::timers::place::Place;
use super::timers::{TimerSettings, Timers};
use super::*;
use crate::replication::drill::{self, Site};
use crate::services::recall;

mod forty_days;

/// A whole second.
const START: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const TOPIC: &str = "orders";

/// What [`Deliverer`] does, step by step, at times that the test says.
struct Crew<W> {
    site: Site,
    waiting: W,
    make: fn(&Site) -> W,
    mark: LogOffset,
    portion: Portion,
}

fn levels(site: &Site) -> Levels {
    let delays = DelayLevels::parse("1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h");
    Levels::new(site.archive.clone(), site.tables.clone(), delays.unwrap())
}

fn timers_with(site: &Site, near_max: usize) -> Timers {
    let settings =
        TimerSettings { near_max, ..TimerSettings::new(Duration::from_secs(72 * 3600), None, 1000) };
    Timers::new(site.archive.clone(), site.tables.clone(), settings).unwrap()
}

fn timers(site: &Site) -> Timers {
    timers_with(site, 1000)
}

/// Reads from the queue again and again.
fn few_timers(site: &Site) -> Timers {
    timers_with(site, 4)
}

impl<W: Waiting> Crew<W> {
    fn new(make: fn(&Site) -> W) -> Self {
        let site = Site::new();
        let waiting = make(&site);
        let mut crew = Self { site, waiting, make, mark: LogOffset(0), portion: Portion::USUAL };
        crew.begin();
        crew
    }

    fn begin(&mut self) {
        let end = self.site.archive.log().confirmed().offset;
        let noted = self.site.tables.read().progress().number(&register::<W>()).map(LogOffset);
        self.mark = noted.unwrap_or(end).min(end);
        self.waiting.begin(self.mark, end).unwrap();
        if noted.is_none() {
            self.note();
        }
    }

    fn note(&mut self) {
        if self.waiting.is_settled() {
            self.mark = self.site.archive.log().confirmed().offset;
        }
        let command = command::<W>(self.waiting.progress(), self.mark);
        self.site.writer.0.change(command, Box::new(|changed| assert!(changed.is_ok())));
    }

    /// Delivers one batch, and notes nothing. The number of copies.
    fn step(&mut self, now: i64) -> usize {
        let gathered = self.waiting.gather(Timestamp(now), self.portion).unwrap();
        let count = gathered.batch.count;
        self.site.drill.set_now(Timestamp(now));
        if count > 0 {
            self.site.store(gathered.batch);
        }
        count
    }

    /// Delivers all that is due.
    fn run(&mut self, now: i64) {
        loop {
            let gathered = self.waiting.gather(Timestamp(now), self.portion).unwrap();
            let is_idle = gathered.batch.count == 0;
            self.site.drill.set_now(Timestamp(now));
            if !is_idle {
                self.site.store(gathered.batch);
            }
            self.note();
            if is_idle && gathered.next.is_none_or(|next| next.0 > now) {
                return;
            }
        }
    }

    fn kill(mut self) -> Self {
        self.site = self.site.restart();
        self.waiting = (self.make)(&self.site);
        self.begin();
        self
    }

    fn send(&self, now: i64, message: Message) {
        self.site.drill.set_now(Timestamp(now));
        let mut batch = Batch::default();
        message.encode_into(&mut batch, MessageLimits { body_bytes_max: 1 << 20 }).unwrap();
        self.site.store(batch);
    }

    /// The messages in a queue of the topic.
    fn delivered(&self) -> Vec<(String, PropertyList)> {
        let topic = TopicName::parse(TOPIC).unwrap();
        let entries = self.site.archive.entries(&topic, QueueId(3), QueueOffset(0), 10_000).unwrap();
        let message = |entry: &ferrymq_storage::queues::QueueEntry| {
            let bytes = self.site.archive.record(entry.log_offset).unwrap();
            let (record, _) = Record::decode(&bytes).unwrap();
            let body = String::from_utf8(record.body.to_vec()).unwrap();
            (body, PropertyList::read(record.properties).unwrap())
        };
        entries.iter().map(message).collect()
    }

    fn bodies(&self) -> Vec<String> {
        self.delivered().into_iter().map(|(body, _)| body).collect()
    }
}

fn message(topic: &str, queue: i32, body: &str) -> Message {
    let mut message = drill::message(topic, queue, body);
    message.born_timestamp = Timestamp(START);
    message.set(property::REAL_TOPIC, TOPIC).unwrap();
    message.set(property::REAL_QUEUE_ID, "3").unwrap();
    message.set(property::UNIQUE_KEY, body).unwrap();
    message
}

fn delayed(level: i32, body: &str) -> Message {
    let mut message = message(SystemTopic::Schedule.as_str(), level - 1, body);
    message.set(property::DELAY_LEVEL, &level.to_string()).unwrap();
    message
}

fn timed(due: i64, body: &str) -> Message {
    let mut message = message(TIMER_TOPIC, 0, body);
    message.set(property::TIMER_DELIVER_MS, &due.to_string()).unwrap();
    message.set(property::TIMER_OUT_MS, &((due - 1) / 1000 * 1000).to_string()).unwrap();
    message
}

fn calling_off(due: i64, body: &str) -> Message {
    let mut message = timed(due, body);
    message.set(property::TIMER_DELETE_UNIQUE_KEY, &recall::key(TOPIC, body)).unwrap();
    message
}

#[test]
fn a_level_delivers_when_its_time_is_over() {
    let mut crew = Crew::new(levels);
    crew.send(START, delayed(2, "five"));
    crew.send(START, delayed(1, "one"));
    crew.run(START + 999);
    assert_eq!(crew.bodies(), [""; 0]);
    let next = crew.waiting.gather(Timestamp(START + 999), Portion::USUAL).unwrap().next;
    assert_eq!(next, Some(Timestamp(START + 1000)));
    crew.run(START + 1000);
    assert_eq!(crew.bodies(), ["one"]);
    crew.run(START + 5000);
    crew.run(START + 50_000);
    let delivered = crew.delivered();
    let names = |properties: &PropertyList| -> Vec<String> {
        properties.as_properties().iter().map(|(name, _)| name.into_owned()).collect()
    };
    assert_eq!(delivered.len(), 2);
    assert_eq!(delivered[1].0, "five");
    assert_eq!(names(&delivered[1].1), ["REAL_TOPIC", "REAL_QID", "UNIQ_KEY", "DELAY"]);
}

#[test]
fn a_clock_that_was_set_back_holds_up_no_level() {
    let mut crew = Crew::new(levels);
    crew.send(START, delayed(1, "one"));
    crew.run(START - HOUR_MS);
    assert_eq!(crew.bodies(), ["one"]);
}

/// Kills at every point around a delivery.
fn kills<W: Waiting>(make: fn(&Site) -> W, send: impl Fn(&Crew<W>)) {
    let due = START + 10_000;
    // Before anything is delivered.
    let crew = Crew::new(make);
    send(&crew);
    let mut crew = crew.kill();
    crew.run(due);
    let sorted = |crew: &Crew<W>| {
        let mut bodies = crew.bodies();
        bodies.sort_unstable();
        bodies
    };
    let all = sorted(&crew);
    assert!(!all.is_empty());
    for records_max in 1..=all.len() {
        for noted in 0..=all.len() {
            let mut crew = Crew::new(make);
            send(&crew);
            crew.portion = Portion { records_max, bytes_max: usize::MAX };
            // Delivered, but not noted from some point on.
            for batch in 0..all.len() {
                crew.step(due);
                if batch < noted {
                    crew.note();
                }
            }
            assert_eq!(crew.bodies().len(), all.len());
            // And once more, before what was found is noted.
            let mut crew = crew.kill().kill();
            crew.run(due);
            let mut crew = crew.kill();
            crew.run(due);
            assert_eq!(sorted(&crew), all, "batches of {records_max}, {noted} noted");
            assert!(crew.waiting.is_settled());
        }
    }
}

#[test]
fn a_level_delivers_once() {
    kills(levels, |crew| {
        for (level, body) in [(1, "a"), (2, "b"), (1, "c"), (3, "d"), (2, "e")] {
            crew.send(START, delayed(level, body));
        }
    });
}

#[test]
fn timers_fire_once() {
    kills(timers, |crew| {
        for (due, body) in [(9000, "c"), (1000, "a"), (9000, "d"), (8000, "b"), (9000, "e")] {
            crew.send(START, timed(START + due, body));
        }
        crew.send(START, timed(START + 9000, "x"));
        crew.send(START, calling_off(START + 9000, "x"));
    });
}

#[test]
fn a_timer_goes_where_it_belongs() {
    let mut crew = Crew::new(timers);
    crew.send(START, timed(START + 5000, "later"));
    crew.send(START, timed(START + 2000, "sooner"));
    crew.run(START + 1999);
    assert_eq!(crew.bodies(), [""; 0]);
    crew.run(START + 2000);
    // Its tick is over already.
    crew.send(START + 2100, timed(START + 1000, "late"));
    crew.run(START + 2200);
    crew.run(START + 5001);
    assert_eq!(crew.bodies(), ["sooner", "late", "later"]);
    let (_, properties) = &crew.delivered()[2];
    let value = |name| properties.get(name).map(|value| value.into_owned());
    assert_eq!(value(property::TIMER_OUT_MS), Some((START + 4000).to_string()));
    assert_eq!(value(property::TIMER_ENQUEUE_MS), Some(START.to_string()));
    assert_eq!(value(property::TIMER_DEQUEUE_MS), Some((START + 5001).to_string()));
    assert_eq!(value(property::REAL_TOPIC), Some(TOPIC.to_owned()));
}

#[test]
fn what_is_called_off_is_not_delivered() {
    let due = START + 2000;
    let crew = Crew::new(timers);
    for body in ["a", "b", "c", "d"] {
        crew.send(START, timed(due, body));
    }
    crew.send(START, calling_off(due, "b"));
    crew.send(START, calling_off(due, "nobody"));
    crew.send(START, calling_off(due + 1000, "c"));
    let mut crew = crew.kill();
    // A tick that is served in part before a restart still knows what was called off.
    crew.portion = Portion::ONE;
    crew.step(due);
    crew.note();
    crew.send(due, calling_off(due, "d"));
    let mut crew = crew.kill();
    crew.run(due + 5000);
    assert_eq!(crew.bodies(), ["a", "c"]);
    assert_eq!(crew.waiting.counts().waiting(), 0);
}

#[test]
fn more_timers_than_memory_has_room_for() {
    let mut crew = Crew::new(few_timers);
    let order = [13, 2, 17, 5, 11, 3, 19, 7, 1, 16, 4, 18, 12, 6, 20, 8, 14, 10, 9, 15];
    for second in order {
        crew.send(START, timed(START + second * 1000, &format!("{second:02}")));
    }
    crew.run(START);
    assert_eq!(crew.waiting.counts().waiting(), 20);
    crew.run(START + 7000);
    let mut crew = crew.kill();
    crew.send(START + 7000, timed(START + 9500, "09a"));
    for second in 8..=20 {
        crew.run(START + second * 1000);
    }
    let mut expected: Vec<_> = (1..=20).map(|second| format!("{second:02}")).collect();
    expected.insert(9, "09a".to_owned());
    assert_eq!(crew.bodies(), expected);
}

#[test]
fn timers_are_rolled_before_their_log_is_dropped() {
    let due = START + 40 * 24 * HOUR_MS;
    let mut crew = Crew::new(few_timers);
    for body in ["a", "b", "c", "d", "e", "f", "g"] {
        crew.send(START, timed(due, body));
    }
    crew.send(START, calling_off(due, "c"));
    let first = crew.site.archive.log().confirmed().offset;
    crew.run(START + 47 * HOUR_MS);
    assert_eq!(crew.waiting.counts().keep_from(), LogOffset(0));
    for hour in (49..40 * 24).step_by(30) {
        let now = START + hour * HOUR_MS;
        // One batch that nobody notes, each time.
        crew.step(now);
        crew = crew.kill();
        crew.run(now);
        assert!(crew.waiting.counts().keep_from() >= first, "nothing waits in the first part of the log");
        assert_eq!(crew.waiting.counts().waiting(), 8);
    }
    assert_eq!(crew.bodies(), [""; 0]);
    crew.run(due);
    assert_eq!(crew.bodies(), ["a", "b", "d", "e", "f", "g"]);
    let times =
        |properties: &PropertyList| properties.get(property::TIMER_ROLL_TIMES).map(|n| n.into_owned());
    let rolled: BTreeMap<_, _> =
        crew.delivered().into_iter().map(|(body, list)| (body, times(&list))).collect();
    assert!(rolled.values().all(|times| times.as_deref() > Some("1")), "{rolled:?}");
}

/// Sends, delivers, forgets and kills at random.
#[test]
fn whatever_happens_each_comes_once() {
    for seed in 1..=40_u64 {
        let mut dice = seed;
        let mut roll = move |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        let mut crew = Crew::new(if seed % 2 == 0 { timers } else { few_timers });
        let (mut now, mut sent, mut called_off) = (START, Vec::new(), Vec::new());
        for number in 0..120 {
            match roll(8) {
                0..=2 => {
                    let due = now + roll(20_000) as i64 + 1;
                    let body = format!("m{number}");
                    crew.send(now, timed(due, &body));
                    if roll(4) == 0 && due > now + 1000 {
                        crew.send(now, calling_off(due, &body));
                        called_off.push(body);
                    } else {
                        sent.push((due, body));
                    }
                }
                3 | 4 => now += roll(5000) as i64,
                5 => drop(crew.step(now)),
                6 => crew.run(now),
                _ => crew = crew.kill(),
            }
            crew.portion = Portion { records_max: 1 + roll(4) as usize, bytes_max: 1 << 20 };
        }
        crew.run(now + 100_000);
        let mut delivered = crew.bodies();
        delivered.sort_unstable();
        let mut expected: Vec<_> = sent.into_iter().map(|(_, body)| body).collect();
        expected.sort_unstable();
        assert_eq!(delivered, expected, "seed {seed}");
    }
}

/// As Apache's broker reads them: size, magic, tick, the queue offset of its record, and that of the one before in its tick.
fn units(root: &std::path::Path, crew: &Crew<Timers>) -> Vec<(i32, i32, i64, String, i64)> {
    let bytes = std::fs::read(root.join("timerlog/00000000000000000000")).unwrap();
    assert_eq!(bytes.len(), 100 << 20);
    let unit = |unit: &[u8]| {
        let number = |from: usize, bytes: usize| {
            let mut value = 0_i64;
            unit[from..from + bytes].iter().for_each(|byte| value = value << 8 | i64::from(*byte));
            value
        };
        let record = crew.site.archive.record(LogOffset(number(28, 8))).unwrap();
        assert_eq!(record.len() as i64, number(36, 4));
        let body = String::from_utf8(Record::decode(&record).unwrap().0.body.to_vec()).unwrap();
        let before = i64::from_be_bytes(unit[4..12].try_into().unwrap());
        (
            number(0, 4) as i32,
            number(12, 4) as i32,
            number(16, 8) + i64::from(number(24, 4) as i32),
            body,
            before,
        )
    };
    bytes.chunks_exact(52).take_while(|bytes| bytes[3] != 0).map(unit).collect()
}

#[test]
fn apaches_broker_is_left_what_waits() {
    let mut crew = Crew::new(timers);
    crew.send(START, timed(START + 100_500, "waits"));
    crew.send(START, timed(START + 1_500, "served"));
    crew.send(START, timed(START + 100_600, "waits as well"));
    crew.send(START, timed(START + 60 * HOUR_MS, "waits for long"));
    crew.send(START, timed(START + 2_500, "served last"));
    crew.run(START + 3_000);
    assert_eq!(crew.bodies(), ["served", "served last"]);
    let folder = tempfile::TempDir::new().unwrap();
    let root = folder.path();
    std::fs::create_dir(root.join("timerlog")).unwrap();
    std::fs::write(root.join("timerwheel"), "old").unwrap();
    let place = Place::load(crew.site.tables.read().progress()).unwrap();
    let topic = &TopicName::parse(TIMER_TOPIC).unwrap();
    Legacy { archive: &crew.site.archive, topic, place, root, tick_ms: 1000 }
        .leave(Timestamp(START + 3_000))
        .unwrap();
    let unit = |magic, tick, body: &str, before| (52, magic, tick, body.to_owned(), before);
    // The last record says how far the queue was read; its tick is over.
    let expected = [
        unit(1, START + 100_000, "waits", -1),
        unit(1, START + 100_000, "waits as well", 0),
        unit(3, START + 3_000 + 24 * HOUR_MS, "waits for long", -1),
        unit(1, START + 1_000, "served last", -1),
    ];
    assert_eq!(units(root, &crew), expected);
    assert!(!root.join("timerwheel").exists());
    let checkpoint =
        TimerCheckpoint::decode(&std::fs::read(root.join("config/timercheck")).unwrap()).unwrap();
    assert_eq!((checkpoint.last_read_time.0, checkpoint.master_timer_queue_offset.0), (START + 3_000, 5));
    // What it left itself is no sign of Apache's broker; one that went on has served more.
    let said = |later| (Timestamp(checkpoint.last_read_time.0 + later), QueueOffset(5));
    assert!(!apaches::has_gone_on(&place, 1000, said(0)));
    assert!(apaches::has_gone_on(&place, 1000, said(1000)));
}

/// What Apache's slave is told, which knows no other order than ticks.
#[test]
fn no_tick_is_over_for_a_slave_before_all_of_it_is_served() {
    let mut crew = Crew::new(timers);
    crew.send(START, timed(START + 1_300, "first"));
    crew.send(START, timed(START + 1_700, "same tick"));
    let counts = crew.waiting.counts();
    let told = |crew: &Crew<Timers>| {
        counts.next_tick(&Place::load(crew.site.tables.read().progress()).unwrap(), 1000).0 - START
    };
    crew.run(START + 1_500);
    assert_eq!(told(&crew), 1_000);
    crew.run(START + 1_800);
    assert_eq!(told(&crew), 2_000);
    crew.send(START + 1_900, timed(START + 5_500, "later"));
    crew.step(START + 6_000);
    // It is gathered, and noted by nobody.
    assert_eq!(told(&crew), 1_000);
    crew.run(START + 6_000);
    assert_eq!(told(&crew), 6_000);
}
