//! One entry of a consume queue: 20 bytes that say where a record lies.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 8 | log offset of the record |
//! | 8 | 4 | bytes of the record |
//! | 12 | 8 | hash of its tag, or when it is due if it waits for a delay level or as a timer |

use std::borrow::Cow;
use std::time::Duration;

use ferrymq_proto::name::{SystemTopic, TIMER_TOPIC};
use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_proto::record::tag::TagCode;
use ferrymq_proto::record::{Record, SysFlag, TransactionState, properties, property};

use crate::position::behind;
use crate::scan::records::PlacedRecord;

pub(crate) const ENTRY_BYTES: u64 = 20;

/// An entry as it lies in a file.
pub(crate) type RawEntry = [u8; ENTRY_BYTES as usize];

/// In the bytes of an entry that stands for nothing: the queue begins behind it.
const BLANK_SIZE: i32 = i32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueEntry {
    pub log_offset: LogOffset,
    /// Of the record.
    pub bytes: u32,
    pub tags_code: TagCode,
}

impl QueueEntry {
    /// Behind the record.
    pub fn end(&self) -> LogOffset {
        behind(self.log_offset, self.bytes.into())
    }

    pub(crate) fn encode(&self) -> RawEntry {
        // Records are not longer than what fits.
        encode(self.log_offset.0, self.bytes as i32, self.tags_code.0)
    }
}

/// What fills a file before the first entry of a queue.
pub(crate) fn blank() -> RawEntry {
    encode(0, BLANK_SIZE, 0)
}

fn encode(offset: i64, size: i32, code: i64) -> RawEntry {
    let mut out = [0; ENTRY_BYTES as usize];
    let fields = offset.to_be_bytes().into_iter().chain(size.to_be_bytes()).chain(code.to_be_bytes());
    out.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    out
}

/// What lies in the place of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    Entry(QueueEntry),
    Blank,
    /// Nothing was written there, or nothing that can be one.
    Nothing,
}

impl Slot {
    pub fn decode(bytes: &[u8]) -> Self {
        let Some((offset, rest)) = bytes.split_first_chunk() else { return Self::Nothing };
        let Some((size, rest)) = rest.split_first_chunk() else { return Self::Nothing };
        let Some(code) = rest.first_chunk() else { return Self::Nothing };
        let (offset, size) = (i64::from_be_bytes(*offset), i32::from_be_bytes(*size));
        match u32::try_from(size) {
            Ok(0) | Err(_) => Self::Nothing,
            Ok(_) if offset < 0 => Self::Nothing,
            Ok(_) if size == BLANK_SIZE && offset == 0 => Self::Blank,
            Ok(bytes) => Self::Entry(QueueEntry {
                log_offset: LogOffset(offset),
                bytes,
                tags_code: TagCode(i64::from_be_bytes(*code)),
            }),
        }
    }
}

/// How long messages wait at each delay level, from level 1.
#[derive(Clone, Debug, Default)]
pub struct DelayLevels(pub Vec<Duration>);

impl DelayLevels {
    /// As Apache's broker, when its configuration says nothing.
    pub fn apaches() -> Self {
        let seconds = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
        Self(seconds.map(Duration::from_secs).to_vec())
    }

    /// When a message that was stored at a time is due. A level past the last one is the last one.
    fn due(&self, level: i32, store_time: Timestamp) -> Option<Timestamp> {
        let level = usize::try_from(level).ok()?.min(self.0.len());
        let wait = self.0.get(level.checked_sub(1)?)?;
        let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
        Some(Timestamp(store_time.0.saturating_add(wait)))
    }
}

/// What the queue of timers says of one in place of its tag, so that they can be put in order without reading them.
///
/// Apache's broker puts the hash of a tag there, and reads nothing from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerCode {
    pub due: Timestamp,
    /// It is there to call another one off.
    pub calls_off: bool,
}

impl TimerCode {
    /// Far behind every time.
    const CALLS_OFF: i64 = 1 << 62;
    /// Behind every hash of a tag; as a time it is in January 1970.
    const FIRST: i64 = 1 << 31;

