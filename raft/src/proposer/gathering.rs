//! How many proposals an entry waits for.
//!
//! Whoever sends one message after the other sends the next one soon after it was answered. So an entry waits for about as many
//! as went with the one before, and as long as they come in time, for more. When they do not, it goes with those that came, and
//! from then on waits for no more than that: a lone sender waits once in a while, many at once share their entries.

use std::time::Duration;

/// Nothing waits longer, but for the coarseness of the timer.
pub(super) const WAIT_MAX: Duration = Duration::from_millis(1);
/// After so many entries it is tried again whether more would come. Fewer than one in a hundred messages wait in vain.
const ENTRIES_UNTIL_MORE: u32 = 256;

#[derive(Debug)]
pub(super) struct Gathering {
    goal: usize,
    until_more: u32,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { goal: 1, until_more: ENTRIES_UNTIL_MORE }
    }
}

impl Gathering {
    /// How many proposals the next entry waits for.
    pub fn goal(&self) -> usize {
        self.goal
    }

    /// An entry goes with so many.
    pub fn went(&mut self, proposals: usize, in_time: bool) {
        if !in_time {
            self.goal = proposals.max(1);
            self.until_more = ENTRIES_UNTIL_MORE;
        } else if self.until_more == 0 {
            self.goal = proposals.max(1) * 2;
        } else {
            self.goal = self.goal.max(proposals);
            self.until_more -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_sender_waits_once_in_a_while() {
        let mut gathering = Gathering::default();
        let mut waits = 0;
        for _ in 0..10 * ENTRIES_UNTIL_MORE {
            let in_time = gathering.goal() <= 1;
            waits += u32::from(!in_time);
            gathering.went(1, in_time);
        }
        assert_eq!(waits, 9);
    }

    #[test]
    fn many_senders_share_their_entries() {
        let senders = 20;
        let mut gathering = Gathering::default();
        let (mut late, mut proposals) = (0, 0);
        for _ in 0..10 * ENTRIES_UNTIL_MORE {
            // Without waiting there would be three.
            let gone = gathering.goal().clamp(3, senders);
            let in_time = gone >= gathering.goal();
            late += u32::from(!in_time);
            proposals += gone;
            gathering.went(gone, in_time);
        }
        assert!(late <= 10, "{late} entries waited in vain");
        assert!(proposals > 8 * ENTRIES_UNTIL_MORE as usize * senders, "only {proposals}");
    }

    #[test]
    fn fewer_senders_are_waited_for_once() {
        let mut gathering = Gathering { goal: 40, until_more: 100 };
        gathering.went(4, false);
        assert_eq!(gathering.goal(), 4);
        gathering.went(6, true);
        assert_eq!(gathering.goal(), 6);
    }
}
