//! All that is derived from one log, and its checkpoint.
//!
//! What is dispatched goes three ways, each behind the one before it: it is in memory, where readers find it; it is written, once
//! its records are durable in the log; it is synced. A process that ends loses what was not written, a machine what was not
//! synced, and dispatch goes on there.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, Timestamp};

use super::opening::Opened;
use super::progress::{Dispatched, Progress};
use super::{Arrivals, DispatchError, Dispatcher};
use crate::checkpoint::{Checkpoint, Good, PathError, Rebuilds, Synced};
use crate::index::{IndexError, KeyIndex, Slots};
use crate::log::Log;
use crate::meta::{BootId, Layout};
use crate::queues::{DelayLevels, QueueError, Queues};

#[derive(Clone, Debug)]
pub struct DerivedSettings {
    /// Entries of one file of a queue, as Apache's `mappedFileSizeConsumeQueue` / 20.
    pub queue_file_entries: u64,
    /// As Apache's `maxHashSlotNum`.
    pub index_slots: u32,
    /// As Apache's `maxIndexNum`.
    pub index_entries: u32,
    /// As Apache's `messageIndexEnable`.
    pub index_enabled: bool,
    pub delay_levels: DelayLevels,
    /// Of queues, that stay open for readers.
    pub open_files_max: usize,
    /// What of the queues may be in memory only, before dispatch waits until it is written. The more it is, the fewer are the
    /// times at which very many queues are written to very many files.
    pub unwritten_bytes_max: u64,
    /// Makes all files anew from the log.
    pub rebuild: bool,
}

impl Default for DerivedSettings {
    fn default() -> Self {
        Self {
            queue_file_entries: 300_000,
            index_slots: 5_000_000,
            index_entries: 20_000_000,
            index_enabled: true,
            delay_levels: DelayLevels::apaches(),
            open_files_max: 1024,
            unwritten_bytes_max: 64 << 20,
            rebuild: false,
        }
    }
}

/// Of what may be in memory only, the index has one part in so many.
const INDEX_PART: u64 = 4;
/// And no more than that: to write it often costs nothing.
const INDEX_BYTES_MAX: u64 = 16 << 20;

/// How much of what may be in memory only is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fullness {
    Some,
    /// It is time to write.
    Much,
    /// No more may come before some was written.
    All,
}

