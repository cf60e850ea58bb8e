//! Whether the queues agree with the log: while it is walked over, each record that is in a queue must have its entry there, and
//! behind the last one of a queue there must be none.

use std::collections::{BTreeMap, HashMap};

use ferrymq_proto::name::{SystemTopic, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use super::finding::{Affected, EntryProblem, Fault, Finding, Message};
use crate::look::Look;
use crate::look::queues::{FoundQueue, FoundQueues, failed};
use crate::position::LogSpan;
use crate::queues::QueueError;
use crate::queues::entry::{DelayLevels, ENTRY_BYTES, Labels, QueueEntry, RawEntry, Slot, is_queued};
use crate::recovery::OpenError;
use crate::scan::records::PlacedRecord;

/// Of one queue, that are read at once. There may be very many queues.
const CHUNK_ENTRIES: usize = 64;
const OFFSET_MAX: i64 = i64::MAX / 1024;
/// Of one finding, that are named.
const MESSAGES_NAMED: usize = 10;

#[derive(Debug)]
pub(super) struct QueueCheck {
    found: FoundQueues,
    /// Where each is among those that were found.
    places: HashMap<TopicName, BTreeMap<QueueId, usize>>,
    seen: HashMap<usize, Seen>,
    /// The queues of these records have no folder. Their topics were removed, or the folders were.
    homeless: BTreeMap<(String, QueueId), (QueueOffset, LogOffset)>,
    /// Records before it must have their entries.
    to: LogOffset,
    /// Records behind it may have them already.
    start: LogOffset,
    /// Parts of the log that could not be read. Entries of records there may be right.
    skipped: Vec<LogSpan>,
    rules: Rules,
    levels: DelayLevels,
}

/// What holds for these files.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// Apache's broker writes them lazily, and after a crash they may end before the log does.
    pub may_be_short: bool,
    /// In a topic of delayed messages the hash of the tag is a time, which only those who know the levels can tell.
    pub levels: Option<DelayLevels>,
}

/// What was seen of a queue in the log.
#[derive(Debug)]
struct Seen {
    first: QueueOffset,
    next: QueueOffset,
    chunk_at: QueueOffset,
    chunk: Vec<RawEntry>,
    /// The first one.
    problem: Option<(QueueOffset, EntryProblem)>,
}

impl QueueCheck {
    pub fn new(look: &Look, to: LogOffset, start: LogOffset, rules: Rules) -> Result<Self, OpenError> {
        let found = FoundQueues::find(look)?;
        let mut places: HashMap<TopicName, BTreeMap<QueueId, usize>> = HashMap::new();
        for (number, queue) in found.queues.iter().enumerate() {
            places.entry(queue.topic.clone()).or_default().insert(queue.id, number);
        }
        let levels = rules.levels.clone().unwrap_or_default();
        Ok(Self {
            found,
            places,
            seen: HashMap::new(),
            homeless: BTreeMap::new(),
            to,
            start,
            skipped: Vec::new(),
            rules,
            levels,
        })
    }

    /// Hears that the records of a part of the log will not be seen.
    pub fn skip(&mut self, span: LogSpan) {
        self.skipped.push(span);
    }

    /// Sees the next record of the log.
    pub fn see(&mut self, placed: &PlacedRecord<'_>, labels: &Labels<'_>) -> Result<(), QueueError> {
        let record = &placed.record;
        if placed.offset >= self.to || !is_queued(record.sys_flag) {
            return Ok(());
        }
        let at = record.queue_offset;
        let number = self.places.get(record.topic).and_then(|queues| queues.get(&record.queue_id)).copied();
        let Some((number, queue)) = number.and_then(|number| Some((number, self.found.queues.get(number)?)))
        else {
            if TopicName::parse(record.topic).is_ok() {
                let key = (record.topic.to_owned(), record.queue_id);
                self.homeless.entry(key).or_insert((at, placed.offset));
            }
            return Ok(());
        };
        let seen = self.seen.entry(number).or_insert_with(|| Seen::from(at));
        if at < seen.next {
            // The topic was removed and made anew in between.
            *seen = Seen::from(at);
        }
        seen.next = QueueOffset(at.0.saturating_add(1));
        // No queue gets as long as a damaged number may say, and no file begins there.
        if !(0..OFFSET_MAX).contains(&at.0) {
            seen.problem.get_or_insert((at, EntryProblem::Missing(placed.offset)));
            return Ok(());
        }
        if seen.chunk_at > at || at.0 - seen.chunk_at.0 >= seen.chunk.len() as i64 {
            seen.chunk = self.found.files.read(&queue.place, at, CHUNK_ENTRIES)?;
            seen.chunk_at = at;
        }
        let raw = seen.chunk.get((at.0 - seen.chunk_at.0).unsigned_abs() as usize);
        let slot = raw.map_or(Slot::Nothing, |raw| Slot::decode(raw));
        let expected = QueueEntry::of(placed, labels, &self.levels);
        let has_time = record.topic == SystemTopic::Schedule.as_str() && self.rules.levels.is_none();
        let problem = match slot {
            Slot::Nothing => EntryProblem::Missing(placed.offset),
            Slot::Entry(found)
                if found.log_offset == expected.log_offset
                    && found.bytes == expected.bytes
                    && (has_time || found.tags_code == expected.tags_code) =>
            {
                return Ok(());
            }
            _ => EntryProblem::Other(placed.offset),
        };
        seen.problem.get_or_insert((at, problem));
        Ok(())
    }

