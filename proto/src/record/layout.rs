//! Where the fields of a record lie. All integers are big-endian.
//!
//! Everything before the body length has a fixed place but for the hosts, which [`SysFlag`] says are 8 or 20 bytes long;
//! after it follow the body, the topic and the properties, each behind its length. Nothing else: the size of a record is the
//! sum of its parts, and whatever says otherwise is no record.

use std::ops::BitOr;

use crate::position::Timestamp;

pub(super) const MAGIC_AT: usize = 4;
pub(super) const BODY_CRC_AT: usize = 8;
pub(super) const QUEUE_ID_AT: usize = 12;
pub(super) const FLAG_AT: usize = 16;
pub const QUEUE_OFFSET_AT: usize = 20;
/// Where a record says at which offset of the log it lies.
pub const LOG_OFFSET_AT: usize = 28;
pub(super) const SYS_FLAG_AT: usize = 36;
pub(super) const BORN_TIMESTAMP_AT: usize = 40;
pub(super) const BORN_HOST_AT: usize = 48;

/// An IPv4 address and a port.
const HOST_V4: usize = 8;
/// An IPv6 address and a port.
const HOST_V6: usize = 20;

/// In the place of a record's magic: the rest of the segment is empty. Its size counts what is left.
pub const BLANK_MAGIC: i32 = 0xCBD4_3194_u32 as i32;

/// The two versions differ only in how long a topic they have room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V1,
    /// Since 5.1.0. Older Java clients and all others take it for the first one and lose topic and properties.
    V2,
}

impl Version {
    /// The oldest that has room for a topic.
    pub(super) fn for_topic(bytes: usize) -> Self {
        if bytes <= i8::MAX as usize { Self::V1 } else { Self::V2 }
    }

    pub(super) fn from_magic(magic: i32) -> Option<Self> {
        [Self::V1, Self::V2].into_iter().find(|version| version.magic() == magic)
    }

    pub fn magic(self) -> i32 {
        match self {
            Self::V1 => 0xDAA3_20A7_u32 as i32,
            Self::V2 => 0xDAA3_20AB_u32 as i32,
        }
    }

    /// Bytes of the topic's length.
    pub(super) fn topic_prefix(self) -> usize {
        match self {
            Self::V1 => size_of::<i8>(),
            Self::V2 => size_of::<i16>(),
        }
    }
}

/// What the broker and the clients must know of a message to read it. Bits without a name are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SysFlag(pub i32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Zlib,
    Lz4,
    Zstd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// The message belongs to no transaction.
    None,
    Prepared,
    Committed,
    RolledBack,
}

impl SysFlag {
    pub const COMPRESSED: Self = Self(0x1);
    pub const MULTI_TAGS: Self = Self(0x2);
    pub const BORN_HOST_V6: Self = Self(0x10);
    pub const STORE_HOST_V6: Self = Self(0x20);
    /// The consumer unpacks the body into messages.
    pub const NEEDS_UNWRAP: Self = Self(0x40);
    /// The body is a batch that takes as many queue offsets as it has entries.
    pub const INNER_BATCH: Self = Self(0x80);

    const TRANSACTION: Self = Self(0xC);
    const COMPRESSION: Self = Self(0x700);

    pub fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    #[must_use]
    pub fn without(self, bits: Self) -> Self {
        Self(self.0 & !bits.0)
    }

    pub fn transaction(self) -> TransactionState {
        match self.0 & Self::TRANSACTION.0 {
            0x4 => TransactionState::Prepared,
            0x8 => TransactionState::Committed,
            0xC => TransactionState::RolledBack,
            _ => TransactionState::None,
        }
    }

    #[must_use]
    pub fn with_transaction(self, state: TransactionState) -> Self {
        let bits = match state {
            TransactionState::None => 0x0,
            TransactionState::Prepared => 0x4,
            TransactionState::Committed => 0x8,
            TransactionState::RolledBack => 0xC,
        };
        self.without(Self::TRANSACTION) | Self(bits)
    }

    /// How the body is compressed, if it is. `None` also for the types that nobody has defined.
    pub fn compression(self) -> Option<Compression> {
        if !self.has(Self::COMPRESSED) {
            return None;
        }
        match (self.0 & Self::COMPRESSION.0) >> 8 {
            // Clients before 5.0 know one type and say nothing.
            0 | 3 => Some(Compression::Zlib),
            1 => Some(Compression::Lz4),
            2 => Some(Compression::Zstd),
            _ => None,
        }
    }

    fn born_host_bytes(self) -> usize {
        if self.has(Self::BORN_HOST_V6) { HOST_V6 } else { HOST_V4 }
    }

    fn store_host_bytes(self) -> usize {
        if self.has(Self::STORE_HOST_V6) { HOST_V6 } else { HOST_V4 }
    }

