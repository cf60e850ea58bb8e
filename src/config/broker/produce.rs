//! Taking messages in.

use super::rows::{DAY_MS, Row, fixed, live, milliseconds, switch};
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
    /// A send that waited longer for its turn is refused, if `refuses_late`.
    pub wait_max: Duration,
    pub refuses_late: bool,
    /// Sends that may wait.
    pub waiting_max: usize,
    /// A send is answered after this at the latest.
    pub timeout: Duration,
    /// A log that takes longer than this for one message is busy: sends are refused.
    pub log_busy: Duration,
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
    live(
        "brokerFastFailureEnable",
        "true",
        switch(|config| &mut config.produce.refuses_late),
        "Refuse sends that waited longer than waitTimeMillsInSendQueue, so that producers try another broker.",
    ),
    live(
        "waitTimeMillsInSendQueue",
        "200",
        milliseconds(1..=DAY_MS, |config| &mut config.produce.wait_max),
        "How long a send may wait for its turn.",
    ),
    fixed(
        "sendThreadPoolQueueCapacity",
        "10000",
        Field::Number(1..=10_000_000, |config| &mut config.produce.waiting_max),
        "Sends that may wait. Past this they are refused as busy.",
    ),
    fixed(
        "putMessageTimeout",
        "8000",
        milliseconds(1..=DAY_MS, |config| &mut config.produce.timeout),
        "A send that is not stored by then is answered with an error.",
    ),
    live(
        "osPageCacheBusyTimeOutMills",
        "1000",
        milliseconds(1..=DAY_MS, |config| &mut config.produce.log_busy),
        "When writing one batch into the log takes longer, further sends are refused as busy.",
    ),
];

/// The moment so many milliseconds after 1970: none if that is now. None at all if there is no such moment.
fn opening(milliseconds: u64) -> Option<Option<SystemTime>> {
    if milliseconds == 0 {
        return Some(None);
    }
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).map(Some)
}
