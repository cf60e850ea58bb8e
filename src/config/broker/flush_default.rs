//! What an acknowledgement promises where nobody has said it.

use super::{BrokerConfig, Mode};
use crate::config::written::Origin;
use crate::config::written::Written;

/// One node is as fast as Apache's by default. A group that elects its leader promises that nothing is lost, so there a message
/// is on the disks of a majority, unless the configuration says otherwise.
pub fn choose_flush(written: &mut Written<BrokerConfig>) {
    const KEY: &str = "flushDiskType";
    let is_chosen = written.origin(KEY) != Some(&Origin::BuiltIn);
    if is_chosen || !matches!(written.config().mode, Mode::Raft(_)) {
        return;
    }
    let key = written.keys().find(KEY);
    let set = key.is_some_and(|key| written.set(key, "SYNC_FLUSH", Origin::BuiltIn).is_ok());
    assert!(set, "{KEY} has the value SYNC_FLUSH");
}