    pub(super) fn store_timestamp_at(self) -> usize {
        BORN_HOST_AT + self.born_host_bytes()
    }

    pub(super) fn store_host_at(self) -> usize {
        self.store_timestamp_at() + size_of::<i64>()
    }

    pub(super) fn reconsume_times_at(self) -> usize {
        self.store_host_at() + self.store_host_bytes()
    }

    pub(super) fn prepared_offset_at(self) -> usize {
        self.reconsume_times_at() + size_of::<i32>()
    }

    pub(super) fn body_length_at(self) -> usize {
        self.prepared_offset_at() + size_of::<i64>()
    }
}

impl BitOr for SysFlag {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// RocketMQ's checksum: CRC-32 without its highest bit, so that Java reads it as a positive number.
pub fn checksum(bytes: &[u8]) -> i32 {
    (crc32fast::hash(bytes) & 0x7FFF_FFFF) as i32
}

/// When the record was stored, from its first 76 bytes or more.
pub fn stored_at(record: &[u8]) -> Option<Timestamp> {
    i32_at(record, MAGIC_AT).and_then(Version::from_magic)?;
    let sys_flag = SysFlag(i32_at(record, SYS_FLAG_AT)?);
    i64_at(record, sys_flag.store_timestamp_at()).map(Timestamp)
}

/// The `N` bytes at `at`, if `bytes` has them.
pub(super) fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

pub(super) fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes_at(bytes, at).map(i32::from_be_bytes)
}

pub(super) fn i64_at(bytes: &[u8], at: usize) -> Option<i64> {
    bytes_at(bytes, at).map(i64::from_be_bytes)
}

/// Takes the part behind a length off the front of `rest`. `None` when the length is negative or more than there is.
pub(super) fn take_part<'a, const N: usize>(
    rest: &mut &'a [u8],
    length: fn([u8; N]) -> i64,
) -> Option<&'a [u8]> {
    let (prefix, after) = rest.split_first_chunk::<N>()?;
    let (part, after) = after.split_at_checked(usize::try_from(length(*prefix)).ok()?)?;
    *rest = after;
    Some(part)
}

/// A length of 1 byte.
pub(super) fn i8_length(bytes: [u8; 1]) -> i64 {
    i8::from_be_bytes(bytes).into()
}

/// A length of 2 bytes.
pub(super) fn i16_length(bytes: [u8; 2]) -> i64 {
    i16::from_be_bytes(bytes).into()
}

/// A length of 4 bytes.
pub(super) fn i32_length(bytes: [u8; 4]) -> i64 {
    i32::from_be_bytes(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compressions() {
        let cases = [
            (0x000, None),
            (0x300, None),
            (0x001, Some(Compression::Zlib)),
            (0x101, Some(Compression::Lz4)),
            (0x201, Some(Compression::Zstd)),
            (0x301, Some(Compression::Zlib)),
            (0x401, None),
            (0x701, None),
        ];
        for (bits, compression) in cases {
            assert_eq!(SysFlag(bits).compression(), compression, "{bits:#x}");
        }
    }

    #[test]
    fn transactions_change_no_other_bit() {
        use TransactionState::{Committed, None, Prepared, RolledBack};
        for (state, bits) in [(None, 0x0), (Prepared, 0x4), (Committed, 0x8), (RolledBack, 0xC)] {
            for before in [0, -1, 0x4, 0x8, 0x733] {
                let flag = SysFlag(before).with_transaction(state);
                assert_eq!(flag.transaction(), state);
                assert_eq!(flag.0, before & !0xC | bits);
            }
        }
    }

    #[test]
    fn places_of_the_format_table() {
        let places = |flag: SysFlag| {
            [
                flag.store_timestamp_at(),
                flag.store_host_at(),
                flag.reconsume_times_at(),
                flag.body_length_at(),
            ]
        };
        assert_eq!(places(SysFlag(0)), [56, 64, 72, 84]);
        assert_eq!(places(SysFlag::BORN_HOST_V6), [68, 76, 84, 96]);
        assert_eq!(places(SysFlag::STORE_HOST_V6), [56, 64, 84, 96]);
        assert_eq!(places(SysFlag::BORN_HOST_V6 | SysFlag::STORE_HOST_V6), [68, 76, 96, 108]);
    }

    /// Asked of Apache's `UtilAll.crc32`. The second and the third have lost their highest bit.
    #[test]
    fn checksums() {
        let cases = [("", 0), ("a", 1_756_872_259), ("123456789", 1_274_296_614)];
        for (text, expected) in cases {
            assert_eq!(checksum(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn versions_by_topic_length() {
        assert_eq!(Version::for_topic(127), Version::V1);
        assert_eq!(Version::for_topic(128), Version::V2);
    }
}
