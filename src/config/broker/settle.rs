//! What follows from several keys at once, and where they contradict each other.

use super::BrokerConfig;
use super::mode::{BrokerRole, Mode, ModeKeys, RaftGroup};
use crate::config::conflict::Conflict;
use crate::config::diagnostic::{Severity, quoted};
use crate::errors::CONTRADICTING_KEYS;

/// A group that elects its leader is there to lose nothing, so a send waits for the disks of a majority unless told otherwise.
pub(super) fn dependent(config: &BrokerConfig) -> &'static [(&'static str, &'static str)] {
    if config.mode_keys.is_raft { &[("flushDiskType", "SYNC_FLUSH")] } else { &[] }
}

pub(super) fn settle(config: &mut BrokerConfig) -> Vec<Conflict> {
    if config.store.log_folder.as_os_str().is_empty() {
        config.store.log_folder = config.store.root.join("commitlog");
    }
    if config.replication.port == 0 {
        config.replication.port = config.network.listen_port.saturating_add(1);
    }
    let keys = &config.mode_keys;
    let mut conflicts: Vec<Conflict> = ports(config).into_iter().chain(log_folder(config)).collect();
    if keys.is_raft {
        conflicts.extend(raft(keys, config));
        config.mode = Mode::Raft(group(keys, config.identity.name.as_str()));
        return conflicts;
    }
    conflicts.extend(unused_raft_keys(keys));
    match keys.role {
        BrokerRole::Slave => {
            conflicts.extend(slave(config));
            let broker_id = u64::try_from(keys.broker_id).unwrap_or_default();
            config.mode = Mode::Slave { broker_id };
        }
        BrokerRole::AsyncMaster | BrokerRole::SyncMaster => {
            conflicts.extend(master(config));
            config.mode = Mode::Master;
        }
    }
    conflicts
}

fn group(keys: &ModeKeys, broker_name: &str) -> RaftGroup {
    let set = |text: &str| (!text.is_empty()).then(|| text.to_string());
    RaftGroup {
        name: set(&keys.group).unwrap_or_else(|| broker_name.to_string()),
        own_id: keys.own_id.clone(),
        peers: keys.peers.clone(),
        preferred_leader: set(&keys.preferred_leader),
        timing: keys.timing,
    }
}

fn ports(config: &BrokerConfig) -> Option<Conflict> {
    let port = config.network.listen_port;
    (port != 0 && config.replication.port == port).then(|| {
        error(
            &["haListenPort", "listenPort"],
            format!("haListenPort and listenPort are both {port}"),
            "another port than listenPort",
            "remove haListenPort: then it is the port behind listenPort",
        )
    })
}

fn log_folder(config: &BrokerConfig) -> Option<Conflict> {
    let usual = config.store.root.join("commitlog");
    (config.store.log_folder != usual).then(|| {
        error(
            &["storePathCommitLog", "storePathRootDir"],
            "the commit log cannot lie elsewhere than below storePathRootDir yet".to_string(),
            &format!("expected {}", usual.display()),
            "remove storePathCommitLog, or make `commitlog` below storePathRootDir a link to that folder",
        )
    })
}

fn slave(config: &BrokerConfig) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let id = config.mode_keys.broker_id;
    if id < 1 {
        conflicts.push(error(
            &["brokerId", "brokerRole", "enableControllerMode"],
            format!("a slave cannot have brokerId {id}"),
            "expected 1 or more",
            "give each slave of the group its own number from 1; 0 is the master",
        ));
    }
    if config.registration.name_servers.is_empty() && config.replication.master.is_none() {
        conflicts.push(error(
            &["brokerRole", "namesrvAddr", "haMasterAddress", "enableControllerMode"],
            "a slave without name servers cannot find its master".to_string(),
            "needs a master",
            "set namesrvAddr, or haMasterAddress",
        ));
    }
    conflicts
}

fn master(config: &BrokerConfig) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let id = config.mode_keys.broker_id;
    if id > 0 {
        conflicts.push(warning(
            &["brokerId", "brokerRole", "enableControllerMode"],
            format!("brokerId {id} is not used: a master is always 0"),
            "only for slaves",
            "if this is to be a slave, set brokerRole=SLAVE",
        ));
    }
    let replication = &config.replication;
    for (keys, less, more) in [
        (&["inSyncReplicas", "totalReplicas"], replication.replicas_in_sync, replication.replicas),
        (
            &["minInSyncReplicas", "inSyncReplicas"],
            replication.replicas_in_sync_min,
            replication.replicas_in_sync,
        ),
    ] {
        let [small, large] = keys;
        if less > more {
            conflicts.push(warning(
                keys,
                format!("{small} is {less}, but {large} is {more}"),
                &format!("more than {large}"),
                &format!("raise {large}, or lower {small}"),
            ));
        }
    }
    conflicts
}

