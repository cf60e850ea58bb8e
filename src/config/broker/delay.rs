//! The delay levels.

use super::rows::{HOUR_MS, Row, fixed, milliseconds};
use crate::config::field::Field;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delay {
    pub levels: DelayLevels,
    pub flush_interval: Duration,
    pub version_step: usize,
}

/// `1s 5s 10s …`: level 1 is the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DelayLevels {
    delays: Vec<Duration>,
    text: String,
}

impl DelayLevels {
    /// Of levels 1, 2, and so on.
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    pub fn max(&self) -> usize {
        self.delays.len()
    }

    /// How long a message of `level` waits. None for 0 and for levels past the last.
    pub fn delay(&self, level: usize) -> Option<Duration> {
        self.delays.get(level.checked_sub(1)?).copied()
    }
}

impl fmt::Display for DelayLevels {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl DelayLevels {
    /// A number and `s`, `m`, `h` or `d` each.
    pub fn parse(text: &str) -> Option<Self> {
        /// Each level is a queue of its own.
        const LEVELS_MAX: usize = 256;
        let words: Vec<&str> = text.split_whitespace().collect();
        let delays: Vec<Duration> = words.iter().map(|word| delay(word)).collect::<Option<_>>()?;
        let is_usable = (1..=LEVELS_MAX).contains(&delays.len());
        is_usable.then(|| DelayLevels { delays, text: words.join(" ") })
    }
}

fn delay(word: &str) -> Option<Duration> {
    const SECONDS_MAX: u64 = 10 * 365 * 86_400;
    let (number, unit) = word.split_at_checked(word.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = number.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit)?;
    (seconds <= SECONDS_MAX).then(|| Duration::from_secs(seconds))
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "messageDelayLevel",
        "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h",
        Field::Parsed("up to 256 times such as 1s 5m 2h 1d, separated by blanks", |config, text| {
            config.delay.levels = DelayLevels::parse(text)?;
            Some(config.delay.levels.to_string())
        }),
        "How long messages of delay level 1, 2 and so on wait. Messages that are consumed again wait for levels 3 and up.",
    ),
    fixed(
        "flushDelayOffsetInterval",
        "10000",
        milliseconds(10..=HOUR_MS, |config| &mut config.delay.flush_interval),
        "How often it is written to disk how far each level has come.",
    ),
    fixed(
        "delayOffsetUpdateVersionStep",
        "200",
        Field::Number(1..=1_000_000_000, |config| &mut config.delay.version_step),
        "Deliveries until that table counts as a new version.",
    ),
];
