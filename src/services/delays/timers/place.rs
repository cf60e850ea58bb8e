//! How far timers have come.

use std::sync::Arc;

use ferrymq_proto::position::{QueueOffset, Timestamp};

use super::wheel::{Kind, Timer};
use crate::state::{self, Register};

const LOW: &str = "timers.low";
const READ: &str = "timers.read";
const FIRED_DUE: &str = "timers.due";
const FIRED_OFFSET: &str = "timers.offset";

/// No tick is longer (`timerPrecisionMs`).
pub const TICK_MS_MAX: i64 = 60_000;

/// What waits follows from it: see [`Place::waits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// None of those before it in the queue waits.
    pub low: QueueOffset,
    /// None of those from here on was served.
    pub read: QueueOffset,
    /// All of those before `read` up to this one, in the order of timers, were served.
    pub fired: Timer,
}

impl Place {
    /// Before the first one.
    pub fn start(low: QueueOffset) -> Self {
        Self::before(Timestamp(0), low)
    }

    /// All that is due before a time was served.
    pub fn before(time: Timestamp, low: QueueOffset) -> Self {
        let due = Timestamp(time.0.saturating_sub(1));
        Self { low, read: low, fired: Timer { due, kind: Kind::Delivers, offset: QueueOffset(i64::MAX) } }
    }

    /// Whether a timer is still to be served. One that calls others off waits until its tick is over, whatever was served
    /// of it: it is needed anew after a restart.
    pub fn waits(&self, timer: Timer) -> bool {
        timer.offset >= self.low
            && match timer.kind {
                Kind::CallsOff => timer.due.0.saturating_add(TICK_MS_MAX) >= self.fired.due.0,
                Kind::Delivers => timer.offset >= self.read || timer > self.fired,
            }
    }

    pub fn load(progress: &state::Progress) -> Option<Self> {
        let number = |name| progress.number(name);
        Some(Self {
            low: QueueOffset(number(LOW)?),
            read: QueueOffset(number(READ)?),
            fired: Timer {
                due: Timestamp(number(FIRED_DUE)?),
                kind: Kind::Delivers,
                offset: QueueOffset(number(FIRED_OFFSET)?),
            },
        })
    }

    pub fn registers(&self) -> Vec<(Arc<str>, Option<Register>)> {
        let numbers = [
            (LOW, self.low.0),
            (READ, self.read.0),
            (FIRED_DUE, self.fired.due.0),
            (FIRED_OFFSET, self.fired.offset.0),
        ];
        numbers.map(|(name, number)| (name.into(), Some(Register::Number(number)))).to_vec()
    }
}
