//! The time, for the services.

use std::time::{SystemTime, UNIX_EPOCH};

use ferrymq_proto::position::Timestamp;

/// The time of the wall, which may jump in both directions.
pub fn now() -> Timestamp {
    // A machine may believe that it is before 1970.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
