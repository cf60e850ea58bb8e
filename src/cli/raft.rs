//! `ferrymq raft`: groups that elect their leader, and changing them while they run.

use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::bodies::{RaftMember, RaftStatus};
use ferrymq_proto::headers::{ChangeRaftGroup, GetRaftChain, GetRaftStatus};

use super::remote::{Cell, Failure, LEADER, Node, Reach, Remote, Table, run as with_remote};

/// Groups that elect their leader: their nodes, who leads, and who belongs to them.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every node: its role, its term, and how far it is.
    Status {
        #[command(flatten)]
        of: Of,
    },
    /// Let another node lead.
    TransferLeader {
        /// Its name, such as n1. Without it the one that is furthest.
        node: Option<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Add a node, which gets the log and has no vote yet.
    AddLearner {
        /// As its dLegerSelfId.
        name: String,
        /// Where it speaks to the others, as in dLegerPeers.
        address: String,
        #[command(flatten)]
        of: Of,
    },
    /// Give a node that has caught up a vote.
    Promote {
        node: String,
        #[command(flatten)]
        of: Of,
    },
    /// Remove a node, with its vote if it has one.
    Remove {
        node: String,
        #[command(flatten)]
        of: Of,
    },
    /// Compare what the logs of all nodes come to, up to where all of them are. Ends with 3 if they differ.
    HashCheck {
        #[command(flatten)]
        of: Of,
    },
}

#[derive(Debug, Args)]
struct Of {
    /// The group, by its broker's name, if there are several.
    #[arg(long)]
    group: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::Status { of } => with(of, async |remote, group| status(&remote, group).await),
        Verb::HashCheck { of } => with(of, async |remote, group| hash_check(&remote, group).await),
        Verb::TransferLeader { node, of } => {
            change(of, "transfer", node.as_deref(), None, |node| format!("{node} leads"))
        }
        Verb::AddLearner { name, address, of } => change(of, "add", Some(name), Some(address), |node| {
            format!(
                "{name} belongs to the group, as node {node}, without a vote: `ferrymq raft promote {name}` gives it one"
            )
        }),
        Verb::Promote { node, of } => {
            change(of, "promote", Some(node), None, |_| format!("{node} has a vote"))
        }
        Verb::Remove { node, of } => change(of, "remove", Some(node), None, |_| format!("{node} is removed")),
    }
}

fn with(of: &Of, work: impl AsyncFnOnce(Remote, Option<&str>) -> Result<(), Failure>) -> ExitCode {
    with_remote(&of.reach, async |remote| work(remote, of.group.as_deref()).await)
}

/// What a node that does not answer has to say is unknown.
pub async fn statuses(
    remote: &Remote,
    group: Option<&str>,
) -> Result<Vec<(Node, Option<RaftStatus>)>, Failure> {
    let mut found = Vec::new();
    for node in remote.nodes().await? {
        if group.is_none_or(|group| group == node.group) {
            let status = remote.ask_for(&node.address, &GetRaftStatus {}).await.ok();
            found.push((node, status));
        }
    }
    match found.iter().any(|(_, status)| status.is_some()) {
        true => Ok(found),
        false => Err(Failure::nothing(
            "no node of a group that elects its leader answers".to_owned(),
            "`ferrymq cluster status` shows who is there.",
        )),
    }
}

