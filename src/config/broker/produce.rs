//! Taking messages in.

use super::rows::{Row, live, switch};
use crate::config::field::Field;
use std::time::{Duration, SystemTime};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Produce {
    /// Tell producers that they may send traces.
    pub traces: bool,
    /// Before this moment sends are refused.
    pub opens_at: Option<SystemTime>,
    /// Keep the replies of request-reply as messages.
    pub stores_replies: bool,
}

pub(super) static KEYS: &[Row] = &[
    live(
        "traceOn",
        "true",
        switch(|config| &mut config.produce.traces),
        "Tell producers with each answer that they may send traces.",
    ),
    live(
        "startAcceptSendRequestTimeStamp",
        "0",
        Field::Parsed("milliseconds since 1970, or 0", |config, text| {
            let milliseconds: u64 = text.parse().ok()?;
            config.produce.opens_at = opening(milliseconds)?;
            Some(milliseconds.to_string())
        }),
        "Before this moment sends are refused.",
    ),
    live(
        "storeReplyMessageEnable",
        "true",
        switch(|config| &mut config.produce.stores_replies),
        "Keep the replies of request-reply as messages too.",
    ),
];

/// The moment so many milliseconds after 1970: none if that is now. None at all if there is no such moment.
fn opening(milliseconds: u64) -> Option<Option<SystemTime>> {
    if milliseconds == 0 {
        return Some(None);
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).map(Some)
}
