//! Where the log ends.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_proto::position::{LogOffset, Timestamp};

use super::{LastStop, OpenError, SurveyError, failed_at};
use crate::apaches::{ApachesNotes, Evidence, SeemingEnd, note_time};
use crate::frame::FRAME_HEADER_BYTES;
use crate::look::end_of_segments;
use crate::meta::{Layout, StoreMeta};
use crate::position::{Chain, Mark};
use crate::scan::{Damage, Spot, Step, Unit, Verdict, Walk, examine};
use crate::segment::{BLANK_BYTES, Segment};
use crate::unsafe_modes::{UnsafeMode, is_on};

/// Damage to what was durable. Only a copy of the log can repair it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is damaged at byte {position} (offset {offset} of the log, which was durable up to {durable}): \
     {damage}; restore the file from a copy, or let this node fetch the log anew"
)]
pub struct Corruption {
    pub path: PathBuf,
    pub position: u64,
    pub offset: LogOffset,
    pub durable: LogOffset,
    pub damage: Damage,
}

/// A log that Apache's broker left ends where no crash can have ended it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} is damaged at byte {position} (offset {offset} of the log): {damage}; {evidence}. Nothing was cut off: restore the file \
     from a copy or a slave. Apache's broker, should it start on it, drops all that follows"
)]
pub struct ApachesDamage {
    pub path: PathBuf,
    pub position: u64,
    pub offset: LogOffset,
    pub damage: Damage,
    pub evidence: Evidence,
}

#[derive(Debug)]
pub(super) struct Ending {
    pub walked_from: LogOffset,
    pub end: Mark,
    /// What was found there, if it is not the beginning of nothing.
    pub damage: Option<Damage>,
    /// The store was closed in order, and nothing lies behind its end.
    pub is_in_order: bool,
}

impl Ending {
    /// The end that was asked for, where a unit ends.
    pub fn asked(segments: &VecDeque<Arc<Segment>>, at: LogOffset) -> Result<Self, OpenError> {
        let from = segments.back().map_or(at, |last| last.base());
        let (end, damage) = end_of_segments(segments, Layout::Classic, from, None)?;
        if end < at {
            let path = segments.back().map(|last| last.path().to_owned()).unwrap_or_default();
            let damage = damage.unwrap_or(Damage::NothingWritten);
            let position = (at.0 - from.0).unsigned_abs();
            return Err(Corruption { path, position, offset: end, durable: at, damage }.into());
        }
        let end = Mark { offset: at, chain: Chain::default() };
        Ok(Self { walked_from: from, end, damage: None, is_in_order: false })
    }

    /// Walks to the end. Changes nothing.
    pub fn find(
        segments: &VecDeque<Arc<Segment>>,
        stored: &StoreMeta,
        last_stop: LastStop,
        apaches: &ApachesNotes,
    ) -> Result<Self, OpenError> {
        let (confirmed, durable) = (stored.confirmed, stored.durable.max(stored.confirmed.offset));
        if stored.layout == Layout::Framed && !believes_its_end() {
            check_beginnings(segments, confirmed.offset, durable)?;
        }
        if !believes_its_end() {
            check_room(segments, stored, durable)?;
        }
        let from = safe_point(segments, stored, last_stop);
        let mut walk = Walk::new(segments, stored.layout, from.offset, from.chain);
        let mut told = from.offset;
        let mut newest: Option<Timestamp> = None;
        loop {
            let at = walk.position();
            let segment = walk.segment();
            // Of a log that was another program's nothing is known, and to walk over all of it may take minutes.
            if let Some(segment) = segment.filter(|segment| segment.base() > told) {
                let last = segments.back().map(|last| last.base()).unwrap_or_default();
                tracing::info!(segment = %segment.base(), %last, "looking for the end of the log");
                told = segment.base();
            }
            let path = segment.map_or(Path::new(""), |segment| segment.path());
            let corruption = |damage| {
                let position = segment.map_or(0, |segment| segment.position(at.offset));
                Corruption { path: path.to_owned(), position, offset: at.offset, durable, damage }
            };
            if at.offset == confirmed.offset && at.chain != confirmed.chain {
                return Err(corruption(Damage::OtherChain).into());
            }
            let step = walk.step().map_err(failed_at(path))?;
            let damage = match step {
                Step::Unit { end, .. } if at.offset < confirmed.offset && end.offset > confirmed.offset => {
                    return Err(corruption(Damage::NoBoundary).into());
                }
                Step::Unit { unit: Unit::Record, span, .. } if last_stop == LastStop::New => {
                    note_time(&mut newest, walk.unit_bytes(span));
                    continue;
                }
                Step::Unit { .. } => continue,
                Step::Damaged(damage) => Some(damage),
                Step::NoSegment if at.offset < durable && !believes_its_end() => {
                    return Err(SurveyError::missing(segments, at.offset).into());
                }
                Step::Nothing | Step::NoSegment => None,
            };
            if at.offset < durable && !believes_its_end() {
                return Err(corruption(damage.unwrap_or(Damage::NothingWritten)).into());
            }
            if last_stop == LastStop::New {
                let end = SeemingEnd { segment, offset: at.offset, is_damaged: damage.is_some(), newest };
                let evidence = if is_last(segments, segment)? {
                    apaches.refute(end).map_err(failed_at(path))?
                } else {
                    Some(Evidence::FileFollows)
                };
                if let Some(evidence) = evidence {
                    let Corruption { path, position, offset, damage, .. } =
                        corruption(damage.unwrap_or(Damage::NothingWritten));
                    return Err(ApachesDamage { path, position, offset, damage, evidence }.into());
                }
            }
            let is_in_order = last_stop == LastStop::InOrder && step == Step::Nothing;
            return Ok(Self { walked_from: from.offset, end: at, damage, is_in_order });
        }
    }
}

