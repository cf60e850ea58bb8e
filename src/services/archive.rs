//! What is stored, for those who read single messages: by their place in the log or in a queue.

use bytes::Bytes;
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{self, Record};
use ferrymq_storage::Log;
use ferrymq_storage::cold::ColdReads;
use ferrymq_storage::dispatch::Derived;
use ferrymq_storage::index::KeyIndex;
use ferrymq_storage::queues::{QueueEntry, Queues};
use tokio::sync::oneshot;

use crate::refusal::Refusal;

/// Enough for most records; longer ones are read twice.
const FIRST_READ_BYTES: usize = 4096;
/// Of a record, enough to tell when it was stored.
const RECORD_HEAD_BYTES: usize = 128;
/// Longer than any record: a frame of the wire with a message in it is not so long.
const RECORD_BYTES_MAX: usize = 32 << 20;

#[derive(Clone, Debug)]
pub struct Archive {
    log: Log,
    derived: Derived,
    cold: ColdReads,
}

/// The offsets of a queue: from the oldest that is left to the one the next message will get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub min: QueueOffset,
    pub max: QueueOffset,
}

impl Archive {
    pub fn new(log: Log, derived: Derived, cold: ColdReads) -> Self {
        Self { log, derived, cold }
    }

    /// The threads that may wait for the disk.
    pub fn cold(&self) -> &ColdReads {
        &self.cold
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    pub fn derived(&self) -> &Derived {
        &self.derived
    }

    pub fn queues(&self) -> &Queues {
        self.derived.queues()
    }

    pub fn index(&self) -> &KeyIndex {
        self.derived.index()
    }

    /// How many bytes of the log are final, and in no queue yet.
    pub fn undispatched(&self) -> i64 {
        self.log.confirmed().offset.0.saturating_sub(self.derived.position().0)
    }

    /// All topics that have queues.
    pub fn topics(&self) -> Result<Vec<TopicName>, Refusal> {
        self.queues().topics().map_err(|error| unreadable(&error))
    }

    /// `None` for a queue that never had a message.
    pub fn span(&self, topic: &TopicName, queue: QueueId) -> Result<Option<Span>, Refusal> {
        let range = self.queues().range(topic, queue).map_err(|error| unreadable(&error))?;
        Ok(range.map(|range| Span { min: range.min, max: range.max }))
    }

    /// When a message was stored. `None` when it is not there.
    pub fn store_time(
        &self,
        topic: &TopicName,
        queue: QueueId,
        at: QueueOffset,
    ) -> Result<Option<Timestamp>, Refusal> {
        self.queues().store_time(topic, queue, at).map_err(|error| unreadable(&error))
    }

    /// When the oldest message of all was stored.
    pub fn earliest_time(&self) -> Option<Timestamp> {
        let head = self.log.read_confirmed(self.log.start(), RECORD_HEAD_BYTES).ok()?;
        record::stored_at(&head)
    }

    /// Removes what is derived from messages that the log has dropped.
    pub fn drop_derived(&self) -> Result<(), Refusal> {
        self.derived.drop_before(self.log.start()).map_err(|error| unreadable(&error))
    }

    /// Up to `count` entries of a queue from `from` on.
    pub fn entries(
        &self,
        topic: &TopicName,
        queue: QueueId,
        from: QueueOffset,
        count: usize,
    ) -> Result<Vec<QueueEntry>, Refusal> {
        self.queues().read(topic, queue, from, count).map_err(|error| unreadable(&error))
    }

    /// Bytes of the log that are final.
    pub fn read(&self, offset: LogOffset, bytes: usize) -> Result<Bytes, Refusal> {
        self.log.read_confirmed(offset, bytes).map_err(|error| unreadable(&error))
    }

    /// Fills `buffer` with bytes of the log that are final. False instead of waiting for the disk.
    pub fn read_near(&self, offset: LogOffset, buffer: &mut [u8]) -> Result<bool, Refusal> {
        self.log.read_near(offset, buffer).map_err(|error| unreadable(&error))
    }

    /// Does what may wait for the disk, on a thread that may.
    pub async fn patiently<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, outcome) = oneshot::channel();
        let archive = self.clone();
        let work = move || drop(done.send(work(&archive)));
        self.cold.submit(work).map_err(|_| Refusal::Overloaded)?;
        outcome.await.unwrap_or(Err(Refusal::Overloaded))
    }

    /// The bytes of the record that begins at `offset` and is final, if one does.
    pub fn record(&self, offset: LogOffset) -> Option<Bytes> {
        let first = self.log.read_confirmed(offset, FIRST_READ_BYTES).ok()?;
        let size = usize::try_from(i32::from_be_bytes(*first.first_chunk()?)).ok()?;
        if size > RECORD_BYTES_MAX {
            return None;
        }
        let bytes = if size <= first.len() {
            first.slice(..size)
        } else {
            self.log.read_confirmed(offset, size).ok()?
        };
        let (record, decoded) = Record::decode(&bytes).ok()?;
        // An offset that comes from outside may point into the middle of something that looks like a record.
        (decoded == size && record.log_offset == offset).then_some(bytes)
    }
}

/// The disk, or what is on it, is not as it should be.
pub fn unreadable(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "the store cannot be read");
    Refusal::Failed(format!("the store cannot be read: {error}"))
}
