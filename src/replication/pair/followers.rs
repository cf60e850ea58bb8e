//! Who follows this master, how far each of them has come, and who waits for them.
//!
//! A sender waits for the demanded copies, but no longer than the settings say; when too few slaves are near, it does not wait
//! at all. The message is stored in any case, and consumers get it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrymq_proto::net::together;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::Log;
use ferrymq_storage::unsafe_modes::{UnsafeMode, is_on};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::Copied;
use super::rhythm::Rhythm;
use crate::config::live::Live;

/// Slaves at a time. The next one is sent away.
const SLAVES_MAX: usize = 64;
/// How often it is looked whether somebody has waited long enough.
const WAITING_TICK: Duration = Duration::from_millis(20);
/// Over which the speed of a slave is measured.
const SPEED_WINDOW: Duration = Duration::from_secs(1);

/// Called once, from any thread. It must not block.
pub type Told = Box<dyn FnOnce(Copied) + Send>;

/// How many copies a message must have before its sender is answered.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    /// The master's own among them.
    pub copies: usize,
    /// With `adapts`: so many suffice when no more slaves are near.
    pub copies_min: usize,
    pub adapts: bool,
    pub patience: Duration,
}

impl Demand {
    /// With so many copies near, the master's own among them.
    fn needed(&self, near: usize) -> usize {
        if self.adapts { self.copies.min(near).max(self.copies_min) } else { self.copies }
    }
}

#[derive(Debug)]
pub struct Followers {
    log: Log,
    /// None: nobody waits for slaves.
    demand: Live<Option<Demand>>,
    /// Slaves are sent what is written, while it goes to the disk of this node.
    are_ahead: bool,
    /// A slave further behind is not near.
    lag_bytes_max: i64,
    /// How many slaves there are; read without the lock wherever something is written.
    count: AtomicUsize,
    /// No slave is sent more before the log reaches to there, or somebody's pause is over; read where `count` is.
    wanted: AtomicI64,
    /// Guards a small table, and the order of those who wait.
    state: Mutex<State>,
    /// There is more to be sent.
    moved: Notify,
    /// Somebody waits.
    waiting: Notify,
}

#[derive(Debug, Default)]
struct State {
    slaves: Vec<Slave>,
    /// In the order of their offsets.
    waiters: VecDeque<Waiter>,
    next_number: u64,
    is_closed: bool,
}

#[derive(Debug)]
struct Slave {
    number: u64,
    address: SocketAddr,
    /// Invariant: `acknowledged` does not lie behind it.
    sent: LogOffset,
    acknowledged: LogOffset,
    /// Another one has come from the same machine since it said something: it may be the same one, whose old connection nobody has
    /// closed. It counts again when it says that it has more than it was sent before that.
    doubted: Option<LogOffset>,
    rhythm: Rhythm,
    /// It is sent more once the log reaches to there.
    wanted: LogOffset,
    speed: Speed,
}

#[derive(Debug)]
struct Speed {
    since: Instant,
    bytes: u64,
    last_bytes_per_second: u64,
}

struct Waiter {
    end: LogOffset,
    copies: usize,
    deadline: Instant,
    told: Told,
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Waiter({} copies up to {})", self.copies, self.end)
    }
}

/// How a slave is, for those who look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub address: SocketAddr,
    pub sent: LogOffset,
    pub acknowledged: LogOffset,
    pub is_near: bool,
    pub bytes_per_second: u64,
}

/// It says that it has what it was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the slave says that it has everything up to {said}, but it was sent nothing behind {sent}")]
pub struct Unbelievable {
    pub said: LogOffset,
    pub sent: LogOffset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {SLAVES_MAX} slaves already")]
pub struct TooMany;

/// What its slave's sender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Send(i64),
    Wait(Option<Instant>),
}

/// A slave that is connected. It is gone when this is dropped.
#[derive(Debug)]
pub struct Place {
    followers: Arc<Followers>,
    number: u64,
}

