//! Looks over a store that nobody has open, and changes nothing.
//!
//! Every unit that was durable must be whole, in its place, and follow the one before it; and every block that has a checksum
//! beside the log must still have the same. Together they find each single bit that was flipped in what is final: the walk says
//! in which unit, the sums in which block. Where the walk meets damage it goes on with the next segment, and the sums, which need
//! no walk, look over the rest of this one.
//!
//! The same walk holds the queues and the index against the log, as far as the checkpoint says that they are good.

mod finding;
mod index;
mod marks;
mod queues;

use std::io;
use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};

use crate::apaches::{ApachesNotes, Evidence, SeemingEnd, note_time};
use crate::checkpoint::SyncedFile;
use crate::files::Keeper;
use crate::index::IndexState;
use crate::look::{DerivedState, Look, Progress};
use crate::meta::Layout;
use crate::position::{LogSpan, behind, distance};
use crate::queues::QueueError;
use crate::queues::entry::{DelayLevels, Labels, QueueEntry};
use crate::recovery::{ApachesDamage, Corruption, OpenError, SegmentFault};
use crate::scan::records::Pieces;
use crate::scan::{Damage, Step, Unit, Walk};
use crate::segment::{self, Segment};
use crate::sums::entry::{BLOCK_BYTES, Entry, Slot};
use crate::sums::{self};
use index::{IndexCheck, IndexRules};
use queues::{QueueCheck, Rules};

pub use finding::{Affected, EntryProblem, Fault, Finding, IndexProblem, Message};

/// What a store does not say of its queues and its index. See [`DerivedSettings`](crate::dispatch::DerivedSettings).
#[derive(Clone, Debug)]
pub struct Expected {
    pub index_slots: u32,
    pub index_entries: u32,
    /// `None` when they are not known: then the times in the queues of delayed messages are not looked at.
    pub delay_levels: Option<DelayLevels>,
}

impl Default for Expected {
    fn default() -> Self {
        Self { index_slots: 5_000_000, index_entries: 20_000_000, delay_levels: Some(DelayLevels::apaches()) }
    }
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
    /// What was not read, because it lies behind damage or is missing: nothing could be held against it.
    pub skipped_bytes: u64,
    /// Queues and index were held against the log up to there. `None` when they are to be made anew anyway.
    pub derived_to: Option<LogOffset>,
    pub findings: Vec<Finding>,
}

