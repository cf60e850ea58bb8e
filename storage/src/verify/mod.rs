//! Looks over a store that nobody has open, and changes nothing.
//!
//! Every unit that was durable must be whole, in its place, and follow the one before it; and every block that has a checksum
//! beside the log must still have the same. Together they find each single bit that was flipped in what is final: the walk says
//! in which unit, the sums in which block. Where the walk meets damage it goes on with the next segment, and the sums, which need
//! no walk, look over the rest of this one.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;

use crate::disk::Disk;
use crate::files::{self, StoreFiles};
use crate::meta::{self, Layout, StoreMeta};
use crate::position::{Chain, LogSpan, Mark, behind, distance};
use crate::recovery::{Corruption, OpenError, Survey};
use crate::scan::{Damage, Step, Unit, Walk};
use crate::segment::Segment;
use crate::sums::entry::{BLOCK_BYTES, Entry, Slot};
use crate::sums::{self};

/// What is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A unit is damaged. The walk went on with the next segment.
    #[error(transparent)]
    Unit(#[from] Corruption),
    #[error(
        "{path} is damaged between byte {position} and byte {end} (offset {offset} of the log): the checksum beside it is \
         another one; restore the file from a copy"
    )]
    Block { path: PathBuf, position: u64, end: u64, offset: LogOffset },
    /// No harm: it is only of use here, and is made anew.
    #[error("{path} is damaged at entry {entry}, so that nothing is known of block {entry}")]
    Sidecar { path: PathBuf, entry: u64 },
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub layout: Layout,
    pub segment_bytes: u64,
    pub start: LogOffset,
    pub confirmed: LogOffset,
    pub durable: LogOffset,
    /// Behind the last whole unit.
    pub end: LogOffset,
    /// What lies there is a torn tail, which the next start cuts off.
    pub torn: Option<Damage>,
    pub records: u64,
    pub frames: u64,
    /// Of what is durable, how much has a checksum beside the log. All of a log of frames has one within.
    pub summed_bytes: u64,
    /// The checksums beside the log are void: Apache's broker has had the store.
    pub are_sums_void: bool,
    pub findings: Vec<Finding>,
}

/// How far a long look has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub bytes_done: u64,
    pub bytes_total: u64,
}

/// Looks over the log of the store in a folder. For a folder of Apache's, which says nothing of itself, `segment_bytes` says how
/// long its segments are.
pub fn verify(
    disk: &dyn Disk,
    folder: &Path,
    segment_bytes: u64,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, OpenError> {
    let files = StoreFiles::within(folder);
    let stored = match meta::read(disk, &files.meta)? {
        Some(stored) => stored,
        None => meta_of_apaches(disk, &files, segment_bytes)?,
    };
    let survey = Survey::take(disk, &files, &stored)?;
    let segments = survey.open_to_read(disk, &files).map_err(|source| failed_at(&files.log, source))?;
    let mut verifier = Verifier::new(&files, &stored, &segments, progress);
    verifier.walk()?;
    if stored.layout == Layout::Classic {
        verifier.compare_sums(disk)?;
    }
    Ok(verifier.verified)
}

fn failed_at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

/// Nothing is known of how far it was durable: the walk will say how far it is whole.
fn meta_of_apaches(disk: &dyn Disk, files: &StoreFiles, segment_bytes: u64) -> Result<StoreMeta, OpenError> {
    let first = Survey::first_segment(disk, files).map_err(|source| failed_at(&files.log, source))?;
    let start = first.unwrap_or_default();
    Ok(StoreMeta::new(Layout::Classic, segment_bytes, start))
}

struct Verifier<'a> {
    files: &'a StoreFiles,
    segments: &'a VecDeque<Arc<Segment>>,
    stored: &'a StoreMeta,
    /// Everything before it must be whole.
    durable: LogOffset,
    progress: &'a mut dyn FnMut(Progress),
    verified: Verified,
}

impl<'a> Verifier<'a> {
    fn new(
        files: &'a StoreFiles,
        stored: &'a StoreMeta,
        segments: &'a VecDeque<Arc<Segment>>,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Self {
        let durable = stored.durable.max(stored.confirmed.offset);
        let verified = Verified {
            layout: stored.layout,
            segment_bytes: stored.segment_bytes,
            start: stored.start,
            confirmed: stored.confirmed.offset,
            durable,
            end: stored.start,
            torn: None,
            records: 0,
            frames: 0,
            summed_bytes: 0,
            are_sums_void: false,
            findings: Vec::new(),
        };
        Self { files, segments, stored, durable, progress, verified }
    }