impl Followers {
    /// With `are_ahead` slaves are sent what is not final here yet.
    pub fn new(log: Log, demand: Live<Option<Demand>>, are_ahead: bool, lag_bytes_max: usize) -> Self {
        Self {
            log,
            demand,
            are_ahead,
            lag_bytes_max: i64::try_from(lag_bytes_max).unwrap_or(i64::MAX),
            count: AtomicUsize::new(0),
            wanted: AtomicI64::new(0),
            state: Mutex::default(),
            moved: Notify::new(),
            waiting: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn demand(&self) -> Option<Demand> {
        self.demand.get().filter(|demand| demand.copies > 1)
    }

    /// More of the log is written now.
    pub fn written(&self) {
        if self.are_ahead {
            self.wake();
        }
    }

    /// More of the log is final now.
    pub fn confirmed(&self) {
        if !self.are_ahead {
            self.wake();
        }
    }

    fn wake(&self) {
        // Who says what he wants looks at the end after that; this is the other way round.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::Relaxed) > 0 && self.end().0 >= self.wanted.load(Ordering::Relaxed) {
            self.moved.notify_waiters();
        }
    }

    /// How far slaves may be sent the log.
    pub fn end(&self) -> LogOffset {
        if self.are_ahead { self.log.written() } else { self.log.confirmed().offset }
    }

    /// Whether a sender is kept waiting for slaves at all.
    pub fn are_awaited(&self) -> bool {
        self.demand().is_some()
    }

    /// Everything before `end` is final here. `told` hears whether enough slaves have it.
    pub fn wait(&self, end: LogOffset, told: Told) {
        let Some(demand) = self.demand().filter(|_| !is_on(UnsafeMode::AckBeforeSlave)) else {
            return told(Copied::Enough);
        };
        let mut state = self.state();
        let near = 1 + state.slaves.iter().filter(|slave| self.is_near(slave, end)).count();
        let copies = demand.needed(near);
        let outcome = if state.copies_of(end) >= copies {
            Copied::Enough
        } else if near < copies {
            Copied::TooFew
        } else if state.is_closed {
            Copied::Late
        } else {
            let deadline = Instant::now() + demand.patience;
            state.waiters.push_back(Waiter { end, copies, deadline, told });
            let is_first = state.waiters.len() == 1;
            drop(state);
            if is_first {
                self.waiting.notify_one();
            }
            return;
        };
        drop(state);
        told(outcome);
    }

    fn is_near(&self, slave: &Slave, end: LogOffset) -> bool {
        end.0.saturating_sub(slave.acknowledged.0) < self.lag_bytes_max
    }

    /// Completes when there is more to be sent than when this was called. It must be polled, or enabled, before the end is looked at.
    pub fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    /// Lets in a slave that is sent everything from `from` on, and says that it has everything before `has`.
    pub fn enter(
        self: &Arc<Self>,
        address: SocketAddr,
        from: LogOffset,
        has: LogOffset,
    ) -> Result<Place, TooMany> {
        assert!(has <= from, "a slave has {has} and is sent only what lies behind {from}");
        let mut state = self.state();
        if state.slaves.len() >= SLAVES_MAX {
            return Err(TooMany);
        }
        let number = state.next_number;
        state.next_number += 1;
        let now = Instant::now();
        let speed = Speed { since: now, bytes: 0, last_bytes_per_second: 0 };
        let rhythm = Rhythm::new(now);
        for other in state.slaves.iter_mut().filter(|other| other.address.ip() == address.ip()) {
            other.doubted = Some(other.sent);
        }
        state.slaves.push(Slave {
            number,
            address,
            sent: from,
            acknowledged: has,
            doubted: None,
            rhythm,
            wanted: from,
            speed,
        });
        self.want(&state);
        self.count.store(state.slaves.len(), Ordering::SeqCst);
        Ok(Place { followers: Arc::clone(self), number })
    }

    fn want(&self, state: &State) {
        let first = state.slaves.iter().map(|slave| slave.wanted.0).min().unwrap_or_default();
        self.wanted.store(first, Ordering::Relaxed);
    }

    /// All slaves that are connected.
    pub fn standings(&self) -> Vec<Standing> {
        let end = self.log.confirmed().offset;
        let state = self.state();
        let standing = |slave: &Slave| Standing {
            address: slave.address,
            sent: slave.sent,
            acknowledged: slave.acknowledged,
            is_near: self.is_near(slave, end),
            bytes_per_second: slave.speed.now(),
        };
        state.slaves.iter().map(standing).collect()
    }

    /// Tells those who have waited long enough, until it is dropped.
    pub async fn run(&self) {
        loop {
            if self.state().waiters.is_empty() {
                self.waiting.notified().await;
            }
            tokio::time::sleep(WAITING_TICK).await;
            let late = self.state().take_late(Instant::now());
            late.into_iter().for_each(|waiter| (waiter.told)(Copied::Late));
        }
    }

    /// Waits until all slaves have everything that is final, but no longer than this.
    pub async fn catch_up(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let is_behind = |slave: &Slave| slave.acknowledged < self.log.confirmed().offset;
        while Instant::now() < deadline && self.state().slaves.iter().any(is_behind) {
            tokio::time::sleep(WAITING_TICK).await;
        }
    }

    /// Nobody waits any more.
    pub fn close(&self) {
        let waiters = {
            let mut state = self.state();
            state.is_closed = true;
            std::mem::take(&mut state.waiters)
        };
        waiters.into_iter().for_each(|waiter| (waiter.told)(Copied::Late));
    }
}

impl State {
    fn find(&mut self, number: u64) -> Option<&mut Slave> {
        self.slaves.iter_mut().find(|slave| slave.number == number)
    }

