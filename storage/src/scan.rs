//! Walking the log, from one unit to the next.
//!
//! A unit is what was appended at once and must be whole: a record in a classic log, a frame in a framed one, and in both the
//! blank at the end of a segment. One walk serves both kinds. It trusts nothing: sizes, magics and checksums must be right,
//! everything must say that it lies where it lies, and each frame must follow the one before it. Where that ends, it says why.
//!
//! A frame's checksums cover all of it. Apache's record has one of its body only: a power loss may leave it with its topic or its
//! properties missing and nothing would tell, so the walk looks for sectors of them that were never written.

pub(crate) mod records;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::{self, BLANK_MAGIC, Found, LOG_OFFSET_AT, Record};

use crate::frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameError, FrameHeader};
use crate::meta::Layout;
use crate::position::{Chain, LogSpan, Mark, behind, distance};
use crate::segment::{BLANK_BYTES, Segment};

/// What is read at once.
const WINDOW_BYTES: usize = 1 << 20;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Record,
    Frame(FrameHeader),
    Blank,
}

/// What is wrong with a place where a unit should begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    #[error("nothing in a log begins with the magic {0:#010x}")]
    BadMagic(i32),
    #[error("the parts of the record do not add up to its size of {0}")]
    BadSize(i32),
    #[error("the checksum of the record's body is wrong")]
    BadBodyCrc,
    #[error("the record says that it belongs to offset {0}")]
    BadOffset(LogOffset),
    #[error("a part of the record's topic or properties was never written")]
    LostSector,
    #[error("it would take {bytes} bytes, but the segment has {left} left")]
    TooLong { bytes: u64, left: u64 },
    #[error("the blank says that {found} bytes of the segment are left, not {left}")]
    BadBlank { found: u64, left: u64 },
    #[error("there is a record outside of a frame")]
    RecordInFramedLog,
    #[error("there is a frame in a log without frames")]
    FrameInClassicLog,
    #[error("there is a frame, but {0}")]
    Frame(#[from] FrameError),
    #[error("nothing is written here")]
    NothingWritten,
    #[error("what lies here reaches over the end of what was final")]
    NoBoundary,
    #[error("the frame before it is another one than the final one")]
    OtherChain,
}

/// A place in the log where a unit may begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spot {
    pub layout: Layout,
    pub offset: LogOffset,
    /// Bytes from the beginning of the segment.
    pub position: u64,
    /// Bytes to the end of the segment.
    pub left: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Unit {
        bytes: u64,
        unit: Unit,
    },
    /// So many bytes are needed to tell, all within the segment.
    More(usize),
    /// Nothing was written here yet.
    Nothing,
    Damaged(Damage),
}

/// Says what begins at a spot, from the bytes that lie there.
pub(crate) fn examine(bytes: &[u8], spot: Spot) -> Verdict {
    let Some(head) = bytes.first_chunk::<8>() else { return more(8, spot) };
    let [s0, s1, s2, s3, m0, m1, m2, m3] = *head;
    let size = i32::from_be_bytes([s0, s1, s2, s3]);
    match i32::from_be_bytes([m0, m1, m2, m3]) {
        0 if size == 0 => Verdict::Nothing,
        BLANK_MAGIC => examine_blank(size, spot),
        FRAME_MAGIC if spot.layout == Layout::Framed => examine_frame(bytes, spot),
        FRAME_MAGIC => Verdict::Damaged(Damage::FrameInClassicLog),
        _ => examine_record(bytes, spot),
    }
}

/// Asks for bytes, unless the segment has not so many.
fn more(needed: usize, spot: Spot) -> Verdict {
    if needed as u64 <= spot.left {
        return Verdict::More(needed);
    }
    Verdict::Damaged(Damage::TooLong { bytes: needed as u64, left: spot.left })
}

fn examine_blank(size: i32, spot: Spot) -> Verdict {
    match u64::try_from(size) {
        Ok(bytes) if bytes == spot.left => Verdict::Unit { bytes, unit: Unit::Blank },
        Ok(found) => Verdict::Damaged(Damage::BadBlank { found, left: spot.left }),
        Err(_) => Verdict::Damaged(Damage::BadSize(size)),
    }
}

