//! Zeros, written ahead of the log.
//!
//! The room of a segment is taken when it is made, but a file system remembers of such room that nothing was written there yet,
//! and a sync of a first write must also sync that it was written. That makes small syncs take twice as long. So in a log whose
//! acknowledgements wait for syncs, a thread writes zeros some way ahead of the end and syncs them: in the last segment, and in
//! the next one when that is near.
//!
//! It must never write where the appender does. Both go by the frontier: behind it only zeros are written, before it only units.
//! Only under the lock may it be moved, and may zeros be written.

use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ferrymq_proto::position::LogOffset;

use crate::flush::{Broken, FatalError, FlushMode};
use crate::log::Core;
use crate::position::{behind, distance};
use crate::segment::Segment;

/// How far ahead there are zeros at best.
const AHEAD_BYTES: u64 = 32 << 20;
/// What is synced at once. An append that comes too near waits while it is written, and a flush while it is synced.
const CHUNK_BYTES: usize = 256 << 10;
/// What is written at once: an append to the same file waits meanwhile, wherever it is. For longer writes the kernel also takes
/// larger pages, and those cost far more on a virtual machine whose host gives memory only when it is used.
const PIECE_BYTES: usize = 64 << 10;
static ZEROS: [u8; PIECE_BYTES] = [0; PIECE_BYTES];

#[derive(Debug)]
pub(crate) struct Fill {
    /// Moved only under `lock`.
    frontier: AtomicI64,
    lock: Mutex<()>,
    /// There is something to do, and the thread may not know.
    is_due: AtomicBool,
    stop: Mutex<bool>,
    changed: Condvar,
}

/// Nothing is filled while this is held.
pub(crate) struct Pause<'a> {
    fill: &'a Fill,
    _lock: MutexGuard<'a, ()>,
}

impl Pause<'_> {
    /// Goes on from another end of the log.
    pub fn end_at(self, end: LogOffset) {
        if self.fill.frontier() < LogOffset(i64::MAX) {
            self.fill.set_frontier(end);
            self.fill.wake();
        }
    }
}

impl Fill {
    pub fn new(mode: FlushMode, end: LogOffset) -> Self {
        let frontier = match mode {
            FlushMode::Sync => end,
            // Nobody waits for syncs: there is nothing to gain.
            FlushMode::Async => LogOffset(i64::MAX),
        };
        Self {
            frontier: AtomicI64::new(frontier.0),
            lock: Mutex::default(),
            is_due: AtomicBool::new(true),
            stop: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn frontier(&self) -> LogOffset {
        LogOffset(self.frontier.load(Ordering::SeqCst))
    }

    fn set_frontier(&self, frontier: LogOffset) {
        self.frontier.store(frontier.0, Ordering::SeqCst);
    }

    pub fn pause(&self) -> Pause<'_> {
        Pause { fill: self, _lock: self.lock.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Makes sure that no zeros are written before `end`, now or later.
    pub fn yield_until(&self, end: LogOffset) {
        if self.frontier() < end {
            let _pause = self.pause();
            self.set_frontier(self.frontier().max(end));
        }
    }

    /// Hears where the log ends now.
    pub fn written(&self, end: LogOffset) {
        if distance(end, self.frontier()) < AHEAD_BYTES / 2 && !self.is_due.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    fn wake(&self) {
        // Under the lock of the wait, or the thread may miss it.
        let _stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_due.store(true, Ordering::Relaxed);
        self.changed.notify_one();
    }

    pub fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits until there is something to do. False when it is time to end.
    fn next(&self) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |stop: &mut bool| !*stop && !self.is_due.swap(false, Ordering::Relaxed);
        !*self.changed.wait_while(stop, idle).unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The life of the thread that fills.
pub(crate) fn run(core: &Core) {
    while core.fill.next() {
        while !core.fill.is_stopped() && fill_chunk(core).is_ok_and(|filled| filled) {}
    }
}

/// Fills one chunk, if it is time. Says if it was.
pub(crate) fn fill_chunk(core: &Core) -> Result<bool, Broken> {
    core.check()?;
    let pause = core.fill.pause();
    let written = core.written();
    let from = core.fill.frontier().max(written);
    let Some(segment) = segment_to_fill(core, from).filter(|_| distance(written, from) < AHEAD_BYTES) else {
        return Ok(false);
    };
    let bytes = segment.left(from).min(CHUNK_BYTES as u64);
    let (mut end, until) = (from, behind(from, bytes));
    while end < until {
        let piece = ZEROS.get(..distance(end, until) as usize).unwrap_or(&ZEROS);
        if let Err(error) = segment.write(end, &mut [IoSlice::new(piece)]) {
            // The appender will hear why, if it meets the same.
            tracing::warn!(path = %segment.path().display(), %error, "cannot write zeros ahead");
            return Ok(false);
        }
        end = behind(end, piece.len() as u64);
    }
    core.fill.set_frontier(end);
    drop(pause);
    // It may have been told of units that were lost, and nobody else will be.
    let synced = segment.sync().map_err(FatalError::at(segment.path()));
    synced.map_err(|error| core.break_with(&error))?;
    Ok(true)
}

fn segment_to_fill(core: &Core, from: LogOffset) -> Option<Arc<Segment>> {
    let last = core.segments().back().cloned();
    let candidates = last.into_iter().chain(core.next.ready());
    candidates.into_iter().find(|segment| segment.base() <= from && from < segment.end())
}