    /// How many have everything before `end`, the master among them.
    fn copies_of(&self, end: LogOffset) -> usize {
        1 + self.slaves.iter().filter(|slave| slave.has(end)).count()
    }

    /// Those in front that have what they wait for.
    fn take_served(&mut self) -> Vec<Waiter> {
        let is_served = |waiter: &&Waiter| self.copies_of(waiter.end) >= waiter.copies;
        let count = self.waiters.iter().take_while(is_served).count();
        self.waiters.drain(..count).collect()
    }

    fn take_late(&mut self, now: Instant) -> Vec<Waiter> {
        let count = self.waiters.iter().take_while(|waiter| waiter.deadline <= now).count();
        self.waiters.drain(..count).collect()
    }
}

impl Slave {
    fn has(&self, end: LogOffset) -> bool {
        self.acknowledged >= end && self.doubted.is_none_or(|doubted| self.acknowledged > doubted)
    }
}

impl Speed {
    fn count(&mut self, bytes: u64) {
        let elapsed = self.since.elapsed();
        if elapsed >= SPEED_WINDOW {
            self.last_bytes_per_second = (self.bytes as f64 / elapsed.as_secs_f64()) as u64;
            self.bytes = 0;
            self.since = Instant::now();
        }
        self.bytes += bytes;
    }

    /// Of the last window, unless it is long over.
    fn now(&self) -> u64 {
        if self.since.elapsed() < 2 * SPEED_WINDOW { self.last_bytes_per_second } else { 0 }
    }
}

impl Place {
    /// How much is to be sent now. Otherwise until when more is waited for, if not for ever; whoever waits is woken when there is enough.
    pub fn next(&self) -> Next {
        let followers = &self.followers;
        let is_awaited = followers.are_awaited();
        let mut state = followers.state();
        loop {
            let end = followers.end();
            let Some(slave) = state.find(self.number) else { return Next::Wait(None) };
            let behind = end.0 - slave.sent.0;
            let until = if is_awaited { slave.rhythm.pause(behind, Instant::now()) } else { None };
            if behind > 0 && until.is_none() {
                return Next::Send(behind);
            }
            let wanted = LogOffset(slave.sent.0 + if is_awaited { slave.rhythm.enough() } else { 1 });
            slave.wanted = wanted;
            followers.want(&state);
            fence(Ordering::SeqCst);
            if followers.end() < wanted {
                return Next::Wait(until);
            }
        }
    }

    /// It is about to be sent everything up to there.
    pub fn sends(&self, end: LogOffset) {
        let mut state = self.followers.state();
        if let Some(slave) = state.find(self.number) {
            let bytes = end.0.saturating_sub(slave.sent.0).max(0);
            slave.sent = slave.sent.max(end);
            slave.rhythm.sent(bytes, Instant::now());
            slave.speed.count(bytes.unsigned_abs());
        }
    }

    /// It says that it has everything before `said`.
    pub fn reports(&self, said: LogOffset) -> Result<(), Unbelievable> {
        let served = {
            let mut state = self.followers.state();
            let Some(slave) = state.find(self.number) else { return Ok(()) };
            if said > slave.sent {
                return Err(Unbelievable { said, sent: slave.sent });
            }
            slave.acknowledged = slave.acknowledged.max(said);
            if slave.acknowledged == slave.sent {
                slave.rhythm.answered(self.followers.end().0 - slave.sent.0, Instant::now());
                self.followers.moved.notify_waiters();
            }
            state.take_served()
        };
        together(|| served.into_iter().for_each(|waiter| (waiter.told)(Copied::Enough)));
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.followers.state();
        state.slaves.retain(|slave| slave.number != self.number);
        self.followers.want(&state);
        self.followers.count.store(state.slaves.len(), Ordering::SeqCst);
    }
}
