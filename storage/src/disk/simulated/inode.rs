//! One file of the simulated disk: what readers see, what is on the platter, and the changes in between.

use super::dice::Dice;
use super::state::HandleId;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
pub(super) enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Length(usize),
}

/// How much of the changes a power loss leaves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Survival {
    Nothing,
    Everything,
    Chance,
}

impl Survival {
    pub fn draw(dice: &mut Dice) -> Self {
        match dice.below(8) {
            0 => Self::Nothing,
            1 => Self::Everything,
            _ => Self::Chance,
        }
    }

    /// After how many of `count` changes the power was lost.
    pub fn changes(self, count: usize, dice: &mut Dice) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Everything => count,
            Self::Chance => dice.below(count as u64 + 1) as usize,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub cached: Vec<u8>,
    durable: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    pub locked_by: Option<HandleId>,
}

impl Inode {
    pub fn planted(bytes: &[u8]) -> Self {
        Self { cached: bytes.to_vec(), durable: bytes.to_vec(), ..Self::default() }
    }

    pub fn change(&mut self, change: Change) {
        apply(&mut self.cached, &change);
        self.pending.push(change);
    }

    pub fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            apply(&mut self.durable, &change);
        }
    }

    /// What a failed sync leaves: pages that count as clean and were not written. No later sync brings them back.
    pub fn forget_pending(&mut self) {
        self.pending.clear();
    }

    pub fn edit(&mut self, change: &impl Fn(&mut Vec<u8>) -> bool) -> bool {
        change(&mut self.cached) & change(&mut self.durable)
    }

    /// The file after a power loss.
    pub fn survivor(&self, survival: Survival, dice: &mut Dice) -> Self {
        let lengths = survival.changes(self.pending.len(), dice);
        let mut bytes = self.durable.clone();
        let length = self.pending.iter().take(lengths).fold(bytes.len(), |length, change| match change {
            Change::Write { at, bytes } => length.max(at + bytes.len()),
            Change::Length(length) => *length,
        });
        bytes.resize(length, 0);
        for (sector, content) in bytes.chunks_mut(SECTOR).enumerate() {
            let start = sector * SECTOR;
            let touching = self.pending.iter().filter(|change| touches(change, start));
            let survivors = survival.changes(touching.clone().count(), dice);
            touching.take(survivors).for_each(|change| apply_to_sector(content, start, change));
        }
        Self::planted(&bytes)
    }

    pub fn after_process_loss(&self) -> Self {
        Self { locked_by: None, ..self.clone() }
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write { at, bytes: written } => {
            let end = at + written.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            if let Some(range) = bytes.get_mut(*at..end) {
                range.copy_from_slice(written);
            }
        }
    }
}

/// A cut touches all sectors behind it: they are empty if the file grows again.
fn touches(change: &Change, start: usize) -> bool {
    match change {
        Change::Write { at, bytes } => *at < start + SECTOR && start < at + bytes.len(),
        Change::Length(length) => *length < start + SECTOR,
    }
}

fn apply_to_sector(content: &mut [u8], start: usize, change: &Change) {
    match change {
        Change::Write { at, bytes } => {
            for (position, byte) in (start..).zip(content) {
                if let Some(written) = position.checked_sub(*at).and_then(|index| bytes.get(index)) {
                    *byte = *written;
                }
            }
        }
        Change::Length(length) => {
            if let Some(cut) = content.get_mut(length.saturating_sub(start)..) {
                cut.fill(0);
            }
        }
    }
}
