//! Dispatch: what is confirmed in the log goes to the queues, to the index, and to whoever waits for it.
//!
//! One [`Dispatcher`] walks the log, never past the confirmed mark. [`Derived`] is what others hold of its results.
//! [`DerivedThreads`] lets both work by themselves; simulations call [`Dispatcher::step`], [`Derived::flush`] and
//! [`Derived::sync`].
//!
//! In an orderly end comes [`Derived::close`] before the log is closed, and after the threads have ended.

mod derived;
mod forget;
mod opening;
mod progress;
mod restart;
mod threads;

use std::io;
use std::path::PathBuf;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::tag::TagCode;
use ferrymq_proto::record::{Properties, SysFlag};

use crate::checkpoint::PathError;
use crate::flush::Broken;
use crate::index::IndexError;
use crate::log::ReadError;
use crate::position::LogSpan;
use crate::queues::QueueError;
use crate::queues::entry::{Labels, QueueEntry, is_queued};
use crate::scan::records::{Found, PlacedRecord, RecordsError, Window};

use derived::Fullness;

pub use derived::{Derived, DerivedSettings, OpenDerivedError};
pub use forget::forget;
pub use progress::Dispatched;
pub use restart::QueueEnd;
pub use threads::DerivedThreads;

/// A message that has just come into its queue: a reader finds it there. After a crash some come once more.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    pub topic: &'a TopicName,
    pub queue: QueueId,
    pub queue_offset: QueueOffset,
    pub span: LogSpan,
    pub tags_code: TagCode,
    pub store_time: Timestamp,
    pub sys_flag: SysFlag,
    pub properties: Properties<'a>,
}

/// Told of each message, in the order of the log, on the thread that dispatches. It must not block.
pub trait Arrivals: Send {
    fn arrived(&mut self, arrival: &Arrival<'_>);

    /// Whether somebody waits for messages, or may soon. Otherwise they are dispatched a little later.
    fn are_awaited(&self) -> bool {
        true
    }

    /// The topics whose queues a command in the log removes, with all that was sent to them before. What follows from the log
    /// alone comes out the same on every node, and in every restart.
    fn removed_by(&mut self, command: &[u8]) -> Vec<TopicName> {
        let _ = command;
        Vec::new()
    }
}

/// For owners whom no arrival concerns.
#[derive(Clone, Copy, Debug)]
pub struct NoArrivals;

impl Arrivals for NoArrivals {
    fn arrived(&mut self, _: &Arrival<'_>) {}
}

#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("what lies at offset {0} of the log, which is final, is no record")]
    Damaged(LogOffset),
}

impl From<RecordsError> for DispatchError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Read(error) => Self::Log(error),
            RecordsError::Damaged(offset) => Self::Damaged(offset),
        }
    }
}

impl From<PathError> for DispatchError {
    fn from((path, source): PathError) -> Self {
        Self::Io { path, source }
    }
}

/// Takes the confirmed part of the log to the queues. There is one, on one thread.
pub struct Dispatcher {
    derived: Derived,
    arrivals: Box<dyn Arrivals>,
    at: LogOffset,
}

impl std::fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dispatcher({})", self.at)
    }
}

impl Dispatcher {
    fn new(derived: Derived, arrivals: Box<dyn Arrivals>) -> Self {
        let at = derived.position();
        Self { derived, arrivals, at }
    }

    /// Dispatches what one read gives. False when there is nothing before the confirmed mark. After an error the next step goes
    /// on where this one ended.
    pub fn step(&mut self) -> Result<bool, DispatchError> {
        self.make_room()?;
        let log = self.derived.log().clone();
        let confirmed = log.readable_end();
        if self.at >= confirmed {
            return Ok(false);
        }
        let window = match Window::read(&log, self.at, confirmed) {
            Err(RecordsError::Read(ReadError::BeforeStart { offset, start })) => {
                tracing::warn!(%offset, %start, "the log has dropped what was not dispatched yet");
                self.at = start.min(confirmed);
                self.derived.shared.progress.move_to(self.at);
                return Ok(true);
            }
            other => other?,
        };
        let result = self.dispatch(&window);
        self.derived.shared.progress.move_to(self.at);
        result.map(|()| true)
    }

    /// Dispatches all that is confirmed now.
    pub fn run_to_confirmed(&mut self) -> Result<(), DispatchError> {
        let to = self.derived.log().confirmed().offset;
        while self.at < to {
            self.step()?;
        }
        Ok(())
    }

    /// Goes on at another place: the log was made anew and begins there. The queues were [reset] by then.
    ///
    /// [reset]: crate::queues::Queues::reset
    pub fn restart_at(&mut self, offset: LogOffset) {
        self.at = offset;
        self.derived.shared.progress.move_to(offset);
    }

    fn dispatch(&mut self, window: &Window) -> Result<(), DispatchError> {
        let mut pieces = window.pieces();
        loop {
            self.at = pieces.position();
            match pieces.next_found()? {
                None => break,
                Some(Found::Record(placed)) => {
                    self.at = placed.offset;
                    self.dispatch_record(&placed)?;
                }
                Some(Found::Command(command)) => {
                    for topic in self.arrivals.removed_by(command) {
                        self.derived.remove_topic(&topic)?;
                    }
                }
            }
        }
        self.at = pieces.position();
        Ok(())
    }

    fn dispatch_record(&mut self, placed: &PlacedRecord<'_>) -> Result<(), DispatchError> {
        let shared = &*self.derived.shared;
        let (record, labels) = (&placed.record, Labels::of(&placed.record));
        let to_index = shared.index_enabled && placed.offset >= shared.index_from;
        // Whatever may fail comes first: then a record is dispatched whole or not at all.
        if to_index {
            shared.index.load()?;
        }
        if is_queued(record.sys_flag) && placed.offset >= shared.queues_from {
            let entry = QueueEntry::of(placed, &labels, shared.queues.levels());
            let queue = shared.queues.put(record.topic, record.queue_id, record.queue_offset, &entry)?;
            match queue {
                Some(queue) => self.arrivals.arrived(&Arrival {
                    topic: &queue.topic,
                    queue: record.queue_id,
                    queue_offset: record.queue_offset,
                    span: LogSpan { start: placed.offset, bytes: placed.bytes.into() },
                    tags_code: entry.tags_code,
                    store_time: record.store_timestamp,
                    sys_flag: record.sys_flag,
                    properties: record.properties,
                }),
                None => {
                    let (topic, offset) = (record.topic.escape_debug(), placed.offset);
                    tracing::warn!(%topic, %offset, "a record is of a topic that cannot be; it is in no queue");
                }
            }
        }
        if to_index {
            shared.index.add(placed, &labels);
        }
        shared.progress.saw(record.store_timestamp);
        Ok(())
    }

    /// Waits until enough of what is in memory was written.
    fn make_room(&self) -> Result<(), DispatchError> {
        let derived = &self.derived;
        let fullness = derived.fullness();
        if fullness >= Fullness::Much {
            derived.wake().set_urgent();
        }
        if fullness == Fullness::All {
            if derived.log().durable() < derived.position() {
                derived.log().flush()?;
            }
            // The thread that writes may have done it by now.
            if derived.fullness() == Fullness::All {
                derived.write_much()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
