//! How far the broker's own work has come. It moves in the same command as its effect, so that after a crash nothing is done
//! twice and nothing is left out.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ferrymq_proto::bodies::{DataVersion, DelayOffsets};
use ferrymq_proto::position::QueueOffset;

/// How long a message waits, as a level from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DelayLevel(pub i32);

impl fmt::Display for DelayLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A value that a service keeps under a name of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Register {
    Number(i64),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    delay: BTreeMap<DelayLevel, QueueOffset>,
    registers: BTreeMap<Arc<str>, Register>,
}

impl Progress {
    /// The next message of a delay level to deliver; 0 for a level that never delivered one.
    pub fn delay(&self, level: DelayLevel) -> QueueOffset {
        self.delay.get(&level).copied().unwrap_or_default()
    }

    /// The levels that have delivered something, in order.
    pub fn delays(&self) -> impl Iterator<Item = (DelayLevel, QueueOffset)> {
        self.delay.iter().map(|(level, next)| (*level, *next))
    }

    /// The levels as tools and slaves get them. Nobody compares their version.
    pub fn delay_body(&self) -> DelayOffsets {
        DelayOffsets {
            data_version: Some(DataVersion::default()),
            offsets: self.delays().map(|(level, next)| (level.0, next)).collect(),
        }
    }

    #[cfg(test)]
    pub fn register(&self, name: &str) -> Option<&Register> {
        self.registers.get(name)
    }

    /// The register of this name when it holds a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.registers.get(name)? {
            Register::Number(number) => Some(*number),
            Register::Bytes(_) => None,
        }
    }

    pub fn registers(&self) -> impl Iterator<Item = (&Arc<str>, &Register)> {
        self.registers.iter()
    }

    pub(super) fn replace_registers(&mut self, other: &Self) {
        self.registers.clone_from(&other.registers);
    }

    pub(super) fn set_delay(&mut self, level: DelayLevel, next: QueueOffset) -> bool {
        self.delay.insert(level, next) != Some(next)
    }

    pub(super) fn set_register(&mut self, name: Arc<str>, value: Option<Register>) -> bool {
        match value {
            Some(value) => {
                let changed = self.registers.get(&name) != Some(&value);
                self.registers.insert(name, value);
                changed
            }
            None => self.registers.remove(&name).is_some(),
        }
    }
}
