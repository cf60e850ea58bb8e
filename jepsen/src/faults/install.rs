//! Makes each fault happen, and shows that it did.

mod dances;
mod promotion;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Fault, Means, corruption};
use crate::client::Directory;
use crate::cluster::{Behaviour, Cluster, ClusterError, LinkName, Way};
use crate::dice::Dice;
use crate::history::{Flow, NodeId};

/// How long a fault may take to show itself.
const PROOF_MAX: Duration = Duration::from_secs(4);
const POLL: Duration = Duration::from_millis(20);
/// Bytes of a connection that pass before it is cut within a frame.
const FRAME_CUT: (u64, u64) = (200, 4000);

/// A fault that is there, and how to end it.
#[derive(Clone, Debug, Default)]
pub struct Installed {
    pub down: Vec<NodeId>,
    pub cut: Vec<Flow>,
    /// Whoever was made the master, if that was tried.
    pub promoted: Option<NodeId>,
    /// `Err`: nothing shows that it took effect.
    pub proof: Option<Result<String, String>>,
    paused: Vec<NodeId>,
    /// Without power: to be mounted before they start.
    dark: Vec<NodeId>,
    full: Vec<NodeId>,
    /// Containers that have no network.
    apart: Vec<NodeId>,
    /// Harmed on their disks: those that do not start join their group anew.
    damaged: Vec<NodeId>,
    /// They have nothing, so they join anew although they start.
    are_wiped: bool,
    links: bool,
    /// Bytes that had passed the cut when it was found tight.
    passed: u64,
}

impl Installed {
    fn proved(mut self, proof: impl Into<String>) -> Self {
        self.proof = Some(Ok(proof.into()));
        self
    }

    fn doubtful(mut self, doubt: impl Into<String>) -> Self {
        self.proof = Some(Err(doubt.into()));
        self
    }

