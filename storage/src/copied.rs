//! Copying: a log that takes over, unit by unit, what another classic log has at the same offsets.
//!
//! The bytes come from another program, so nothing of them is believed: each unit must be whole and say that it lies where it
//! is put, as a recovery would demand of it. What comes of it is the same file, byte for byte.

use std::io::IoSlice;

use crate::append::{AppendError, Appender};
use crate::meta::Layout;
use crate::position::behind;
use crate::scan::{Damage, Spot, Unit, Verdict, examine};
use ferrymq_proto::position::LogOffset;

/// No unit is longer: so much of one may be gathered before it is whole.
pub const COPIED_UNIT_BYTES_MAX: usize = 128 << 20;

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It can be no part of a log like this one at this place. Nothing of it was written.
    #[error("what should be copied to offset {offset} of the log is none of its units: {damage}")]
    Damaged { offset: LogOffset, damage: Damage },
    #[error(transparent)]
    Append(#[from] AppendError),
}

/// What some bytes begin with.
enum Front {
    /// So many bytes of records.
    Records(u64),
    /// The blank that ends the segment.
    Blank(u64),
    /// A part of a unit.
    Part,
}

impl Appender {
    /// Appends the whole units at the front of `bytes`, which lie at the end of this log in the other one too, and says how many
    /// bytes they are. What is left begins with a unit that is not there as a whole.
    pub fn append_copied(&mut self, bytes: &[u8]) -> Result<usize, CopyError> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match self.front(rest)? {
                Front::Records(length) => {
                    let records = rest.get(..length as usize).unwrap_or_default();
                    self.place(length)?.write(&mut [IoSlice::new(records)])?;
                    taken += records.len();
                }
                Front::Blank(length) => {
                    self.end_segment()?;
                    taken += length as usize;
                }
                Front::Part => break,
            }
        }
        Ok(taken)
    }

    fn front(&self, bytes: &[u8]) -> Result<Front, CopyError> {
        let end = self.log().written();
        let mut at = 0;
        loop {
            let rest = bytes.get(at as usize..).unwrap_or_default();
            let spot = self.spot(behind(end, at));
            let damage = match examine(rest, spot) {
                Verdict::Unit { bytes, unit: Unit::Record } => {
                    at += bytes;
                    continue;
                }
                _ if at > 0 => return Ok(Front::Records(at)),
                Verdict::Unit { bytes, unit: Unit::Blank } if bytes <= rest.len() as u64 => {
                    return Ok(Front::Blank(bytes));
                }
                Verdict::Unit { bytes, unit: Unit::Blank } if bytes <= COPIED_UNIT_BYTES_MAX as u64 => {
                    return Ok(Front::Part);
                }
                Verdict::More(needed) if needed <= COPIED_UNIT_BYTES_MAX => return Ok(Front::Part),
                Verdict::More(needed) => Damage::TooLong { bytes: needed as u64, left: spot.left },
                Verdict::Unit { bytes, .. } => Damage::TooLong { bytes, left: spot.left },
                Verdict::Nothing => Damage::NothingWritten,
                Verdict::Damaged(damage) => damage,
            };
            return Err(CopyError::Damaged { offset: end, damage });
        }
    }

    fn spot(&self, offset: LogOffset) -> Spot {
        let segment = self.segment();
        Spot {
            layout: Layout::Classic,
            offset,
            position: segment.position(offset),
            left: segment.left(offset),
        }
    }
}
