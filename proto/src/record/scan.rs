//! What lies at the front of some bytes of a log: the question of a recovery, which walks the log and stops at the first
//! thing that is no record.

use super::layout::{BLANK_MAGIC, BODY_CRC_AT, MAGIC_AT, checksum, i32_at};
use super::outline::{Misfit, Outline};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// A whole record, whose body is intact. The next thing is `size` bytes on.
    Record { size: usize },
    /// The end of a segment, of which `size` bytes are left, present here or not.
    Blank { size: usize },
    /// The beginning of a thing of `needed` bytes: more must be read to tell, or the log was torn here. Bound `needed` by
    /// what is left of the segment before you make room for it.
    Truncated { needed: usize },
    /// Nothing that belongs into a log of records.
    BadMagic(i32),
    /// A record whose parts do not add up to the size it claims.
    BadSize(i32),
    /// A record whose body has changed.
    BadCrc { size: usize },
}

/// Reads no more than the lengths and, for its checksum, the body.
pub fn scan(bytes: &[u8]) -> Found {
    if i32_at(bytes, MAGIC_AT) == Some(BLANK_MAGIC) {
        return blank(i32_at(bytes, 0).unwrap_or_default());
    }
    match Outline::cut(bytes) {
        Ok(outline) if is_intact(&outline) => Found::Record { size: outline.size },
        Ok(outline) => Found::BadCrc { size: outline.size },
        Err(Misfit::Truncated { needed }) => Found::Truncated { needed },
        Err(Misfit::BadMagic(magic)) => Found::BadMagic(magic),
        Err(Misfit::BadSize(size)) => Found::BadSize(size),
    }
}

fn blank(size: i32) -> Found {
    match usize::try_from(size) {
        Ok(bytes) if bytes >= MAGIC_AT + size_of::<i32>() => Found::Blank { size: bytes },
        _ => Found::BadSize(size),
    }
}

/// As Apache, ask nothing of the checksum of an empty body.
fn is_intact(outline: &Outline<'_>) -> bool {
    outline.body.is_empty() || outline.i32(BODY_CRC_AT) == checksum(outline.body)
}
