//! The seam to the clock: the time that is written down, and the time by which waits are measured.
//!
//! The first one may jump, in both directions: nothing here orders anything by it. The second one only goes forward.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferrymq_proto::position::Timestamp;

pub trait Clock: fmt::Debug + Send + Sync {
    /// The time of the wall.
    fn now(&self) -> Timestamp;

    /// Time since some moment before the clock was made.
    fn elapsed(&self) -> Duration;
}

#[derive(Clone, Copy, Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let ms = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        // A machine may believe that it is before 1970.
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp(ms(since)),
            Err(before) => Timestamp(-ms(before.duration())),
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is told to go on.
#[derive(Debug, Default)]
pub struct SimulatedClock {
    wall_ms: AtomicI64,
    elapsed_ns: AtomicU64,
}

impl SimulatedClock {
    pub fn at(now: Timestamp) -> Self {
        Self { wall_ms: AtomicI64::new(now.0), elapsed_ns: AtomicU64::new(0) }
    }

    /// Lets time pass, on the wall as well.
    pub fn advance(&self, time: Duration) {
        self.wall_ms.fetch_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.elapsed_ns.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Sets the wall, as an operator does, or a time server. Waits notice nothing.
    pub fn set_wall(&self, now: Timestamp) {
        self.wall_ms.store(now.0, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.wall_ms.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_wall_may_jump_but_waits_do_not() {
        let clock = SimulatedClock::at(Timestamp(1_000));
        clock.advance(Duration::from_micros(5_500));
        clock.set_wall(Timestamp(-7));
        clock.advance(Duration::from_micros(2_500));
        assert_eq!(clock.now(), Timestamp(-5));
        assert_eq!(clock.elapsed(), Duration::from_micros(8_000));
    }

    #[test]
    fn a_real_clock_knows_the_century_and_goes_forward() {
        let clock = RealClock::new();
        let earlier = clock.elapsed();
        assert!(clock.now() > Timestamp(1_700_000_000_000));
        assert!(clock.elapsed() >= earlier);
    }
}
