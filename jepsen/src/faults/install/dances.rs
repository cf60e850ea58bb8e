//! Faults of several steps, for groups of three: each leaves only nodes that together know too little to elect one of themselves.

use std::time::Duration;

use tokio::time::sleep;

use super::{Installed, damage, flows, not_started, power_cut, until, until_within};
use crate::client::Directory;
use crate::cluster::{Cluster, ClusterError};
use crate::dice::Dice;
use crate::faults::Means;
use crate::history::NodeId;

pub(super) async fn power_dance(
    targets: &[NodeId],
    cluster: &mut Cluster,
) -> Result<Installed, ClusterError> {
    let Some(first) = targets.first().copied() else {
        return Ok(Installed::default().doubtful("nobody leads"));
    };
    let others: Vec<NodeId> = cluster.all().filter(|node| *node != first).collect();
    let [second, third, ..] = others[..] else { return Ok(Installed::default().doubtful("too few nodes")) };
    cluster.pause(second)?;
    // The others go on without it for a moment.
    sleep(Duration::from_secs(2)).await;
    let mut installed = power_cut(&[first], cluster).await?;
    cluster.resume(second)?;
    cluster.pause(third)?;
    installed.paused.push(third);
    installed.down.push(third);
    Ok(installed)
}

/// For a group to elect a leader and for the name server to hear of it.
const ELECTION_MAX: Duration = Duration::from_secs(6);
/// For clients to find a leader and to give it what it cannot pass on.
const LONELY: Duration = Duration::from_secs(1);
/// For them to give up on it, and to be served by the others.
const TOGETHER: Duration = Duration::from_millis(3500);

/// Whoever of `nodes` leads, once somebody does.
async fn elected(nodes: &[NodeId], directory: &Directory) -> Option<NodeId> {
    let mut leader = None;
    until_within(ELECTION_MAX, || {
        leader = directory.leader().filter(|leader| nodes.contains(leader));
        leader.is_some()
    })
    .await;
    leader
}

pub(super) async fn vote_dance(
    targets: &[NodeId],
    cluster: &mut Cluster,
    directory: &Directory,
) -> Result<Installed, ClusterError> {
    let doubtful = |doubt: &str| Ok(Installed::default().doubtful(doubt));
    let Some(first) = targets.first().copied() else { return doubtful("nobody leads") };
    let others: Vec<NodeId> = cluster.all().filter(|node| *node != first).collect();
    let [second, third, ..] = others[..] else { return doubtful("too few nodes") };
    // The third misses an election. Clients still hear from it that it does not lead: they must not wait for it.
    let around_third = flows(&[third], cluster, true);
    for flow in &around_third {
        cluster.cut(*flow, true);
    }
    let mut installed = Installed { links: true, ..Installed::default() };
    cluster.kill(first).await?;
    until(|| directory.leader() != Some(first)).await;
    cluster.start_node(first)?;
    cluster.wait_ready(first).await?;
    let Some(leader) = elected(&[first, second], directory).await else {
        return Ok(installed.doubtful("two of three elected nobody"));
    };
    let voter = if leader == first { second } else { first };
    let cut = power_cut(&[voter], cluster).await?;
    // What the leader takes now it can pass on to nobody.
    sleep(LONELY).await;
    cluster.pause(leader)?;
    installed.paused.push(leader);
    cluster.storage.power_on(voter)?;
    cluster.start_node(voter)?;
    // Nor may it hear of the election now.
    for flow in &around_third {
        cluster.reset(*flow);
    }
    cluster.heal_links();
    let refused = not_started(&[voter], cluster).await?;
    let next = elected(&[voter, third], directory).await;
    sleep(TOGETHER).await;
    // The first leader meets what the others agreed on, in yet another term.
    cluster.kill(voter).await?;
    cluster.resume(leader)?;
    installed.paused.clear();
    installed.down = vec![voter];
    installed.proof = cut.proof;
    match (&mut installed.proof, next) {
        (Some(Ok(proof)), Some(next)) => {
            proof.push_str(&format!("; {leader} led with {voter}, then {next} with the rest"));
        }
        (proof, _) => {
            *proof = Some(Err(format!("{voter} and {third} elected nobody {}", refused.join("; "))));
        }
    }
    Ok(installed)
}

/// The third misses what the others take; then the second is damaged, the first ends, and the other two are left.
pub(super) async fn damage_dance(
    means: Means,
    targets: &[NodeId],
    cluster: &mut Cluster,
    dice: &mut Dice,
) -> Result<Installed, ClusterError> {
    let Some(first) = targets.first().copied() else {
        return Ok(Installed::default().doubtful("nobody leads"));
    };
    let others: Vec<NodeId> = cluster.all().filter(|node| *node != first).collect();
    let [second, third, ..] = others[..] else { return Ok(Installed::default().doubtful("too few nodes")) };
    cluster.kill(third).await?;
    // The others go on without it for a moment.
    sleep(Duration::from_secs(2)).await;
    let damaged = damage(means, &[second], cluster, dice).await?;
    cluster.kill(first).await?;
    for node in [second, third] {
        cluster.start_node(node)?;
    }
    let refused = not_started(&[second, third], cluster).await?;
    let mut installed = Installed { down: vec![first], ..damaged };
    if let (Some(Ok(proof)), false) = (&mut installed.proof, refused.is_empty()) {
        proof.push_str(&format!("; {}", refused.join("; ")));
    }
    Ok(installed)
}
