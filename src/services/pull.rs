//! Reading messages of one queue from an offset on.
//!
//! Which messages, from the queue and the filter alone; then their bytes, in as few reads of the log as they lie in pieces.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::filter::{Filter, SqlFilter};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};
use ferrymq_proto::record::Record;
use ferrymq_storage::queues::QueueEntry;

use super::archive::{Archive, Span};
use crate::config::live::Live;
use crate::refusal::Refusal;

/// Entries that are read at once.
const ENTRIES_AT_ONCE: usize = 128;

/// What one pull may take.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    pub bytes_max: usize,
    pub messages_max: usize,
}

#[derive(Clone, Debug)]
pub struct Question {
    pub topic: TopicName,
    pub queue: QueueId,
    pub offset: QueueOffset,
    pub messages_max: usize,
    pub filter: Arc<Filter>,
}

/// Java's names go to the client as the remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Found,
    NoMatchedMessage,
    MessageWasRemoving,
    OffsetFoundNull,
    OffsetOverflowBadly,
    OffsetOverflowOne,
    OffsetTooSmall,
    NoMatchedLogicQueue,
    NoMessageInQueue,
    OffsetReset,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoMatchedMessage => "NO_MATCHED_MESSAGE",
            Self::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
            Self::OffsetFoundNull => "OFFSET_FOUND_NULL",
            Self::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
            Self::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
            Self::OffsetTooSmall => "OFFSET_TOO_SMALL",
            Self::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
            Self::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
            Self::OffsetReset => "OFFSET_RESET",
        }
    }
}

/// Of a record in the log, without topic, body and properties.
const RECORD_BYTES_MIN: i64 = 91;

#[derive(Clone, Debug)]
pub struct Pulled {
    pub status: Status,
    pub next: QueueOffset,
    pub span: Span,
    pub messages: usize,
    /// They lie so far behind the end of the log that they count as being on disk.
    pub is_old: bool,
    pub body: Bytes,
}

/// What one pull may take.
#[derive(Clone, Copy, Debug)]
pub struct Portions {
    /// Of messages in memory.
    pub hot: Portion,
    /// Of others.
    pub cold: Portion,
    /// Entries of a queue that are looked at, if few are wanted.
    pub scanned_max: usize,
}

#[derive(Clone, Debug)]
pub struct Pull {
    archive: Archive,
    portions: Live<Portions>,
    /// Messages that lie further behind the end of the log count as being on disk.
    recent_bytes: i64,
}

/// Whether a read may wait for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Patience {
    None,
    Enough,
}

impl Pull {
    pub fn new(archive: Archive, portions: Live<Portions>, recent_bytes: i64) -> Self {
        Self { archive, portions, recent_bytes }
    }

    pub fn span(&self, topic: &TopicName, queue: QueueId) -> Result<Option<Span>, Refusal> {
        self.archive.span(topic, queue)
    }

    /// Reads what is in memory. `None`: it would have to wait for the disk.
    pub fn try_read(&self, question: &Question) -> Result<Option<Pulled>, Refusal> {
        self.read(question, Patience::None)
    }

    /// Reads on a thread that may wait for the disk, and says there what came of it.
    pub fn read_cold(
        &self,
        question: Question,
        done: impl FnOnce(Result<Pulled, Refusal>) + Send + 'static,
    ) -> Result<(), Refusal> {
        let pull = self.clone();
        let work = move || {
            let read = pull.read(&question, Patience::Enough);
            done(read.and_then(|pulled| pulled.ok_or(Refusal::Overloaded)));
        };
        self.archive.cold().submit(work).map_err(|_| Refusal::Overloaded)
    }

    fn read(&self, question: &Question, patience: Patience) -> Result<Option<Pulled>, Refusal> {
        let offset = question.offset;
        let mut found = self.archive.span(&question.topic, question.queue)?;
        let mut undispatched = 0;
        if offset > found.unwrap_or_default().max {
            // In this order: what is no longer in the one is in the other.
            undispatched = self.archive.undispatched();
            found = self.archive.span(&question.topic, question.queue)?;
        }
        let span = found.unwrap_or_default();
        let nothing = |status, next| {
            Some(Pulled { status, next, span, messages: 0, is_old: false, body: Bytes::new() })
        };
        let beyond = offset.0.saturating_sub(span.max.0);
        Ok(if beyond > 0 && beyond.saturating_mul(RECORD_BYTES_MIN) <= undispatched {
            // Perhaps it was acknowledged this moment, and is on its way to the queue.
            nothing(Status::OffsetOverflowOne, offset)
        } else if found.is_none() {
            nothing(Status::NoMatchedLogicQueue, QueueOffset(0))
        } else if span.max == QueueOffset(0) {
            nothing(Status::NoMessageInQueue, QueueOffset(0))
        } else if offset < span.min {
            nothing(Status::OffsetTooSmall, span.min)
        } else if offset == span.max {
            nothing(Status::OffsetOverflowOne, offset)
        } else if offset > span.max {
            nothing(Status::OffsetOverflowBadly, span.max)
        } else {
            match self.gather(question, span, patience) {
                Ok(pulled) => Some(pulled),
                Err(Interrupted::Cold) => None,
                Err(Interrupted::Refused(refusal)) => return Err(refusal),
            }
        })
    }

