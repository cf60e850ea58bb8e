//! Putting good bytes in the place of damaged ones.
//!
//! What is final lies at the same offset on every node of a group, byte for byte. So whatever a disk has spoiled there, another node
//! has, in whole units that prove themselves: only such units are given away, and only such are taken. The walk of the next opening
//! proves that they follow what was there.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;

use crate::disk::{Access, Disk};
use crate::files::{StoreFiles, StoreLock};
use crate::log::{Log, ReadError};
use crate::meta::{Layout, MetaFile, StoreMeta};
use crate::position::{behind, distance};
use crate::scan::{Damage, Spot, Unit, Verdict, examine};
use crate::segment::{self, BLANK_BYTES, Segment};

/// Why units cannot be given away.
#[derive(Debug, thiserror::Error)]
pub enum UnitsError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error("what lies at offset {offset} is damaged here as well: {damage}")]
    Damaged { offset: LogOffset, damage: Damage },
}

/// Why bytes were not put into a log.
#[derive(Debug, thiserror::Error)]
pub enum MendError {
    #[error("what came for offset {0} of the log does not belong there")]
    Foreign(LogOffset),
    #[error("offset {0} is not in this log, or not final")]
    OutOfPlace(LogOffset),
    #[error("{path} is locked: another process uses this store")]
    Locked { path: PathBuf },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// What a segment has from `offset` on, if it has units there.
fn spot(offset: LogOffset, segment_bytes: u64) -> Spot {
    let position = offset.0.unsigned_abs() % segment_bytes;
    Spot { layout: Layout::Framed, offset, position, left: segment_bytes - position }
}

/// The whole units with which some bytes begin.
struct Whole {
    bytes: usize,
    /// The last of them is a blank, of which only the head is there: nobody needs the rest.
    is_end_of_segment: bool,
    /// What follows.
    next: Verdict,
}

fn whole_units(bytes: &[u8], offset: LogOffset, segment_bytes: u64) -> Whole {
    let mut whole = 0;
    loop {
        let rest = bytes.get(whole..).unwrap_or_default();
        let next = examine(rest, spot(behind(offset, whole as u64), segment_bytes));
        match next {
            Verdict::Unit { unit: Unit::Blank, .. } => {
                return Whole { bytes: whole + BLANK_BYTES as usize, is_end_of_segment: true, next };
            }
            Verdict::Unit { bytes, .. } => whole += bytes as usize,
            _ => return Whole { bytes: whole, is_end_of_segment: false, next },
        }
    }
}

/// What a peer may have sent: units, and nothing else.
fn is_whole(bytes: &[u8], offset: LogOffset, segment_bytes: u64) -> bool {
    !bytes.is_empty() && whole_units(bytes, offset, segment_bytes).bytes == bytes.len()
}

impl Log {
    /// Whole units from an offset on, where one begins, all of them final: one at least, and else no more than so many bytes or
    /// than the segment has. For a log of frames.
    pub fn final_units(&self, offset: LogOffset, bytes_max: usize) -> Result<Bytes, UnitsError> {
        let mut bytes_max = bytes_max.max(BLANK_BYTES as usize);
        loop {
            let mut bytes = self.read_confirmed(offset, bytes_max)?;
            let Whole { bytes: whole, next, .. } = whole_units(&bytes, offset, self.segment_bytes());
            let damage = match next {
                _ if whole > 0 => {
                    bytes.truncate(whole);
                    return Ok(bytes);
                }
                Verdict::More(needed) if needed > bytes_max => {
                    bytes_max = needed;
                    continue;
                }
                Verdict::Damaged(damage) => damage,
                _ => Damage::NothingWritten,
            };
            return Err(UnitsError::Damaged { offset, damage });
        }
    }

    /// Where the next unit begins: behind these, or behind the blank with which they end.
    pub fn behind_units(&self, offset: LogOffset, units: &[u8]) -> LogOffset {
        let end = behind(offset, units.len() as u64);
        match whole_units(units, offset, self.segment_bytes()).is_end_of_segment {
            true => behind(end, spot(end, self.segment_bytes()).left % self.segment_bytes()),
            false => end,
        }
    }

    /// Puts final units where they belong, durably, and says whether anything else was there.
    pub fn mend(&self, offset: LogOffset, units: &[u8]) -> Result<bool, MendError> {
        if !is_whole(units, offset, self.segment_bytes()) {
            return Err(MendError::Foreign(offset));
        }
        let segment = self.core.segment_at(offset);
        let segment = segment.filter(|_| behind(offset, units.len() as u64) <= self.confirmed().offset);
        let segment = segment.ok_or(MendError::OutOfPlace(offset))?;
        let mended = put(&segment, offset, units);
        self.core.near.clear();
        mended
    }
}

/// A log of frames that nobody has open.
#[derive(Debug)]
pub struct ClosedLog<'a> {
    disk: &'a dyn Disk,
    files: StoreFiles,
    meta: MetaFile,
    _lock: StoreLock,
}

impl<'a> ClosedLog<'a> {
    pub fn take(disk: &'a dyn Disk, folder: &Path) -> Result<Self, MendError> {
        let files = StoreFiles::within(folder);
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| MendError::Io { path, source }
        };
        let lock = StoreLock::take(disk, &files).map_err(failed(&files.lock))?;
        let lock = lock.ok_or_else(|| MendError::Locked { path: files.lock.clone() })?;
        let meta = MetaFile::open(disk, &files.meta).map_err(io::Error::other).and_then(|meta| {
            meta.filter(|meta| meta.current().layout == Layout::Framed)
                .ok_or_else(|| io::Error::other("it does not belong to a log of frames"))
        });
        let meta = meta.map_err(failed(&files.meta))?;
        Ok(Self { disk, files, meta, _lock: lock })
    }

    /// As [`Log::mend`].
    pub fn mend(&self, offset: LogOffset, units: &[u8]) -> Result<bool, MendError> {
        let StoreMeta { segment_bytes, start, .. } = *self.meta.current();
        if offset < start || !is_whole(units, offset, segment_bytes) {
            return Err(MendError::Foreign(offset));
        }
        let position = spot(offset, segment_bytes).position;
        let base = LogOffset(offset.0.saturating_sub_unsigned(position));
        let opened = Segment::open(self.disk, &self.files.log, base, segment_bytes, Access::Write);
        let path = self.files.log.join(segment::name(base));
        put(&opened.map_err(|source| MendError::Io { path, source })?, offset, units)
    }

    /// Lets what lies from an offset on count as never written for good, which is known not to be final.
    pub fn forget_behind(&mut self, offset: LogOffset) -> Result<(), MendError> {
        if offset < self.meta.current().confirmed.offset {
            return Err(MendError::OutOfPlace(offset));
        }
        let path = self.files.meta.clone();
        let saved = self.meta.save_twice(|meta| meta.durable = meta.durable.min(offset));
        saved.map_err(|source| MendError::Io { path, source })
    }
}

fn put(segment: &Segment, offset: LogOffset, units: &[u8]) -> Result<bool, MendError> {
    let failed = |source| MendError::Io { path: segment.path().to_owned(), source };
    if distance(offset, segment.end()) < units.len() as u64 {
        return Err(MendError::OutOfPlace(offset));
    }
    let mut present = vec![0; units.len()];
    segment.read_padded(offset, &mut present).map_err(failed)?;
    if present == units {
        return Ok(false);
    }
    segment.write(offset, &mut [IoSlice::new(units)]).and_then(|()| segment.sync()).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
