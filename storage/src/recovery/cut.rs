//! Cutting off the end of a classic log, for who has no copy of it: a start is refused where the log is damaged, and goes on from there
//! on only when that is asked for.
//!
//! It is cut at one place alone: where a start is refused. Who asks must name it, and so has been told of it before.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;

use super::ending::Ending;
use super::{LastStop, OpenError, OpenLog, Settings, SurveyError, open_ending_at};
use crate::disk::Disk;
use crate::look::{self, Assumed, Look};
use crate::meta::Layout;
use crate::segment::{self, Segment};

/// Where a start is refused, and why.
#[derive(Debug)]
pub struct Refused {
    pub offset: LogOffset,
    /// The file in which it lies, or would.
    pub path: PathBuf,
    pub why: OpenError,
}

#[derive(Debug, thiserror::Error)]
pub enum CutError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(
        "the log has frames: a node of a group gets what it lacks from the others, and nothing is cut off"
    )]
    OfGroup,
    #[error("a broker starts on it as it is")]
    NotRefused,
    #[error("a start is refused at offset {found} of the log, not at {asked}")]
    Elsewhere { asked: LogOffset, found: LogOffset },
}

/// Where a start is refused, if it is. Nothing is changed.
pub fn find(look: &Look) -> Result<Option<Refused>, CutError> {
    if look.stored.layout == Layout::Framed {
        return Err(CutError::OfGroup);
    }
    if let Some(fault) = look.faults.iter().find(|fault| !fault.is_lack()) {
        return Err(OpenError::from(SurveyError::from(fault.clone())).into());
    }
    let whole = before_gap(look);
    if let Some(fault) = look.faults.first().filter(|_| whole.len() < look.segments.len() || whole.is_empty())
    {
        let why = SurveyError::from(fault.clone()).into();
        return Ok(Some(refused(look, end_of_last(look, &whole)?, why)));
    }
    let apaches = look.apaches_notes()?.unwrap_or_default();
    match Ending::find(&whole, &look.stored, last_stop(look), &apaches) {
        Ok(_) => Ok(None),
        Err(OpenError::Corruption(found)) => Ok(Some(refused(look, found.offset, found.into()))),
        Err(OpenError::Apaches(found)) => Ok(Some(refused(look, found.offset, found.into()))),
        Err(why @ OpenError::Survey(SurveyError::Segment(_))) => {
            Ok(Some(refused(look, end_of_last(look, &whole)?, why)))
        }
        Err(other) => Err(other.into()),
    }
}

fn refused(look: &Look, offset: LogOffset, why: OpenError) -> Refused {
    let into = offset.0.unsigned_abs() % look.stored.segment_bytes;
    let path = look.files.log.join(segment::name(LogOffset(offset.0 - into as i64)));
    Refused { offset, path, why }
}

/// The segments before the first one that is missing, or is behind one that is too short.
fn before_gap(look: &Look) -> VecDeque<Arc<Segment>> {
    let is_short =
        |segment: &Segment| look.faults.iter().any(|fault| fault.is_lack() && fault.path() == segment.path());
    let mut whole: VecDeque<Arc<Segment>> = VecDeque::new();
    for segment in &look.segments {
        let next = whole.back().map_or(look.stored.start, |last| last.end());
        if segment.base() != next || whole.back().is_some_and(|last| is_short(last)) {
            break;
        }
        whole.push_back(Arc::clone(segment));
    }
    whole
}

/// Where what is whole in the last of these segments ends.
fn end_of_last(look: &Look, segments: &VecDeque<Arc<Segment>>) -> Result<LogOffset, OpenError> {
    let from = segments.back().map_or(look.stored.start, |last| last.base());
    look::end_of_segments(segments, Layout::Classic, from, None).map(|(end, _)| end)
}

fn last_stop(look: &Look) -> LastStop {
    match look.has_meta {
        false => LastStop::New,
        true if look.stored.clean => LastStop::InOrder,
        true if Some(look.stored.boot) == look.boot => LastStop::Process,
        true => LastStop::Machine,
    }
}

/// Ends the log where a start is refused, durably, and opens it. What lies behind is gone then. A crash in the midst of it leaves a
/// log that is refused at the same place, or not at all.
pub fn cut(disk: Arc<dyn Disk>, settings: Settings, at: LogOffset) -> Result<OpenLog, CutError> {
    let assumed = Assumed { segment_bytes: Some(settings.segment_bytes), boot: Some(settings.boot) };
    let look = Look::open_damaged(Arc::clone(&disk), &settings.folder, assumed)?;
    let Refused { offset: found, .. } = find(&look)?.ok_or(CutError::NotRefused)?;
    drop(look);
    if found != at {
        return Err(CutError::Elsewhere { asked: at, found });
    }
    Ok(open_ending_at(disk, settings, Some(at))?)
}