/// Looks over a store.
pub fn verify(
    look: &Look,
    expected: &Expected,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verified, OpenError> {
    let (synced, written) = look.checkpoint()?;
    let derived = DerivedCheck::begin(look, &look.derived_state(&synced, &written), expected)?;
    let mut verifier = Verifier::new(look, derived, progress)?;
    verifier.verified.findings =
        look.faults.iter().map(|fault| Fault::from(fault.clone()).affects()).collect();
    verifier.verified.findings.extend(marks::check(look, &synced, &written)?);
    verifier.walk()?;
    if look.stored.layout == Layout::Classic {
        verifier.compare_sums()?;
    }
    let Verifier { mut verified, derived, .. } = verifier;
    if let Some(derived) = derived {
        derived.finish(look, &synced, &mut verified)?;
    }
    Ok(verified)
}

fn failed_at(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { path: path.to_owned(), source }
}

fn failed_queue(look: &Look) -> impl Fn(QueueError) -> OpenError {
    |error| crate::look::queues::failed(error, look)
}

/// What is derived, beside the walk.
struct DerivedCheck {
    queues: QueueCheck,
    index: IndexCheck,
    to: LogOffset,
}

impl DerivedCheck {
    /// `None` when all of it is void.
    fn begin(look: &Look, state: &DerivedState, expected: &Expected) -> Result<Option<Self>, OpenError> {
        let (start, _) = look.beginning();
        let is_apaches = matches!(state, DerivedState::Apaches);
        let (to, newest) = match state {
            DerivedState::Void => return Ok(None),
            DerivedState::Apaches => (LogOffset(i64::MAX), IndexState::default()),
            DerivedState::Good(good) => (good.position, good.index.clone()),
        };
        let may_be_short = is_apaches && look.has_abort_marker()?;
        let levels = expected.delay_levels.clone().filter(|_| !is_apaches);
        let queues = QueueCheck::new(look, to, start, Rules { may_be_short, levels })?;
        let sizes = (expected.index_slots, expected.index_entries);
        let index = IndexCheck::new(look, to, start, IndexRules { sizes, newest, is_apaches })?;
        Ok(Some(Self { queues, index, to }))
    }

    /// Sees a unit of the log.
    fn see(&mut self, look: &Look, span: LogSpan, bytes: &[u8]) -> Result<(), OpenError> {
        let mut pieces = Pieces::of(span.start, bytes);
        // What is no record within a frame was checked as a part of it.
        while let Ok(Some(placed)) = pieces.next_record() {
            let labels = Labels::of(&placed.record);
            self.queues.see(&placed, &labels).map_err(failed_queue(look))?;
            self.index.see(&*look.disk, &placed, &labels)?;
        }
        Ok(())
    }

    fn finish(mut self, look: &Look, synced: &SyncedFile, verified: &mut Verified) -> Result<(), OpenError> {
        let known = |topic: &str, queue: QueueId| match synced {
            SyncedFile::Found(synced) => synced.census.queues_of(topic).any(|known| known == queue),
            _ => false,
        };
        for finding in &mut verified.findings {
            self.find_messages(look, finding)?;
        }
        verified.findings.extend(self.queues.finish(look, &known)?);
        verified.findings.extend(self.index.finish(&*look.disk)?);
        verified.derived_to = Some(self.to.min(verified.end));
        Ok(())
    }

    /// Which messages does damage to the log concern?
    fn find_messages(&self, look: &Look, finding: &mut Finding) -> Result<(), OpenError> {
        let (span, is_block) = match &finding.fault {
            Fault::Unit(found) => {
                let end = crate::look::end_of_segment(look, found.offset);
                (LogSpan { start: found.offset, bytes: distance(found.offset, end) }, false)
            }
            Fault::Block { position, end, offset, .. } => {
                (LogSpan { start: *offset, bytes: end - position }, true)
            }
            Fault::Segment(SegmentFault::Missing { path }) => {
                let name = path.file_name().and_then(|name| name.to_str());
                let Some(start) = name.and_then(segment::parse_name) else { return Ok(()) };
                (LogSpan { start, bytes: look.stored.segment_bytes }, true)
            }
            _ => return Ok(()),
        };
        // Of a block nobody knows which byte it is.
        let is_lost = |entry: &QueueEntry| if is_block { Ok(true) } else { is_damaged(look, entry) };
        finding.affected = self.queues.messages_in(span, &is_lost, look)?;
        Ok(())
    }
}

/// Whether the record of an entry cannot be read as it was written.
fn is_damaged(look: &Look, entry: &QueueEntry) -> Result<bool, OpenError> {
    let Some(segment) = look.segment_at(entry.log_offset) else { return Ok(true) };
    let left = segment.left(entry.log_offset);
    let mut bytes = vec![0; u64::from(entry.bytes).min(left) as usize];
    segment.read_padded(entry.log_offset, &mut bytes).map_err(|source| failed_at(segment.path(), source))?;
    Ok(!crate::scan::is_record_at(&bytes, entry.log_offset, u64::from(entry.bytes)))
}

/// Where a walk ends.
enum WalkEnd {
    /// With what was durable.
    Log,
    /// Before a segment that is missing.
    Gap(LogOffset),
    Damage(LogOffset, Damage),
    /// Apache's broker, which left the log so, says that there must be more.
    Refuted(LogOffset, Damage, Evidence),
}

struct Verifier<'a> {
    look: &'a Look,
    /// Everything before it must be whole.
    durable: LogOffset,
    derived: Option<DerivedCheck>,
    progress: &'a mut dyn FnMut(Progress),
    verified: Verified,
    apaches: Option<ApachesNotes>,
    /// The latest store time of what was read, where that counts.
    newest: Option<Timestamp>,
}

