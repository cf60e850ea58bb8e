//! Pieces of the log in memory, for readers that are near each other.
//!
//! The messages of one queue lie apart in the log, with those of other queues between them, so a consumer of a topic reads the same
//! stretch of the log for each of its queues, a message at a time. Whatever part of it has been asked for some times is therefore
//! read as a whole, once. Only what is final is kept, which never changes (but see [`Log::mend`]). A reader of one queue alone asks
//! for long runs, and for each part once: it never comes to this.

use std::io;
use std::sync::{Mutex, PoisonError};

use ferrymq_proto::position::LogOffset;

use crate::log::{Log, ReadError};
use crate::position::{behind, distance};
use crate::segment::Segment;

const PIECE_BYTES: u64 = 32 << 10;
/// A piece has its place by its number, so that as many that follow each other are kept.
const PLACES: usize = 256;
/// How often a piece is asked for before it is read as a whole.
const ASKED_MIN: u32 = 3;

#[derive(Debug)]
pub struct Near {
    places: Box<[Mutex<Place>]>,
}

/// What one of the pieces that belong here holds: the one that was asked for last.
#[derive(Debug, Default)]
struct Place {
    start: LogOffset,
    asked: u32,
    /// Empty, or all of it.
    bytes: Vec<u8>,
}

impl Default for Near {
    fn default() -> Self {
        Self { places: (0..PLACES).map(|_| Mutex::default()).collect() }
    }
}

impl Near {
    /// Forgets everything: something was changed that was final.
    pub fn clear(&self) {
        for place in &self.places {
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Place::default();
        }
    }

    /// As [`Segment::read_cached`], for bytes of one piece, which begins at `start` and is all final if it is `whole`.
    fn read(
        &self,
        segment: &Segment,
        (start, whole): (LogOffset, Option<u64>),
        offset: LogOffset,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let place = usize::try_from(start.0.unsigned_abs() / PIECE_BYTES).unwrap_or_default() % PLACES;
        let (Some(whole), Some(place)) = (whole, self.places.get(place)) else {
            return segment.read_cached(offset, buffer);
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if place.start != start {
            place.start = start;
            place.asked = 0;
            place.bytes.clear();
        }
        if place.bytes.is_empty() {
            place.asked = place.asked.saturating_add(1);
            if place.asked < ASKED_MIN || !place.fill(segment, whole)? {
                drop(place);
                return segment.read_cached(offset, buffer);
            }
        }
        let from = usize::try_from(distance(start, offset)).unwrap_or(usize::MAX);
        let held = place.bytes.get(from..).and_then(|bytes| bytes.get(..buffer.len()));
        held.map_or(Err(io::ErrorKind::UnexpectedEof.into()), |bytes| {
            buffer.copy_from_slice(bytes);
            Ok(true)
        })
    }
}

impl Place {
    /// False when it would wait for the disk.
    fn fill(&mut self, segment: &Segment, bytes: u64) -> io::Result<bool> {
        self.bytes.resize(usize::try_from(bytes).unwrap_or_default(), 0);
        let read = segment.read_cached(self.start, &mut self.bytes);
        if !matches!(read, Ok(true)) {
            self.bytes.clear();
        }
        read
    }
}

impl Log {
    /// Fills `buffer` with final bytes that lie side by side from `offset` on; false when that would wait for the disk.
    pub fn read_near(&self, offset: LogOffset, buffer: &mut [u8]) -> Result<bool, ReadError> {
        let end = self.confirmed().offset;
        let segment = self.readable_segment(end, offset)?;
        let bytes = buffer.len() as u64;
        if bytes > distance(offset, end.min(segment.end())) {
            return Err(ReadError::PastEnd { offset: behind(offset, bytes), end });
        }
        let read = self.read_pieces(&segment, end, offset, buffer);
        read.map_err(|source| ReadError::Io { path: segment.path().to_owned(), source })
    }

    fn read_pieces(
        &self,
        segment: &Segment,
        end: LogOffset,
        mut offset: LogOffset,
        mut buffer: &mut [u8],
    ) -> io::Result<bool> {
        if buffer.len() as u64 >= PIECE_BYTES {
            return segment.read_cached(offset, buffer);
        }
        while !buffer.is_empty() {
            let start = behind(segment.base(), segment.position(offset) / PIECE_BYTES * PIECE_BYTES);
            let piece_end = behind(start, PIECE_BYTES).min(segment.end());
            let whole = (piece_end <= end).then(|| distance(start, piece_end));
            let wanted = usize::try_from(distance(offset, piece_end)).unwrap_or(usize::MAX).min(buffer.len());
            let (part, rest) = buffer.split_at_mut(wanted);
            if !self.core.near.read(segment, (start, whole), offset, part)? {
                return Ok(false);
            }
            offset = behind(offset, wanted as u64);
            buffer = rest;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
