//! How far groups have come.

use super::rows::{HOUR_MS, Row, fixed, live, milliseconds, switch};
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    pub flush_interval: Duration,
    /// A reset is kept by the broker, and consumers take it up by themselves.
    pub resets_here: bool,
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "flushConsumerOffsetInterval",
        "5000",
        milliseconds(10..=HOUR_MS, |config| &mut config.offsets.flush_interval),
        "How often the offsets of groups are written to disk. What was committed later is consumed again after a crash.",
    ),
    live(
        "useServerSideResetOffset",
        "true",
        switch(|config| &mut config.offsets.resets_here),
        "A reset of offsets takes effect in the broker, whether or not a consumer is connected.",
    ),
];
