//! Messages that wait for their time: at a delay level, or for a moment of their own choice.
//!
//! They lie in queues of the broker's own. When one is due, a copy of it goes to where it belongs; how far that has come is
//! in the tables. Only the one who leads delivers, and it begins anew with every term and after every failure.
//!
//! Each is delivered once, also when the process ends between a copy and the note of it. Every copy says what it is a copy of
//! ([`delivered`]), and progress says from where on in the log there may be copies it does not know of. Whoever begins reads
//! the log from there, and passes over what was delivered. So progress is noted where it is cheap: in Raft in the frame of
//! the copies, otherwise now and then, and never before the copies are on disk.
//!
//! A copy that a power loss took from a log that is not synced is made again.

pub mod alarm;
mod delivered;
mod deliverer;
pub mod levels;
pub mod timers;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use ferrymq_proto::name::NameError;
use ferrymq_proto::position::{LogOffset, QueueOffset, Timestamp};
use ferrymq_proto::record::Record;
use ferrymq_storage::{ReadError, RecordsError};

use super::archive::Archive;
use super::message::{Message, MessageLimits};
use crate::config::broker::DelayLevels;
use crate::refusal::Refusal;
use crate::replication::{Batch, NotStored, SharedTables, Writer};
use crate::state::{DelayLevel, Register};

pub use alarm::Alarms;
pub use deliverer::Saving;

use deliverer::Deliverer;
use levels::{LevelOffsets, Levels};
use timers::{TimerCounts, TimerSettings, Timers};

/// Both places where messages wait.
#[derive(Debug)]
pub struct Delays {
    levels: Deliverer<Levels>,
    /// None where timers are switched off.
    timers: Option<Deliverer<Timers>>,
    level_offsets: LevelOffsets,
    timer_counts: Option<Arc<TimerCounts>>,
}

/// What both are made of.
#[derive(Debug)]
pub struct Parts {
    pub archive: Archive,
    pub tables: SharedTables,
    pub writer: Writer,
    pub alarms: Alarms,
    pub saving: Saving,
    pub delays: DelayLevels,
    pub timers: Option<TimerSettings>,
}

impl Delays {
    pub fn new(parts: Parts) -> Result<Self, NameError> {
        let Parts { archive, tables, writer, alarms, saving, delays, timers } = parts;
        let levels = Levels::new(archive.clone(), tables.clone(), delays);
        let level_offsets = levels.published();
        let levels = Deliverer::new(
            levels,
            archive.clone(),
            tables.clone(),
            writer.clone(),
            Arc::clone(&alarms.levels),
            saving,
        );
        let timers = timers.map(|settings| Timers::new(archive.clone(), tables.clone(), settings));
        let timers = timers.transpose()?;
        let timer_counts = timers.as_ref().map(Timers::counts);
        let timers = timers.map(|timers| {
            Deliverer::new(timers, archive, tables, writer, Arc::clone(&alarms.timers), saving)
        });
        Ok(Self { levels, timers, level_offsets, timer_counts })
    }

    /// Delivers, until it is dropped.
    pub async fn run(&self) {
        let timers = async {
            if let Some(timers) = &self.timers {
                timers.run().await;
            }
        };
        tokio::join!(self.levels.run(), timers);
    }

    /// Notes what was delivered, when nothing is delivered any more.
    pub async fn flush(&self) {
        self.levels.flush().await;
        if let Some(timers) = &self.timers {
            timers.flush().await;
        }
    }

    /// The next message of each level.
    pub fn level_offsets(&self) -> BTreeMap<DelayLevel, QueueOffset> {
        self.level_offsets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// `None` where timers are switched off.
    pub fn timers(&self) -> Option<&Arc<TimerCounts>> {
        self.timer_counts.as_ref()
    }
}

/// What is delivered at once.
#[derive(Clone, Copy, Debug)]
pub struct Portion {
    pub records_max: usize,
    pub bytes_max: usize,
}

impl Portion {
    pub const USUAL: Self = Self { records_max: 1024, bytes_max: 1 << 20 };
    /// To find the one that cannot be stored.
    pub const ONE: Self = Self { records_max: 1, bytes_max: 1 };

    /// Whether another message may come into the batch. The first one always may.
    fn has_room(self, batch: &Batch) -> bool {
        batch.count == 0 || batch.count < self.records_max && batch.records.len() < self.bytes_max
    }
}

/// How far something has come, as the tables keep it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    pub levels: Vec<(DelayLevel, QueueOffset)>,
    pub registers: Vec<(Arc<str>, Option<Register>)>,
}

#[derive(Debug, Default)]
pub struct Gathered {
    pub batch: Batch,
    /// When there will be more; a moment that is over: at once. `None`: when something arrives.
    pub next: Option<Timestamp>,
}

/// A place where messages wait. What it gathers, it takes for delivered; if it was not, it begins anew.
pub trait Waiting: Send + 'static {
    /// Of its registers.
    const NAME: &'static str;

    /// Starts from what the tables say. There may be copies in the log from `mark` to `end` that they do not know of.
    fn begin(&mut self, mark: LogOffset, end: LogOffset) -> Result<(), Trouble>;

    fn gather(&mut self, now: Timestamp, portion: Portion) -> Result<Gathered, Trouble>;

    fn progress(&self) -> Progress;

    /// Whether all copies that were found at the beginning are behind what the progress says.
    fn is_settled(&self) -> bool;
}

/// What keeps messages from being delivered. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    #[error("the log is not dispatched yet")]
    NotCaughtUp,
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error("{0}")]
    Store(Refusal),
    #[error(transparent)]
    NotStored(#[from] NotStored),
    #[error("the work ended without a result")]
    Lost,
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        Self::Store(refusal)
    }
}

/// Appends a copy of a waiting record. A message that was taken once is not too long now, whatever the settings say today.
fn append_copy(mut copy: Message, source: LogOffset, batch: &mut Batch) -> Result<(), NotStored> {
    copy.prepared_offset = delivered::mark_of(source);
    copy.encode_into(batch, MessageLimits { body_bytes_max: usize::MAX })
}

/// Does something with the record at `offset`, if there is still one.
fn with_record<T>(
    archive: &Archive,
    offset: LogOffset,
    bytes: u32,
    work: impl FnOnce(&Record<'_>) -> T,
) -> Result<Option<T>, Trouble> {
    let bytes = match archive.log().read_confirmed(offset, bytes as usize) {
        Ok(bytes) => bytes,
        // Retention was quicker.
        Err(ReadError::BeforeStart { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match Record::decode(&bytes) {
        Ok((record, _)) => Ok(Some(work(&record))),
        Err(error) => {
            tracing::error!(%offset, %error, "a message that waits cannot be read, and is left out");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests;