    fn judged(self, shown: bool, proof: &str) -> Self {
        if shown { self.proved(proof) } else { self.doubtful(format!("nothing shows it: {proof}")) }
    }
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Lets a fault happen to `targets`.
pub async fn install(
    fault: &Fault,
    targets: &[NodeId],
    cluster: &mut Cluster,
    dice: &mut Dice,
    directory: &Directory,
) -> Result<Installed, ClusterError> {
    match fault.means {
        Means::Kill => kill(targets, cluster).await,
        Means::KillRolling => kill_rolling(targets, cluster).await,
        Means::Pause => pause(targets, cluster).await,
        Means::Cut if cluster.containers().is_some() => disconnect(targets, cluster),
        Means::Cut => Ok(cut(flows(targets, cluster, true), cluster).await),
        Means::CutOneWay => Ok(cut(flows(targets, cluster, false), cluster).await),
        Means::Flap => Ok(flap(targets, cluster, dice).await),
        Means::CutClients => {
            let links: Vec<_> = targets.iter().map(|node| LinkName::ClientsTo(*node)).collect();
            Ok(disturb(cluster, &links, |now| (now.forth.cut, now.back.cut) = (true, true)).await)
        }
        Means::CutNameServer => {
            let mut links: Vec<_> = cluster.all().map(LinkName::ToNameServer).collect();
            links.push(LinkName::ClientsToNameServer);
            Ok(disturb(cluster, &links, |now| (now.forth.cut, now.back.cut) = (true, true)).await)
        }
        Means::Slow => Ok(slow(cluster, dice)),
        Means::DropReplies => {
            let links: Vec<_> = targets.iter().map(|node| LinkName::ClientsTo(*node)).collect();
            Ok(disturb(cluster, &links, |now| now.back.discard = true).await)
        }
        Means::CutFrames => {
            let links: Vec<_> = targets.iter().map(|node| LinkName::ClientsTo(*node)).collect();
            let at = dice.between(FRAME_CUT.0, FRAME_CUT.1);
            Ok(disturb(cluster, &links, |now| now.forth.reset_after = Some(at)).await)
        }
        Means::Reset => Ok(reset(targets, cluster).await),
        Means::PowerCut => power_cut(targets, cluster).await,
        Means::PowerDance => dances::power_dance(targets, cluster).await,
        Means::VoteDance => dances::vote_dance(targets, cluster, directory).await,
        Means::DiskFull => disk_full(targets, cluster),
        Means::FlipBits | Means::Truncate | Means::Wipe => damage(fault.means, targets, cluster, dice).await,
        Means::FlipDance => dances::damage_dance(Means::FlipBits, targets, cluster, dice).await,
        Means::WipeDance => dances::damage_dance(Means::Wipe, targets, cluster, dice).await,
        Means::Promote | Means::PromoteDark | Means::PromoteApart => {
            promotion::promote(fault.means, targets, cluster, directory).await
        }
        // The clients hear of it by another way.
        Means::ClientCrash => Ok(Installed::default().proved("all clients were told to forget")),
    }
}

/// Ends a fault. Returns what only its end could show.
pub async fn heal(
    installed: &mut Installed,
    cluster: &mut Cluster,
) -> Result<Option<Result<String, String>>, ClusterError> {
    let mut shown = None;
    if let Some(containers) = cluster.containers() {
        for node in installed.apart.drain(..) {
            containers.connect(node)?;
        }
    } else if !installed.cut.is_empty() {
        let passed: u64 = installed.cut.iter().map(|flow| cluster.flow_traffic(*flow).0).sum();
        let leaked = passed.saturating_sub(installed.passed);
        shown = Some(if leaked == 0 {
            Ok("not a byte passed".to_owned())
        } else {
            Err(format!("{leaked} bytes passed"))
        });
    }
    if installed.links || !installed.cut.is_empty() {
        cluster.heal_links();
    }
    for node in installed.paused.drain(..) {
        // It may have ended meanwhile.
        let _ = cluster.resume(node);
    }
    for node in installed.full.drain(..) {
        cluster.storage.make_room(node)?;
    }
    for node in installed.dark.drain(..) {
        cluster.storage.power_on(node)?;
        let marker = cluster.storage.folder(node).join("written-and-never-flushed");
        let gone = std::fs::metadata(&marker).map_or(0, |found| found.len()) == 0;
        shown = Some(if gone {
            Ok("what was not flushed is gone".to_owned())
        } else {
            Err(format!("{} survived", marker.display()))
        });
    }
    let down = std::mem::take(&mut installed.down);
    if installed.promoted.is_some() {
        return promotion::follow(&down, shown, cluster).await.map(Some);
    }
    for node in &down {
        if !cluster.is_running(*node) {
            cluster.start_node(*node)?;
        }
    }
    let mut refused = not_started(&down, cluster).await?;
    if cluster.has_members() && !installed.damaged.is_empty() {
        refused = not_joined(installed, cluster).await?;
    }
    Ok(if refused.is_empty() { shown } else { Some(Err(refused.join("; "))) })
}

/// Lets damaged nodes join their group anew, if they do not run or have nothing.
async fn not_joined(installed: &Installed, cluster: &mut Cluster) -> Result<Vec<String>, ClusterError> {
    let mut refused = Vec::new();
    for node in &installed.damaged {
        let serves = cluster.is_running(*node) && cluster.wait_ready(*node).await.is_ok();
        if serves && !installed.are_wiped {
            continue;
        }
        if let Err(said) = cluster.rejoin(*node).await? {
            refused.push(format!("{node} did not join again: {said}"));
        }
    }
    Ok(refused)
}

/// Waits for nodes that were started. Some may refuse to, for what was done to them: that is no failure of the harness.
pub async fn not_started(nodes: &[NodeId], cluster: &mut Cluster) -> Result<Vec<String>, ClusterError> {
    let mut refused = Vec::new();
    for node in nodes {
        match cluster.wait_ready(*node).await {
            Err(error @ ClusterError::NotStarted { .. }) => refused.push(error.to_string()),
            other => other?,
        }
    }
    Ok(refused)
}

async fn kill(targets: &[NodeId], cluster: &mut Cluster) -> Result<Installed, ClusterError> {
    for node in targets {
        cluster.kill(*node).await?;
    }
    let gone = targets.iter().all(|node| !cluster.is_running(*node));
    let installed = Installed { down: targets.to_vec(), ..Installed::default() };
    Ok(installed.judged(gone, &format!("{} ended by SIGKILL", names(targets))))
}

/// One after the other; each serves again before the next is ended. The last is still down.
async fn kill_rolling(targets: &[NodeId], cluster: &mut Cluster) -> Result<Installed, ClusterError> {
    for node in targets {
        cluster.kill(*node).await?;
        if Some(node) != targets.last() {
            cluster.start_node(*node)?;
            cluster.wait_ready(*node).await?;
        }
    }
    let down: Vec<NodeId> = targets.last().copied().into_iter().collect();
    let installed = Installed { down, ..Installed::default() };
    Ok(installed.proved(format!("{} ended by SIGKILL, one after the other", names(targets))))
}

async fn pause(targets: &[NodeId], cluster: &mut Cluster) -> Result<Installed, ClusterError> {
    for node in targets {
        cluster.pause(*node)?;
    }
    let paused = until(|| targets.iter().all(|node| cluster.is_paused(*node))).await;
    let installed = Installed { down: targets.to_vec(), paused: targets.to_vec(), ..Installed::default() };
    let shown = if cluster.containers().is_some() { "paused, as Docker says" } else { "in state T" };
    Ok(installed.judged(paused, &format!("{} {shown}", names(targets))))
}

/// Every pair of a target and another node; both ways, or from the target only.
fn flows(targets: &[NodeId], cluster: &Cluster, both: bool) -> Vec<Flow> {
    let mut flows = Vec::new();
    for from in targets {
        for to in cluster.all().filter(|node| !targets.contains(node)) {
            flows.push(Flow { from: *from, to });
            if both {
                flows.push(Flow { from: to, to: *from });
            }
        }
    }
    flows
}

async fn until(shown: impl FnMut() -> bool) -> bool {
    until_within(PROOF_MAX, shown).await
}

async fn until_within(limit: Duration, mut shown: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if shown() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        sleep(POLL).await;
    }
}

