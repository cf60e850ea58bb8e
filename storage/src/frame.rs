//! A frame: one entry of the Raft log, as a header record of 64 bytes and the records of its body.
//!
//! The header begins like every record of the log, with its size and a magic, so that one scanner walks everything.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | size of the header: 64 |
//! | 4 | 4 | magic `RQF1` |
//! | 8 | 1, 1, 2 | version 1, kind, flags |
//! | 12 | 4 | bytes of the body |
//! | 16 | 8 | index |
//! | 24 | 8 | term |
//! | 32 | 8 | log offset of the header |
//! | 40 | 4 | records in the body |
//! | 44 | 4 | checksum of the previous frame's header |
//! | 48 | 8 | when the leader appended it |
//! | 56 | 4 | CRC-32 of the body |
//! | 60 | 4 | CRC-32 of the 60 bytes before |
//!
//! Pure: any bytes may be given to the reader.

use ferrymq_proto::position::{LogOffset, Timestamp};

use crate::position::{Chain, Index, Term};
use crate::unsafe_modes::{UnsafeMode, is_on};

pub const FRAME_HEADER_BYTES: usize = 64;
pub const FRAME_MAGIC: i32 = i32::from_be_bytes(*b"RQF1");
/// In the place of a record's magic: a change of the replicated tables. Behind messages it belongs to them.
pub const COMMAND_MAGIC: i32 = i32::from_be_bytes(*b"RQC1");
/// With the header. Peers send a frame in one message.
pub const FRAME_BYTES_MAX: u64 = 8 << 20;

const VERSION: u8 = 1;
const CRC_AT: usize = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// What a new leader writes first. It has no body.
    Noop,
    Messages,
    Membership,
    /// A change of the replicated tables.
    Command,
}

impl FrameKind {
    const ALL: [Self; 4] = [Self::Noop, Self::Messages, Self::Membership, Self::Command];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    pub kind: FrameKind,
    pub flags: u16,
    pub body_bytes: u32,
    pub index: Index,
    pub term: Term,
    pub offset: LogOffset,
    pub records: u32,
    pub previous_crc: u32,
    pub appended_at: Timestamp,
    pub body_crc: u32,
}

/// Why bytes are no header of a frame, or not of the one that belongs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("its header claims a size of {0} bytes")]
    BadSize(i32),
    #[error("its header does not have the magic of one")]
    BadMagic,
    #[error("the checksum of its header is wrong")]
    BadHeaderCrc,
    #[error("its version is {0}, which is newer than this program")]
    BadVersion(u8),
    #[error("its kind is {0}, which is none")]
    BadKind(u8),
    #[error("its header says that it belongs to offset {0}")]
    BadOffset(LogOffset),
    #[error("it is longer than a frame may be: {0} bytes")]
    TooLong(u64),
    #[error("the checksum of its body is wrong")]
    BadBodyCrc,
    #[error("its index is {found} where {expected} should come")]
    BadIndex { found: Index, expected: Index },
    #[error("its term is {found}, but the one before it has {previous}")]
    BadTerm { found: Term, previous: Term },
    #[error("it does not follow the frame before it")]
    BadChain,
}

impl FrameHeader {
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let kind = FrameKind::ALL.iter().position(|kind| *kind == self.kind).unwrap_or_default() as u8;
        let mut header = [0; FRAME_HEADER_BYTES];
        put(&mut header, 0, (FRAME_HEADER_BYTES as i32).to_be_bytes());
        put(&mut header, 4, FRAME_MAGIC.to_be_bytes());
        put(&mut header, 8, [VERSION, kind]);
        put(&mut header, 10, self.flags.to_be_bytes());
        put(&mut header, 12, self.body_bytes.to_be_bytes());
        put(&mut header, 16, self.index.0.to_be_bytes());
        put(&mut header, 24, self.term.0.to_be_bytes());
        put(&mut header, 32, self.offset.0.to_be_bytes());
        put(&mut header, 40, self.records.to_be_bytes());
        put(&mut header, 44, self.previous_crc.to_be_bytes());
        put(&mut header, 48, self.appended_at.0.to_be_bytes());
        put(&mut header, 56, self.body_crc.to_be_bytes());
        let crc = checksum(&header);
        put(&mut header, CRC_AT, crc.to_be_bytes());
        header
    }

    /// Reads a header, whose checksum must be right. What it says is not held against its surroundings yet.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<Self, FrameError> {
        let size = i32::from_be_bytes(field(bytes, 0));
        if size != FRAME_HEADER_BYTES as i32 {
            return Err(FrameError::BadSize(size));
        }
        if i32::from_be_bytes(field(bytes, 4)) != FRAME_MAGIC {
            return Err(FrameError::BadMagic);
        }
        if checksum(bytes) != u32::from_be_bytes(field(bytes, CRC_AT)) && !is_on(UnsafeMode::SkipCrc) {
            return Err(FrameError::BadHeaderCrc);
        }
        let [version, kind] = field(bytes, 8);
        if version != VERSION {
            return Err(FrameError::BadVersion(version));
        }
        let header = Self {
            kind: *FrameKind::ALL.get(usize::from(kind)).ok_or(FrameError::BadKind(kind))?,
            flags: u16::from_be_bytes(field(bytes, 10)),
            body_bytes: u32::from_be_bytes(field(bytes, 12)),
            index: Index(u64::from_be_bytes(field(bytes, 16))),
            term: Term(u64::from_be_bytes(field(bytes, 24))),
            offset: LogOffset(i64::from_be_bytes(field(bytes, 32))),
            records: u32::from_be_bytes(field(bytes, 40)),
            previous_crc: u32::from_be_bytes(field(bytes, 44)),
            appended_at: Timestamp(i64::from_be_bytes(field(bytes, 48))),
            body_crc: u32::from_be_bytes(field(bytes, 56)),
        };
        let frame_bytes = header.frame_bytes();
        if frame_bytes > FRAME_BYTES_MAX { Err(FrameError::TooLong(frame_bytes)) } else { Ok(header) }
    }

    /// Header and body.
    pub fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    /// Whether the checksum of its body is right.
    pub fn covers(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.body_crc || is_on(UnsafeMode::SkipCrc)
    }

    /// What the frame behind this one must follow.
    pub fn chain(&self) -> Chain {
        let header_crc = u32::from_be_bytes(field(&self.encode(), CRC_AT));
        Chain { index: self.index, term: self.term, header_crc }
    }

    /// Whether the frame may stand behind another.
    pub fn follows(&self, chain: Chain) -> Result<(), FrameError> {
        let expected = Index(chain.index.0.saturating_add(1));
        if self.index != expected {
            return Err(FrameError::BadIndex { found: self.index, expected });
        }
        if self.term < chain.term {
            return Err(FrameError::BadTerm { found: self.term, previous: chain.term });
        }
        if self.previous_crc == chain.header_crc { Ok(()) } else { Err(FrameError::BadChain) }
    }
}

