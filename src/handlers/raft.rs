//! Groups that elect their leader: how they are, and changing them.

use std::sync::Arc;

use ferrymq_proto::bodies::{RaftMember, RaftStatus};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{ChangeRaftGroup, ChangeRaftReply, GetRaftChain, RaftChain};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Connection;
use ferrymq_raft::{AdminError, GroupHandle, Member, NodeId, NodeStatus, Role, Status};
use ferrymq_storage::Index;

use crate::broker::Broker;
use crate::clock;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};

fn group(broker: &Broker) -> Result<&GroupHandle, Refusal> {
    let none =
        || Refusal::IllegalOperation("this node belongs to no group that elects its leader".to_owned());
    broker.writer.group().ok_or_else(none)
}

/// 70001.
pub fn status(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let status = shown(group(broker)?.status(), broker.writer.is_leader());
    Ok(Reply::body(json::to_string(&status, Dialect::Fastjson)))
}

/// 70002.
pub async fn change(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let ChangeRaftGroup { action, node, address } = ChangeRaftGroup::decode(&request.fields)?;
    let group = group(broker)?;
    let named = || node.as_deref().ok_or_else(|| Refusal::Parameter("which node?".to_owned()));
    let find = || Ok::<NodeId, Refusal>(group.find(named()?).map_err(|error| refused(&error))?.node);
    tracing::info!(%action, ?node, ?address, "the group is to change");
    let changed = match &*action {
        "transfer" => {
            let to = node.as_deref().map(|_| find()).transpose()?;
            broker.transactions.flush().await;
            broker.offsets.flush().await;
            group.transfer_leader(to).await.map_err(|error| refused(&error))?
        }
        "add" => {
            let address = address.ok_or_else(|| Refusal::Parameter("at which address?".to_owned()))?;
            let member = Member { name: named()?.to_owned(), address: address.to_string() };
            group.add_learner(member).await.map_err(|error| refused(&error))?
        }
        "promote" => {
            let node = find()?;
            group.promote(node).await.map_err(|error| refused(&error))?;
            node
        }
        "remove" => {
            let node = find()?;
            group.remove(node).await.map_err(|error| refused(&error))?;
            node
        }
        "accept-tail-loss" => {
            group.accept_tail_loss().await.map_err(|error| refused(&error))?;
            group.node()
        }
        other => return Err(Refusal::Parameter(format!("a group cannot be told to {other:?}"))),
    };
    Ok(Reply::header(&ChangeRaftReply { node: changed.to_string().into() }))
}

/// 70003.
pub async fn chain(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let GetRaftChain { index } = GetRaftChain::decode(&request.fields)?;
    let index = u64::try_from(index).map_err(|_| Refusal::Parameter(format!("{index} is no index")))?;
    let group = group(broker)?.clone();
    let read = tokio::task::spawn_blocking(move || group.chain_at(Index(index))).await;
    let crc = read.map_err(std::io::Error::other).and_then(|read| read);
    let crc = crc.map_err(|error| Refusal::NothingFound(error.to_string()))?;
    Ok(Reply::header(&RaftChain { crc: crc.into() }))
}

fn refused(error: &AdminError) -> Refusal {
    match error {
        AdminError::NotLeader { .. } => Refusal::NotStored(crate::replication::NotStored::NotLeader),
        AdminError::NoSuchNode(_) => Refusal::NothingFound(error.to_string()),
        AdminError::Refused(_) => Refusal::IllegalOperation(error.to_string()),
        AdminError::Unfinished(_) => Refusal::Failed(error.to_string()),
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The status of a group, as it is sent.
pub fn shown(status: Status, is_serving: bool) -> RaftStatus {
    let role = match status.role {
        Role::Leader => "leader",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Learner => "learner",
        Role::Stopped => "stopped",
    };
    RaftStatus {
        abstains: status.abstains,
        applied: number(status.applied.0),
        clock: Some(clock::now()),
        committed: number(status.committed.0),
        confirmed: status.confirmed,
        last: number(status.last.0),
        leader: status.leader.map(|leader| leader.member.name),
        name: status.member.name,
        node: status.node.to_string(),
        nodes: status.nodes.into_iter().map(shown_member).collect(),
        purged: number(status.purged.0),
        role: role.to_owned(),
        term: number(status.term.0),
        trouble: status.trouble,
        is_writable: is_serving,
    }
}

fn shown_member(node: NodeStatus) -> RaftMember {
    let milliseconds = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    RaftMember {
        address: node.member.address,
        lag: node.lag.map(number),
        name: node.member.name,
        node: node.node.to_string(),
        silence_ms: node.silence.map(milliseconds),
        is_voter: node.is_voter,
    }
}