    fn tell(&mut self, done: LogOffset) {
        let start = self.stored.start;
        let bytes_total = distance(start, self.durable);
        (self.progress)(Progress { bytes_done: distance(start, done).min(bytes_total), bytes_total });
    }

    fn walk(&mut self) -> Result<(), OpenError> {
        let start = self.stored.start;
        let mut from = Mark { offset: start, chain: Chain::default() };
        let mut chain = (start == LogOffset(0)).then_some(from.chain);
        loop {
            let mut walk = Walk::new(self.segments, self.stored.layout, from.offset, chain);
            let Some((path, offset, damage)) = self.walk_to_damage(&mut walk)? else { return Ok(()) };
            let segment = self.segments.iter().find(|segment| segment.path() == path);
            let position = segment.map_or(0, |segment| segment.position(offset));
            let durable = self.durable;
            self.verified.findings.push(Corruption { path, position, offset, durable, damage }.into());
            let Some(next) = segment.map(|segment| segment.end()).filter(|next| *next < durable) else {
                return Ok(());
            };
            from.offset = next;
            chain = None;
        }
    }

    /// Walks until what was durable ends, or is damaged: then it says where.
    fn walk_to_damage(
        &mut self,
        walk: &mut Walk<'_>,
    ) -> Result<Option<(PathBuf, LogOffset, Damage)>, OpenError> {
        let confirmed = self.stored.confirmed;
        loop {
            let at = walk.position();
            let path = walk.segment().map(|segment| segment.path().to_owned()).unwrap_or_default();
            let damaged = |damage| Ok(Some((path.clone(), at.offset, damage)));
            if at.offset == confirmed.offset && at.chain != confirmed.chain {
                return damaged(Damage::OtherChain);
            }
            let step = walk.step().map_err(|source| failed_at(&path, source))?;
            let damage = match step {
                Step::Unit { end, .. } if at.offset < confirmed.offset && end.offset > confirmed.offset => {
                    return damaged(Damage::NoBoundary);
                }
                Step::Unit { unit, span, end } => {
                    self.count(unit, span);
                    self.verified.end = end.offset;
                    continue;
                }
                Step::Damaged(damage) => Some(damage),
                Step::Nothing | Step::NoSegment => None,
            };
            if at.offset < self.durable {
                return damaged(damage.unwrap_or(Damage::NothingWritten));
            }
            self.verified.torn = damage;
            return Ok(None);
        }
    }

    fn count(&mut self, unit: Unit, span: LogSpan) {
        match unit {
            Unit::Record => self.verified.records += 1,
            Unit::Frame(header) => {
                self.verified.frames += 1;
                self.verified.records += u64::from(header.records);
            }
            Unit::Blank => {}
        }
        const STEP_BYTES: i64 = 16 << 20;
        if span.start.0 / STEP_BYTES != span.end().0 / STEP_BYTES {
            self.tell(span.end());
        }
    }

    fn compare_sums(&mut self, disk: &dyn Disk) -> Result<(), OpenError> {
        let failed = |source| failed_at(&self.files.lock, source);
        self.verified.are_sums_void = files::is_apaches(disk, self.files).map_err(failed)?;
        if self.verified.are_sums_void {
            return Ok(());
        }
        for segment in self.segments {
            let path = sums::path(self.files, segment.base());
            let entries =
                sums::read(disk, &path, segment.base()).map_err(|source| failed_at(&path, source))?;
            for (block, slot) in entries {
                match slot {
                    Slot::Empty => {}
                    Slot::Entry(entry) => self.compare_block(segment, block.position(), entry)?,
                    Slot::Damaged => {
                        let path = path.clone();
                        self.verified.findings.push(Finding::Sidecar { path, entry: block.number });
                    }
                }
            }
        }
        Ok(())
    }

    fn compare_block(&mut self, segment: &Segment, position: u64, entry: Entry) -> Result<(), OpenError> {
        let mut bytes = [0; BLOCK_BYTES as usize];
        let covered = bytes.get_mut(..entry.bytes as usize).unwrap_or_default();
        let offset = behind(segment.base(), position);
        let read = segment.read_padded(offset, covered);
        read.map_err(|source| failed_at(segment.path(), source))?;
        self.verified.summed_bytes += u64::from(entry.bytes);
        if crc32fast::hash(covered) != entry.crc {
            let (path, end) = (segment.path().to_owned(), position + u64::from(entry.bytes));
            self.verified.findings.push(Finding::Block { path, position, end, offset });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
