//! Statistics: how much of each topic came in, and how much each group took.
//!
//! They are of this node, in memory, and begin with it. What is counted is cheap; the windows are read off once a while.

mod kinds;
mod series;
mod traffic;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use ferrymq_proto::name::{GroupName, TopicName};

pub use self::kinds::{Counted, Counts, Kind, SIZES};
use self::series::Series;
pub use self::series::{Summary, Window};
pub use self::traffic::Traffic;
use super::topics::Topics;
use crate::clock;

/// The finest readings are this far apart.
const SECOND: Duration = Duration::from_secs(1);
const SECONDS_OF_MINUTE: u64 = 60;

#[derive(Debug)]
pub struct Statistics {
    cluster: String,
    topics: Arc<Topics>,
    traffic: Traffic,
    broker: OfBroker,
    by_topic: RwLock<HashMap<TopicName, Arc<OfTopic>>>,
    by_group: RwLock<HashMap<TopicName, HashMap<GroupName, Arc<OfGroup>>>>,
    mornings: Mornings,
    started: Instant,
}

#[derive(Debug, Default)]
struct OfBroker {
    put: Series,
    got: Series,
    put_by_users: Series,
    got_by_users: Series,
}

#[derive(Debug, Default)]
struct OfTopic {
    is_system: bool,
    put: Series,
    put_bytes: Series,
    kinds: Counts,
}

#[derive(Debug, Default)]
struct OfGroup {
    is_system: bool,
    got: Series,
    got_bytes: Series,
    got_ms: Series,
    sent_back: Series,
}

/// What came into one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutByKind {
    pub topic: TopicName,
    pub is_system: bool,
    pub kinds: Vec<(Kind, Counted)>,
}

/// What one group took of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GotByGroup {
    pub topic: TopicName,
    pub group: GroupName,
    pub is_system: bool,
    pub messages: i64,
    pub bytes: i64,
}

/// What users had put and got when a day began, and when the one before did.
#[derive(Debug, Default)]
struct Mornings {
    put: [AtomicI64; 2],
    got: [AtomicI64; 2],
}

/// What users have put or got, as tools show it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days {
    pub yesterday_morning: i64,
    pub this_morning: i64,
    pub now: i64,
}

impl Statistics {
    pub fn new(cluster: String, topics: Arc<Topics>) -> Self {
        Self {
            cluster,
            topics,
            traffic: Traffic::default(),
            broker: OfBroker::default(),
            by_topic: RwLock::default(),
            by_group: RwLock::default(),
            mornings: Mornings::default(),
            started: Instant::now(),
        }
    }

    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Messages were stored in a topic.
    pub fn put(&self, topic: &str, kind: Kind, messages: usize, bytes: usize) {
        let (messages, bytes) = (count(messages), count(bytes));
        self.traffic.stored(messages, bytes);
        let Some(of_topic) = self.of_topic(topic) else { return };
        of_topic.kinds.add(kind, messages, bytes);
        of_topic.put.add(messages);
        of_topic.put_bytes.add(bytes);
        self.broker.put.add(messages);
        if !of_topic.is_system {
            self.broker.put_by_users.add(messages);
        }
    }

    /// A group has pulled from a topic: so many messages, if any.
    pub fn got(&self, topic: &str, group: &str, messages: usize, bytes: usize, took: Duration) {
        let (messages, bytes) = (count(messages), count(bytes));
        self.traffic.pulled(messages, took);
        if messages == 0 {
            return;
        }
        let Some(of_group) = self.of_group(topic, group) else { return };
        of_group.got.add(messages);
        of_group.got_bytes.add(bytes);
        of_group.got_ms.add(i64::try_from(took.as_millis()).unwrap_or(i64::MAX));
        self.broker.got.add(messages);
        if !of_group.is_system {
            self.broker.got_by_users.add(messages);
        }
    }

    /// A group has sent a message back.
    pub fn sent_back(&self, topic: &str, group: &str) {
        if let Some(of_group) = self.of_group(topic, group) {
            of_group.sent_back.add(1);
        }
    }

    /// What is known under Apache's name and key. `None`: nothing was ever counted there.
    pub fn find(&self, name: &str, key: &str) -> Option<[Summary; 3]> {
        let summaries =
            |series: &Series| series.is_used().then(|| Window::ALL.map(|window| series.summary(window)));
        match name {
            "TOPIC_PUT_NUMS" => summaries(&self.known_topic(key)?.put),
            "TOPIC_PUT_SIZE" => summaries(&self.known_topic(key)?.put_bytes),
            "GROUP_GET_NUMS" => summaries(&self.known_group(key)?.got),
            "GROUP_GET_SIZE" => summaries(&self.known_group(key)?.got_bytes),
            "GROUP_GET_LATENCY" => summaries(&self.known_group(key)?.got_ms),
            "SNDBCK_PUT_NUMS" => summaries(&self.known_group(key)?.sent_back),
            _ if key != self.cluster => None,
            "BROKER_PUT_NUMS" => summaries(&self.broker.put),
            "BROKER_GET_NUMS" => summaries(&self.broker.got),
            "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC" => summaries(&self.broker.put_by_users),
            "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC" => summaries(&self.broker.got_by_users),
            _ => None,
        }
    }

    /// Messages per second in the last minute.
    pub fn put_per_second(&self, topic: &str) -> f64 {
        let of_topic = read(&self.by_topic).get(topic).map(Arc::clone);
        of_topic.map_or(0.0, |of_topic| of_topic.put.summary(Window::Minute).per_second)
    }

