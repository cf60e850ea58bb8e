//! How far dispatch has come, and who waits for it.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrymq_proto::position::{LogOffset, Timestamp};

/// Called once, when dispatch has come far enough.
pub type Dispatched = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(super) struct Progress {
    position: AtomicI64,
    last_store_time: AtomicI64,
    waiters: Mutex<Waiters>,
    moved: Condvar,
}

#[derive(Default)]
struct Waiters {
    /// There are no more of them than requests in flight, which the callers bound.
    told: Vec<(LogOffset, Dispatched)>,
    /// Threads that sleep. Nobody is woken in vain, which costs a system call.
    asleep: usize,
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Progress({})", self.position())
    }
}

impl Progress {
    pub fn at(position: LogOffset, last_store_time: Timestamp) -> Self {
        let progress = Self::default();
        progress.position.store(position.0, Ordering::Release);
        progress.saw(last_store_time);
        progress
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn position(&self) -> LogOffset {
        LogOffset(self.position.load(Ordering::Acquire))
    }

    pub fn last_store_time(&self) -> Timestamp {
        Timestamp(self.last_store_time.load(Ordering::Acquire))
    }

    pub fn saw(&self, store_time: Timestamp) {
        self.last_store_time.fetch_max(store_time.0, Ordering::AcqRel);
    }

    pub fn move_to(&self, position: LogOffset) {
        self.position.store(position.0, Ordering::Release);
        let mut waiters = self.waiters();
        let done: Vec<_> = waiters.told.extract_if(.., |(to, _)| *to <= position).collect();
        let are_asleep = waiters.asleep > 0;
        drop(waiters);
        if are_asleep {
            self.moved.notify_all();
        }
        done.into_iter().for_each(|(_, done)| done());
    }

    pub fn when(&self, to: LogOffset, done: Dispatched) {
        let mut waiters = self.waiters();
        // Whoever moves the position looks for waiters after that.
        if self.position() < to {
            waiters.told.push((to, done));
        } else {
            drop(waiters);
            done();
        }
    }

    pub fn wait(&self, to: LogOffset, timeout: Duration) -> bool {
        let is_behind = |_: &mut Waiters| self.position() < to;
        let mut waiters = self.waiters();
        waiters.asleep += 1;
        let waited = self.moved.wait_timeout_while(waiters, timeout, is_behind);
        waited.unwrap_or_else(PoisonError::into_inner).0.asleep -= 1;
        self.position() >= to
    }
}
