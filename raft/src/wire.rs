//! Between openraft's types and those of `raft.proto`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use openraft::vote::RaftLeaderId;
use prost::Message;

use crate::command::{MEMBERSHIP_MAGIC, put_record, records_of};
use crate::proto;
use crate::types::{LogId, Member, Membership, NodeId, StoredMembership, Vote, log_id};

impl From<LogId> for proto::LogId {
    fn from(id: LogId) -> Self {
        Self { term: id.leader_id.term, index: id.index }
    }
}

impl From<proto::LogId> for LogId {
    fn from(id: proto::LogId) -> Self {
        log_id(id.term, id.index)
    }
}

impl From<Vote> for proto::Vote {
    fn from(vote: Vote) -> Self {
        let leader = vote.leader_id;
        Self { term: leader.term(), node: leader.node_id().0, committed: vote.committed }
    }
}

impl From<proto::Vote> for Vote {
    fn from(vote: proto::Vote) -> Self {
        let node = NodeId(vote.node);
        match vote.committed {
            true => Self::new_committed(vote.term, node),
            false => Self::new(vote.term, node),
        }
    }
}

pub(crate) fn encode_membership(membership: &Membership) -> proto::Membership {
    let configs = membership.get_joint_config().iter();
    let configs = configs.map(|voters| proto::Voters { nodes: voters.iter().map(|node| node.0).collect() });
    let members = membership.nodes().map(|(node, member)| proto::Member {
        node: node.0,
        name: member.name.clone(),
        address: member.address.clone(),
    });
    proto::Membership { configs: configs.collect(), members: members.collect() }
}

/// `None` when a voter is no member.
pub(crate) fn decode_membership(message: proto::Membership) -> Option<Membership> {
    let configs = message.configs.into_iter();
    let configs: Vec<BTreeSet<_>> =
        configs.map(|voters| voters.nodes.into_iter().map(NodeId).collect()).collect();
    let members: BTreeMap<_, _> = message
        .members
        .into_iter()
        .map(|member| (NodeId(member.node), Member { name: member.name, address: member.address }))
        .collect();
    Membership::new(configs, members).ok()
}

pub(crate) fn encode_stored(stored: &StoredMembership) -> proto::StoredMembership {
    proto::StoredMembership {
        log_id: stored.log_id().map(Into::into),
        membership: Some(encode_membership(stored.membership())),
    }
}

pub(crate) fn decode_stored(message: proto::StoredMembership) -> Option<StoredMembership> {
    let membership = decode_membership(message.membership.unwrap_or_default())?;
    Some(StoredMembership::new(message.log_id.map(Into::into), membership))
}

/// The body of a frame that says who the members are.
pub(crate) fn membership_body(membership: &Membership, out: &mut BytesMut) {
    put_record(out, MEMBERSHIP_MAGIC, &encode_membership(membership).encode_to_vec());
}

pub(crate) fn decode_membership_body(body: &Bytes) -> Option<Membership> {
    let record = records_of(body, MEMBERSHIP_MAGIC)?.into_iter().next()?;
    decode_membership(proto::Membership::decode(record).ok()?)
}
