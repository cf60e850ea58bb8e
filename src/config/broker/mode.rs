//! What a node is in its group: master, slave, or one of those that elect their leader.

use std::fmt;
use std::time::Duration;

use super::registration::Endpoint;
use super::rows::{Row, fixed, milliseconds, switch};
use crate::config::field::Field;

/// What the keys say, put together. There is no other way to be configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Master,
    Slave { broker_id: u64 },
    Raft(RaftGroup),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaftGroup {
    pub name: String,
    /// Invariant: one of `peers`.
    pub own_id: String,
    /// All members, this node among them, in the order of the file.
    pub peers: Vec<Peer>,
    pub preferred_leader: Option<String>,
    pub timing: RaftTiming,
}

/// `n0-10.0.0.1:40911`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// A letter and a number.
    pub id: String,
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RaftTiming {
    pub heartbeat: Duration,
    /// Each node waits for a leader between these two, at random.
    pub election_min: Duration,
    pub election_max: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokerRole {
    #[default]
    AsyncMaster,
    SyncMaster,
    Slave,
}

/// The keys that [`Mode`] is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModeKeys {
    pub role: BrokerRole,
    pub broker_id: i32,
    pub is_raft: bool,
    pub group: String,
    pub peers: Vec<Peer>,
    pub own_id: String,
    pub preferred_leader: String,
    pub timing: RaftTiming,
}

impl Peer {
    fn parse(text: &str) -> Option<Self> {
        let (id, address) = text.trim().split_once('-')?;
        let Endpoint { host, port } = Endpoint::parse(address)?;
        let mut characters = id.chars();
        let is_letter = characters.next().is_some_and(|character| character.is_ascii_alphabetic());
        let peer = Peer { id: id.to_string(), host, port };
        let is_number = characters.all(|character| character.is_ascii_digit()) && peer.number().is_some();
        (is_letter && is_number).then_some(peer)
    }

    /// The number in its id.
    pub fn number(&self) -> Option<u64> {
        self.id.get(1..)?.parse().ok()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}-{}:{}", self.id, self.host, self.port)
    }
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "brokerRole",
        "ASYNC_MASTER",
        Field::Parsed("ASYNC_MASTER, SYNC_MASTER or SLAVE", |config, text| {
            config.mode_keys.role = match text {
                "ASYNC_MASTER" => BrokerRole::AsyncMaster,
                "SYNC_MASTER" => BrokerRole::SyncMaster,
                "SLAVE" => BrokerRole::Slave,
                _ => return None,
            };
            Some(text.to_string())
        }),
        "Without enableDLegerCommitLog: SYNC_MASTER acknowledges a message when inSyncReplicas nodes have it, of which it is one \
         itself, ASYNC_MASTER does not wait for slaves, SLAVE follows the master of the same brokerName.",
    )
    .important(),
    fixed(
        "brokerId",
        "0",
        Field::Integer(-1..=i32::MAX, |config| &mut config.mode_keys.broker_id),
        "The number of a slave in its group, from 1. A master is 0, whatever stands here; so is the leader of a group that \
         elects it.",
    )
    .important(),
    fixed(
        "enableDLegerCommitLog",
        "false",
        switch(|config| &mut config.mode_keys.is_raft),
        "Be one of the nodes of dLegerPeers, which elect a leader among them and acknowledge what a majority has.",
    )
    .also(&["enableDLedgerCommitLog"]),
    fixed(
        "dLegerGroup",
        "",
        Field::Text(|config| &mut config.mode_keys.group),
        "The name of that group; brokerName if it is not set.",
    )
    .also(&["dLedgerGroup"])
    .listed_if_set(),
    fixed(
        "dLegerPeers",
        "",
        Field::Parsed("nodes such as n0-10.0.0.1:40911, separated by ;", |config, text| {
            let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
            config.mode_keys.peers = parts.map(Peer::parse).collect::<Option<_>>()?;
            Some(text.to_string())
        }),
        "All nodes of the group: id, host and port of each. The port is for the nodes among themselves.",
    )
    .also(&["dLedgerPeers"])
    .listed_if_set(),
    fixed(
        "dLegerSelfId",
        "",
        Field::Text(|config| &mut config.mode_keys.own_id),
        "Which of them this node is.",
    )
    .also(&["dLedgerSelfId"])
    .listed_if_set(),
    fixed(
        "preferredLeaderId",
        "",
        Field::Text(|config| &mut config.mode_keys.preferred_leader),
        "Which of them is to lead when it can.",
    )
    .listed_if_set(),
    fixed(
        "raftHeartbeatMs",
        "100",
        milliseconds(10..=60_000, |config| &mut config.mode_keys.timing.heartbeat),
        "How often the leader says that it is there.",
    ),
    fixed(
        "raftElectionMinMs",
        "300",
        milliseconds(20..=600_000, |config| &mut config.mode_keys.timing.election_min),
        "A node that does not hear it stands for election, after a time of its own between this and raftElectionMaxMs.",
    ),
    fixed(
        "raftElectionMaxMs",
        "600",
        milliseconds(30..=600_000, |config| &mut config.mode_keys.timing.election_max),
        "See raftElectionMinMs.",
    ),
];
