//! What goes between master and slave, as Apache's `DefaultHAService` has it.
//!
//! The slave sends 8 bytes: how far its log reaches. The master sends parts of its log, each behind 12 bytes: the offset of the
//! first one (8) and how many there are (4); none: it is still there. Numbers are big-endian.

use ferrymq_proto::position::LogOffset;

pub const REPORT_BYTES: usize = 8;
pub const HEADER_BYTES: usize = 12;

/// What comes before a part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub offset: LogOffset,
    pub bytes: u32,
}

/// Bytes that no master or slave sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOurs {
    #[error("what comes does not begin like a part of a log: {bytes} bytes at offset {offset}")]
    Header { offset: i64, bytes: i32 },
    #[error("what comes is no report of a slave: it says {0}")]
    Report(i64),
}

impl Header {
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut encoded = [0; HEADER_BYTES];
        let (offset, bytes) = encoded.split_at_mut(8);
        offset.copy_from_slice(&self.offset.0.to_be_bytes());
        bytes.copy_from_slice(&self.bytes.to_be_bytes());
        encoded
    }

    pub fn decode(encoded: [u8; HEADER_BYTES]) -> Result<Self, NotOurs> {
        let [o0, o1, o2, o3, o4, o5, o6, o7, b0, b1, b2, b3] = encoded;
        let offset = i64::from_be_bytes([o0, o1, o2, o3, o4, o5, o6, o7]);
        let bytes = i32::from_be_bytes([b0, b1, b2, b3]);
        match u32::try_from(bytes) {
            Ok(bytes) if offset >= 0 => Ok(Self { offset: LogOffset(offset), bytes }),
            _ => Err(NotOurs::Header { offset, bytes }),
        }
    }
}

/// How far a slave's log reaches.
pub fn read_report(encoded: [u8; REPORT_BYTES]) -> Result<LogOffset, NotOurs> {
    match i64::from_be_bytes(encoded) {
        offset if offset >= 0 => Ok(LogOffset(offset)),
        offset => Err(NotOurs::Report(offset)),
    }
}