    /// What is wrong, once all of the log was seen.
    pub fn finish(
        &mut self,
        look: &Look,
        known: &dyn Fn(&str, QueueId) -> bool,
    ) -> Result<Vec<Finding>, OpenError> {
        let mut findings = Vec::new();
        for (number, queue) in self.found.queues.iter().enumerate() {
            let seen = self.seen.get(&number);
            if let Err(damage) = self.found.files.list(&queue.place).map_err(|error| failed(error, look))? {
                let (topic, queue) = (queue.topic.clone(), queue.id);
                findings.push(Fault::QueueFiles { topic, queue, problem: damage.to_string() }.affects());
                continue;
            }
            let problem = match seen.and_then(|seen| seen.problem) {
                Some((_, EntryProblem::Missing(_))) if self.rules.may_be_short => None,
                None => self.stray(queue, seen).map_err(|error| failed(error, look))?,
                found => found,
            };
            if let Some((offset, problem)) = problem {
                findings.push(self.entry_fault(queue, offset, problem).affects());
            }
        }
        for ((topic, queue), (offset, record)) in &self.homeless {
            // A topic that was removed has no folder, and nobody remembers it.
            if !known(topic, *queue) {
                continue;
            }
            let Ok(topic) = TopicName::parse(topic) else { continue };
            let path = look.queues_folder().join(topic.as_str()).join(queue.0.to_string());
            let (offset, queue, problem) = (*offset, *queue, EntryProblem::Missing(*record));
            findings.push(Fault::Entry { path, position: 0, topic, queue, offset, problem }.affects());
        }
        Ok(findings)
    }

    fn entry_fault(&self, queue: &FoundQueue, offset: QueueOffset, problem: EntryProblem) -> Fault {
        let base = self.found.files.base(offset);
        let path = self.found.files.path(&queue.place, base);
        let position = (offset.0 - base.0).unsigned_abs() * ENTRY_BYTES;
        let (topic, queue) = (queue.topic.clone(), queue.id);
        Fault::Entry { path, position, topic, queue, offset, problem }
    }

    /// An entry of a record that was never there: behind the last one of the queue, or before the first.
    fn stray(
        &self,
        queue: &FoundQueue,
        seen: Option<&Seen>,
    ) -> Result<Option<(QueueOffset, EntryProblem)>, QueueError> {
        let extent = self.found.extent(queue)?;
        let Ok((begin, files_end, _)) = extent else { return Ok(None) };
        let next = seen.map_or(files_end, |seen| seen.next);
        let behind = self.found.files.read(&queue.place, next.min(files_end), CHUNK_ENTRIES)?;
        for (at, raw) in (next.min(files_end).0..).map(QueueOffset).zip(&behind) {
            if *raw != RawEntry::default() && !self.is_unseen(raw) {
                return Ok(Some((at, EntryProblem::Stray)));
            }
        }
        let first = seen.map_or(files_end, |seen| seen.first);
        let mut at = self.found.files.base(begin);
        let mut last = LogOffset(0);
        while at < first {
            let count = usize::try_from(first.0 - at.0).unwrap_or(usize::MAX).min(CHUNK_ENTRIES * 64);
            for raw in self.found.files.read(&queue.place, at, count)? {
                let is_dropped = match Slot::decode(&raw) {
                    Slot::Blank => last == LogOffset(0),
                    Slot::Entry(_) if self.is_unseen(&raw) => true,
                    Slot::Entry(entry) => {
                        let follows = entry.log_offset >= last;
                        last = entry.end();
                        follows && last <= self.start
                    }
                    Slot::Nothing => false,
                };
                if !is_dropped {
                    return Ok(Some((at, EntryProblem::Stray)));
                }
                at.0 += 1;
            }
        }
        Ok(None)
    }

    /// Whether an entry is of a record that was not checked: it will be dispatched once more, or could not be read.
    fn is_unseen(&self, raw: &RawEntry) -> bool {
        let is_skipped = |offset| self.skipped.iter().any(|span| (span.start..span.end()).contains(&offset));
        matches!(Slot::decode(raw), Slot::Entry(entry) if entry.log_offset >= self.to || is_skipped(entry.log_offset))
    }

    /// The messages whose records lie in a part of the log and fail a test.
    pub fn messages_in(
        &self,
        span: LogSpan,
        is_lost: &dyn Fn(&QueueEntry) -> Result<bool, OpenError>,
        look: &Look,
    ) -> Result<Affected, OpenError> {
        let (mut count, mut first) = (0, Vec::new());
        for queue in &self.found.queues {
            let extent = self.found.extent(queue).map_err(|error| failed(error, look))?;
            let Ok((begin, next, _)) = extent else { continue };
            let entry = |at: i64| -> Result<Option<QueueEntry>, OpenError> {
                let read = self.found.files.read(&queue.place, QueueOffset(at), 1);
                let read = read.map_err(|error| failed(error, look))?;
                Ok(match read.first().map(|raw| Slot::decode(raw)) {
                    Some(Slot::Entry(entry)) => Some(entry),
                    _ => None,
                })
            };
            let (mut low, mut high) = (begin.0, next.0);
            while low < high {
                let middle = low + (high - low) / 2;
                let is_before = entry(middle)?.is_some_and(|entry| entry.end() <= span.start);
                if is_before { low = middle + 1 } else { high = middle }
            }
            for at in low..next.0 {
                let Some(entry) = entry(at)? else { continue };
                if entry.log_offset >= span.end() {
                    break;
                }
                if is_lost(&entry)? {
                    count += 1;
                    if first.len() < MESSAGES_NAMED {
                        let offset = QueueOffset(at);
                        first.push(Message { topic: queue.topic.clone(), queue: queue.id, offset });
                    }
                }
            }
        }
        Ok(Affected::Messages { count, first })
    }
}

impl Seen {
    fn from(first: QueueOffset) -> Self {
        Self { first, next: first, chunk_at: first, chunk: Vec::new(), problem: None }
    }
}
