//! What a node knows of itself and of its group.

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::{Index, Term};

use crate::types::{Member, NodeId};

/// A change that concerns those who serve clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This node leads, and proposals are taken.
    Leading { term: Term },
    /// It does not, or not yet.
    Following { term: Term, leader: Option<LeaderHint> },
}

/// Who leads, as far as is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderHint {
    pub node: NodeId,
    pub member: Member,
}

/// A placeholder until the group is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub index: Index,
    pub offset: LogOffset,
}
