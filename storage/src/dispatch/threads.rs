//! The two threads of what is derived: one dispatches, one writes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::derived::Waited;
use super::{Derived, DispatchError, Dispatcher};

/// How often what was dispatched is written, as Apache's `flushIntervalConsumeQueue`.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Writing takes no more than one part in so many of the time, unless much piles up: with very many queues each round writes to
/// very many files, and fewer rounds with more in each cost far less.
const FLUSH_SHARE: u32 = 20;
/// What is lost when the process ends is dispatched again, and a start should not take long.
const FLUSH_INTERVAL_MAX: Duration = Duration::from_secs(10);
/// How often it is synced. After a power loss, so much is dispatched again.
const SYNC_INTERVAL: Duration = Duration::from_secs(30);
/// Where messages come faster one after the other than this,
const BUSY: Duration = Duration::from_millis(1);
/// those of so long are dispatched together, and nobody wakes the thread: to be woken for each costs more than to dispatch it.
/// Whoever waits for one hears of it within a millisecond all the same.
const GATHERING: Duration = Duration::from_micros(800);
/// The same where nobody waits.
const LONG_GATHERING: Duration = Duration::from_millis(4);
/// After an error. A disk that is full has room again some time.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the threads, until it is dropped.
#[derive(Debug)]
pub struct DerivedThreads {
    derived: Derived,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl DerivedThreads {
    pub fn start(derived: &Derived, dispatcher: Dispatcher) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Self { derived: derived.clone(), stop: Arc::clone(&stop), threads: Vec::new() };
        let dispatch =
            Builder::new().name("dispatch".into()).spawn(move || run_dispatch(dispatcher, &stop))?;
        running.threads.push(dispatch);
        let derived = derived.clone();
        let write = Builder::new().name("derived-flush".into()).spawn(move || run_flush(&derived))?;
        running.threads.push(write);
        Ok(running)
    }
}

impl Drop for DerivedThreads {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.derived.log().wake_confirmed();
        self.derived.wake().stop();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of queues and index ended with a panic");
            }
        }
    }
}

fn run_dispatch(mut dispatcher: Dispatcher, stop: &AtomicBool) {
    let is_over = || stop.load(Ordering::Acquire);
    let mut failure = Failure::default();
    let mut found = Instant::now();
    while !is_over() {
        match dispatcher.step() {
            Ok(true) => {
                failure.is_over();
                found = Instant::now();
            }
            Ok(false) if found.elapsed() < BUSY => {
                let is_awaited = dispatcher.arrivals.are_awaited();
                std::thread::sleep(if is_awaited { GATHERING } else { LONG_GATHERING });
            }
            Ok(false) => dispatcher.derived.log().wait_confirmed(dispatcher.at, is_over),
            Err(error) => {
                failure.tell(&error, "cannot dispatch; it is tried again");
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }
}

fn run_flush(derived: &Derived) {
    let mut synced_at = Instant::now();
    let mut failure = Failure::default();
    let mut due = Instant::now() + FLUSH_INTERVAL;
    loop {
        let done = match derived.wake().wait(due.saturating_duration_since(Instant::now())) {
            Waited::Stop => return,
            Waited::Urgent => derived.write_much(),
            Waited::Time => {
                let begun = Instant::now();
                let is_time_to_sync = synced_at.elapsed() >= SYNC_INTERVAL;
                let done = if is_time_to_sync { derived.sync() } else { derived.flush() };
                if is_time_to_sync {
                    synced_at = Instant::now();
                }
                let pause = begun.elapsed() * (FLUSH_SHARE - 1);
                due = Instant::now() + pause.clamp(FLUSH_INTERVAL, FLUSH_INTERVAL_MAX);
                done
            }
        };
        match done {
            Ok(()) => failure.is_over(),
            Err(error) => {
                failure.tell(&error, "cannot write queues or index; it is tried again");
                std::thread::sleep(RETRY_INTERVAL);
            }
        }
    }
}

/// Tells once of what fails again and again.
#[derive(Debug, Default)]
struct Failure(Option<String>);

impl Failure {
    fn is_over(&mut self) {
        self.0 = None;
    }

    fn tell(&mut self, error: &DispatchError, what: &str) {
        let text = error.to_string();
        if self.0.as_ref() != Some(&text) {
            tracing::error!(%error, "{what}");
            self.0 = Some(text);
        }
    }
}