/// A walk may begin behind what is missing, be it a file or the end of one.
fn check_room(
    segments: &VecDeque<Arc<Segment>>,
    stored: &StoreMeta,
    durable: LogOffset,
) -> Result<(), OpenError> {
    let room_end = segments.back().map_or(stored.start, |last| last.end());
    if room_end < durable {
        return Err(SurveyError::missing(segments, room_end).into());
    }
    // Of a log of frames the last file is walked over in any case.
    let Some(last) = segments.back().filter(|last| stored.layout == Layout::Classic && last.base() < durable)
    else {
        return Ok(());
    };
    if last.file_end().map_err(failed_at(last.path()))? >= durable {
        return Ok(());
    }
    let (offset, damage) = end_of_segments(segments, Layout::Classic, last.base(), None)?;
    let (path, position) = (last.path().to_owned(), last.position(offset));
    Err(Corruption { path, position, offset, durable, damage: damage.unwrap_or(Damage::NothingWritten) }
        .into())
}

/// Wrong on purpose: wherever the log seems to end is its end, whatever was final.
fn believes_its_end() -> bool {
    is_on(UnsafeMode::SkipFsync) || is_on(UnsafeMode::TruncateAtBadCrc)
}

/// Whether nothing was written to any segment behind this one.
fn is_last(segments: &VecDeque<Arc<Segment>>, last: Option<&Arc<Segment>>) -> Result<bool, OpenError> {
    let Some(last) = last else { return Ok(true) };
    for segment in segments.iter().filter(|segment| segment.base() > last.base()) {
        let mut head = [0; BLANK_BYTES as usize];
        segment.read_padded(segment.base(), &mut head).map_err(failed_at(segment.path()))?;
        if head != [0; BLANK_BYTES as usize] {
            return Ok(false);
        }
    }
    Ok(true)
}

struct SafePoint {
    offset: LogOffset,
    /// `None` when nobody knows what the frame there follows. The chain at the mark will prove it right or wrong.
    chain: Option<Chain>,
}

/// Whoever opens a log of frames needs the first header of each segment, which tells what can be found there.
fn check_beginnings(
    segments: &VecDeque<Arc<Segment>>,
    confirmed: LogOffset,
    durable: LogOffset,
) -> Result<(), OpenError> {
    for segment in segments.iter().filter(|segment| segment.base() < confirmed) {
        let mut head = [0; FRAME_HEADER_BYTES];
        segment.read_padded(segment.base(), &mut head).map_err(failed_at(segment.path()))?;
        let (layout, offset) = (Layout::Framed, segment.base());
        let damage = match examine(&head, Spot { layout, offset, position: 0, left: segment.left(offset) }) {
            Verdict::Nothing => Damage::NothingWritten,
            Verdict::Damaged(damage) => damage,
            Verdict::Unit { .. } | Verdict::More(_) => continue,
        };
        let path = segment.path().to_owned();
        return Err(Corruption { path, position: 0, offset, durable, damage }.into());
    }
    Ok(())
}

/// A node of a group applies the frames of the last segment again, and so reads them all: whatever is wrong with them shows here,
/// where it can be mended.
fn safe_point(segments: &VecDeque<Arc<Segment>>, stored: &StoreMeta, last_stop: LastStop) -> SafePoint {
    let confirmed = stored.confirmed;
    let is_whole = last_stop == LastStop::InOrder && stored.layout == Layout::Classic;
    let of_mark = segments.iter().rfind(|segment| segment.base() <= confirmed.offset);
    match of_mark.map(|segment| segment.base()) {
        Some(base) if !is_whole && base < confirmed.offset => {
            let is_first = base == LogOffset(0);
            SafePoint { offset: base, chain: is_first.then(Chain::default) }
        }
        _ => SafePoint { offset: confirmed.offset, chain: Some(confirmed.chain) },
    }
}