    /// `None` if what stands there is the hash of a tag.
    pub fn read(code: TagCode) -> Option<Self> {
        let due = Timestamp(code.0 & !Self::CALLS_OFF);
        (code.0 >= Self::FIRST).then_some(Self { due, calls_off: code.0 & Self::CALLS_OFF != 0 })
    }

    /// No tick is longer (`timerPrecisionMs`), and this is what it is by default.
    const TICK_MS_MAX: i64 = 60_000;
    const TICK_MS: i64 = 1000;

    /// Of a record in the queue of timers; `None` if it does not say when it is due.
    ///
    /// A message is due at the moment that was asked for, which lies in the tick that begins behind `TIMER_OUT_MS`. One that
    /// calls others off is due when the tick begins, before all of them.
    pub fn of(record: &Record<'_>) -> Option<Self> {
        let number = |name| record.properties.get(name)?.parse::<i64>().ok();
        let tick = number(property::TIMER_OUT_MS)?;
        if !(Self::FIRST..Self::CALLS_OFF).contains(&tick) {
            return None;
        }
        if record.properties.get(property::TIMER_DELETE_UNIQUE_KEY).is_some() {
            return Some(Self { due: Timestamp(tick), calls_off: true });
        }
        let after = |ms: Option<i64>| record.store_timestamp.0.checked_add(ms?);
        let seconds = number(property::TIMER_DELAY_SECONDS).and_then(|seconds| seconds.checked_mul(1000));
        let wanted =
            [number(property::TIMER_DELIVER_MS), after(seconds), after(number(property::TIMER_DELAY_MS))];
        let is_in_tick = |wanted: &i64| (tick + 1..=tick + Self::TICK_MS_MAX).contains(wanted);
        // Not before what was asked for, if that cannot be told.
        let due = wanted.into_iter().flatten().find(is_in_tick).unwrap_or(tick + Self::TICK_MS);
        Some(Self { due: Timestamp(due), calls_off: false })
    }

    fn write(self) -> TagCode {
        TagCode(if self.calls_off { self.due.0 | Self::CALLS_OFF } else { self.due.0 })
    }
}

/// What of a record's properties decides where it is found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels<'a> {
    pub tags: Option<Cow<'a, str>>,
    pub keys: Option<Cow<'a, str>>,
    pub unique_key: Option<Cow<'a, str>>,
    delay_level: Option<Cow<'a, str>>,
}

impl<'a> Labels<'a> {
    pub fn of(record: &Record<'a>) -> Self {
        let mut labels = Self::default();
        for (name, value) in record.properties.pairs() {
            let is = |wanted: &str| name == wanted.as_bytes();
            let label = match name {
                _ if is(property::TAGS) => &mut labels.tags,
                _ if is(property::KEYS) => &mut labels.keys,
                _ if is(property::UNIQUE_KEY) => &mut labels.unique_key,
                _ if is(property::DELAY_LEVEL) => &mut labels.delay_level,
                _ => continue,
            };
            *label = Some(properties::text(value));
        }
        labels
    }

    /// What the queue says of the tag.
    fn code(&self, record: &Record<'_>, levels: &DelayLevels) -> TagCode {
        if record.topic == TIMER_TOPIC
            && let Some(code) = TimerCode::of(record)
        {
            return code.write();
        }
        let is_scheduled = record.topic == SystemTopic::Schedule.as_str();
        let level = self.delay_level.as_deref().filter(|_| is_scheduled).and_then(|level| level.parse().ok());
        let due = level.and_then(|level| levels.due(level, record.store_timestamp));
        match (due, self.tags.as_deref()) {
            (Some(due), _) => TagCode(due.0),
            (None, Some(tags)) => TagCode::of(tags),
            (None, None) => TagCode::NONE,
        }
    }
}

/// Whether a message of this kind is in a queue. The halves of a transaction that are not committed are in none.
pub(crate) fn is_queued(flags: SysFlag) -> bool {
    matches!(flags.transaction(), TransactionState::None | TransactionState::Committed)
}

impl QueueEntry {
    /// Of a record that is in a queue.
    pub(crate) fn of(placed: &PlacedRecord<'_>, labels: &Labels<'_>, levels: &DelayLevels) -> Self {
        let tags_code = labels.code(&placed.record, levels);
        Self { log_offset: placed.offset, bytes: placed.bytes, tags_code }
    }
}
