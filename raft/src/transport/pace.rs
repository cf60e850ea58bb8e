//! How fast a follower that is far behind is sent what it lacks.

use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

/// Sent to it before it is to answer everything and has a rest.
const BURST_BYTES: usize = 2 << 20;
/// Who lacks fewer of the final entries is not far behind.
const BEHIND_MIN: u64 = 64;
/// So many entries it is sent, rests included, for each that becomes final meanwhile.
const GAIN_MIN: f64 = 2.0;
/// How long it rests, measured by the time that its burst took.
const RESTS_MAX: f64 = 3.0;
const REST_MAX: Duration = Duration::from_millis(100);

/// Nobody waits for a follower that lacks what is final without it, but all share its leader's disk, network and cores. So after
/// each burst it has a rest, unless nothing new came, or so much that it would not catch up.
#[derive(Default)]
pub(super) struct Pace {
    burst: Option<Burst>,
}

struct Burst {
    began: Instant,
    final_then: u64,
    final_now: u64,
    entries: u64,
    bytes: usize,
}

impl Burst {
    fn is_over(&self) -> bool {
        self.bytes >= BURST_BYTES
    }
}

impl Pace {
    /// It is sent such entries, while all below another one are final.
    pub fn sent(&mut self, entries: &Range<u64>, bytes: usize, final_end: u64, now: Instant) {
        if final_end < entries.end + BEHIND_MIN {
            self.burst = None;
            return;
        }
        let burst = self.burst.get_or_insert(Burst {
            began: now,
            final_then: final_end,
            final_now: final_end,
            entries: 0,
            bytes: 0,
        });
        burst.final_now = final_end;
        burst.entries += entries.end - entries.start;
        burst.bytes += bytes;
    }

    /// Whether it is to answer before it is sent more.
    pub fn is_over(&self) -> bool {
        self.burst.as_ref().is_some_and(Burst::is_over)
    }

    /// It has answered everything: how long it is sent nothing now.
    pub fn rest(&mut self, now: Instant) -> Option<Duration> {
        let burst = self.burst.take_if(|burst| burst.is_over())?;
        let new = burst.final_now.saturating_sub(burst.final_then);
        let rests = (burst.entries as f64 / (new as f64 * GAIN_MIN) - 1.0).min(RESTS_MAX);
        (new > 0 && rests > 0.0).then(|| now.duration_since(burst.began).mul_f64(rests).min(REST_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_millis(8);

    /// The rest after a burst of forty requests of ten entries and 64 KiB, while so many become final.
    fn rest_of(first: u64, final_then: u64, new: u64, took: Duration) -> Option<Duration> {
        let (mut pace, began) = (Pace::default(), Instant::now());
        for number in 0..40 {
            let start = first + number * 10;
            pace.sent(&(start..start + 10), 64 << 10, final_then + new * number / 39, began);
        }
        pace.rest(began + took)
    }

    #[test]
    fn it_rests_longer_than_it_took_what_it_was_sent() {
        assert_eq!(rest_of(1000, 90_000, 1, TOOK), Some(TOOK * 3));
        assert_eq!(rest_of(1000, 90_000, 50, TOOK), Some(TOOK * 3));
        assert_eq!(rest_of(1000, 90_000, 50, Duration::from_secs(3)), Some(REST_MAX));
    }

    #[test]
    fn it_goes_on_at_once_when_it_disturbs_nobody_and_soon_when_much_is_new() {
        assert_eq!(rest_of(1000, 90_000, 0, TOOK), None);
        assert_eq!(rest_of(1000, 90_000, 100, TOOK), Some(TOOK));
        assert_eq!(rest_of(1000, 90_000, 160, TOOK), Some(TOOK / 4));
        assert_eq!(rest_of(1000, 90_000, 200, TOOK), None);
    }

    #[test]
    fn who_is_near_does_not_rest() {
        assert_eq!(rest_of(1000, 1000, 20, TOOK), None);
        assert_eq!(rest_of(1000, 1000 + 400 + BEHIND_MIN - 21, 20, TOOK), None);
    }

    #[test]
    fn a_burst_ends_with_its_bytes() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        pace.sent(&(0..10), BURST_BYTES - 1, 9000, now);
        assert!(!pace.is_over());
        assert_eq!(pace.rest(now + TOOK), None);
        pace.sent(&(10..12), 1, 9002, now);
        assert!(pace.is_over());
        assert_eq!(pace.rest(now + TOOK), Some(TOOK * 2));
        assert!(!pace.is_over());
        pace.sent(&(12..13), BURST_BYTES, 9002, now);
        pace.sent(&(8990..9000), 1, 9010, now);
        assert!(!pace.is_over());
    }
}
