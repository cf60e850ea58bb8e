//! When a slave is sent what was written.
//!
//! Many senders, each of which waits until a slave has its message, fall into two halves: what one of them writes while the slave is
//! sent the other. Each half costs both nodes as much as the whole. So what is written while a part is under way waits for the
//! slave's answer, and then for those who have heard of it and send again: as much as both halves had. When that does not come in
//! time, later parts wait for no more than came. A lone sender never finds anybody behind its own message, and does not wait.

use std::time::{Duration, Instant};

/// So long a part under way may keep others waiting.
const ANSWER_MAX: Duration = Duration::from_millis(5);
/// After an answer others are waited for as long as the part took, but no longer than this.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// So much never waits.
const GOAL_MAX: i64 = 256 << 10;

/// The pace of what one slave is sent.
#[derive(Clone, Copy, Debug)]
pub struct Rhythm {
    /// A part of so many bytes is worth a wait.
    goal: i64,
    /// Of the part that was sent last.
    bytes: i64,
    sent: Instant,
    /// None: it is under way.
    answered: Option<Instant>,
}

impl Rhythm {
    pub fn new(now: Instant) -> Self {
        Self { goal: 0, bytes: 0, sent: now, answered: Some(now) }
    }

    /// So many bytes that are not sent are worth no wait.
    pub fn enough(&self) -> i64 {
        if self.answered.is_some() { self.goal.max(1) } else { GOAL_MAX }
    }

    pub fn sent(&mut self, bytes: i64, now: Instant) {
        *self = Self { goal: self.goal, bytes, sent: now, answered: None };
    }

    /// The slave has all that it was sent; so much was written meanwhile.
    pub fn answered(&mut self, behind: i64, now: Instant) {
        if self.answered.is_none() {
            self.answered = Some(now);
            if behind > 0 {
                self.goal = self.goal.max(self.bytes + behind).min(GOAL_MAX);
            }
        }
    }

    /// Until when more is waited for, when so much is not sent. None: it is time to send it.
    pub fn pause(&mut self, behind: i64, now: Instant) -> Option<Instant> {
        let until = match self.answered {
            None => self.sent + ANSWER_MAX,
            Some(answered) => answered + (answered - self.sent).min(GATHER_MAX),
        };
        if behind >= self.enough() {
            return None;
        }
        if now >= until {
            self.goal = behind;
            return None;
        }
        Some(until)
    }
}

#[cfg(test)]
mod tests;
