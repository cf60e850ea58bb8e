//! One thing that is counted, and how much of it there was in the last minute, hour and day. Pure.
//!
//! As in Apache's broker a window is a few readings of an ever growing counter, and says what lies between the first and the
//! last one: every ten seconds for a minute, every ten minutes for an hour, every hour for a day.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Minute,
    Hour,
    Day,
}

impl Window {
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// Between two readings.
    pub fn interval(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 10,
            Self::Hour => 600,
            Self::Day => 3600,
        })
    }

    fn readings_max(self) -> usize {
        match self {
            Self::Minute | Self::Hour => 7,
            Self::Day => 25,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Duration,
    sum: i64,
    times: i64,
}

/// What a window says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    pub sum: i64,
    pub per_second: f64,
    /// Of what was added at once.
    pub per_time: f64,
}

#[derive(Debug, Default)]
pub struct Series {
    sum: AtomicI64,
    times: AtomicI64,
    readings: Mutex<[VecDeque<Reading>; 3]>,
}

impl Series {
    pub fn add(&self, amount: i64) {
        self.sum.fetch_add(amount, Ordering::Relaxed);
        self.times.fetch_add(1, Ordering::Relaxed);
    }

    pub fn sum(&self) -> i64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Whether anything was ever added.
    pub fn is_used(&self) -> bool {
        self.times.load(Ordering::Relaxed) > 0
    }

    /// Takes a reading for a window. `now` is the time since the start.
    pub fn read(&self, window: Window, now: Duration) {
        let reading = Reading { at: now, sum: self.sum(), times: self.times.load(Ordering::Relaxed) };
        let mut readings = self.readings();
        let Some(readings) = readings.get_mut(window as usize) else { return };
        if readings.is_empty() {
            let before = now.saturating_sub(window.interval());
            readings.push_back(Reading { at: before, sum: 0, times: 0 });
        }
        readings.push_back(reading);
        if readings.len() > window.readings_max() {
            readings.pop_front();
        }
    }

    pub fn summary(&self, window: Window) -> Summary {
        let readings = self.readings();
        let readings = readings.get(window as usize);
        let Some((first, last)) = readings.and_then(|readings| readings.front().zip(readings.back())) else {
            return Summary::default();
        };
        let sum = last.sum - first.sum;
        let (times, seconds) = (last.times - first.times, last.at.saturating_sub(first.at).as_secs_f64());
        Summary { sum, per_second: share(sum, seconds), per_time: share(sum, times as f64) }
    }

    fn readings(&self) -> MutexGuard<'_, [VecDeque<Reading>; 3]> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn share(sum: i64, parts: f64) -> f64 {
    if parts > 0.0 { sum as f64 / parts } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_window_says_what_lies_between_its_readings() {
        let series = Series::default();
        assert_eq!(series.summary(Window::Minute), Summary::default());
        assert!(!series.is_used());
        series.add(4);
        series.add(6);
        series.read(Window::Minute, seconds(20));
        assert_eq!(series.summary(Window::Minute), Summary { sum: 10, per_second: 1.0, per_time: 5.0 });
        assert_eq!(series.summary(Window::Hour), Summary::default(), "not read yet");
        for reading in 1..=6 {
            series.add(60);
            series.read(Window::Minute, seconds(20 + 10 * reading));
        }
        // The first minute has left the window.
        assert_eq!(series.summary(Window::Minute), Summary { sum: 360, per_second: 6.0, per_time: 60.0 });
        series.read(Window::Day, seconds(80));
        assert_eq!(series.summary(Window::Day).sum, 370);
        assert_eq!(series.sum(), 370);
    }

    #[test]
    fn two_readings_at_once_divide_by_nothing() {
        let series = Series::default();
        series.add(5);
        series.read(Window::Minute, seconds(0));
        assert_eq!(series.summary(Window::Minute), Summary { sum: 5, per_second: 0.0, per_time: 5.0 });
    }
}
