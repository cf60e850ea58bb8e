//! The frames of a log by their index: where each lies, and the newest of them in memory.
//!
//! A table says for one segment where its frames begin, in 4 bytes each. The tables of old segments are made when somebody asks,
//! by walking the segment, and forgotten again; nothing of this is stored. A frame that is read says itself which one it is: a
//! table that is wrong leads to an error, never to another frame.

mod segments;
mod tail;

use std::io;
use std::ops::Range;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameHeader};
use ferrymq_storage::{Chain, Index, Log, Mark};

use crate::entry::Frame;
use segments::Segments;
use tail::Tail;

/// What one read takes from the log.
const WINDOW_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Frames {
    log: Log,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    /// Where the log begins, and what the first frame follows.
    start: Mark,
    /// Behind the last frame.
    end: Mark,
    segments: Segments,
    tail: Tail,
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameReadError {
    #[error("frame {0} is not in the log")]
    Absent(Index),
    #[error("what should be frame {index}, at offset {offset} of the log, is damaged: {damage}")]
    Damaged { index: Index, offset: LogOffset, damage: String },
    #[error(transparent)]
    Log(#[from] ferrymq_storage::ReadError),
}

impl From<FrameReadError> for io::Error {
    fn from(error: FrameReadError) -> Self {
        let kind = match error {
            FrameReadError::Absent(_) => io::ErrorKind::NotFound,
            FrameReadError::Damaged { .. } => io::ErrorKind::InvalidData,
            FrameReadError::Log(_) => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl State {
    /// Walks the last segment, if its table is not there: whatever is pushed next stands behind it.
    fn complete_last(&mut self, log: &Log) -> Result<(), FrameReadError> {
        if let Some(last) = self.segments.unknown_last(self.end.chain.index) {
            self.segments.fill_last(walk(log, last, self.end.offset)?.positions);
        }
        Ok(())
    }
}

impl Frames {
    /// Of a log that begins and ends so. Reads one header per segment, and the whole of the last one.
    pub fn open(log: Log, start: Mark, end: Mark) -> Result<Self, FrameReadError> {
        let mut state =
            State { start, end, segments: Segments::new(log.segment_bytes()), tail: Tail::default() };
        if end.chain.index > start.chain.index {
            let mut base = start.offset;
            while base < end.offset {
                let header = header_at(&log, base)?;
                state.segments.begin(base, header.index);
                base = segments::behind(base, log.segment_bytes());
            }
            state.complete_last(&log)?;
        }
        Ok(Self { log, state: RwLock::new(state) })
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Where the log begins, and what its first frame follows.
    pub fn start(&self) -> Mark {
        self.read_state().start
    }

    /// Behind the last frame.
    pub fn end(&self) -> Mark {
        self.read_state().end
    }

    /// Takes a frame that was just appended.
    pub fn push(&self, frame: Frame) {
        let mut state = self.write_state();
        let header = *frame.header();
        state.segments.push(header.offset, header.index);
        state.end = frame.mark();
        state.tail.push(frame);
    }

    /// Forgets the frames behind a mark, where the log was cut.
    pub fn truncate(&self, to: Mark) -> Result<(), FrameReadError> {
        let mut state = self.write_state();
        state.segments.truncate(to.chain.index);
        state.tail.truncate(to.chain.index);
        state.end = to;
        state.complete_last(&self.log)
    }

    /// Forgets the segments before an offset, which were dropped.
    pub fn drop_before(&self, start: Mark) {
        let mut state = self.write_state();
        state.segments.drop_before(start.offset);
        state.start = start;
    }

    /// Begins anew behind a mark, without a frame.
    pub fn reset(&self, to: Mark) {
        let mut state = self.write_state();
        state.segments = Segments::new(self.log.segment_bytes());
        state.tail = Tail::default();
        state.start = to;
        state.end = to;
    }

    /// The frame, if it is in memory.
    pub fn recent(&self, index: Index) -> Option<Frame> {
        self.read_state().tail.get(index).cloned()
    }

    /// Frames that follow each other, from the first of the range on: at least one, and no more than `bytes_max` if there are
    /// more. Only those in memory.
    pub fn recent_run(&self, range: Range<Index>, bytes_max: usize) -> Vec<Frame> {
        self.read_state().tail.run(range, bytes_max)
    }

    /// As [`recent_run`](Self::recent_run), but from the disk: this blocks.
    pub fn read_run(&self, range: Range<Index>, bytes_max: usize) -> Result<Vec<Frame>, FrameReadError> {
        let mut found = Vec::new();
        let mut bytes = 0;
        let mut next = range.start;
        while next < range.end && (found.is_empty() || bytes < bytes_max) {
            let offset = self.locate(next)?;
            let window = self.log.read(offset, WINDOW_BYTES)?;
            for frame in self.cut_window(window, next, offset)? {
                if next >= range.end || (!found.is_empty() && bytes >= bytes_max) {
                    break;
                }
                bytes += frame.bytes().len();
                next = Index(next.0 + 1);
                found.push(frame);
            }
        }
        Ok(found)
    }

    /// The frame, from memory or from the disk: this may block.
    pub fn read(&self, index: Index) -> Result<Frame, FrameReadError> {
        if let Some(frame) = self.recent(index) {
            return Ok(frame);
        }
        let frames = self.read_run(index..Index(index.0.saturating_add(1)), 1)?;
        frames.into_iter().next().ok_or(FrameReadError::Absent(index))
    }

    /// Behind a frame. May read it.
    pub fn mark_behind(&self, index: Index) -> Result<Mark, FrameReadError> {
        let (start, end) = (self.start(), self.end());
        if index == end.chain.index {
            Ok(end)
        } else if index == start.chain.index {
            Ok(start)
        } else {
            Ok(self.read(index)?.mark())
        }
    }

    /// Where the frame begins. May read its segment.
    pub fn locate(&self, index: Index) -> Result<LogOffset, FrameReadError> {
        let (base, end) = {
            let state = self.read_state();
            if index <= state.start.chain.index || index > state.end.chain.index {
                return Err(FrameReadError::Absent(index));
            }
            if let Some(offset) = state.segments.locate(index) {
                return Ok(offset);
            }
            let base = state.segments.base_of(index).ok_or(FrameReadError::Absent(index))?;
            (base, state.end.offset)
        };
        let Walked { positions, end: walked_to } = walk(&self.log, base, end)?;
        let mut state = self.write_state();
        state.segments.fill(base, positions);
        match state.segments.locate(index) {
            Some(offset) => Ok(offset),
            // It went while the segment was walked.
            None if index <= state.start.chain.index || index > state.end.chain.index => {
                Err(FrameReadError::Absent(index))
            }
            None => {
                let damage = "no frame begins where one should".to_owned();
                Err(FrameReadError::Damaged { index, offset: walked_to, damage })
            }
        }
    }

    /// Cuts a window that begins with a frame into its whole frames, at least one.
    fn cut_window(
        &self,
        mut window: Bytes,
        first: Index,
        at: LogOffset,
    ) -> Result<Vec<Frame>, FrameReadError> {
        let mut frames = Vec::new();
        let (mut index, mut offset) = (first, at);
        loop {
            let damaged = |damage: String| FrameReadError::Damaged { index, offset, damage };
            let Some(head) = window.first_chunk::<FRAME_HEADER_BYTES>() else { break };
            let header = match FrameHeader::decode(head) {
                Ok(header) => header,
                // Behind the last frame of a segment there is a blank, and nothing behind that of the log.
                Err(_) if !frames.is_empty() => break,
                Err(error) => return Err(damaged(error.to_string())),
            };
            let bytes = header.frame_bytes() as usize;
            if bytes > window.len() {
                if !frames.is_empty() {
                    break;
                }
                window = self.log.read(offset, bytes.min(FRAME_BYTES_MAX as usize))?;
                if bytes > window.len() {
                    return Err(damaged(format!("it has {} bytes, not {bytes}", window.len())));
                }
            }
            let frame = Frame::check(window.split_to(bytes)).map_err(|error| damaged(error.to_string()))?;
            if header.index != index || header.offset != offset {
                let found = format!("it says that it is frame {} at offset {}", header.index, header.offset);
                return Err(damaged(found));
            }
            offset = frame.mark().offset;
            index = Index(index.0 + 1);
            frames.push(frame);
        }
        match frames.is_empty() {
            true => Err(FrameReadError::Damaged { index, offset, damage: "it ends too early".into() }),
            false => Ok(frames),
        }
    }
}

fn header_at(log: &Log, offset: LogOffset) -> Result<FrameHeader, FrameReadError> {
    let bytes = log.read(offset, FRAME_HEADER_BYTES)?;
    let damaged = |damage: String| FrameReadError::Damaged { index: Index(0), offset, damage };
    let head = bytes.first_chunk::<FRAME_HEADER_BYTES>();
    let head = head.ok_or_else(|| damaged("its header ends too early".into()))?;
    FrameHeader::decode(head).map_err(|error| damaged(error.to_string()))
}

/// Where the frames of a segment begin, and where the last of them ends.
struct Walked {
    positions: Vec<u32>,
    end: LogOffset,
}

/// Walks a segment up to the end of it or of the log. Reads the headers of its frames only.
fn walk(log: &Log, base: LogOffset, end: LogOffset) -> Result<Walked, FrameReadError> {
    let end = end.min(segments::behind(base, log.segment_bytes()));
    let mut positions = Vec::new();
    let mut offset = base;
    let mut window = Bytes::new();
    let mut window_at = base;
    while offset < end {
        let mut at = segments::distance(window_at, offset);
        if at + FRAME_HEADER_BYTES > window.len() {
            window = log.read(offset, WINDOW_BYTES)?;
            window_at = offset;
            at = 0;
        }
        let Some(head) = window.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEADER_BYTES>()) else {
            break;
        };
        let Ok(header) = FrameHeader::decode(head) else { break };
        positions.push(segments::distance(base, offset) as u32);
        offset = segments::behind(offset, header.frame_bytes());
    }
    Ok(Walked { positions, end: offset })
}

/// The chain before a frame, but for its term, which a header does not say.
pub(crate) fn chain_before(header: &FrameHeader, term: ferrymq_storage::Term) -> Chain {
    Chain { index: Index(header.index.0.saturating_sub(1)), term, header_crc: header.previous_crc }
}

/// What stands at the beginning of a segment, if a frame does.
pub(crate) fn first_header(log: &Log, base: LogOffset) -> Option<FrameHeader> {
    header_at(log, base).ok()
}
