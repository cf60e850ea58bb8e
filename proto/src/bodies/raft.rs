//! Groups that elect their leader.

use crate::position::{LogOffset, Timestamp};

family! {
    pub struct RaftStatus {
        /// Why it takes no part in elections.
        abstains: Option<String> = "abstains",
        applied: i64 = "applied",
        /// What time it is there.
        clock: Option<Timestamp> = "clock",
        committed: i64 = "committed",
        confirmed: LogOffset = "confirmed",
        last: i64 = "last",
        /// The name of the node that leads.
        leader: Option<String> = "leader",
        name: String = "name",
        node: String = "node",
        /// As the leader sees them; others only know who they are.
        nodes: Vec<RaftMember> = "nodes",
        /// The last entry that is gone.
        purged: i64 = "purged",
        role: String = "role",
        term: i64 = "term",
        /// Why there is no group yet, or why this node has stopped.
        trouble: Option<String> = "trouble",
        is_writable: bool = "writable",
    }

    pub struct RaftMember {
        address: String = "address",
        lag: Option<i64> = "lag",
        name: String = "name",
        node: String = "node",
        silence_ms: Option<i64> = "silenceMs",
        is_voter: bool = "voter",
    }
}