fn examine_frame(bytes: &[u8], spot: Spot) -> Verdict {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return more(FRAME_HEADER_BYTES, spot);
    };
    let header = match FrameHeader::decode(header) {
        Ok(header) => header,
        Err(error) => return Verdict::Damaged(error.into()),
    };
    if header.offset != spot.offset {
        return Verdict::Damaged(FrameError::BadOffset(header.offset).into());
    }
    let bytes = header.frame_bytes();
    if bytes + BLANK_BYTES > spot.left {
        return Verdict::Damaged(Damage::TooLong { bytes, left: spot.left });
    }
    match rest.get(..header.body_bytes as usize) {
        None => Verdict::More(bytes as usize),
        Some(body) if header.covers(body) => Verdict::Unit { bytes, unit: Unit::Frame(header) },
        Some(_) => Verdict::Damaged(FrameError::BadBodyCrc.into()),
    }
}

fn examine_record(bytes: &[u8], spot: Spot) -> Verdict {
    let damage = match record::scan(bytes) {
        Found::Truncated { needed } => return more(needed, spot),
        Found::Record { .. } if spot.layout == Layout::Framed => Damage::RecordInFramedLog,
        Found::Record { size } => return examine_place(bytes, size as u64, spot),
        Found::BadMagic(magic) => Damage::BadMagic(magic),
        Found::BadSize(size) => Damage::BadSize(size),
        Found::BadCrc { .. } => Damage::BadBodyCrc,
        Found::Blank { size } => Damage::BadBlank { found: size as u64, left: spot.left },
    };
    Verdict::Damaged(damage)
}

/// A whole record: does it belong here?
fn examine_place(record: &[u8], bytes: u64, spot: Spot) -> Verdict {
    if bytes + BLANK_BYTES > spot.left {
        return Verdict::Damaged(Damage::TooLong { bytes, left: spot.left });
    }
    let field = record.get(LOG_OFFSET_AT..).and_then(|rest| rest.first_chunk());
    let offset = LogOffset(field.copied().map(i64::from_be_bytes).unwrap_or_default());
    if offset != spot.offset {
        Verdict::Damaged(Damage::BadOffset(offset))
    } else if has_lost_sector(record.get(..bytes as usize).unwrap_or_default(), spot.position) {
        Verdict::Damaged(Damage::LostSector)
    } else {
        Verdict::Unit { bytes, unit: Unit::Record }
    }
}

/// Whether bytes are a whole record of that length that belongs to an offset.
pub(crate) fn is_record_at(bytes: &[u8], offset: LogOffset, length: u64) -> bool {
    let spot = Spot { layout: Layout::Classic, offset, position: 0, left: u64::MAX };
    matches!(examine_record(bytes, spot), Verdict::Unit { bytes, .. } if bytes == length)
}

/// Whether all that a sector holds of the topic and the properties is zero. Both are text: a client would have to fill a whole
/// sector of its properties with zeros to be mistaken for a power loss.
fn has_lost_sector(record: &[u8], position: u64) -> bool {
    let Ok((view, _)) = Record::decode(record) else { return false };
    let properties_at = record.len() - view.properties.as_bytes().len();
    let topic_end = properties_at - size_of::<i16>();
    let text = (topic_end - view.topic.len()..topic_end).chain(properties_at..record.len());
    let in_sector = position as usize % SECTOR_BYTES;
    let text: Vec<_> = text.map(|at| ((in_sector + at) / SECTOR_BYTES, record.get(at))).collect();
    text.chunk_by(|one, next| one.0 == next.0).any(|sector| sector.iter().all(|(_, byte)| *byte == Some(&0)))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A whole unit, and the mark behind it.
    Unit { unit: Unit, span: LogSpan, end: Mark },
    /// The walk ends before the last segment does.
    Damaged(Damage),
    /// The walk ends where nothing was written yet.
    Nothing,
    /// The last segment is full.
    NoSegment,
}

