//! What goes through the store as a whole: totals, rates over the last seconds, and how long a message takes. Pure.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The rates that tools show are over so many seconds.
const RATES: [usize; 3] = [10, 60, 600];
/// Milliseconds that divide the distribution of times, as Apache's broker names it.
const STEPS: [(u64, &str); 13] = [
    (1, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1000, "[500ms~1s]"),
    (2000, "[1~2s]"),
    (3000, "[2~3s]"),
    (4000, "[3~4s]"),
    (5000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];
/// Past this a time is only known to be longer.
const FINE_MS_MAX: usize = 1024;

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub stored: i64,
    /// Pulls that brought messages, and those that did not.
    pub found: i64,
    pub missed: i64,
    /// Messages that were handed out.
    pub handed_out: i64,
}

#[derive(Debug)]
pub struct Traffic {
    stored: AtomicI64,
    stored_bytes: AtomicI64,
    failed: AtomicI64,
    found: AtomicI64,
    missed: AtomicI64,
    handed_out: AtomicI64,
    store_ms_max: AtomicU64,
    pull_ms_max: AtomicU64,
    /// How many messages took so many milliseconds to be stored; the last counts all that took longer.
    times: Vec<AtomicU64>,
    coarse: [AtomicU64; STEPS.len()],
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// One a second.
    readings: VecDeque<(Duration, Totals)>,
    /// What `times` and `coarse` were at the start of this minute, and what came in the one before.
    times_before: Vec<u64>,
    coarse_before: Vec<u64>,
    times_of_minute: Vec<u64>,
    coarse_of_minute: Vec<u64>,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            stored: AtomicI64::new(0),
            stored_bytes: AtomicI64::new(0),
            failed: AtomicI64::new(0),
            found: AtomicI64::new(0),
            missed: AtomicI64::new(0),
            handed_out: AtomicI64::new(0),
            store_ms_max: AtomicU64::new(0),
            pull_ms_max: AtomicU64::new(0),
            times: (0..=FINE_MS_MAX).map(|_| AtomicU64::new(0)).collect(),
            coarse: Default::default(),
            kept: Mutex::default(),
        }
    }
}