async fn cut(flows: Vec<Flow>, cluster: &Cluster) -> Installed {
    let disturbed = |flow: &Flow| cluster.flow_traffic(*flow).1;
    let before: u64 = flows.iter().map(disturbed).sum();
    for flow in &flows {
        cluster.cut(*flow, true);
    }
    let held = until(|| flows.iter().map(disturbed).sum::<u64>() > before).await;
    // What was on its way when the cut came has passed by now.
    let passed = flows.iter().map(|flow| cluster.flow_traffic(*flow).0).sum();
    let pairs: Vec<String> = flows.iter().map(|flow| format!("{}→{}", flow.from, flow.to)).collect();
    let installed = Installed { cut: flows, passed, ..Installed::default() };
    installed.judged(held, &format!("bytes held back on {}", pairs.join(" ")))
}

/// Ends cut: what happens in between proves nothing about quorums, so no flow is named.
async fn flap(targets: &[NodeId], cluster: &Cluster, dice: &mut Dice) -> Installed {
    let flows = flows(targets, cluster, true);
    let disturbed = || flows.iter().map(|flow| cluster.flow_traffic(*flow).1).sum::<u64>();
    let before = disturbed();
    for turn in 0..8 {
        for flow in &flows {
            cluster.cut(*flow, turn % 2 == 0);
        }
        sleep(Duration::from_millis(dice.between(200, 1000))).await;
    }
    let installed = Installed { links: true, ..Installed::default() };
    installed.judged(disturbed() > before, &format!("links of {} went down and up", names(targets)))
}

/// Nobody can reach a container that has no network.
fn disconnect(targets: &[NodeId], cluster: &Cluster) -> Result<Installed, ClusterError> {
    let Some(containers) = cluster.containers() else { return Ok(Installed::default()) };
    for node in targets {
        containers.disconnect(*node)?;
    }
    let gone = targets.iter().all(|node| !containers.is_connected(*node));
    let cut = flows(targets, cluster, true);
    let installed = Installed { cut, apart: targets.to_vec(), ..Installed::default() };
    Ok(installed.judged(gone, &format!("{} have no network", names(targets))))
}