/// Keys of a group that elects its leader, without the one that turns it on: probably forgotten.
fn unused_raft_keys(keys: &ModeKeys) -> Option<Conflict> {
    let is_unused = !keys.peers.is_empty() || !keys.own_id.is_empty();
    is_unused.then(|| {
        warning(
            &["dLegerPeers", "dLegerSelfId", "enableDLegerCommitLog"],
            "dLegerPeers and dLegerSelfId mean nothing without enableDLegerCommitLog".to_string(),
            "not used",
            "set enableDLegerCommitLog=true, or remove them",
        )
    })
}

fn raft(keys: &ModeKeys, config: &BrokerConfig) -> Vec<Conflict> {
    let mut conflicts = members(keys);
    if keys.role == BrokerRole::Slave {
        conflicts.push(error(
            &["brokerRole", "enableDLegerCommitLog"],
            "a node of a group that elects its leader is no slave".to_string(),
            "not with enableDLegerCommitLog",
            "remove brokerRole, or enableDLegerCommitLog",
        ));
    }
    if keys.role == BrokerRole::SyncMaster {
        conflicts.push(warning(
            &["brokerRole", "enableDLegerCommitLog"],
            "brokerRole makes no difference with enableDLegerCommitLog: a majority always has what is acknowledged"
                .to_string(),
            "not used",
            "remove brokerRole",
        ));
    }
    let name = config.identity.name.as_str();
    if !keys.group.is_empty() && keys.group != name {
        conflicts.push(warning(
            &["dLegerGroup", "brokerName"],
            format!("dLegerGroup is {}, but brokerName is {}", quoted(&keys.group), quoted(name)),
            "another name than brokerName",
            "give both the same name, on all nodes of the group",
        ));
    }
    let timing = keys.timing;
    if timing.heartbeat >= timing.election_min || timing.election_min >= timing.election_max {
        conflicts.push(error(
            &["raftElectionMinMs", "raftElectionMaxMs", "raftHeartbeatMs"],
            "raftHeartbeatMs, raftElectionMinMs and raftElectionMaxMs do not rise".to_string(),
            "out of order",
            "choose them as 1 to 3 to 6, such as 100, 300 and 600",
        ));
    }
    conflicts
}

/// Who is in the group, and whether this node is.
fn members(keys: &ModeKeys) -> Vec<Conflict> {
    let ids: Vec<&str> = keys.peers.iter().map(|peer| peer.id.as_str()).collect();
    if ids.is_empty() {
        return vec![error(
            &["enableDLegerCommitLog", "dLegerPeers"],
            "enableDLegerCommitLog needs dLegerPeers".to_string(),
            "without dLegerPeers",
            "list all nodes: dLegerPeers=n0-10.0.0.1:40911;n1-10.0.0.2:40911;n2-10.0.0.3:40911",
        )];
    }
    let mut conflicts = Vec::new();
    for (index, peer) in keys.peers.iter().enumerate() {
        let earlier = keys.peers.iter().take(index);
        let is_same = |other: &&super::Peer| {
            other.id == peer.id || (&other.host, other.port) == (&peer.host, peer.port)
        };
        if let Some(other) = earlier.into_iter().find(is_same) {
            conflicts.push(error(
                &["dLegerPeers"],
                format!("two nodes of dLegerPeers are the same: {other} and {peer}"),
                "an id or an address twice",
                "each node of a group needs its own id and its own address",
            ));
        }
    }
    let expected = format!("expected one of: {}", ids.join(", "));
    let own = keys.own_id.as_str();
    if own.is_empty() {
        conflicts.push(error(
            &["enableDLegerCommitLog", "dLegerSelfId", "dLegerPeers"],
            "enableDLegerCommitLog needs dLegerSelfId".to_string(),
            "without dLegerSelfId",
            &format!("say which node this is: dLegerSelfId={}", ids.join(" or ")),
        ));
    } else if !ids.contains(&own) {
        conflicts.push(error(
            &["dLegerSelfId", "dLegerPeers"],
            format!("dLegerSelfId {} is not in dLegerPeers", quoted(own)),
            &expected,
            "each node of a group needs its own id, which stands in dLegerPeers of all of them",
        ));
    }
    let preferred = keys.preferred_leader.as_str();
    if !preferred.is_empty() && !ids.contains(&preferred) {
        conflicts.push(error(
            &["preferredLeaderId", "dLegerPeers"],
            format!("preferredLeaderId {} is not in dLegerPeers", quoted(preferred)),
            &expected,
            "choose one of dLegerPeers, or remove it",
        ));
    }
    conflicts
}

fn error(keys: &'static [&'static str], message: String, label: &str, help: &str) -> Conflict {
    conflict(Severity::Error, keys, message, label, help)
}

fn warning(keys: &'static [&'static str], message: String, label: &str, help: &str) -> Conflict {
    conflict(Severity::Warning, keys, message, label, help)
}

fn conflict(
    severity: Severity,
    keys: &'static [&'static str],
    message: String,
    label: &str,
    help: &str,
) -> Conflict {
    let (label, help) = (label.to_string(), help.to_string());
    Conflict { severity, problem: &CONTRADICTING_KEYS, keys, message, label, help }
}
