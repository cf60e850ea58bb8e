//! When a table last changed, as brokers and name servers compare it.

use ferrymq_proto::bodies::DataVersion;
use ferrymq_proto::position::Timestamp;

/// When a change was decided, and by a leader of which term (0 where there is no Raft).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub at: Timestamp,
    pub term: i64,
}

/// The version after one more change.
pub(super) fn advance(version: &mut DataVersion, stamp: Stamp) {
    version.counter = version.counter.wrapping_add(1);
    version.timestamp = stamp.at;
    version.state_version = stamp.term;
}
