//! What there is to move, and what cannot be: all of the source is read once before anything is written.

use std::collections::{BTreeMap, HashMap, HashSet};

use ferrymq_proto::name::{SystemTopic, TIMER_TOPIC, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};
use ferrymq_proto::record::{Record, SysFlag, TransactionState};
use ferrymq_storage::dispatch::QueueEnd;
use ferrymq_storage::frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};

use super::source::{Found, Source, SourceError};
use crate::state::Tables;

/// Of obstacles of one kind, so many are named.
const NAMED_MAX: usize = 5;
/// Behind a frame there is room for a blank.
const BLANK_BYTES: u64 = 8;

/// All there is.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    pub start: LogOffset,
    /// Behind the last record.
    pub end: LogOffset,
    pub records: u64,
    pub bytes: u64,
    pub counts: Counts,
    pub left_out: LeftOut,
    pub obstacles: Obstacles,
    topics: HashMap<String, Topic>,
    /// Queues that have come somewhere, and have no record any more.
    empty: Vec<QueueEnd>,
}

/// Of the records that are moved, by what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: u64,
    pub retries: u64,
    pub dead: u64,
    pub delayed: u64,
    pub timers: u64,
    pub halves: u64,
    pub decisions: u64,
}

/// Records that are not moved.
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    /// Of topics that are in no table and have no queues: they were deleted.
    pub of_no_topic: u64,
    /// From before their topic was deleted and made again.
    pub of_former_topic: u64,
    /// With an offset that their queue had given to another one before.
    pub repeated: u64,
    /// That nobody could read.
    pub unreadable: u64,
    /// That a queue has at its end, and the log has not.
    pub lost: u64,
}

/// Why the source cannot be moved as it is.
#[derive(Clone, Debug, Default)]
pub struct Obstacles {
    pub count: u64,
    /// The first ones.
    pub named: Vec<String>,
}

impl Obstacles {
    fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(text());
        }
    }
}

#[derive(Clone, Debug)]
struct Topic {
    name: TopicName,
    /// None: it was deleted.
    is_kept: bool,
    queues: BTreeMap<QueueId, Queue>,
}

#[derive(Clone, Copy, Debug)]
struct Queue {
    /// Where the record of its first offset lies.
    from: LogOffset,
    begin: QueueOffset,
    next: QueueOffset,
    /// The next offset at the place from which on is written.
    resumed: QueueOffset,
    records: u64,
    bytes: u64,
}

/// Where a record comes in its queue.
#[derive(Clone, Copy, Debug)]
enum Place {
    Next,
    /// The queue begins anew with it. Those of before do not count.
    First {
        former: u64,
        bytes: u64,
    },
    Taken,
}

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Moved,
    OfNoTopic,
    OfFormerTopic,
    Repeated,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of the new group.
    pub segment_bytes: u64,
    /// From where on is written: what lies before it was moved already.
    pub resumed: LogOffset,
}

impl Survey {
    /// Reads all of the source. `show` is told how far it has come.
    pub fn take(
        source: &Source,
        tables: &Tables,
        limits: Limits,
        show: &mut dyn FnMut(u64),
    ) -> Result<Self, SourceError> {
        let start = source.start();
        let mut survey = Self { start, end: start, ..Self::default() };
        let ends = source.queue_ends()?;
        let with_queues: HashSet<String> = ends.iter().map(|end| end.topic.to_string()).collect();
        let mut records = source.records(start)?;
        while let Some(found) = records.next_record()? {
            survey.add(&found, tables, &with_queues, limits);
            show((found.next.0 - start.0).unsigned_abs());
        }
        survey.end = records.position();
        let has_records = |end: &QueueEnd| {
            survey.topics.get(end.topic.as_str()).is_some_and(|topic| topic.queues.contains_key(&end.queue))
        };
        // Entries of a DLedger node that are not known to be committed are in its queues as well.
        if source.ledger().is_none() {
            survey.left_out.lost = ends.iter().map(|end| survey.lost_of(end)).sum();
        }
        let is_news =
            |end: &QueueEnd| tables.topics().find(end.topic.as_str()).is_some() && !has_records(end);
        survey.empty = ends.into_iter().filter(is_news).collect();
        Ok(survey)
    }

    /// How many offsets a queue has given to messages behind the last one that the log has of it.
    fn lost_of(&self, end: &QueueEnd) -> u64 {
        let topic = self.topics.get(end.topic.as_str()).filter(|topic| topic.is_kept);
        let queue = topic.and_then(|topic| topic.queues.get(&end.queue));
        queue.map_or(0, |queue| (end.next.0 - queue.next.0).max(0).unsigned_abs())
    }

    fn add(&mut self, found: &Found<'_>, tables: &Tables, with_queues: &HashSet<String>, limits: Limits) {
        let Ok((record, bytes)) = Record::decode(found.bytes) else {
            self.left_out.unreadable += 1;
            return;
        };
        let body_max = FRAME_BYTES_MAX.min(limits.segment_bytes - BLANK_BYTES) - FRAME_HEADER_BYTES as u64;
        if bytes as u64 > body_max {
            let offset = found.offset;
            self.obstacles.add(|| {
                format!(
                    "the record at offset {offset} has {bytes} bytes; a group's log takes {body_max} at once"
                )
            });
        }
        if record.sys_flag.has(SysFlag::INNER_BATCH) {
            let topic = record.topic.escape_debug().to_string();
            self.obstacles.add(|| {
                format!("topic {topic} has batches that take several offsets (queue.type=BatchCQ), which a group does not have")
            });
        }
        if !self.topics.contains_key(record.topic) {
            let Ok(name) = TopicName::parse(record.topic) else {
                self.left_out.unreadable += 1;
                return;
            };
            let is_known = tables.topics().find(record.topic).is_some()
                || name.is_system()
                || with_queues.contains(record.topic);
            let topic = Topic { name, is_kept: is_known, queues: BTreeMap::new() };
            self.topics.insert(record.topic.to_owned(), topic);
        }
        let Some(topic) = self.topics.get_mut(record.topic) else { return };
        if !topic.is_kept {
            self.left_out.of_no_topic += 1;
            return;
        }
        if is_queued(record.sys_flag) {
            match topic.count(found, &record, limits, &mut self.obstacles) {
                Place::Taken => {
                    self.left_out.repeated += 1;
                    return;
                }
                Place::First { former, bytes } => {
                    self.records -= former;
                    self.bytes -= bytes;
                    self.left_out.of_former_topic += former;
                    *self.counts.of(record.topic) -= former;
                }
                Place::Next => {}
            }
        }
        self.records += 1;
        self.bytes += bytes as u64;
        *self.counts.of(record.topic) += 1;
    }

