//! The threads of a log: one flushes, one makes segments, one writes zeros ahead, one sums behind.
//!
//! The log works without them too, step by step, when somebody calls [`Log::flush`], [`Log::prepare_segment`],
//! [`Log::fill_ahead`] and [`Log::sum_behind`]: simulations do.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use crate::fill;
use crate::flush::{self, FatalError, FlushMode};
use crate::log::{Core, Log};
use crate::sums::{self, SumsBehind};

/// Runs the threads, until it is dropped.
#[derive(Debug)]
pub struct LogThreads {
    log: Log,
    threads: Vec<JoinHandle<()>>,
}

impl LogThreads {
    pub fn start(log: &Log) -> io::Result<Self> {
        let mut running = Self { log: log.clone(), threads: Vec::new() };
        running.spawn("log-flush", flush::run)?;
        running.spawn("log-segments", |core| {
            while core.next.next() {
                core.next.prepare(|base| core.create_segment(base));
            }
        })?;
        if log.core.mode == FlushMode::Sync {
            running.spawn("log-fill", fill::run)?;
        }
        if log.core.sums.is_some() {
            running.spawn("log-sums", sums::run)?;
        }
        Ok(running)
    }

    fn spawn(&mut self, name: &str, work: fn(&Core)) -> io::Result<()> {
        let core = Arc::clone(&self.log.core);
        let thread = Builder::new().name(name.into()).spawn(move || {
            // Without the thread, nobody who waits would ever hear of it.
            if catch_unwind(AssertUnwindSafe(|| work(&core))).is_err() {
                let source = io::Error::other("a thread of the log ended with a panic");
                core.break_with(&FatalError { path: core.files.log.clone(), source });
            }
        })?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for LogThreads {
    fn drop(&mut self) {
        self.log.core.queue.stop();
        self.log.core.next.stop();
        self.log.core.fill.stop();
        self.log.core.sums.iter().for_each(SumsBehind::stop);
        for thread in self.threads.drain(..) {
            // It has told of its panic itself.
            let _ = thread.join();
        }
    }
}