/// A walk through segments that follow each other without a gap.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    segments: &'a VecDeque<Arc<Segment>>,
    layout: Layout,
    offset: LogOffset,
    /// What the next frame must follow. `None` when the walk begins where nobody knows, and takes the first frame's word.
    chain: Option<Chain>,
    window: Window,
}

impl<'a> Walk<'a> {
    pub fn new(
        segments: &'a VecDeque<Arc<Segment>>,
        layout: Layout,
        offset: LogOffset,
        chain: Option<Chain>,
    ) -> Self {
        Self { segments, layout, offset, chain, window: Window::default() }
    }

    /// Where the next unit begins, and what it must follow.
    pub fn position(&self) -> Mark {
        Mark { offset: self.offset, chain: self.chain.unwrap_or_default() }
    }

    /// Whether the frame before the next unit is another one than that. `false` when it is not known.
    pub fn follows_other_than(&self, chain: Chain) -> bool {
        self.chain.is_some_and(|known| known != chain)
    }

    /// The segment in which the next unit begins.
    pub fn segment(&self) -> Option<&'a Arc<Segment>> {
        let segments = self.segments.iter();
        segments.rev().find(|segment| segment.base() <= self.offset && self.offset < segment.end())
    }

    /// The bytes of the unit that was taken last.
    pub fn unit_bytes(&self, span: LogSpan) -> &[u8] {
        self.window.present(span.start).get(..span.bytes as usize).unwrap_or_default()
    }

    /// Takes the next step. An error is one of the disk.
    pub fn step(&mut self) -> io::Result<Step> {
        let Some(segment) = self.segment() else { return Ok(Step::NoSegment) };
        let spot = Spot {
            layout: self.layout,
            offset: self.offset,
            position: segment.position(self.offset),
            left: segment.left(self.offset),
        };
        let mut needed = BLANK_BYTES as usize;
        let verdict = loop {
            let bytes = self.window.at(segment, self.offset, needed)?;
            match examine(bytes, spot) {
                Verdict::More(more) if more > needed => needed = more,
                verdict => break verdict,
            }
        };
        Ok(match verdict {
            Verdict::Unit { bytes, unit } => self.take(LogSpan { start: self.offset, bytes }, unit),
            Verdict::Nothing => Step::Nothing,
            Verdict::Damaged(damage) => Step::Damaged(damage),
            // It was given all that it asked for, and still wants more: the segment ends before that.
            Verdict::More(bytes) => Step::Damaged(Damage::TooLong { bytes: bytes as u64, left: spot.left }),
        })
    }

    fn take(&mut self, span: LogSpan, unit: Unit) -> Step {
        if let Unit::Frame(header) = unit {
            if let Some(chain) = self.chain
                && let Err(error) = header.follows(chain)
            {
                return Step::Damaged(error.into());
            }
            self.chain = Some(header.chain());
        }
        self.offset = span.end();
        Step::Unit { unit, span, end: self.position() }
    }
}

/// The bytes around the walk.
#[derive(Debug, Default)]
struct Window {
    start: LogOffset,
    bytes: Vec<u8>,
}

impl Window {
    /// At least `needed` bytes from `offset` on, if the segment has them.
    fn at(&mut self, segment: &Segment, offset: LogOffset, needed: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(segment.left(offset)).unwrap_or(usize::MAX);
        let wanted = needed.min(left);
        if self.present(offset).len() < wanted {
            self.bytes.clear();
            self.bytes.resize(wanted.max(WINDOW_BYTES.min(left)), 0);
            self.start = offset;
            if let Err(error) = segment.read_padded(offset, &mut self.bytes) {
                self.bytes.clear();
                return Err(error);
            }
        }
        Ok(self.present(offset))
    }

    /// What is here from `offset` on.
    fn present(&self, offset: LogOffset) -> &[u8] {
        if offset < self.start || offset > behind(self.start, self.bytes.len() as u64) {
            return &[];
        }
        self.bytes.get(distance(self.start, offset) as usize..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
