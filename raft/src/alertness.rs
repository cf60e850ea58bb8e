//! Whether this process has run all the time.
//!
//! A machine that is overloaded, or was halted as a whole, lets processes sleep for longer than a leader may be silent. Whoever wakes
//! up has heard nothing, and knows nothing of what its peers did meanwhile: it must not help anybody to a new leader before the old
//! one had its chance to be heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

const LOOK: Duration = Duration::from_millis(20);
/// Later than this is no matter of a busy moment.
const STALL: Duration = Duration::from_millis(150);
/// For what came meanwhile to be read.
const RECOVERY: Duration = Duration::from_millis(300);

#[derive(Clone, Debug)]
pub(crate) struct Alertness {
    begun: Instant,
    shared: Arc<Shared>,
}

/// In microseconds since the beginning.
#[derive(Debug, Default)]
struct Shared {
    last_look: AtomicU64,
    /// 0: there was none.
    last_stall: AtomicU64,
    /// A leader; 0: never.
    last_heard: AtomicU64,
}

impl Alertness {
    pub fn new() -> Self {
        Self { begun: Instant::now(), shared: Arc::default() }
    }

    /// Never ends.
    pub async fn run(self) {
        loop {
            self.look(self.micros());
            sleep(LOOK).await;
        }
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn look(&self, now: u64) {
        let last = self.shared.last_look.swap(now, Ordering::Relaxed);
        if is_longer(last, now, STALL) {
            self.shared.last_stall.store(now, Ordering::Relaxed);
        }
    }

    /// A leader was heard.
    pub fn hear(&self) {
        self.shared.last_heard.store(self.micros(), Ordering::Relaxed);
    }

    /// Whether this process did not run a moment ago.
    pub fn is_waking(&self) -> bool {
        self.is_waking_at(self.micros())
    }

    /// Whether a leader was heard not longer ago.
    pub fn has_heard_within(&self, time: Duration) -> bool {
        let heard = self.shared.last_heard.load(Ordering::Relaxed);
        heard > 0 && !is_longer(heard, self.micros(), time)
    }

    fn is_waking_at(&self, now: u64) -> bool {
        let stall = self.shared.last_stall.load(Ordering::Relaxed);
        // The one who looks may not have been woken yet itself.
        is_longer(self.shared.last_look.load(Ordering::Relaxed), now, STALL)
            || (stall > 0 && !is_longer(stall, now, RECOVERY))
    }
}

fn is_longer(from: u64, to: u64, time: Duration) -> bool {
    u128::from(to.saturating_sub(from)) > time.as_micros()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_slept_too_long_is_waking_for_a_while() {
        let alertness = Alertness::new();
        let at = |millis: u64| millis * 1000;
        (0..10).for_each(|round| alertness.look(at(20 * round)));
        assert!(!alertness.is_waking_at(at(200)));
        assert!(alertness.is_waking_at(at(400)), "nobody has looked for long");
        for millis in (1000..1300).step_by(20) {
            alertness.look(at(millis));
            assert!(alertness.is_waking_at(at(millis)), "{millis}");
        }
        alertness.look(at(1301));
        assert!(!alertness.is_waking_at(at(1301)));
    }
}
