//! The time, for the services.

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{Datelike, Local, Timelike};
use ferrymq_proto::position::Timestamp;

/// The time of the wall, which may jump in both directions.
pub fn now() -> Timestamp {
    // A machine may believe that it is before 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The hour of the day where this machine is, from 0 to 23.
pub fn local_hour() -> u8 {
    u8::try_from(Local::now().hour()).unwrap_or_default()
}

/// A number for each day where this machine is.
pub fn local_day() -> i32 {
    Local::now().num_days_from_ce()
}
