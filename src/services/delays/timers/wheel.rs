//! Timers in the order in which they are due.
//!
//! The queue of timers itself holds them all, 20 bytes each, with the time at which each is due. In memory are the nearest
//! ones, at most so many; of those behind the horizon only their number is known, and they are read again from the queue when
//! few are left before it. Pure: no clock, no I/O.

use std::collections::BTreeSet;

use ferrymq_proto::position::{QueueOffset, Timestamp};

/// At one tick, timers that call others off come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    CallsOff,
    Delivers,
}

/// In the order in which they are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    pub due: Timestamp,
    pub kind: Kind,
    /// In the queue of timers.
    pub offset: QueueOffset,
}

/// What is behind the horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Far {
    pub count: u64,
    /// None of them is before it in the queue.
    pub first: Option<QueueOffset>,
}

#[derive(Debug)]
pub struct Wheel {
    near: BTreeSet<Timer>,
    near_max: usize,
    /// The first one that is not in memory, or would not be. All in `near` come before it.
    horizon: Option<Timer>,
    far: Far,
}

impl Wheel {
    pub fn new(near_max: usize) -> Self {
        Self { near: BTreeSet::new(), near_max: near_max.max(2), horizon: None, far: Far::default() }
    }

    pub fn add(&mut self, timer: Timer) {
        if self.horizon.is_some_and(|horizon| timer >= horizon) {
            self.note_far(timer);
            return;
        }
        self.near.insert(timer);
        if self.near.len() > self.near_max {
            self.lower_horizon();
        }
    }

    /// Keeps the nearer half.
    fn lower_horizon(&mut self) {
        let Some(horizon) = self.near.iter().nth(self.near_max / 2).copied() else { return };
        for timer in self.near.split_off(&horizon) {
            self.note_far(timer);
        }
        self.horizon = Some(horizon);
    }

    fn note_far(&mut self, timer: Timer) {
        self.far.count += 1;
        self.far.first = Some(self.far.first.map_or(timer.offset, |first| first.min(timer.offset)));
    }

    /// Takes away one that is served otherwise. It may be behind the horizon.
    pub fn remove(&mut self, timer: Timer) {
        if !self.near.remove(&timer) && self.horizon.is_some_and(|horizon| timer >= horizon) {
            self.far.count = self.far.count.saturating_sub(1);
        }
    }

    pub fn first(&self) -> Option<Timer> {
        self.near.first().copied()
    }

    pub fn pop_first(&mut self) -> Option<Timer> {
        self.near.pop_first()
    }

    /// Whether it is time to read what is behind the horizon.
    pub fn is_running_low(&self) -> bool {
        self.far.count > 0 && self.near.len() <= self.near_max / 4
    }

    /// Forgets what is behind the horizon, which the caller adds again: all from the returned timer on.
    pub fn lift_horizon(&mut self) -> Option<Timer> {
        self.far = Far::default();
        self.horizon.take()
    }

    pub fn count(&self) -> u64 {
        self.near.len() as u64 + self.far.count
    }

    /// None that waits is before it in the queue. Looks at all that are in memory.
    pub fn lowest_offset(&self) -> Option<QueueOffset> {
        self.near.iter().map(|timer| timer.offset).chain(self.far.first).min()
    }
}
