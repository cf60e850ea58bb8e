//! A slave takes the place of its master, as an operator's script does it, and the old master comes back as a slave.
//!
//! It begins when the slave has all that the master had: whatever was acknowledged or shown before may not be lost by it,
//! however the master acknowledges. What an asynchronous master takes from then on is what may be gone.

use std::time::Duration;

use tokio::time::sleep;

use super::{Installed, flows, kill, not_started, power_cut, until_within};
use crate::client::Directory;
use crate::cluster::{Cluster, ClusterError, Follows, Maker};
use crate::faults::Means;
use crate::history::NodeId;

/// For the slave to have what the master has, while clients go on.
const NEAR_MAX: Duration = Duration::from_secs(10);
/// How long the master serves without its slave before it ends.
const APART: Duration = Duration::from_secs(2);
/// For the name server to hear who is the master now.
const KNOWN_MAX: Duration = Duration::from_secs(8);
/// For a slave to have everything that the master has; at the longest from the first byte on.
const FOLLOWS_MAX: Duration = Duration::from_secs(40);

pub(super) async fn promote(
    means: Means,
    targets: &[NodeId],
    cluster: &mut Cluster,
    directory: &Directory,
) -> Result<Installed, ClusterError> {
    let master = cluster.master();
    let slave = cluster.all().find(|node| *node != master);
    let Some(slave) = slave.filter(|_| targets == [master]) else {
        return Ok(
            Installed::default().doubtful(format!("the name server does not know {master} as the master"))
        );
    };
    match cluster.follows(slave, NEAR_MAX).await {
        Follows::Yes => {}
        other => {
            return Ok(Installed::default().doubtful(format!("{slave} did not have everything: {other:?}")));
        }
    }
    let was_apart = means != Means::PromoteApart || stay_apart(master, cluster).await;
    let mut installed = match means {
        Means::PromoteDark => power_cut(&[master], cluster).await?,
        _ => kill(&[master], cluster).await?,
    };
    if means == Means::PromoteApart {
        // What was held back ended with the master.
        for flow in flows(&[master], cluster, true) {
            cluster.reset(flow);
        }
        cluster.heal_links();
    }
    installed.promoted = Some(slave);
    if !was_apart {
        installed = installed.doubtful(format!("nothing shows that {slave} did not hear of {master}"));
    }
    let said = match cluster.promote(slave).await? {
        Ok(said) => said,
        Err(said) => return Ok(installed.doubtful(format!("{slave} is no master: {said}"))),
    };
    let known = until_within(KNOWN_MAX, || directory.leader() == Some(slave)).await;
    if let Some(Ok(proof)) = &mut installed.proof {
        proof.push_str(&format!("; {slave} was made the master. {said}"));
    }
    if !known {
        return Ok(installed.doubtful(format!("the name server does not know {slave} as the master")));
    }
    Ok(installed)
}

/// The master serves on, and its slave hears nothing of it. Returns whether something was held back.
async fn stay_apart(master: NodeId, cluster: &Cluster) -> bool {
    let flows = flows(&[master], cluster, true);
    let disturbed = || flows.iter().map(|flow| cluster.flow_traffic(*flow).1).sum::<u64>();
    let before = disturbed();
    for flow in &flows {
        cluster.cut(*flow, true);
    }
    sleep(APART).await;
    disturbed() > before
}

/// Lets old masters follow the new one: with what they have, or, where that is not the new one's, with nothing.
pub(super) async fn follow(
    nodes: &[NodeId],
    shown: Option<Result<String, String>>,
    cluster: &mut Cluster,
) -> Result<Result<String, String>, ClusterError> {
    let mut told = match shown {
        Some(Ok(proof)) => vec![proof],
        Some(Err(doubt)) => return Ok(Err(doubt)),
        None => Vec::new(),
    };
    for node in nodes {
        // Apache's slave does not look whether what it has is what its master has.
        let mut begins_anew = cluster.blueprint.system.maker == Maker::Apache && cluster.master() != *node;
        if begins_anew {
            cluster.move_store_away(*node).await?;
        }
        for _ in 0..2 {
            cluster.start_node(*node)?;
            let refused = not_started(&[*node], cluster).await?;
            if !refused.is_empty() {
                return Ok(Err(refused.join("; ")));
            }
            if cluster.master() == *node {
                // Its slave could not be made the master.
                break;
            }
            match cluster.follows(*node, FOLLOWS_MAX).await {
                Follows::Yes => {
                    let with = if begins_anew { "with nothing" } else { "with what it had" };
                    told.push(format!("{node} follows {}, begun {with}", cluster.master()));
                    break;
                }
                Follows::Refused(said) if !begins_anew => {
                    told.push(said);
                    begins_anew = true;
                    cluster.move_store_away(*node).await?;
                }
                Follows::Refused(said) => return Ok(Err(said)),
                Follows::NotInTime => {
                    return Ok(Err(format!("{node} did not follow within {FOLLOWS_MAX:?}")));
                }
            }
        }
    }
    Ok(Ok(told.join("; ")))
}
