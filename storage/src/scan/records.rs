//! Reading the records of a log, one behind the other, whatever lies around them: what is derived from the log is made of this.
//!
//! Here nothing is proved: what is read was checked when it was appended, and again by a recovery. So bodies are not summed up.

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::{BLANK_MAGIC, Record, RecordError};

use crate::frame::{COMMAND_MAGIC, FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, FrameKind};
use crate::log::{Log, ReadError};
use crate::position::{behind, distance};

/// What is read at once.
const WINDOW_BYTES: usize = 1 << 20;
/// Size and magic.
const HEAD_BYTES: usize = 8;

#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "what lies at offset {0} of the log, which is final, is neither a record nor what may lie beside one"
    )]
    Damaged(LogOffset),
}

/// A record, and where it lies.
#[derive(Clone, Copy, Debug)]
pub struct PlacedRecord<'a> {
    pub offset: LogOffset,
    pub bytes: u32,
    pub record: Record<'a>,
}

impl PlacedRecord<'_> {
    /// Behind the record.
    pub fn end(&self) -> LogOffset {
        behind(self.offset, self.bytes.into())
    }
}

/// What others than a scan are told of.
#[derive(Clone, Copy, Debug)]
pub enum Found<'a> {
    Record(PlacedRecord<'a>),
    /// What a command says.
    Command(&'a [u8]),
}

/// Whole things of a log, of which some are records.
#[derive(Clone, Debug)]
pub struct Window {
    start: LogOffset,
    bytes: Bytes,
}

/// What begins at some bytes.
enum Piece<'a> {
    Record(Record<'a>, usize),
    /// What it says.
    Command(&'a [u8]),
    /// So many bytes without a record.
    Other(u64),
    /// So many bytes are needed to tell.
    Cut(usize),
    Damaged,
}

impl Window {
    /// What lies from `start` on and before `to`. The whole of the first thing there is read, and of others what comes with it.
    /// Both must be places between two of them.
    pub fn read(log: &Log, start: LogOffset, to: LogOffset) -> Result<Self, RecordsError> {
        let present = usize::try_from(distance(start, to)).unwrap_or(usize::MAX);
        let mut bytes = log.read(start, WINDOW_BYTES.min(present))?;
        if let Piece::Cut(needed) = piece(&bytes) {
            if needed > present {
                return Err(RecordsError::Damaged(start));
            }
            bytes = log.read(start, needed)?;
        }
        match piece(&bytes) {
            Piece::Cut(_) | Piece::Damaged => Err(RecordsError::Damaged(start)),
            _ => Ok(Self { start, bytes }),
        }
    }

    /// The things in it, in order. A last one that is cut off is left out.
    pub fn pieces(&self) -> Pieces<'_> {
        Pieces { at: self.start, rest: &self.bytes }
    }
}

/// Goes through a window. At its end, or at an error, [`position`](Self::position) says where to go on.
#[derive(Clone, Debug)]
pub struct Pieces<'a> {
    at: LogOffset,
    rest: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// Of bytes that lie at a place, where a thing begins.
    pub(crate) fn of(at: LogOffset, bytes: &'a [u8]) -> Self {
        Self { at, rest: bytes }
    }

    /// Behind the last record that was taken, or behind what followed it.
    pub fn position(&self) -> LogOffset {
        self.at
    }

    /// The next record.
    pub fn next_record(&mut self) -> Result<Option<PlacedRecord<'a>>, RecordsError> {
        loop {
            match self.next_found()? {
                Some(Found::Record(record)) => return Ok(Some(record)),
                Some(Found::Command(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// The next record or command.
    pub fn next_found(&mut self) -> Result<Option<Found<'a>>, RecordsError> {
        while !self.rest.is_empty() {
            match piece(self.rest) {
                Piece::Record(record, size) => {
                    let offset = self.at;
                    self.skip(size as u64);
                    // Sizes of records are read from 31 bits.
                    let placed = PlacedRecord { offset, bytes: size as u32, record };
                    return Ok(Some(Found::Record(placed)));
                }
                Piece::Command(payload) => {
                    self.skip((HEAD_BYTES + payload.len()) as u64);
                    return Ok(Some(Found::Command(payload)));
                }
                Piece::Other(bytes) => self.skip(bytes),
                Piece::Cut(_) => break,
                Piece::Damaged => return Err(RecordsError::Damaged(self.at)),
            }
        }
        Ok(None)
    }

    fn skip(&mut self, bytes: u64) {
        self.at = behind(self.at, bytes);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

fn piece(bytes: &[u8]) -> Piece<'_> {
    let Some([s0, s1, s2, s3, m0, m1, m2, m3]) = bytes.first_chunk() else { return Piece::Cut(HEAD_BYTES) };
    match i32::from_be_bytes([*m0, *m1, *m2, *m3]) {
        BLANK_MAGIC => match u64::try_from(i32::from_be_bytes([*s0, *s1, *s2, *s3])) {
            Ok(size) if size >= HEAD_BYTES as u64 => Piece::Other(size),
            _ => Piece::Damaged,
        },
        COMMAND_MAGIC => match usize::try_from(i32::from_be_bytes([*s0, *s1, *s2, *s3])) {
            Ok(size) if size < HEAD_BYTES => Piece::Damaged,
            Ok(size) => bytes.get(HEAD_BYTES..size).map_or(Piece::Cut(size), Piece::Command),
            Err(_) => Piece::Damaged,
        },
        FRAME_MAGIC => frame(bytes),
        _ => match Record::decode(bytes) {
            Ok((record, size)) => Piece::Record(record, size),
            Err(RecordError::Truncated { needed }) if needed > bytes.len() => Piece::Cut(needed),
            Err(_) => Piece::Damaged,
        },
    }
}

/// Steps over a header into the messages or commands behind it, or over a whole frame of anything else.
fn frame(bytes: &[u8]) -> Piece<'_> {
    let Some(header) = bytes.first_chunk() else { return Piece::Cut(FRAME_HEADER_BYTES) };
    match FrameHeader::decode(header) {
        Ok(FrameHeader { kind: FrameKind::Messages | FrameKind::Command, .. }) => {
            Piece::Other(FRAME_HEADER_BYTES as u64)
        }
        Ok(header) => Piece::Other(header.frame_bytes()),
        Err(_) => Piece::Damaged,
    }
}