async fn disturb(cluster: &Cluster, links: &[LinkName], change: impl Fn(&mut Behaviour)) -> Installed {
    let links: Vec<_> = links.iter().filter_map(|name| cluster.links.get(name)).collect();
    let disturbed = || links.iter().map(|link| link.traffic().disturbed).sum::<u64>();
    let before = disturbed();
    for link in &links {
        link.change(&change);
    }
    let shown = until(|| disturbed() > before).await;
    let installed = Installed { links: true, ..Installed::default() };
    installed.judged(shown, &format!("{} links disturbed", links.len()))
}

fn slow(cluster: &Cluster, dice: &mut Dice) -> Installed {
    let way = Way {
        delay_ms: dice.between(10, 150),
        jitter_ms: dice.between(0, 100),
        bytes_per_second: if dice.once_in(2) { 1 << 20 } else { 0 },
        ..Way::default()
    };
    for link in cluster.links.values() {
        link.change(|now| (now.forth, now.back) = (way, way));
    }
    let installed = Installed { links: true, ..Installed::default() };
    installed.proved(format!("{} ms and up to {} ms more each way", way.delay_ms, way.jitter_ms))
}

async fn reset(targets: &[NodeId], cluster: &Cluster) -> Installed {
    let touches = |name: &LinkName| match name {
        LinkName::ClientsTo(node) | LinkName::CopiersTo(node) | LinkName::ToNameServer(node) => {
            targets.contains(node)
        }
        LinkName::Peers(from, to) | LinkName::Replication(from, to) => {
            targets.contains(from) || targets.contains(to)
        }
        LinkName::ClientsToNameServer => false,
    };
    let links: Vec<_> =
        cluster.links.iter().filter(|(name, _)| touches(name)).map(|(_, link)| link).collect();
    let disturbed = || links.iter().map(|link| link.traffic().disturbed).sum::<u64>();
    let before = disturbed();
    for _ in 0..5 {
        for link in &links {
            link.reset();
        }
        sleep(Duration::from_millis(200)).await;
    }
    Installed::default().judged(disturbed() > before, &format!("{} connections reset", disturbed() - before))
}

/// Paused first, so that nothing is acknowledged after the moment of the copy.
async fn power_cut(targets: &[NodeId], cluster: &mut Cluster) -> Result<Installed, ClusterError> {
    for node in targets {
        cluster.storage.write_unsynced(*node)?;
        // Already ended, if another fault was first.
        let _ = cluster.pause(*node);
    }
    let paused = until(|| targets.iter().all(|node| cluster.is_paused(*node))).await;
    let copied = cluster.storage.power_off(targets);
    for node in targets {
        cluster.kill(*node).await?;
    }
    copied?;
    let installed = Installed { down: targets.to_vec(), dark: targets.to_vec(), ..Installed::default() };
    Ok(installed
        .judged(paused, &format!("{} stopped, their disks copied as they were, and ended", names(targets))))
}

fn disk_full(targets: &[NodeId], cluster: &Cluster) -> Result<Installed, ClusterError> {
    let mut filled = 0;
    for node in targets {
        filled += cluster.storage.fill(*node)?;
    }
    let installed = Installed { full: targets.to_vec(), ..Installed::default() };
    Ok(installed.judged(filled > 0, &format!("{filled} bytes of ballast until there was no room")))
}

/// Ends the nodes, damages what they have, and leaves them down.
async fn damage(
    means: Means,
    targets: &[NodeId],
    cluster: &mut Cluster,
    dice: &mut Dice,
) -> Result<Installed, ClusterError> {
    let mut installed = kill(targets, cluster).await?;
    installed.damaged = targets.to_vec();
    installed.are_wiped = means == Means::Wipe;
    for node in targets {
        let folder = cluster.storage.folder(*node);
        let damaged = match means {
            Means::FlipBits => corruption::flip_bits(&folder, dice)?,
            Means::Truncate => corruption::truncate(&folder, dice)?,
            _ => {
                let store = folder.join("store");
                let had = store.is_dir();
                if had {
                    std::fs::remove_dir_all(&store)?;
                }
                had.then(|| format!("{node} has nothing left"))
            }
        };
        installed = match damaged {
            Some(proof) => installed.proved(proof),
            None => installed.doubtful(format!("{node} had nothing to damage")),
        };
    }
    Ok(installed)
}