fn checksum(header: &[u8; FRAME_HEADER_BYTES]) -> u32 {
    crc32fast::hash(header.get(..CRC_AT).unwrap_or_default())
}

/// The field at `at`, which must lie within the header.
fn field<const N: usize>(bytes: &[u8; FRAME_HEADER_BYTES], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// As [`field`], to write it.
fn put<const N: usize>(bytes: &mut [u8; FRAME_HEADER_BYTES], at: usize, value: [u8; N]) {
    if let Some(field) = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()) {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Messages,
            flags: 0x0102,
            body_bytes: 0x0304,
            index: Index(0x1112_1314_1516_1718),
            term: Term(0x2122_2324_2526_2728),
            offset: LogOffset(0x3132_3334_3536_3738),
            records: 0x4142_4344,
            previous_crc: 0x5152_5354,
            appended_at: Timestamp(0x6162_6364_6566_6768),
            body_crc: 0x7172_7374,
        }
    }

    #[test]
    #[rustfmt::skip]
    fn fields_lie_where_the_table_says() {
        let bytes = header().encode();
        let expected: &[&[u8]] = &[
            &[0, 0, 0, 64], b"RQF1",
            &[1, 1, 0x01, 0x02],
            &[0, 0, 0x03, 0x04],
            &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],
            &[0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28],
            &[0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38],
            &[0x41, 0x42, 0x43, 0x44], &[0x51, 0x52, 0x53, 0x54],
            &[0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68],
            &[0x71, 0x72, 0x73, 0x74],
        ];
        assert_eq!(bytes[..60], expected.concat());
        assert_eq!(bytes[60..], crc32fast::hash(&bytes[..60]).to_be_bytes());
        assert_eq!(FrameHeader::decode(&bytes), Ok(header()));
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut bytes = header().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn headers_with_right_checksums_may_still_be_wrong() {
        let cases: [(usize, u8, FrameError); 3] = [
            (8, 2, FrameError::BadVersion(2)),
            (9, 4, FrameError::BadKind(4)),
            (12, 1, FrameError::TooLong(0x0100_0304 + 64)),
        ];
        for (at, byte, expected) in cases {
            let mut bytes = header().encode();
            bytes[at] = byte;
            let crc = crc32fast::hash(&bytes[..60]).to_be_bytes();
            bytes[60..].copy_from_slice(&crc);
            assert_eq!(FrameHeader::decode(&bytes), Err(expected));
        }
    }

    #[test]
    fn only_the_next_frame_follows() {
        let first = FrameHeader { index: Index(7), term: Term(3), ..header() };
        let next = FrameHeader { index: Index(8), previous_crc: first.chain().header_crc, ..first };
        assert_eq!(next.follows(first.chain()), Ok(()));
        let gap = FrameHeader { index: Index(9), ..next };
        let expected = FrameError::BadIndex { found: Index(9), expected: Index(8) };
        assert_eq!(gap.follows(first.chain()), Err(expected));
        let stale = FrameHeader { term: Term(2), ..next };
        let expected = FrameError::BadTerm { found: Term(2), previous: Term(3) };
        assert_eq!(stale.follows(first.chain()), Err(expected));
        let other = FrameHeader { flags: 0, ..first };
        assert_eq!(next.follows(other.chain()), Err(FrameError::BadChain));
    }
}
