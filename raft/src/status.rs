//! What a node knows of itself and of its group.

use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::{Index, Term};
use openraft::metrics::RaftMetrics;
use openraft::{Instant, ServerState};

use crate::state_machine::Progress;
use crate::types::{Member, NodeId, Types, frame_index, index_of};

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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads, but may not take proposals yet.
    Leader,
    Follower,
    Candidate,
    /// It gets the log and has no voice.
    Learner,
    /// It has failed: the reason is in the status.
    Stopped,
}

/// A node of the group, as the leader sees it; others only know who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    pub node: NodeId,
    pub member: Member,
    pub is_voter: bool,
    /// The newest entry that is known to be on it.
    pub matched: Option<Index>,
    /// Entries between that and the leader's last one.
    pub lag: Option<u64>,
    /// Since it was last heard.
    pub silence: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub node: NodeId,
    pub member: Member,
    pub role: Role,
    pub term: Term,
    pub leader: Option<LeaderHint>,
    /// Whether this node leads and takes proposals.
    pub is_writable: bool,
    pub last: Index,
    pub committed: Index,
    pub applied: Index,
    /// Of the log: before it everything is applied.
    pub confirmed: LogOffset,
    /// Of the last frame before it. Nodes with the same one have the same log up to there.
    pub confirmed_crc: u32,
    /// The last entry that is gone.
    pub purged: Index,
    pub nodes: Vec<NodeStatus>,
    /// Why it takes no part in elections.
    pub abstains: Option<String>,
    /// Why there is no group yet, or why this node has stopped.
    pub trouble: Option<String>,
}

pub(crate) fn leader_of(metrics: &RaftMetrics<Types>) -> Option<LeaderHint> {
    let node = metrics.current_leader?;
    let member = metrics.membership_config.get_node(&node)?.clone();
    Some(LeaderHint { node, member })
}

pub(crate) fn role_of(metrics: &RaftMetrics<Types>) -> Role {
    match metrics.state {
        _ if metrics.running_state.is_err() => Role::Stopped,
        ServerState::Leader => Role::Leader,
        ServerState::Follower => Role::Follower,
        ServerState::Candidate => Role::Candidate,
        ServerState::Learner => Role::Learner,
        ServerState::Shutdown => Role::Stopped,
    }
}

pub(crate) fn nodes_of(metrics: &RaftMetrics<Types>) -> Vec<NodeStatus> {
    let last = metrics.last_log_index.map(frame_index).unwrap_or_default();
    let voters: Vec<_> = metrics.membership_config.voter_ids().collect();
    let status = |(node, member): (&NodeId, &Member)| {
        let matched =
            metrics.replication.as_ref().and_then(|all| all.get(node)).map(|matched| index_of(*matched));
        let heard = metrics.heartbeat.as_ref().and_then(|all| all.get(node)).and_then(Option::as_ref);
        NodeStatus {
            node: *node,
            member: member.clone(),
            is_voter: voters.contains(node),
            matched,
            lag: matched.map(|matched| last.0.saturating_sub(matched.0)),
            silence: heard.map(|heard| heard.elapsed()),
        }
    };
    metrics.membership_config.nodes().map(status).collect()
}

/// What the group itself must add.
pub(crate) struct Around {
    pub member: Member,
    pub is_writable: bool,
    pub abstains: Option<String>,
    pub trouble: Option<String>,
}

pub(crate) fn status_of(metrics: &RaftMetrics<Types>, progress: Progress, around: Around) -> Status {
    let stopped = metrics.running_state.as_ref().err().map(ToString::to_string);
    Status {
        node: metrics.id,
        member: around.member,
        role: role_of(metrics),
        term: Term(metrics.current_term),
        leader: leader_of(metrics),
        is_writable: around.is_writable,
        last: metrics.last_log_index.map(frame_index).unwrap_or_default(),
        committed: index_of(metrics.local_committed),
        applied: index_of(progress.last),
        confirmed: progress.mark.offset,
        confirmed_crc: progress.mark.chain.header_crc,
        purged: index_of(metrics.purged),
        nodes: nodes_of(metrics),
        abstains: around.abstains,
        trouble: stopped.or(around.trouble),
    }
}
