//! How many files the process may have open: each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files besides connections: logs, tables, the runtime's own.
const OTHER_FILES: u64 = 64;
/// A cluster of any size comes near so many connections.
const FEW_FILES: u64 = 4096;

/// Raises the soft limit as far as the hard one lets us, which many systems set a hundred times higher, and says so when even
/// that is too low for `connections_max`.
pub fn allow(connections_max: usize) {
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    let limit = getrlimit(Resource::Nofile);
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return };
    let reachable = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum });
    let allowed = if raised.is_ok() { reachable } else { current };
    if allowed < FEW_FILES {
        tracing::warn!(
            allowed,
            connections_max,
            "this user may open only few files, and each connection is one; raise `ulimit -n` or LimitNOFILE"
        );
    } else if allowed < wanted {
        tracing::debug!(allowed, connections_max, "this user may not open enough files for connectionsMax");
    }
}
