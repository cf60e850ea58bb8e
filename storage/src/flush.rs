//! Making the log durable.
//!
//! One flush takes what was written up to now, syncs the segments it lies in, oldest first, and then completes all who wait for
//! it, in order: many waiters, one sync. Whoever flushes holds the lock of `store.meta`, so flushes and truncations never mix.
//!
//! A sync that fails ends the process: the kernel may count the pages as clean, and a second try would succeed over a hole.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrymq_proto::position::LogOffset;

use crate::log::Core;
use crate::meta::{MetaFile, StoreMeta};
use crate::segment::Segment;

/// Without waiters, so many bytes do not wait for their time: a disk gets its best rate from long writes, and a stop or a flush on
/// demand must not have much more than this before it.
const ASYNC_BYTES: u64 = 32 << 20;
/// The log grows by so much until the marks in `store.meta` are synced with it. After a power loss, damage behind the marks that
/// were synced cannot be told from a torn tail.
const MARK_SYNC_BYTES: u64 = 64 << 20;

/// A sync that takes less is no reason to wait for others.
const LONG_SYNC: Duration = Duration::from_micros(100);
/// A sync waits so many microseconds for those who wrote with the one before: first for threads of this process, then for clients who
/// have to hear of it first. The system adds about 50 to each.
const GATHER: [u64; 4] = [50, 100, 200, 400];

/// What an acknowledgement means, under RocketMQ's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// Durable.
    Sync,
    /// In the page cache, and durable soon.
    Async,
}

/// The log has failed for good: nothing more becomes durable before a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log takes no more writes: an earlier one failed and could not be undone")]
pub struct Broken;

/// Why the process must end.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot make {path} durable: {source}; what is on the disk is unknown, and only a restart reads it anew"
)]
pub struct FatalError {
    pub path: PathBuf,
    pub source: io::Error,
}

impl FatalError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }
}

/// Told of a fatal error. It should not return.
#[derive(Clone)]
pub struct FatalHook(Arc<dyn Fn(&FatalError) + Send + Sync>);

impl FatalHook {
    pub fn new(hook: impl Fn(&FatalError) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hook))
    }

    /// Ends the process.
    pub fn abort() -> Self {
        Self::new(|error| {
            tracing::error!(%error, "the process ends");
            std::process::abort();
        })
    }

    pub(crate) fn tell(&self, error: &FatalError) {
        (self.0)(error);
    }
}

impl fmt::Debug for FatalHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FatalHook")
    }
}

/// Called once, when the bytes are durable or can no longer become so.
pub type Completion = Box<dyn FnOnce(Result<(), Broken>) + Send>;

struct Waiter {
    end: LogOffset,
    done: Completion,
}

/// Who waits for which part of the log. There are no more of them than appends in flight, which the callers bound.
pub(crate) struct FlushQueue {
    /// How long bytes for which nobody waits may stay in the page cache.
    interval: Duration,
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    waiters: VecDeque<Waiter>,
    /// Something was written that nobody waits for.
    dirty: bool,
    /// So much of it that it should not wait for its time.
    urgent: bool,
    stop: bool,
}

impl fmt::Debug for FlushQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FlushQueue({} waiting)", self.state().waiters.len())
    }
}

impl FlushQueue {
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait(&self, end: LogOffset, done: Completion) {
        self.state().waiters.push_back(Waiter { end, done });
        self.changed.notify_one();
    }

    /// Hears how much is not durable, and whether nobody has told so before.
    pub fn written(&self, is_news: bool, unsynced: u64) {
        let urgent = unsynced >= ASYNC_BYTES;
        if is_news || urgent {
            let mut state = self.state();
            state.dirty = true;
            state.urgent |= urgent;
            drop(state);
            self.changed.notify_one();
        }
    }

    pub fn stop(&self) {
        self.state().stop = true;
        self.changed.notify_one();
    }

    /// Waits until it is time to flush. False when it is time to end.
    fn next(&self) -> bool {
        let idle = |state: &mut QueueState| state.waiters.is_empty() && !state.dirty && !state.stop;
        let lazy = |state: &mut QueueState| state.waiters.is_empty() && !state.urgent && !state.stop;
        let state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(state, self.interval, lazy);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.dirty = false;
        state.urgent = false;
        !state.stop || !state.waiters.is_empty()
    }

    fn is_awaited(&self) -> bool {
        !self.state().waiters.is_empty()
    }

