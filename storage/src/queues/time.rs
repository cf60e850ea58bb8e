//! Finding messages by the time they were stored. The queue knows no times: its records do.

use ferrymq_proto::position::{QueueOffset, Timestamp};
use ferrymq_proto::record::SysFlag;

use super::entry::QueueEntry;
use super::{Boundary, QueueError, QueueRange};
use crate::log::{Log, ReadError};

/// Where a record says its flags.
const SYS_FLAG_AT: usize = 36;
/// Where it says when it was stored, behind a short host and behind a long one.
const STORE_TIME_AT: usize = 56;
const STORE_TIME_AT_V6: usize = 68;

/// `None` when the record was dropped.
pub(super) fn store_time(log: &Log, entry: &QueueEntry) -> Result<Option<Timestamp>, QueueError> {
    let head = match log.read(entry.log_offset, STORE_TIME_AT_V6 + size_of::<i64>()) {
        Err(ReadError::BeforeStart { .. } | ReadError::PastEnd { .. }) => return Ok(None),
        other => other?,
    };
    let field = |at: usize| head.get(at..)?.first_chunk().copied();
    let flags = head.get(SYS_FLAG_AT..).and_then(|rest| rest.first_chunk());
    let flags = SysFlag(flags.copied().map(i32::from_be_bytes).unwrap_or_default());
    let at = if flags.has(SysFlag::BORN_HOST_V6) { STORE_TIME_AT_V6 } else { STORE_TIME_AT };
    Ok(field(at).map(|time| Timestamp(i64::from_be_bytes(time))))
}

/// Searches in a range, as Apache does: store times grow with the offsets, and the answer always lies in the range.
pub(super) fn search(
    range: QueueRange,
    time: Timestamp,
    boundary: Boundary,
    time_of: impl Fn(QueueOffset) -> Result<Option<Timestamp>, QueueError>,
) -> Result<QueueOffset, QueueError> {
    let is_before = |at: i64| -> Result<bool, QueueError> {
        // What is not there any more was stored before all that is.
        let Some(stored) = time_of(QueueOffset(at))? else { return Ok(true) };
        Ok(match boundary {
            Boundary::Lower => stored < time,
            Boundary::Upper => stored <= time,
        })
    };
    let (mut low, mut high) = (range.min.0, range.max.0);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_before(middle)? { low = middle + 1 } else { high = middle }
    }
    Ok(match boundary {
        Boundary::Lower => QueueOffset(low),
        Boundary::Upper => QueueOffset((low - 1).max(range.min.0)),
    })
}
