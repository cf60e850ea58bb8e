//! Messages for a moment of their own choice.

use super::rows::{Row, fixed, live, milliseconds, seconds, switch};
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timer {
    pub is_enabled: bool,
    /// The furthest moment that may be chosen.
    pub delay_max: Duration,
    pub precision: Duration,
    /// Take delay levels for timers.
    pub takes_levels: bool,
    /// Take no new timers.
    pub is_stopped: bool,
}

/// Taking a timer back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recall {
    pub is_enabled: bool,
    pub works_without_write_permission: bool,
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "timerWheelEnable",
        "true",
        switch(|config| &mut config.timer.is_enabled),
        "Take messages for a moment of their own choice. Otherwise they are refused.",
    ),
    live(
        "timerMaxDelaySec",
        "259200",
        seconds(1..=315_360_000, |config| &mut config.timer.delay_max),
        "How far ahead that moment may be.",
    ),
    fixed(
        "timerPrecisionMs",
        "1000",
        milliseconds(1..=60_000, |config| &mut config.timer.precision),
        "How exactly it is met.",
    ),
    live(
        "timerInterceptDelayLevel",
        "false",
        switch(|config| &mut config.timer.takes_levels),
        "Treat delay levels as such moments.",
    ),
    live(
        "timerStopEnqueue",
        "false",
        switch(|config| &mut config.timer.is_stopped),
        "Leave new ones waiting where they are.",
    ),
    live(
        "recallMessageEnable",
        "false",
        switch(|config| &mut config.recall.is_enabled),
        "Producers may take such a message back before its time.",
    ),
    live(
        "allowRecallWhenBrokerNotWriteable",
        "true",
        switch(|config| &mut config.recall.works_without_write_permission),
        "They may do so while the broker takes no messages.",
    ),
];
