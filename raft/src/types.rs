//! The types with which openraft is used here, and how its numbers meet those of the log.
//!
//! openraft counts entries from 0, the log counts frames from 1: so the frame before the first one has index 0, and an
//! absent log id needs no case of its own.

use std::fmt;

use ferrymq_storage::{Chain, Index, Term};
use openraft::impls::{BoxedErrorSource, InlineBatch};
use openraft::vote::leader_id_std::{CommittedLeaderId, LeaderId};
use openraft::{OptionalSend, RaftTypeConfig};
use openraft_rt_tokio::TokioRuntime;

use crate::answer::Answer;
use crate::entry::{Applied, Batch, Entry, Payload};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Types;

impl RaftTypeConfig for Types {
    type D = Batch;
    type R = Applied;
    type NodeId = NodeId;
    type Node = Member;
    type Term = u64;
    type LeaderId = LeaderId<u64, NodeId>;
    type Vote = Vote;
    type Payload = Payload;
    type Entry = Entry;
    type AsyncRuntime = TokioRuntime;
    type Responder<T>
        = Answer<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type LogId = openraft::LogId<CommittedLeaderId<u64>>;
pub(crate) type Vote = openraft::Vote<LeaderId<u64, NodeId>>;
pub(crate) type Membership = openraft::Membership<NodeId, Member>;
pub(crate) type StoredMembership = openraft::StoredMembership<CommittedLeaderId<u64>, NodeId, Member>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<CommittedLeaderId<u64>, NodeId, Member>;

/// One life of a node's data: made by chance with the folder. A node that has lost its folder is another one, and cannot vote
/// as what it was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl From<u64> for NodeId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// A node as the group knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its place in the configuration, as `n0`.
    pub name: String,
    /// Host and port of its Raft server.
    pub address: String,
}

pub(crate) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term), index)
}

/// Which frame an entry is.
pub(crate) fn frame_index(entry: u64) -> Index {
    Index(entry.saturating_add(1))
}

/// Which entry a frame is. `None` for the one before the first.
pub(crate) fn entry_index(frame: Index) -> Option<u64> {
    frame.0.checked_sub(1)
}

/// The last entry of a log that ends so.
pub(crate) fn last_entry(chain: Chain) -> Option<LogId> {
    entry_index(chain.index).map(|index| log_id(chain.term.0, index))
}

/// The frame before the first is older than all.
pub(crate) fn index_of(last: Option<LogId>) -> Index {
    last.map_or(Index(0), |last| frame_index(last.index))
}

pub(crate) fn term_of(id: LogId) -> Term {
    Term(id.leader_id.term)
}