async fn status(remote: &Remote, group: Option<&str>) -> Result<(), Failure> {
    let mut table = Table::new(&[
        "group",
        "node",
        "address",
        "role",
        "serves",
        "term",
        "leader",
        "last",
        "committed",
        "applied",
        "lag",
        "vote",
        "trouble",
        "id",
    ]);
    let found = statuses(remote, group).await?;
    let leader = |group: &str| {
        let mut all = found.iter().filter(|(node, _)| node.group == group);
        all.find_map(|(_, status)| status.as_ref().filter(|status| status.role == "leader"))
    };
    for (node, status) in &found {
        let Some(status) = status else {
            let unknown = std::iter::repeat_n(Cell::Unknown, 11);
            let known: [Cell; 3] = [node.group.as_str().into(), Cell::Unknown, node.address.as_str().into()];
            table.row(known.into_iter().chain(unknown));
            continue;
        };
        let seen = leader(&node.group)
            .and_then(|leader| leader.nodes.iter().find(|member| member.node == status.node));
        let trouble = status.trouble.clone().or_else(|| status.abstains.clone());
        table.row([
            node.group.as_str().into(),
            status.name.as_str().into(),
            node.address.as_str().into(),
            status.role.as_str().into(),
            status.is_writable.into(),
            status.term.into(),
            status.leader.clone().into(),
            status.last.into(),
            status.committed.into(),
            status.applied.into(),
            seen.and_then(|member| member.lag).into(),
            seen.map(|member| member.is_voter).into(),
            trouble.into(),
            status.node.as_str().into(),
        ]);
    }
    for (group, member) in unheard(&found) {
        let known: [Cell; 3] = [group.into(), member.name.as_str().into(), member.address.as_str().into()];
        let unknown = std::iter::repeat_n(Cell::Unknown, 8);
        let behind = [member.is_voter.into(), Cell::Unknown, member.node.as_str().into()];
        table.row(known.into_iter().chain(unknown).chain(behind));
    }
    remote.print("ferrymq.raft.status/1", &table);
    Ok(())
}

/// Members, as their leaders know them, of whom no node says that it is one: they do not run, or will never come back.
fn unheard(found: &[(Node, Option<RaftStatus>)]) -> impl Iterator<Item = (&str, &RaftMember)> {
    let answered: Vec<_> = found.iter().filter_map(|(node, status)| Some((node, status.as_ref()?))).collect();
    let known: Vec<_> = answered.iter().map(|(_, status)| status.node.clone()).collect();
    let leaders = answered.into_iter().filter(|(_, status)| status.role == "leader");
    let members =
        leaders.flat_map(|(node, status)| status.nodes.iter().map(|each| (node.group.as_str(), each)));
    members.filter(move |(_, member)| !known.contains(&member.node))
}

async fn hash_check(remote: &Remote, group: Option<&str>) -> Result<(), Failure> {
    let found = statuses(remote, group).await?;
    let mut table = Table::new(&["group", "node", "index", "hash"]);
    let mut groups: Vec<&str> = found.iter().map(|(node, _)| node.group.as_str()).collect();
    groups.dedup();
    let mut is_same = true;
    for group in groups {
        let of_group: Vec<_> = found
            .iter()
            .filter(|(node, _)| node.group == group)
            .filter_map(|(node, status)| Some((node, status.as_ref()?)))
            .collect();
        let Some(index) = of_group.iter().map(|(_, status)| status.applied).min() else { continue };
        let mut hashes = Vec::new();
        for (node, status) in of_group {
            let (chain, _) = remote.ask(&node.address, &GetRaftChain { index }, Bytes::new()).await?;
            let hash = format!("{:08x}", chain.crc);
            table.row([group.into(), status.name.as_str().into(), index.into(), hash.as_str().into()]);
            hashes.push(hash);
        }
        hashes.dedup();
        is_same &= hashes.len() <= 1;
    }
    remote.print("ferrymq.raft.hash-check/1", &table);
    if is_same { Ok(()) } else { Err(Failure::degraded()) }
}

fn change(
    of: &Of,
    action: &str,
    node: Option<&str>,
    address: Option<&str>,
    done: impl FnOnce(&str) -> String,
) -> ExitCode {
    with(of, async |remote, group| {
        let leaders = remote.leaders(group).await?;
        let [leader] = leaders.as_slice() else {
            return Err(Failure::usage("there are several groups: say which one with --group"));
        };
        assert_eq!(leader.id, LEADER, "a leader has id 0");
        let request = ChangeRaftGroup {
            action: action.into(),
            node: node.map(Into::into),
            address: address.map(Into::into),
        };
        let (reply, _) = remote.ask(&leader.address, &request, Bytes::new()).await?;
        remote.say(&done(&reply.node));
        Ok(())
    })
}