impl<'a> Verifier<'a> {
    fn new(
        look: &'a Look,
        derived: Option<DerivedCheck>,
        progress: &'a mut dyn FnMut(Progress),
    ) -> Result<Self, OpenError> {
        let apaches = look.apaches_notes()?;
        let (stored, durable) = (&look.stored, look.durable());
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
            are_sums_void: look.keeper == Keeper::Apache,
            skipped_bytes: 0,
            derived_to: None,
            findings: Vec::new(),
        };
        Ok(Self { look, durable, derived, progress, verified, apaches, newest: None })
    }

    fn tell(&mut self, done: LogOffset) {
        let start = self.look.stored.start;
        let bytes_total = distance(start, self.end_expected());
        (self.progress)(Progress { bytes_done: distance(start, done).min(bytes_total), bytes_total });
    }

    /// Of a log of Apache's nobody knows where it ends.
    fn end_expected(&self) -> LogOffset {
        let last = self.look.segments.back().map_or(self.durable, |last| last.end());
        if self.look.has_meta { self.durable } else { last }
    }

    fn walk(&mut self) -> Result<(), OpenError> {
        let look = self.look;
        let (first, mut chain) = look.beginning();
        let mut from = first.min(look.stored.start);
        // What lies in a gap is missing, as the faults of the segments say.
        while let Some(segment) = look.segments.iter().find(|segment| segment.end() > from) {
            if segment.base() > from {
                self.skip(LogSpan { start: from, bytes: distance(from, segment.base()) });
                (from, chain) = (segment.base(), None);
            }
            let mut walk = Walk::new(&look.segments, look.stored.layout, from, chain);
            let (offset, damage, evidence) = match self.walk_to_damage(&mut walk)? {
                WalkEnd::Log => return Ok(()),
                WalkEnd::Gap(offset) => {
                    from = offset;
                    continue;
                }
                WalkEnd::Damage(offset, damage) => (offset, damage, None),
                WalkEnd::Refuted(offset, damage, evidence) => (offset, damage, Some(evidence)),
            };
            let Some(segment) = look.segment_at(offset).or(look.segments.back()) else { return Ok(()) };
            let (path, position) = (segment.path().to_owned(), segment.position(offset));
            let durable = self.durable;
            let fault = match evidence {
                Some(evidence) => Fault::Apaches(ApachesDamage { path, position, offset, damage, evidence }),
                None => Fault::Unit(Corruption { path, position, offset, durable, damage }),
            };
            self.verified.findings.push(fault.affects());
            self.skip(LogSpan { start: offset, bytes: segment.left(offset) });
            if segment.end() >= durable {
                return Ok(());
            }
            (from, chain) = (segment.end(), None);
        }
        Ok(())
    }

    /// Nothing is known of what lies there.
    fn skip(&mut self, span: LogSpan) {
        self.verified.skipped_bytes += distance(span.start, span.end().min(self.durable).max(span.start));
        if let Some(derived) = &mut self.derived {
            derived.queues.skip(span);
            derived.index.skip(span);
        }
    }

    /// Walks until what was durable ends, or is damaged: then it says where.
    fn walk_to_damage(&mut self, walk: &mut Walk<'_>) -> Result<WalkEnd, OpenError> {
        let confirmed = self.look.stored.confirmed;
        loop {
            let at = walk.position();
            let Some(segment) = walk.segment() else {
                let has_more = self.look.segments.back().is_some_and(|last| last.base() > at.offset);
                return if has_more { Ok(WalkEnd::Gap(at.offset)) } else { self.end(None, at.offset, None) };
            };
            let damaged = |damage| Ok(WalkEnd::Damage(at.offset, damage));
            if at.offset == confirmed.offset && walk.follows_other_than(confirmed.chain) {
                return damaged(Damage::OtherChain);
            }
            let step = walk.step().map_err(|source| failed_at(segment.path(), source))?;
            let damage = match step {
                Step::Unit { end, .. } if at.offset < confirmed.offset && end.offset > confirmed.offset => {
                    return damaged(Damage::NoBoundary);
                }
                Step::Unit { unit, span, end } => {
                    self.count(unit, span);
                    if self.apaches.is_some() && unit == Unit::Record {
                        note_time(&mut self.newest, walk.unit_bytes(span));
                    }
                    self.verified.end = end.offset;
                    if let Some(derived) = self.derived.as_mut().filter(|_| unit != Unit::Blank) {
                        derived.see(self.look, span, walk.unit_bytes(span))?;
                    }
                    continue;
                }
                Step::Damaged(damage) => Some(damage),
                Step::Nothing | Step::NoSegment => None,
            };
            if at.offset < self.durable || self.is_followed(at.offset)? {
                return damaged(damage.unwrap_or(Damage::NothingWritten));
            }
            return self.end(Some(segment), at.offset, damage);
        }
    }

    /// The end of the log, if it may be here.
    fn end(
        &mut self,
        segment: Option<&Arc<Segment>>,
        offset: LogOffset,
        damage: Option<Damage>,
    ) -> Result<WalkEnd, OpenError> {
        let end = SeemingEnd { segment, offset, is_damaged: damage.is_some(), newest: self.newest };
        let path = segment.map_or(&*self.look.files.log, |segment| segment.path());
        let refuted = self.apaches.as_ref().map_or(Ok(None), |apaches| apaches.refute(end));
        match refuted.map_err(|source| failed_at(path, source))? {
            Some(evidence) => {
                Ok(WalkEnd::Refuted(offset, damage.unwrap_or(Damage::NothingWritten), evidence))
            }
            None => {
                self.verified.torn = damage;
                Ok(WalkEnd::Log)
            }
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

    /// Whether there is more in a later segment, in a log of which nobody knows how far it was durable.
    fn is_followed(&self, at: LogOffset) -> Result<bool, OpenError> {
        if self.look.has_meta {
            return Ok(false);
        }
        let (last, _) = self.look.near_end()?;
        Ok(self.look.segment_at(at).is_some_and(|segment| segment.end() <= last))
    }

    fn compare_sums(&mut self) -> Result<(), OpenError> {
        if self.verified.are_sums_void {
            return Ok(());
        }
        let look = self.look;
        for segment in &look.segments {
            let path = sums::path(&look.files, segment.base());
            let entries =
                sums::read(&*look.disk, &path, segment.base()).map_err(|source| failed_at(&path, source))?;
            for (block, slot) in entries {
                match slot {
                    Slot::Empty => {}
                    Slot::Entry(entry) => self.compare_block(segment, block.position(), entry)?,
                    Slot::Damaged => {
                        let path = path.clone();
                        let fault = Fault::Sidecar { path, entry: block.number };
                        self.verified.findings.push(fault.affects());
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
            self.verified.findings.push(Fault::Block { path, position, end, offset }.affects());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