impl Fullness {
    fn of(bytes: u64, max: u64) -> Self {
        if bytes > max {
            Self::All
        } else if bytes > max / 4 * 3 {
            Self::Much
        } else {
            Self::Some
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenDerivedError {
    #[error("the settings of queues and index must not be 0")]
    BadSettings,
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error(transparent)]
    Queue(#[from] QueueError),
}

impl From<PathError> for OpenDerivedError {
    fn from((path, source): PathError) -> Self {
        Self::Io { path, source }
    }
}

/// All that is derived from one log. A handle: clones share everything.
#[derive(Clone, Debug)]
pub struct Derived {
    pub(super) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub log: Log,
    pub queues: Queues,
    pub index: KeyIndex,
    pub index_enabled: bool,
    pub progress: Progress,
    /// Records before it are in the queues, or in the index, from before this start.
    pub queues_from: LogOffset,
    pub index_from: LogOffset,
    pub unwritten_bytes_max: u64,
    synced: AtomicI64,
    boot: BootId,
    layout: Layout,
    /// Whoever writes or removes files of what is derived holds it.
    writing: Mutex<Writing>,
    wake: Wake,
}

#[derive(Debug)]
pub(super) struct Writing {
    checkpoint: Checkpoint,
    pub rebuild: Option<Rebuild>,
    /// A sync failed: what is on the disk is unknown until the next start has made it anew.
    sync_failed: bool,
    failure_noted: bool,
}

/// What is made anew is good once dispatch has come so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rebuild {
    pub what: Rebuilds,
    pub to: LogOffset,
}

/// Calls the thread that writes.
#[derive(Debug, Default)]
pub(super) struct Wake {
    state: Mutex<WakeState>,
    changed: Condvar,
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waited {
    Time,
    Urgent,
    Stop,
}

#[derive(Debug, Default)]
struct WakeState {
    urgent: bool,
    stop: bool,
}

impl Wake {
    fn state(&self) -> MutexGuard<'_, WakeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_urgent(&self) {
        self.state().urgent = true;
        self.changed.notify_all();
    }

    pub fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_all();
    }

    /// Waits until it is urgent, at most for a while.
    pub fn wait(&self, time: Duration) -> Waited {
        let is_idle = |state: &mut WakeState| !state.urgent && !state.stop;
        let waited = self.changed.wait_timeout_while(self.state(), time, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let is_urgent = std::mem::take(&mut state.urgent);
        match (state.stop, is_urgent) {
            (true, _) => Waited::Stop,
            (false, true) => Waited::Urgent,
            (false, false) => Waited::Time,
        }
    }
}

impl Derived {
    /// Opens what is derived from a log, with the one who dispatches to it. Whatever is missing is dispatched again.
    pub fn open(
        log: &Log,
        settings: DerivedSettings,
        arrivals: Box<dyn Arrivals>,
    ) -> Result<(Self, Dispatcher), OpenDerivedError> {
        let unwritten_bytes_max = settings.unwritten_bytes_max;
        let index_enabled = settings.index_enabled;
        let opened = Opened::find(log, settings)?;
        let (boot, layout) = {
            let meta = log.core.meta();
            (meta.current().boot, meta.current().layout)
        };
        let shared = Shared {
            log: log.clone(),
            queues: opened.queues,
            index: opened.index,
            index_enabled,
            progress: Progress::at(opened.position, opened.last_store_time),
            queues_from: opened.queues_from,
            index_from: opened.index_from,
            unwritten_bytes_max,
            synced: AtomicI64::new(opened.synced.0),
            boot,
            layout,
            writing: Mutex::new(Writing {
                checkpoint: opened.checkpoint,
                rebuild: opened.rebuild,
                sync_failed: false,
                failure_noted: false,
            }),
            wake: Wake::default(),
        };
        let derived = Self { shared: Arc::new(shared) };
        Ok((derived.clone(), Dispatcher::new(derived, arrivals)))
    }

    pub(super) fn writing(&self) -> MutexGuard<'_, Writing> {
        self.shared.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.shared.wake
    }

    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    pub fn queues(&self) -> &Queues {
        &self.shared.queues
    }

    pub fn index(&self) -> &KeyIndex {
        &self.shared.index
    }

    /// Everything before it was dispatched.
    pub fn position(&self) -> LogOffset {
        self.shared.progress.position()
    }

    /// Everything before it would still be found after a power loss. The log must keep what lies behind: otherwise a queue could
    /// forget how far it has come.
    pub fn synced(&self) -> LogOffset {
        LogOffset(self.shared.synced.load(Ordering::Acquire))
    }

    /// Waits until everything before `to` was dispatched. False when that took too long.
    pub fn wait_dispatched(&self, to: LogOffset, timeout: Duration) -> bool {
        self.shared.progress.wait(to, timeout)
    }

    /// Calls `done` when everything before `to` was dispatched: at once, or on the thread that dispatches. It must not block.
    pub fn when_dispatched(&self, to: LogOffset, done: Dispatched) {
        self.shared.progress.when(to, done);
    }

    /// The newest time at which a record was stored that was dispatched.
    pub fn last_store_time(&self) -> Timestamp {
        self.shared.progress.last_store_time()
    }

    /// How much is in memory only.
    pub(super) fn fullness(&self) -> Fullness {
        let max = self.shared.unwritten_bytes_max;
        let queues = Fullness::of(self.shared.queues.tail_bytes(), max);
        queues.max(Fullness::of(self.shared.index.pending_bytes(), (max / INDEX_PART).min(INDEX_BYTES_MAX)))
    }

    /// Writes what is durable in the log, as far as there is much of it. Entries of the index need not wait for those of the
    /// queues: they all go to one place.
    pub(super) fn write_much(&self) -> Result<(), DispatchError> {
        let max = self.shared.unwritten_bytes_max;
        if Fullness::of(self.shared.queues.tail_bytes(), max) > Fullness::Some {
            self.flush()
        } else {
            self.write_index()
        }
    }

    /// Writes entries of the index. The checkpoint knows nothing of them before the next flush.
    pub fn write_index(&self) -> Result<(), DispatchError> {
        let _writing = self.writing();
        Ok(self.shared.index.write_entries(self.position().min(self.shared.log.durable()))?)
    }

    /// Writes what is durable in the log. After that, the end of the process does no harm to it.
    pub fn flush(&self) -> Result<(), DispatchError> {
        self.flush_holding(&mut self.writing()).map(|_| ())
    }

    /// As [`flush`](Self::flush), and a power loss does no harm to it either.
    pub fn sync(&self) -> Result<(), DispatchError> {
        let mut writing = self.writing();
        // Should this process be killed, Apache's broker may be the next one to have the store.
        let slots = if self.shared.layout == Layout::Classic { Slots::Written } else { Slots::AsTheyAre };
        let good = self.flush_with(&mut writing, slots)?;
        if writing.rebuild.is_none() { self.sync_holding(&mut writing, good) } else { Ok(()) }
    }

    /// Writes, and says how far the files are good.
    pub(super) fn flush_holding(&self, writing: &mut Writing) -> Result<Good, DispatchError> {
        self.flush_with(writing, Slots::AsTheyAre)
    }

    fn flush_with(&self, writing: &mut Writing, slots: Slots) -> Result<Good, DispatchError> {
        let durable = self.shared.log.durable();
        self.write_to(writing, self.position().min(durable), slots)
    }

    /// Writes what is dispatched before a place in the log. What lies before that is durable.
    fn write_to(
        &self,
        writing: &mut Writing,
        position: LogOffset,
        slots: Slots,
    ) -> Result<Good, DispatchError> {
        let shared = &self.shared;
        // Asked behind the position, so that no record before that was stored later.
        let last_store_time = self.last_store_time();
        shared.queues.flush(position)?;
        let index = shared.index.flush(position, slots)?;
        let good = Good { position, last_store_time, index };
        match writing.rebuild {
            None => writing.checkpoint.note(shared.boot, &good)?,
            Some(rebuild) if position < rebuild.to => {}
            Some(rebuild) => {
                if rebuild.what.queues {
                    shared.queues.end_rebuild()?;
                }
                self.sync_holding(writing, good.clone())?;
                // What was noted before is of the files that were.
                writing.checkpoint.note(shared.boot, &good)?;
                writing.rebuild = None;
                // A store that has only just begun had none.
                if rebuild.to > LogOffset(0) {
                    tracing::info!(%position, "queues and index were made anew from the log");
                }
            }
        }
        Ok(good)
    }

    /// Syncs what was written, and says so.
    pub(super) fn sync_holding(&self, writing: &mut Writing, good: Good) -> Result<(), DispatchError> {
        if writing.sync_failed {
            return self.note_failed_sync(writing, good);
        }
        let folder = &self.shared.log.core.files.folder;
        if let Err(source) = self.shared.log.core.disk.sync_below(folder) {
            writing.sync_failed = true;
            if let Err(error) = self.note_failed_sync(writing, good) {
                tracing::error!(%error, "cannot note that queues and index must be made anew");
            }
            return Err(DispatchError::Io { path: folder.clone(), source });
        }
        let position = good.position;
        let census = self.shared.queues.census();
        let synced = Synced { good, rebuilds: Rebuilds::default(), census };
        writing.checkpoint.save(&synced)?;
        self.shared.synced.store(position.0, Ordering::Release);
        if self.shared.layout == Layout::Classic {
            writing.checkpoint.save_apaches(&synced.good)?;
        }
        Ok(())
    }

    /// Says durably that the next start must make all anew: the kernel may count as clean what never came to the disk, and another
    /// sync, also of a later process, would succeed.
    fn note_failed_sync(&self, writing: &mut Writing, good: Good) -> Result<(), DispatchError> {
        if !writing.failure_noted {
            let rebuilds = Rebuilds { queues: true, index: true };
            let census = self.shared.queues.census();
            writing.checkpoint.save(&Synced { good, rebuilds, census })?;
            writing.failure_noted = true;
        }
        Ok(())
    }

    /// Removes the queues of a topic, for good. All of its records were dispatched by now.
    pub fn remove_topic(&self, topic: &TopicName) -> Result<(), DispatchError> {
        let mut writing = self.writing();
        self.shared.queues.remove_topic(topic)?;
        // Otherwise a crash would dispatch its last records once more.
        let good = self.flush_holding(&mut writing)?;
        if writing.rebuild.is_none() { self.sync_holding(&mut writing, good) } else { Ok(()) }
    }

    /// Removes the files that only tell of what lies before `start`, which the log has dropped.
    pub fn drop_before(&self, start: LogOffset) -> Result<(), DispatchError> {
        let _writing = self.writing();
        self.shared.queues.drop_before(start)?;
        Ok(self.shared.index.drop_before(start)?)
    }

    /// The last thing to do in order, when nothing is dispatched any more and the log is durable: everything is synced, and the
    /// index can be used by Apache's broker.
    pub fn close(&self) -> Result<(), DispatchError> {
        let mut writing = self.writing();
        let good = self.flush_with(&mut writing, Slots::Written)?;
        if writing.rebuild.is_some() {
            return Ok(());
        }
        self.sync_holding(&mut writing, good)
    }
}

#[cfg(test)]
impl Derived {
    /// Breaks the rule that only what is durable in the log is written: what a test must notice.
    pub fn flush_too_early(&self) -> Result<(), DispatchError> {
        self.write_to(&mut self.writing(), self.position(), Slots::AsTheyAre).map(|_| ())
    }
}
