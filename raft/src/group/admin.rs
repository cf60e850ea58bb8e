//! Changing the group while it runs. Nothing is done that would leave it without a majority that answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::{ChangeMembers, ServerState};
use tokio::time::{Instant, sleep};

use super::GroupHandle;
use crate::abstention::Cause;
use crate::meta::change_meta;
use crate::status::{LeaderHint, NodeStatus, Status, leader_of};
use crate::types::{Member, NodeId};

/// A node that was heard so recently answers.
const LIVELY: Duration = Duration::from_secs(3);
/// A learner that lags no more may vote.
const LAG_MAX: u64 = 1000;
const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3);
const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(3);
const LISTEN_TIMEOUT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    #[error("this node does not lead its group; ask the one that does")]
    NotLeader { leader: Option<LeaderHint> },
    #[error("the group has no node {0}")]
    NoSuchNode(String),
    #[error("{0}")]
    Refused(String),
    #[error("it was begun, but is not done: {0}")]
    Unfinished(String),
}

impl GroupHandle {
    /// Finds a node by its name or its number. A name that two nodes have had means the one that is named last.
    pub fn find(&self, node: &str) -> Result<NodeStatus, AdminError> {
        let nodes = self.status().nodes;
        let by_number = nodes.iter().find(|status| status.node.to_string() == node);
        let mut by_name = nodes.iter().filter(|status| status.member.name == node);
        let first = by_name.next();
        if let (Some(_), Some(_)) = (first, by_name.next()) {
            return Err(AdminError::Refused(format!(
                "two nodes are called {node}: name the one you mean by its number"
            )));
        }
        by_number.or(first).cloned().ok_or_else(|| AdminError::NoSuchNode(node.to_owned()))
    }

    fn check_leads(&self) -> Result<(), AdminError> {
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        match metrics.state == ServerState::Leader {
            true => Ok(()),
            false => Err(AdminError::NotLeader { leader: leader_of(&metrics) }),
        }
    }

    /// Gives nodes that a new leader has not heard yet a moment to be heard.
    async fn listen(&self) {
        let until = Instant::now() + LISTEN_TIMEOUT;
        let unheard = |status: Status| {
            let own = status.node;
            status.nodes.into_iter().any(|node| node.node != own && node.silence.is_none())
        };
        while unheard(self.status()) && Instant::now() < until {
            sleep(LOOK).await;
        }
    }

    /// Hands the leadership to a node, or to the one that has most of the log, and waits until it has it.
    pub async fn transfer_leader(&self, to: Option<NodeId>) -> Result<NodeId, AdminError> {
        self.check_leads()?;
        self.listen().await;
        let status = self.status();
        let to = match to.or_else(|| self.successor()) {
            Some(to) => to,
            None => return Err(AdminError::Refused("there is no other node that may lead".into())),
        };
        let target = status.nodes.iter().find(|node| node.node == to);
        let target = target.ok_or_else(|| AdminError::NoSuchNode(to.to_string()))?;
        if !target.is_voter {
            return Err(AdminError::Refused(format!(
                "{} has no voice, and so cannot lead",
                target.member.name
            )));
        }
        if to == status.node {
            return Ok(to);
        }
        if !is_lively(target) {
            return Err(AdminError::Refused(format!("{} does not answer", target.member.name)));
        }
        self.give_way(to).await.map_err(unfinished)?;
        let until = Instant::now() + TRANSFER_TIMEOUT;
        loop {
            if self.shared.raft.metrics().borrow_watched().current_leader == Some(to) {
                return Ok(to);
            }
            if Instant::now() > until {
                return Err(AdminError::Unfinished(format!("{} does not lead yet", target.member.name)));
            }
            sleep(LOOK).await;
        }
    }

    /// Adds the node at an address, which gets the log from now on and has no voice yet.
    pub async fn add_learner(&self, member: Member) -> Result<NodeId, AdminError> {
        self.check_leads()?;
        let own = crate::proto::Introduction::default();
        let found = self.shared.peers.introduce(&member, own, INTRODUCTION_TIMEOUT).await;
        let found = found.map_err(|error| {
            AdminError::Refused(format!("{} at {}: {error}", member.name, member.address))
        })?;
        if found.name != member.name {
            let text = format!("the node at {} is {}, not {}", member.address, found.name, member.name);
            return Err(AdminError::Refused(text));
        }
        if found.segment_bytes != self.shared.log.segment_bytes() {
            let (theirs, ours) = (found.segment_bytes, self.shared.log.segment_bytes());
            let text = format!("{} has segments of {theirs} bytes, and the group of {ours}", member.name);
            return Err(AdminError::Refused(text));
        }
        let node = NodeId(found.node);
        if self.status().nodes.iter().any(|known| known.node == node) {
            return Err(AdminError::Refused(format!("{} belongs to the group already", member.name)));
        }
        if found.is_initialized {
            let text = format!("{} has the log of another group; remove its folder first", member.name);
            return Err(AdminError::Refused(text));
        }
        let change = ChangeMembers::AddNodes(BTreeMap::from([(node, member)]));
        self.change(change, true).await?;
        Ok(node)
    }