impl Traffic {
    pub fn stored(&self, messages: i64, bytes: i64) {
        self.stored.fetch_add(messages, Ordering::Relaxed);
        self.stored_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn took(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.store_ms_max.fetch_max(ms, Ordering::Relaxed);
        let fine = usize::try_from(ms).unwrap_or(FINE_MS_MAX).min(FINE_MS_MAX);
        let step = STEPS.iter().position(|(end, _)| ms < *end).unwrap_or(STEPS.len() - 1);
        for counter in [self.times.get(fine), self.coarse.get(step)].into_iter().flatten() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn not_stored(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// A pull brought so many messages.
    pub fn pulled(&self, messages: i64, time: Duration) {
        let counter = if messages > 0 { &self.found } else { &self.missed };
        counter.fetch_add(1, Ordering::Relaxed);
        self.handed_out.fetch_add(messages, Ordering::Relaxed);
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.pull_ms_max.fetch_max(ms, Ordering::Relaxed);
    }

    pub fn totals(&self) -> Totals {
        Totals {
            stored: self.stored.load(Ordering::Relaxed),
            found: self.found.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            handed_out: self.handed_out.load(Ordering::Relaxed),
        }
    }

    pub fn stored_bytes(&self) -> i64 {
        self.stored_bytes.load(Ordering::Relaxed)
    }

    pub fn failed(&self) -> i64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub fn store_ms_max(&self) -> u64 {
        self.store_ms_max.load(Ordering::Relaxed)
    }

    pub fn pull_ms_max(&self) -> u64 {
        self.pull_ms_max.load(Ordering::Relaxed)
    }

    /// To be called every second. `now` is the time since the start.
    pub fn read(&self, now: Duration) {
        let mut kept = self.kept();
        kept.readings.push_back((now, self.totals()));
        let longest = RATES.into_iter().max().unwrap_or_default();
        if kept.readings.len() > longest + 1 {
            kept.readings.pop_front();
        }
    }

    /// To be called every minute: from now on tools hear of the one that ends here.
    pub fn end_minute(&self) {
        fn turn(counters: &[AtomicU64], before: &mut Vec<u64>, of_minute: &mut Vec<u64>) {
            let now: Vec<u64> = counters.iter().map(|counter| counter.load(Ordering::Relaxed)).collect();
            before.resize(now.len(), 0);
            *of_minute = now.iter().zip(&*before).map(|(now, before)| now - before).collect();
            *before = now;
        }
        let kept = &mut *self.kept();
        turn(&self.times, &mut kept.times_before, &mut kept.times_of_minute);
        turn(&self.coarse, &mut kept.coarse_before, &mut kept.coarse_of_minute);
    }

    /// How much came per second in the last ten seconds, minute and ten minutes, as far back as is known.
    pub fn rates(&self, of: impl Fn(&Totals) -> i64) -> [f64; 3] {
        let kept = self.kept();
        RATES.map(|seconds| {
            let before = kept.readings.len().saturating_sub(seconds + 1);
            let ends = kept.readings.get(before).zip(kept.readings.back());
            let Some(((from, first), (to, last))) = ends else { return 0.0 };
            let time = to.saturating_sub(*from).as_secs_f64();
            if time > 0.0 { (of(last) - of(first)) as f64 / time } else { 0.0 }
        })
    }

    /// The milliseconds within which this part of the last minute's messages were stored.
    pub fn within(&self, part: f64) -> f64 {
        let kept = self.kept();
        let all: u64 = kept.times_of_minute.iter().sum();
        let wanted = all as f64 * part;
        let mut passed = 0.0;
        for (ms, count) in kept.times_of_minute.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if passed + count >= wanted {
                return (ms as f64 - 1.0 + (wanted - passed) / count).max(0.0);
            }
            passed += count;
        }
        0.0
    }

    /// How many of the last minute's messages took how long, as Apache's broker writes it.
    pub fn distribution(&self) -> String {
        let kept = self.kept();
        let counts = kept.coarse_of_minute.iter().copied().chain(std::iter::repeat(0));
        let mut text = String::new();
        for ((_, name), count) in STEPS.iter().zip(counts) {
            let _ = write!(text, "{name}:{count} ");
        }
        text
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_what_is_known() {
        let traffic = Traffic::default();
        let stored = |traffic: &Traffic| traffic.rates(|totals| totals.stored);
        assert_eq!(stored(&traffic), [0.0; 3]);
        for second in 0..=20 {
            traffic.read(Duration::from_secs(second));
            traffic.stored(if second < 10 { 1 } else { 3 }, 100);
        }
        assert_eq!(stored(&traffic), [3.0, 2.0, 2.0]);
        for second in 21..2000 {
            traffic.read(Duration::from_secs(second));
        }
        assert_eq!(stored(&traffic), [0.0; 3]);
        assert_eq!((traffic.totals().stored, traffic.stored_bytes()), (43, 2100));
    }

    #[test]
    fn times_are_those_of_the_last_minute() {
        let traffic = Traffic::default();
        assert_eq!(traffic.within(0.99), 0.0);
        for _ in 0..99 {
            traffic.took(Duration::from_millis(5));
        }
        traffic.took(Duration::from_secs(30));
        traffic.took(Duration::ZERO);
        assert!(traffic.distribution().starts_with("[<=0ms]:0 "));
        traffic.end_minute();
        assert!(traffic.distribution().starts_with("[<=0ms]:1 [0~10ms]:99 [10~50ms]:0 "));
        assert!(traffic.distribution().ends_with("[10s~]:1 "));
        assert!((4.0..=5.0).contains(&traffic.within(0.5)));
        assert!(traffic.within(0.999) > 1000.0);
        assert_eq!(traffic.store_ms_max(), 30_000);
        traffic.end_minute();
        assert_eq!(traffic.within(0.999), 0.0);
    }
}
