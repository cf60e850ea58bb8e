//! What is to be dropped, and whether writes are to be refused. Pure.

use std::time::Duration;

use ferrymq_proto::position::{LogOffset, Timestamp};

use crate::disk::Percent;

/// The rules of Apache's broker, under its names in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionSettings {
    /// How long messages are kept: `fileReservedTime`.
    pub reserved: Duration,
    /// When old messages are dropped: `deleteWhen`.
    pub hours: Hours,
    /// Time between two runs: `cleanResourceInterval`.
    pub run_interval: Duration,
    /// Segments that one run drops at most: `deleteFileBatchMax`.
    pub segments_per_run: usize,
    /// Time between two of them: `deleteCommitLogFilesInterval`.
    pub interval: Duration,
    /// Above it, old messages are dropped at any hour: `diskMaxUsedSpaceRatio`.
    pub clean_above: Percent,
    /// Above it, messages are dropped before their time: `diskSpaceCleanForciblyRatio`.
    pub force_above: Percent,
    /// Above it, new messages are refused: `diskSpaceWarningLevelRatio`.
    pub refuse_above: Percent,
    /// Whether messages may be dropped before their time: `cleanFileForciblyEnable`.
    pub may_force: bool,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            reserved: Duration::from_secs(72 * 3600),
            hours: Hours::of(&[4]),
            run_interval: Duration::from_secs(10),
            segments_per_run: 10,
            interval: Duration::from_millis(100),
            clean_above: Percent(75),
            force_above: Percent(85),
            refuse_above: Percent(90),
            may_force: true,
        }
    }
}

/// Hours of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours(u32);

impl Hours {
    pub fn of(hours: &[u8]) -> Self {
        Self(hours.iter().fold(0, |bits, hour| bits | 1 << hour))
    }

    /// As in `04;16`. `None` when that is not what it is.
    pub fn parse(text: &str) -> Option<Self> {
        let hours = text.split(';').map(|hour| hour.trim().parse().ok().filter(|hour| *hour < 24));
        hours.collect::<Option<Vec<u8>>>().map(|hours| Self::of(&hours))
    }

    pub fn has(self, hour: u8) -> bool {
        self.0.checked_shr(hour.into()).is_some_and(|bits| bits & 1 == 1)
    }
}

/// A segment behind which there is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentAge {
    pub end: LogOffset,
    /// Nothing in it was stored later. `None` when nobody knows yet.
    pub newest: Option<Timestamp>,
}

/// All that a decision depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub now: Timestamp,
    /// Of the day, on the wall of the operator.
    pub hour: u8,
    /// Oldest first, without the one that is written.
    pub segments: &'a [SegmentAge],
    /// Of the disk of the log, or of that of what is derived from it: whichever is fuller. `None` when it is unknown.
    pub used: Option<Percent>,
    /// The operator asked for it: old messages are dropped at any hour.
    pub is_requested: bool,
    /// Nothing behind it may go: it is not final, or a follower needs it.
    pub keep_from: LogOffset,
    /// How many may go.
    pub segments_max: usize,
}

/// Why segments are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// They are old, and it is the hour.
    Hour,
    /// They are old, and somebody asked.
    Request,
    /// They are old, and the disk is rather full.
    Space,
    /// The disk is so full that they must go before their time.
    Force,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What lies before is to be dropped, and why.
    pub drop_before: Option<(LogOffset, Cause)>,
    /// New messages are to be refused: so much is used.
    pub refuse: Option<Percent>,
    /// Room is wanted, but nothing may be dropped.
    pub is_stuck: bool,
}

impl RetentionSettings {
    pub fn decide(&self, situation: &Situation<'_>) -> Decision {
        let is_above = |limit: Percent| situation.used.is_some_and(|used| used > limit);
        let cause = if is_above(self.force_above) && self.may_force {
            Some(Cause::Force)
        } else if self.hours.has(situation.hour) {
            Some(Cause::Hour)
        } else if situation.is_requested {
            Some(Cause::Request)
        } else if is_above(self.clean_above) {
            Some(Cause::Space)
        } else {
            None
        };
        let last = cause.and_then(|cause| self.last_to_drop(situation, cause == Cause::Force));
        Decision {
            drop_before: last.zip(cause),
            refuse: situation.used.filter(|_| is_above(self.refuse_above)),
            is_stuck: last.is_none() && is_above(self.clean_above),
        }
    }

    fn last_to_drop(&self, situation: &Situation<'_>, is_forced: bool) -> Option<LogOffset> {
        let mut newest_before = Timestamp(i64::MIN);
        // From the oldest one on, as far as all may go: nothing in the midst.
        let may_go = |segment: &&SegmentAge| {
            let is_old = segment.newest.is_some_and(|newest| {
                // A clock that was set back may have written an early time. What came before counts as well.
                newest_before = newest_before.max(newest);
                self.is_old(newest_before, situation.now)
            });
            segment.end <= situation.keep_from && (is_forced || is_old)
        };
        let going = situation.segments.iter().take(situation.segments_max).take_while(may_go);
        going.last().map(|segment| segment.end)
    }

    /// A time that lies ahead is not old.
    fn is_old(&self, newest: Timestamp, now: Timestamp) -> bool {
        let age_ms = now.0.saturating_sub(newest.0);
        u64::try_from(age_ms).is_ok_and(|age_ms| u128::from(age_ms) >= self.reserved.as_millis())
    }
}