    fn gather(&self, question: &Question, span: Span, patience: Patience) -> Result<Pulled, Interrupted> {
        let portions = self.portions.get();
        let end = self.archive.log().confirmed().offset;
        let wanted = |portion: Portion| question.messages_max.min(portion.messages_max).max(1);
        let wanted_max = wanted(portions.hot).max(wanted(portions.cold));
        let scanned_max = portions.scanned_max.max(question.messages_max);
        let mut gathering = Gathering::new(&self.archive, patience);
        let mut next = question.offset;
        let mut scanned = 0;
        let mut is_old = false;
        'scan: while scanned < scanned_max && next < span.max {
            let at_once = if is_selective(&question.filter) {
                ENTRIES_AT_ONCE
            } else {
                wanted_max.min(ENTRIES_AT_ONCE)
            };
            let entries = self.archive.entries(&question.topic, question.queue, next, at_once)?;
            if entries.is_empty() {
                break;
            }
            for entry in entries {
                let bytes = gathering.bytes + entry.bytes as usize;
                is_old = end.0.saturating_sub(entry.log_offset.0) > self.recent_bytes;
                let portion =
                    if is_old || patience == Patience::Enough { portions.cold } else { portions.hot };
                if gathering.messages >= wanted(portion)
                    || (gathering.messages > 0 && bytes > portion.bytes_max)
                {
                    break 'scan;
                }
                scanned += 1;
                next = QueueOffset(next.0 + 1);
                gathering.consider(&question.filter, &entry)?;
            }
        }
        let status = match gathering.messages {
            0 if gathering.was_removed => Status::MessageWasRemoving,
            0 if scanned == 0 => Status::OffsetFoundNull,
            0 => Status::NoMatchedMessage,
            _ => Status::Found,
        };
        let messages = gathering.messages;
        Ok(Pulled { status, next, span, messages, is_old, body: gathering.finish()? })
    }
}

/// Why a pull stops before its end.
enum Interrupted {
    /// It would have to wait for the disk.
    Cold,
    Refused(Refusal),
}

impl From<Refusal> for Interrupted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Whether a filter may leave messages out.
fn is_selective(filter: &Filter) -> bool {
    !matches!(filter, Filter::Tags(tags) if tags.is_all())
}

/// Something in the log is not what it should be.
fn damaged(offset: LogOffset, error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%offset, %error, "a message cannot be read");
    Refusal::Failed(format!("the message at offset {offset} cannot be read: {error}"))
}

/// Messages that will be sent, one behind the other.
struct Gathering<'a> {
    archive: &'a Archive,
    patience: Patience,
    messages: usize,
    bytes: usize,
    was_removed: bool,
    body: BytesMut,
    /// Not read yet, all of it behind what is in the body: each is read at once.
    runs: Vec<Run>,
}

/// Messages that lie side by side in the log.
struct Run {
    start: LogOffset,
    bytes: usize,
}

impl<'a> Gathering<'a> {
    fn new(archive: &'a Archive, patience: Patience) -> Self {
        Self {
            archive,
            patience,
            messages: 0,
            bytes: 0,
            was_removed: false,
            body: BytesMut::new(),
            runs: Vec::new(),
        }
    }

    /// Takes the message of an entry, if the filter wants it.
    fn consider(&mut self, filter: &Filter, entry: &QueueEntry) -> Result<(), Interrupted> {
        if !filter.matches_code(entry.tags_code) {
            return Ok(());
        }
        if entry.log_offset < self.archive.log().start() {
            self.was_removed = true;
            return Ok(());
        }
        let size = entry.bytes as usize;
        let is_wanted = match filter {
            Filter::Sql(condition) => self.read_if(condition, entry.log_offset, size)?,
            Filter::Tags(_) => {
                self.add_to_runs(entry.log_offset, size);
                true
            }
        };
        if is_wanted {
            self.messages += 1;
            self.bytes += size;
        }
        Ok(())
    }

    fn add_to_runs(&mut self, offset: LogOffset, bytes: usize) {
        match self.runs.last_mut() {
            Some(run) if run.start.0 + run.bytes as i64 == offset.0 => run.bytes += bytes,
            _ => self.runs.push(Run { start: offset, bytes }),
        }
    }

    /// What a condition asks about stands in the record alone.
    fn read_if(
        &mut self,
        condition: &SqlFilter,
        offset: LogOffset,
        bytes: usize,
    ) -> Result<bool, Interrupted> {
        let before = self.body.len();
        self.read(offset, bytes)?;
        let record = self.body.get(before..).unwrap_or_default();
        let is_wanted = Record::decode(record)
            .map(|decoded| condition.matches(&decoded.0.properties))
            .map_err(|error| damaged(offset, &error))?;
        if !is_wanted {
            self.body.truncate(before);
        }
        Ok(is_wanted)
    }

    /// Reads to the end of the body.
    fn read(&mut self, offset: LogOffset, bytes: usize) -> Result<(), Interrupted> {
        let before = self.body.len();
        match self.patience {
            Patience::Enough => self.body.extend_from_slice(&self.archive.read(offset, bytes)?),
            Patience::None => {
                self.body.resize(before + bytes, 0);
                let place = self.body.get_mut(before..).unwrap_or_default();
                if !self.archive.read_near(offset, place)? {
                    return Err(Interrupted::Cold);
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Bytes, Interrupted> {
        self.body.reserve(self.runs.iter().map(|run| run.bytes).sum());
        for run in std::mem::take(&mut self.runs) {
            self.read(run.start, run.bytes)?;
        }
        Ok(self.body.freeze())
    }
}

#[cfg(test)]
mod tests;