    /// Gives a learner a voice.
    pub async fn promote(&self, node: NodeId) -> Result<(), AdminError> {
        self.check_leads()?;
        self.listen().await;
        let status = self.status();
        let target = status.nodes.iter().find(|known| known.node == node);
        let target = target.ok_or_else(|| AdminError::NoSuchNode(node.to_string()))?;
        if target.is_voter {
            return Ok(());
        }
        match target.lag {
            Some(lag) if lag <= LAG_MAX && is_lively(target) => {}
            _ => {
                let lag = target.lag.map_or("unknown".into(), |lag| lag.to_string());
                let text = format!("{} must catch up first: its lag is {lag}", target.member.name);
                return Err(AdminError::Refused(text));
            }
        }
        let voters = voters(&status.nodes).chain([node]).collect();
        self.check_majority(&voters).await?;
        self.change(ChangeMembers::AddVoterIds(BTreeSet::from([node])), true).await
    }

    /// Removes a node, with its voice if it has one.
    pub async fn remove(&self, node: NodeId) -> Result<(), AdminError> {
        self.check_leads()?;
        self.listen().await;
        let status = self.status();
        let target = status.nodes.iter().find(|known| known.node == node);
        let target = target.ok_or_else(|| AdminError::NoSuchNode(node.to_string()))?;
        let nodes = BTreeSet::from([node]);
        if !target.is_voter {
            return self.change(ChangeMembers::RemoveNodes(nodes), false).await;
        }
        let left: BTreeSet<_> = voters(&status.nodes).filter(|voter| *voter != node).collect();
        if left.is_empty() {
            return Err(AdminError::Refused(format!(
                "{} is the last one that has a voice",
                target.member.name
            )));
        }
        self.check_majority(&left).await?;
        self.change(ChangeMembers::RemoveVoters(nodes), false).await
    }

    /// Ends the abstention of a node that may have lost entries it had acknowledged: what a majority has lost is lost then.
    pub async fn accept_tail_loss(&self) -> Result<(), AdminError> {
        change_meta(&self.shared.meta, |meta| meta.is_quarantined = false).await.map_err(unfinished)?;
        if self.shared.abstention.end(Cause::Loss) {
            self.shared.raft.runtime_config().elect(true);
        }
        Ok(())
    }

    /// Whether most of these answer. They are asked now: a change that waits for a node that has just died stops the group.
    async fn check_majority(&self, voters: &BTreeSet<NodeId>) -> Result<(), AdminError> {
        let status = self.status();
        let others =
            status.nodes.into_iter().filter(|node| voters.contains(&node.node) && node.node != status.node);
        let own_voice = usize::from(voters.contains(&status.node));
        let answers = futures_util::future::join_all(others.map(|node| self.answers(node))).await;
        let lively = own_voice + answers.into_iter().filter(|answers| *answers).count();
        if lively > voters.len() / 2 {
            return Ok(());
        }
        let text = format!(
            "of the {} nodes that would have a voice, only {lively} answer: the group would stop",
            voters.len()
        );
        Err(AdminError::Refused(text))
    }

    async fn answers(&self, node: NodeStatus) -> bool {
        let own = crate::proto::Introduction::default();
        let found = self.shared.peers.introduce(&node.member, own, INTRODUCTION_TIMEOUT).await;
        found.is_ok_and(|found| found.node == node.node.0)
    }

    async fn change(&self, change: ChangeMembers<NodeId, Member>, retain: bool) -> Result<(), AdminError> {
        let changed = self.shared.raft.change_membership(change, retain).await;
        changed.map(|_| ()).map_err(unfinished)
    }
}

fn voters(nodes: &[NodeStatus]) -> impl Iterator<Item = NodeId> {
    nodes.iter().filter(|node| node.is_voter).map(|node| node.node)
}

fn is_lively(node: &NodeStatus) -> bool {
    node.silence.is_some_and(|silence| silence < LIVELY)
}

fn unfinished(error: impl Display) -> AdminError {
    AdminError::Unfinished(error.to_string())
}
