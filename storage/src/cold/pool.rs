//! The threads that wait for the disk in the place of others.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, JoinHandle};

/// There is no room in the queue. The reader is told to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} reads wait for the disk already; try again")]
pub struct Busy {
    pub waiting: usize,
}

type Work = Box<dyn FnOnce() + Send>;

/// The threads, which run until the last handle is dropped.
#[derive(Clone, Debug)]
pub struct ColdReads(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    waiting_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    stop: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} waiting)", self.state().waiting.len())
    }
}

impl ColdReads {
    /// With so many threads, and room for so many reads that wait for one of them.
    pub fn start(threads: usize, waiting_max: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue { waiting_max, state: Mutex::default(), changed: Condvar::new() });
        let pool = Self(Arc::new(Pool { queue, threads: Mutex::default() }));
        for number in 0..threads.max(1) {
            let queue = Arc::clone(&pool.0.queue);
            let thread = Builder::new().name(format!("cold-read-{number}")).spawn(move || queue.work())?;
            pool.0.threads().push(thread);
        }
        Ok(pool)
    }

    /// Lets one of the threads do the work, which may wait for the disk and for nothing else.
    pub fn submit(&self, work: impl FnOnce() + Send + 'static) -> Result<(), Busy> {
        let queue = &self.0.queue;
        let mut state = queue.state();
        let waiting = state.waiting.len();
        if waiting >= queue.waiting_max {
            return Err(Busy { waiting });
        }
        state.waiting.push_back(Box::new(work));
        drop(state);
        queue.changed.notify_one();
        Ok(())
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Work> {
        let idle = |state: &mut State| state.waiting.is_empty() && !state.stop;
        let mut state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
        if state.stop { None } else { state.waiting.pop_front() }
    }

    fn work(&self) {
        while let Some(work) = self.next() {
            // Whoever waits for it sees his call dropped. The thread is needed by others.
            if catch_unwind(AssertUnwindSafe(work)).is_err() {
                tracing::error!("a cold read ended with a panic");
            }
        }
    }
}

impl Pool {
    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let forgotten = {
            let mut state = self.queue.state();
            state.stop = true;
            std::mem::take(&mut state.waiting)
        };
        self.queue.changed.notify_all();
        drop(forgotten);
        for thread in self.threads().drain(..) {
            // The last handle may go with the last work, on a thread that cannot wait for itself.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