    /// Where each queue begins.
    pub fn begins(&self) -> Vec<QueueEnd> {
        self.ends_with(|queue| queue.begin)
    }

    /// Where each queue ends.
    pub fn ends(&self) -> Vec<QueueEnd> {
        self.ends_with(|queue| queue.next)
    }

    fn ends_with(&self, offset: impl Fn(&Queue) -> QueueOffset) -> Vec<QueueEnd> {
        let kept = self.topics.values().filter(|topic| topic.is_kept);
        let queues = kept.flat_map(|topic| topic.queues.iter().map(|(id, queue)| (&topic.name, *id, queue)));
        let ends = queues.map(|(topic, id, queue)| QueueEnd {
            topic: topic.clone(),
            queue: id,
            next: offset(queue),
        });
        let mut ends: Vec<_> = ends.chain(self.empty.iter().cloned()).collect();
        ends.sort_by(|one, other| (&one.topic, one.queue).cmp(&(&other.topic, other.queue)));
        ends
    }

    pub fn topic_count(&self) -> usize {
        self.topics.values().filter(|topic| topic.is_kept).count()
    }

    pub fn queue_count(&self) -> usize {
        self.empty.len() + self.topics.values().map(|topic| topic.queues.len()).sum::<usize>()
    }

    /// Goes through the records once more, from where on is written.
    pub fn sieve(&self) -> Sieve<'_> {
        let mut next = HashMap::new();
        for (name, topic) in &self.topics {
            let queues = topic.queues.iter().map(|(id, queue)| (*id, queue.resumed));
            next.insert(name.as_str(), queues.collect());
        }
        Sieve { survey: self, next }
    }
}

impl Topic {
    /// Takes a record into its queue.
    fn count(
        &mut self,
        found: &Found<'_>,
        record: &Record<'_>,
        limits: Limits,
        obstacles: &mut Obstacles,
    ) -> Place {
        let (id, at) = (record.queue_id, record.queue_offset);
        let begun = Queue { from: found.offset, begin: at, next: at, resumed: at, records: 0, bytes: 0 };
        let queue = self.queues.entry(id).or_insert(begun);
        let mut place = Place::Next;
        // A topic that is made again begins at 0.
        if at < queue.next && at == QueueOffset(0) {
            place = Place::First { former: queue.records, bytes: queue.bytes };
            *queue = begun;
        }
        if at < queue.next {
            return Place::Taken;
        }
        if at > queue.next {
            let (name, next) = (&self.name, queue.next);
            obstacles.add(|| format!("queue {id} of {name} has a hole: {next} should come, and {at} does"));
        }
        queue.next = QueueOffset(at.0.saturating_add(1));
        queue.records += 1;
        queue.bytes += found.bytes.len() as u64;
        if found.offset < limits.resumed {
            queue.resumed = queue.next;
        }
        place
    }
}

impl Counts {
    fn of(&mut self, topic: &str) -> &mut u64 {
        let is = |system: SystemTopic| topic == system.as_str();
        match topic {
            TIMER_TOPIC => &mut self.timers,
            _ if is(SystemTopic::Schedule) => &mut self.delayed,
            _ if is(SystemTopic::TransactionHalf) => &mut self.halves,
            _ if is(SystemTopic::TransactionOperation) => &mut self.decisions,
            _ if topic.starts_with("%RETRY%") => &mut self.retries,
            _ if topic.starts_with("%DLQ%") => &mut self.dead,
            _ => &mut self.messages,
        }
    }
}

/// Half messages that are in no queue lie in old stores only.
fn is_queued(flags: SysFlag) -> bool {
    matches!(flags.transaction(), TransactionState::None | TransactionState::Committed)
}

/// Says of each record, in their order, what becomes of it.
#[derive(Debug)]
pub struct Sieve<'a> {
    survey: &'a Survey,
    next: HashMap<&'a str, HashMap<QueueId, QueueOffset>>,
}

impl Sieve<'_> {
    pub fn judge(&mut self, offset: LogOffset, record: &Record<'_>) -> Fate {
        let Some(topic) = self.survey.topics.get(record.topic).filter(|topic| topic.is_kept) else {
            return Fate::OfNoTopic;
        };
        if !is_queued(record.sys_flag) {
            return Fate::Moved;
        }
        let queue = topic.queues.get(&record.queue_id);
        if queue.is_none_or(|queue| offset < queue.from) {
            return Fate::OfFormerTopic;
        }
        let next = self.next.get_mut(record.topic).and_then(|queues| queues.get_mut(&record.queue_id));
        match next {
            Some(next) if record.queue_offset >= *next => {
                *next = QueueOffset(record.queue_offset.0.saturating_add(1));
                Fate::Moved
            }
            _ => Fate::Repeated,
        }
    }
}