    /// Takes those who wait for no more than `end`, or all. One behind a later one waits for it: the order is kept.
    fn take_until(&self, end: Option<LogOffset>) -> Vec<Waiter> {
        let mut state = self.state();
        let is_due = |waiter: &&Waiter| end.is_none_or(|end| waiter.end <= end);
        let count = state.waiters.iter().take_while(is_due).count();
        state.waiters.drain(..count).collect()
    }
}

/// How much a sync waits for.
///
/// Many writers, each of which waits for one record, fall into two halves: what one of them writes while the other is synced. So a
/// sync waits for as much as both had under way, and is done with all of them at once. When that does not come in time, later ones
/// wait for no more than came. A lone writer never finds anybody behind its own sync, and does not wait.
#[derive(Default)]
struct Gathering {
    goal: u64,
    last_sync: Duration,
}

impl Gathering {
    fn wait(&mut self, core: &Core) {
        if core.unsynced() < self.goal && self.last_sync >= LONG_SYNC {
            for micros in GATHER {
                std::thread::sleep(Duration::from_micros(micros));
                if core.unsynced() >= self.goal {
                    return;
                }
            }
            self.goal = core.unsynced();
        }
    }

    fn flush(&mut self, core: &Core) -> Result<(), Broken> {
        let (begun, taken) = (Instant::now(), core.unsynced());
        // A failure has been told to all who wait.
        let flushed = flush_holding(core, &mut core.meta());
        self.last_sync = begun.elapsed();
        let behind = core.unsynced();
        if behind > 0 && core.queue.is_awaited() {
            self.goal = self.goal.max(taken + behind);
        }
        flushed
    }
}

/// The life of the thread that flushes.
pub(crate) fn run(core: &Core) {
    let mut gathering = Gathering::default();
    while core.queue.next() {
        if core.queue.is_awaited() {
            gathering.wait(core);
        }
        let flushed = gathering.flush(core);
        // What was written meanwhile found the log not clean, and has told nobody.
        if flushed.is_ok() && core.mode == FlushMode::Async {
            let unsynced = core.unsynced();
            core.queue.written(unsynced > 0, unsynced);
        }
    }
}

/// Flushes. The caller has the lock already.
pub(crate) fn flush_holding(core: &Core, meta: &mut MetaFile) -> Result<(), Broken> {
    let flushed = core.check().and_then(|()| sync(core, meta));
    let done = match flushed {
        Ok(durable) => core.queue.take_until(Some(durable)),
        Err(Broken) => core.queue.take_until(None),
    };
    let result = flushed.map(|_| ());
    done.into_iter().for_each(|waiter| (waiter.done)(result));
    result
}

/// Makes durable what was written, and says how far it reaches now.
fn sync(core: &Core, meta: &mut MetaFile) -> Result<LogOffset, Broken> {
    // In this order: then the mark lies before the target, and so before what is durable below.
    let confirmed = core.confirmed();
    let target = core.written();
    let durable = core.durable();
    if target > durable {
        let is_dirty = |segment: &&Arc<Segment>| segment.base() < target && segment.end() > durable;
        let dirty: Vec<_> = core.segments().iter().filter(is_dirty).cloned().collect();
        for segment in dirty {
            let synced = segment.sync().map_err(FatalError::at(segment.path()));
            synced.map_err(|error| core.break_with(&error))?;
        }
        core.set_durable(target);
    }
    let stored = *meta.current();
    if confirmed.offset > stored.confirmed.offset || target > stored.durable {
        let mark = |meta: &mut StoreMeta| {
            meta.confirmed = confirmed;
            meta.durable = target;
        };
        let step = |offset: LogOffset| offset.0 / MARK_SYNC_BYTES as i64;
        if step(target) > step(stored.durable) {
            save_meta(core, meta, mark)?;
        } else if let Err(error) = meta.note(mark) {
            // The marks may lag. Should the disk be broken, the next sync will tell.
            tracing::warn!(path = %meta.path().display(), %error, "cannot note how far the log is durable");
        }
    }
    Ok(target)
}

/// Changes `store.meta`, durably and in both slots.
pub(crate) fn save_meta(
    core: &Core,
    meta: &mut MetaFile,
    change: impl FnOnce(&mut StoreMeta),
) -> Result<(), Broken> {
    let path = meta.path().to_owned();
    meta.save_twice(change).map_err(FatalError::at(&path)).map_err(|error| core.break_with(&error))
}
