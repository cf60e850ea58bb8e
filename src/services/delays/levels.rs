//! Delay levels: messages of one level wait for the same time, so each level is a queue in which the first one is due first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ferrymq_proto::name::{SystemTopic, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{Record, property};
use ferrymq_storage::queues::QueueEntry;

use super::{Gathered, Portion, Progress, Trouble, Waiting, append_copy, delivered, with_record};
use crate::config::broker::DelayLevels;
use crate::replication::{NotStored, SharedTables};
use crate::services::archive::Archive;
use crate::services::message::{Message, NotAMessage};
use crate::state::DelayLevel;

/// Entries that are read at once.
const ENTRIES_AT_ONCE: usize = 256;
/// A message that is due later than its level allows was stored before the clock was set back. So much is no reason to think so.
const CLOCK_SLACK_MS: i64 = 1000;

/// The next offset of each level, for tools.
pub type LevelOffsets = Arc<Mutex<BTreeMap<DelayLevel, QueueOffset>>>;

#[derive(Debug)]
pub struct Levels {
    archive: Archive,
    tables: SharedTables,
    delays: DelayLevels,
    topic: TopicName,
    next: BTreeMap<DelayLevel, QueueOffset>,
    /// Delivered before, though the progress does not say so. All are at `next` or behind it.
    found: BTreeMap<DelayLevel, BTreeSet<QueueOffset>>,
    /// The level that is first this time, so that one with much to do does not keep the others waiting.
    turn: usize,
    published: LevelOffsets,
}

/// Why a message that is due goes nowhere.
#[derive(Debug, thiserror::Error)]
enum NotDeliverable {
    #[error("it does not say where it belongs")]
    Homeless,
    #[error("it belongs to {0}")]
    Half(TopicName),
    #[error(transparent)]
    NotAMessage(#[from] NotAMessage),
    #[error(transparent)]
    NotStored(#[from] NotStored),
}

impl Levels {
    pub fn new(archive: Archive, tables: SharedTables, delays: DelayLevels) -> Self {
        Self {
            archive,
            tables,
            delays,
            topic: SystemTopic::Schedule.into(),
            next: BTreeMap::new(),
            found: BTreeMap::new(),
            turn: 0,
            published: LevelOffsets::default(),
        }
    }

    /// The next message of each level, as it goes on.
    pub fn published(&self) -> LevelOffsets {
        Arc::clone(&self.published)
    }

    fn queues(&self) -> Result<Vec<QueueId>, Trouble> {
        self.archive.queues().queues_of(&self.topic).map_err(|error| {
            tracing::error!(%error, "the delay levels cannot be listed");
            Trouble::Lost
        })
    }

    /// When an entry is due. Nothing waits for longer than its level.
    fn due(&self, level: DelayLevel, entry: &QueueEntry, now: Timestamp) -> Timestamp {
        let due = Timestamp(entry.tags_code.0);
        let level = usize::try_from(level.0).unwrap_or_default().min(self.delays.max());
        let delay = self.delays.delay(level).unwrap_or_default();
        let delay = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        let latest = now.0.saturating_add(delay).saturating_add(CLOCK_SLACK_MS);
        if due.0 > latest { now } else { due }
    }

    /// Gathers what is due of one level. When the next one is due, if that is known.
    fn gather_level(
        &mut self,
        level: DelayLevel,
        now: Timestamp,
        portion: Portion,
        gathered: &mut Gathered,
    ) -> Result<Option<Timestamp>, Trouble> {
        let queue = QueueId(level.0 - 1);
        let Some(span) = self.archive.span(&self.topic, queue)? else { return Ok(None) };
        let mut next = self.next.get(&level).copied().unwrap_or_default().max(span.min);
        let due = loop {
            let entries = self.archive.entries(&self.topic, queue, next, ENTRIES_AT_ONCE)?;
            if entries.is_empty() {
                break None;
            }
            let mut stopped = None;
            for entry in &entries {
                let due = self.due(level, entry, now);
                if due > now || !portion.has_room(&gathered.batch) {
                    stopped = Some(due);
                    break;
                }
                self.gather_entry(level, next, entry, gathered)?;
                next = QueueOffset(next.0 + 1);
            }
            if stopped.is_some() {
                break stopped;
            }
        };
        if next > QueueOffset(0) {
            self.next.insert(level, next);
        }
        Ok(due)
    }

    fn gather_entry(
        &mut self,
        level: DelayLevel,
        offset: QueueOffset,
        entry: &QueueEntry,
        gathered: &mut Gathered,
    ) -> Result<(), Trouble> {
        if self.found.get_mut(&level).is_some_and(|found| found.remove(&offset)) {
            return Ok(());
        }
        let source = entry.log_offset;
        let copied = with_record(&self.archive, source, entry.bytes, |record| {
            append_copy(time_up(record)?, source, &mut gathered.batch).map_err(NotDeliverable::from)
        })?;
        if let Some(Err(reason)) = copied {
            tracing::error!(%level, %offset, %reason, "a delayed message is left out");
        }
        Ok(())
    }

    fn publish(&self) {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.next);
    }
}

impl Waiting for Levels {
    const NAME: &'static str = "delays";

