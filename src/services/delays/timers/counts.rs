//! What others may know of timers while they run.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ferrymq_proto::position::{LogOffset, QueueOffset, Timestamp};

use super::apaches;
use super::place::Place;

#[derive(Debug, Default)]
pub struct TimerCounts {
    pub(super) waiting: AtomicU64,
    pub(super) read_to: AtomicI64,
    pub(super) keep_from: AtomicI64,
    /// The last one that was gathered, and when the first one is due that was not.
    pub(super) fired_due: AtomicI64,
    pub(super) fired_offset: AtomicI64,
    pub(super) first_due: AtomicI64,
}

impl TimerCounts {
    /// Timers that wait.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Of the queue of timers.
    pub fn read_to(&self) -> QueueOffset {
        QueueOffset(self.read_to.load(Ordering::Relaxed))
    }

    /// The tick from which on Apache's slave, as the next master, fires timers: none is left out, and of those that were served
    /// again only what is in one tick with the first that waits, or is not noted yet.
    pub fn next_tick(&self, noted: &Place, tick_ms: i64) -> Timestamp {
        let tick = |due: i64| due.saturating_sub(1).div_euclid(tick_ms).saturating_mul(tick_ms);
        let gathered = (self.fired_due.load(Ordering::Relaxed), self.fired_offset.load(Ordering::Relaxed));
        if gathered != (noted.fired.due.0, noted.fired.offset.0) {
            return Timestamp(tick(noted.fired.due.0));
        }
        let next = apaches::begin(noted, tick_ms);
        Timestamp(next.0.min(tick(self.first_due.load(Ordering::Relaxed))))
    }

    /// Before it in the log is no timer that waits: retention should not go further.
    pub fn keep_from(&self) -> LogOffset {
        LogOffset(self.keep_from.load(Ordering::Relaxed))
    }
}
