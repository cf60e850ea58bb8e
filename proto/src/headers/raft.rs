//! Groups that elect their leader. Only our own nodes and command line know these.

use crate::header::NoFields;
use crate::text::Text;

family! {
    /// How a node and its group are. The answer's body is a `RaftStatus`.
    pub struct GetRaftStatus: 70001 => NoFields {}

    /// Changes the group; its leader must be asked.
    pub struct ChangeRaftGroup: 70002 => ChangeRaftReply {
        /// `transfer`, `add`, `promote`, `remove`, or `accept-tail-loss`, which any node can be asked for.
        action: Text = "action",
        /// By name or number; for a transfer the leader may choose.
        node: Option<Text> = "node",
        /// Of a node that is added: where it speaks to the others.
        address: Option<Text> = "address",
    }

    pub struct ChangeRaftReply {
        /// Its number.
        node: Text = "node",
    }

    /// What the log up to a frame comes to. Nodes whose answers differ have different logs.
    pub struct GetRaftChain: 70003 => RaftChain {
        index: i64 = "index",
    }

    pub struct RaftChain {
        crc: i64 = "crc",
    }
}