    fn begin(&mut self, mark: LogOffset, end: LogOffset) -> Result<(), Trouble> {
        self.next.clear();
        self.found.clear();
        for queue in self.queues()? {
            let level = DelayLevel(queue.0 + 1);
            let noted = self.tables.read().progress().delay(level);
            let span = self.archive.span(&self.topic, queue)?.unwrap_or_default();
            // What a power loss took from the log comes again under the same offsets.
            let next = noted.clamp(span.min, span.max);
            if next != noted {
                tracing::warn!(%level, %noted, %next, "the progress of a delay level is no offset of its queue");
            }
            self.next.insert(level, next);
        }
        for source in delivered::sources(&self.archive, self.topic.as_str(), mark, end)? {
            let level = DelayLevel(source.queue.0 + 1);
            if self.next.get(&level).is_none_or(|next| source.offset >= *next) {
                self.found.entry(level).or_default().insert(source.offset);
            }
        }
        self.publish();
        Ok(())
    }

    fn gather(&mut self, now: Timestamp, portion: Portion) -> Result<Gathered, Trouble> {
        let mut queues = self.queues()?;
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % queues.len().max(1);
        queues.rotate_left(first);
        let mut gathered = Gathered::default();
        for queue in queues {
            let due = self.gather_level(DelayLevel(queue.0 + 1), now, portion, &mut gathered)?;
            gathered.next = gathered.next.into_iter().chain(due).min();
        }
        self.publish();
        Ok(gathered)
    }

    fn progress(&self) -> Progress {
        let levels = self.next.iter().map(|(level, next)| (*level, *next));
        Progress { levels: levels.filter(|(_, next)| next.0 > 0).collect(), registers: Vec::new() }
    }

    fn is_settled(&self) -> bool {
        self.found.values().all(BTreeSet::is_empty)
    }
}

/// The message as it goes where it belongs: with all of its properties, as consumers get it from Apache's broker.
fn time_up(record: &Record<'_>) -> Result<Message, NotDeliverable> {
    let mut message = Message::from_record(record)?;
    let topic = message.property(property::REAL_TOPIC).ok_or(NotDeliverable::Homeless)?;
    let queue = message.property(property::REAL_QUEUE_ID).and_then(|queue| queue.parse().ok());
    let topic = TopicName::parse(&topic).map_err(NotAMessage::from)?;
    // A half must not be made twice.
    if SystemTopic::find(&topic) == Some(SystemTopic::TransactionHalf) {
        return Err(NotDeliverable::Half(topic));
    }
    message.topic = topic;
    message.queue_id = QueueId(queue.ok_or(NotDeliverable::Homeless)?);
    Ok(message)
}