    /// Messages per second in the last minute.
    pub fn got_per_second(&self, topic: &str, group: &str) -> f64 {
        let of_group = read(&self.by_group).get(topic).and_then(|groups| groups.get(group).map(Arc::clone));
        of_group.map_or(0.0, |of_group| of_group.got.summary(Window::Minute).per_second)
    }

    /// What came into each topic since the start, by the kind of message.
    pub fn put_by_kind(&self) -> Vec<PutByKind> {
        let of = |(name, of_topic): (&TopicName, &Arc<OfTopic>)| PutByKind {
            topic: name.clone(),
            is_system: of_topic.is_system,
            kinds: of_topic.kinds.all(),
        };
        read(&self.by_topic).iter().map(of).collect()
    }

    /// What each group took of each topic since the start.
    pub fn got_by_group(&self) -> Vec<GotByGroup> {
        let by_group = read(&self.by_group);
        let all = by_group.iter().flat_map(|(topic, groups)| groups.iter().map(move |group| (topic, group)));
        all.map(|(topic, (group, of_group))| GotByGroup {
            topic: topic.clone(),
            group: group.clone(),
            is_system: of_group.is_system,
            messages: of_group.got.sum(),
            bytes: of_group.got_bytes.sum(),
        })
        .collect()
    }

    pub fn put_days(&self) -> Days {
        days(&self.mornings.put, &self.broker.put_by_users)
    }

    pub fn got_days(&self) -> Days {
        days(&self.mornings.got, &self.broker.got_by_users)
    }

    pub fn forget_topic(&self, topic: &str) {
        self.by_topic.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
        self.by_group.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    pub fn forget_group(&self, group: &str) {
        let mut topics = self.by_group.write().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|_, groups| {
            groups.remove(group);
            !groups.is_empty()
        });
    }

    /// Reads the counters off, again and again. Runs until it is dropped.
    pub async fn run(&self) {
        let mut today = clock::local_day();
        for second in 1_u64.. {
            tokio::time::sleep(SECOND).await;
            let now = self.started.elapsed();
            self.traffic.read(now);
            if second.is_multiple_of(SECONDS_OF_MINUTE) {
                self.traffic.end_minute();
            }
            for window in Window::ALL {
                if second.is_multiple_of(window.interval().as_secs()) {
                    self.read(window, now);
                }
            }
            let day = clock::local_day();
            if day != today {
                today = day;
                self.begin_day();
            }
        }
    }

    fn read(&self, window: Window, now: Duration) {
        let OfBroker { put, got, put_by_users, got_by_users } = &self.broker;
        [put, got, put_by_users, got_by_users].into_iter().for_each(|series| series.read(window, now));
        for of_topic in read(&self.by_topic).values() {
            [&of_topic.put, &of_topic.put_bytes].into_iter().for_each(|series| series.read(window, now));
        }
        for of_group in read(&self.by_group).values().flat_map(HashMap::values) {
            let OfGroup { got, got_bytes, got_ms, sent_back, .. } = &**of_group;
            [got, got_bytes, got_ms, sent_back].into_iter().for_each(|series| series.read(window, now));
        }
    }

    fn begin_day(&self) {
        let ends = [
            (&self.mornings.put, &self.broker.put_by_users),
            (&self.mornings.got, &self.broker.got_by_users),
        ];
        for ([yesterday, today], series) in ends {
            yesterday.store(today.load(Ordering::Relaxed), Ordering::Relaxed);
            today.store(series.sum(), Ordering::Relaxed);
        }
    }

    fn of_topic(&self, topic: &str) -> Option<Arc<OfTopic>> {
        if let Some(known) = read(&self.by_topic).get(topic) {
            return Some(Arc::clone(known));
        }
        let name = TopicName::parse(topic).ok()?;
        let new = || Arc::new(OfTopic { is_system: self.topics.is_system(topic), ..OfTopic::default() });
        let mut by_topic = self.by_topic.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(by_topic.entry(name).or_insert_with(new)))
    }

    fn of_group(&self, topic: &str, group: &str) -> Option<Arc<OfGroup>> {
        if let Some(known) = read(&self.by_group).get(topic).and_then(|groups| groups.get(group)) {
            return Some(Arc::clone(known));
        }
        let (topic_name, name) = (TopicName::parse(topic).ok()?, GroupName::parse(group).ok()?);
        let new = || Arc::new(OfGroup { is_system: self.topics.is_system(topic), ..OfGroup::default() });
        let mut by_group = self.by_group.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(by_group.entry(topic_name).or_default().entry(name).or_insert_with(new)))
    }

    fn known_topic(&self, topic: &str) -> Option<Arc<OfTopic>> {
        read(&self.by_topic).get(topic).map(Arc::clone)
    }

    /// By `topic@group`.
    fn known_group(&self, key: &str) -> Option<Arc<OfGroup>> {
        let (topic, group) = key.rsplit_once('@')?;
        read(&self.by_group).get(topic)?.get(group).map(Arc::clone)
    }
}

fn days(mornings: &[AtomicI64; 2], series: &Series) -> Days {
    let [yesterday, today] = mornings;
    Days {
        yesterday_morning: yesterday.load(Ordering::Relaxed),
        this_morning: today.load(Ordering::Relaxed),
        now: series.sum(),
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn read<K: Eq + Hash, V>(table: &RwLock<HashMap<K, V>>) -> std::sync::RwLockReadGuard<'_, HashMap<K, V>> {
    table.read().unwrap_or_else(PoisonError::into_inner)
}
