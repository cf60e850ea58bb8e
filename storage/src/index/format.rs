//! Apache's index file: a header of 40 bytes, the slots, the entries.
//!
//! A slot holds the number of the newest entry whose key falls there, and each entry the one before it. Entry 0 is none.
//!
//! | at | bytes | header | | at | bytes | entry |
//! |---|---|---|---|---|---|---|
//! | 0, 8 | 8 | times of the first and the last record | | 0 | 4 | hash of the key |
//! | 16, 24 | 8 | their offsets in the log | | 4 | 8 | offset of the record |
//! | 32 | 4 | slots in use | | 12 | 4 | seconds since the first record |
//! | 36 | 4 | number of the next entry | | 16 | 4 | number of the entry before it |

use ferrymq_proto::position::{LogOffset, Timestamp};

pub(crate) const HEADER_BYTES: u64 = 40;
pub(crate) const SLOT_BYTES: u64 = 4;
pub(crate) const ENTRY_BYTES: u64 = 20;
/// Year to millisecond.
const NAME_DIGITS: usize = 17;

/// The sizes of all files of an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub slots: u32,
    /// With entry 0.
    pub entries: u32,
}

impl Sizes {
    pub fn file_bytes(self) -> u64 {
        self.entry_at(self.entries)
    }

    pub fn slot_at(slot: u32) -> u64 {
        HEADER_BYTES + u64::from(slot) * SLOT_BYTES
    }

    pub fn entry_at(self, number: u32) -> u64 {
        Self::slot_at(self.slots) + u64::from(number) * ENTRY_BYTES
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub begin_time: Timestamp,
    pub end_time: Timestamp,
    pub begin_offset: LogOffset,
    pub end_offset: LogOffset,
    pub slots_used: u32,
    /// The number of the next entry, from 1.
    pub next: u32,
}

impl Default for Header {
    fn default() -> Self {
        let (time, offset) = (Timestamp(0), LogOffset(0));
        Self {
            begin_time: time,
            end_time: time,
            begin_offset: offset,
            end_offset: offset,
            slots_used: 0,
            next: 1,
        }
    }
}

impl Header {
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let longs = [self.begin_time.0, self.end_time.0, self.begin_offset.0, self.end_offset.0];
        let counts = [self.slots_used, self.next];
        let bytes = longs.into_iter().flat_map(i64::to_be_bytes);
        collect(bytes.chain(counts.into_iter().flat_map(u32::to_be_bytes)))
    }

    pub fn decode(bytes: &[u8; HEADER_BYTES as usize]) -> Self {
        let long = |at| i64::from_be_bytes(field(bytes, at));
        let count = |at| u32::try_from(i32::from_be_bytes(field(bytes, at))).unwrap_or_default();
        Self {
            begin_time: Timestamp(long(0)),
            end_time: Timestamp(long(8)),
            begin_offset: LogOffset(long(16)),
            end_offset: LogOffset(long(24)),
            slots_used: count(32),
            next: count(36).max(1),
        }
    }

    /// With one entry more.
    pub fn with(mut self, entry: &Entry, time: Timestamp) -> Self {
        if self.next == 1 {
            self.begin_time = time;
            self.begin_offset = entry.offset;
        }
        self.slots_used += u32::from(entry.previous == 0);
        self.next += 1;
        self.end_offset = entry.offset;
        self.end_time = time;
        self
    }

    /// Whether records from this time to that one may be in the file, as Apache asks.
    pub fn may_have(&self, begin: Timestamp, end: Timestamp) -> bool {
        begin <= self.end_time && end >= self.begin_time
    }

    /// The seconds since the first record, as an entry says them.
    pub fn seconds_to(&self, time: Timestamp) -> i32 {
        if self.begin_time.0 <= 0 {
            return 0;
        }
        let seconds = time.0.saturating_sub(self.begin_time.0) / 1000;
        i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)
    }

    /// What the seconds of an entry mean.
    pub fn time_after(&self, seconds: i32) -> Timestamp {
        Timestamp(self.begin_time.0.saturating_add(i64::from(seconds) * 1000))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub hash: i32,
    pub offset: LogOffset,
    pub seconds: i32,
    pub previous: u32,
}

impl Entry {
    pub fn encode(&self) -> [u8; ENTRY_BYTES as usize] {
        let bytes = self.hash.to_be_bytes().into_iter().chain(self.offset.0.to_be_bytes());
        collect(bytes.chain(self.seconds.to_be_bytes()).chain(self.previous.to_be_bytes()))
    }

    pub fn decode(bytes: &[u8; ENTRY_BYTES as usize]) -> Self {
        Self {
            hash: i32::from_be_bytes(field(bytes, 0)),
            offset: LogOffset(i64::from_be_bytes(field(bytes, 4))),
            seconds: i32::from_be_bytes(field(bytes, 12)),
            previous: u32::from_be_bytes(field(bytes, 16)),
        }
    }
}

fn collect<const N: usize>(bytes: impl Iterator<Item = u8>) -> [u8; N] {
    let mut out = [0; N];
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    out
}

/// The field at `at`, which must lie within the bytes.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// The name of a file: when its first record was stored, as digits of the date and the time. In UTC, where Apache has the time of
/// the machine, and so that files sort as they were made: behind `last`.
pub(crate) fn name(time: Timestamp, last: Option<&str>) -> String {
    let made = date_name(time.0.max(0));
    match last.and_then(|last| last.parse::<u64>().ok()) {
        // Not a date perhaps, but a number that is greater.
        Some(last) if made.parse().is_ok_and(|made: u64| made <= last) => {
            format!("{:0NAME_DIGITS$}", last + 1)
        }
        _ => made,
    }
}

pub(crate) fn is_name(name: &str) -> bool {
    name.len() == NAME_DIGITS && name.bytes().all(|digit| digit.is_ascii_digit())
}

fn date_name(ms: i64) -> String {
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Days since March of year 0, in which leap days come last (Hinnant's `civil_from_days`).
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, after) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = (year + era * 400 + after).min(9999);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{ms:03}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dates_that_grow() {
        assert_eq!(name(Timestamp(0), None), "19700101000000000");
        assert_eq!(name(Timestamp(951_827_696_789), None), "20000229123456789");
        assert_eq!(name(Timestamp(1_700_000_000_001), None), "20231114221320001");
        assert_eq!(name(Timestamp(0), Some("20231114221320001")), "20231114221320002");
        assert!(is_name("20231114221320001") && !is_name("2023111422132000x") && !is_name("2023"));
    }

    #[test]
    fn fields_lie_where_the_table_says() {
        let header = Header {
            begin_time: Timestamp(1),
            end_time: Timestamp(2),
            begin_offset: LogOffset(3),
            end_offset: LogOffset(4),
            slots_used: 5,
            next: 6,
        };
        let bytes = header.encode();
        assert_eq!([bytes[7], bytes[15], bytes[23], bytes[31], bytes[35], bytes[39]], [1, 2, 3, 4, 5, 6]);
        assert_eq!(Header::decode(&bytes), header);
        let entry = Entry { hash: 1, offset: LogOffset(2), seconds: 3, previous: 4 };
        let bytes = entry.encode();
        assert_eq!([bytes[3], bytes[11], bytes[15], bytes[19]], [1, 2, 3, 4]);
        assert_eq!(Entry::decode(&bytes), entry);
        let apaches = Sizes { slots: 5_000_000, entries: 20_000_000 };
        assert_eq!(apaches.file_bytes(), 420_000_040);
    }
}
