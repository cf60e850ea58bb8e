//! What a node of a group is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ferrymq_storage::{BootId, FlushMode};

use crate::meta::NAME_BYTES_MAX;
use crate::types::Member;

/// More would make every entry wait for more.
const NODES_MAX: usize = 7;

#[derive(Clone, Debug)]
pub struct GroupSettings {
    pub cluster: String,
    /// The broker's name.
    pub group: String,
    /// Which of the peers this node is.
    pub name: String,
    /// All nodes with which the group begins, this one among them. A node that is added later names at least itself.
    pub peers: Vec<Member>,
    /// Where this node's server listens.
    pub listen: SocketAddr,
    /// Of the store, in which the log lies as well.
    pub folder: PathBuf,
    pub boot: BootId,
    /// What an acknowledgement means: durable on a majority, or in its memory.
    pub mode: FlushMode,
    pub timing: Timing,
    /// The name of the one that is to lead whenever it can.
    pub preferred_leader: Option<String>,
}

/// A follower stands for election when it has heard nothing for the longest election timeout, and then a time of chance between
/// the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(300),
            election_max: Duration::from_millis(600),
        }
    }
}

/// Why settings cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("{name} is not among the peers ({peers}); add it, or correct the name of this node")]
    NotAmongPeers { name: String, peers: String },
    #[error("{name} stands twice among the peers; every node needs a name of its own")]
    NameTwice { name: String },
    #[error("{address} stands twice among the peers; every node needs an address of its own")]
    AddressTwice { address: String },
    #[error("a group has up to {NODES_MAX} nodes, not {0}")]
    TooMany(usize),
    #[error("{0:?} is too long for a name, or empty")]
    BadName(String),
    #[error("heartbeats every {} ms do not fit into an election timeout of {} to {} ms; make it at least twice as long, and the longest longer than the shortest",
        .0.heartbeat.as_millis(), .0.election_min.as_millis(), .0.election_max.as_millis())]
    BadTiming(Timing),
}

impl GroupSettings {
    pub(crate) fn check(&self) -> Result<(), SettingsError> {
        for name in [&self.cluster, &self.group, &self.name] {
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(SettingsError::BadName(name.clone()));
            }
        }
        for (number, peer) in self.peers.iter().enumerate() {
            let before = self.peers.iter().take(number);
            if before.clone().any(|other| other.name == peer.name) {
                return Err(SettingsError::NameTwice { name: peer.name.clone() });
            }
            if before.clone().any(|other| other.address == peer.address) {
                return Err(SettingsError::AddressTwice { address: peer.address.clone() });
            }
        }
        if self.peers.len() > NODES_MAX {
            return Err(SettingsError::TooMany(self.peers.len()));
        }
        if !self.peers.iter().any(|peer| peer.name == self.name) {
            return Err(SettingsError::NotAmongPeers { name: self.name.clone(), peers: self.peer_list() });
        }
        let Timing { heartbeat, election_min, election_max } = self.timing;
        if heartbeat.is_zero() || election_min < heartbeat * 2 || election_max <= election_min {
            return Err(SettingsError::BadTiming(self.timing));
        }
        Ok(())
    }

    pub(crate) fn itself(&self) -> Member {
        let itself = self.peers.iter().find(|peer| peer.name == self.name);
        itself.cloned().unwrap_or_default()
    }

    pub(crate) fn others(&self) -> Vec<Member> {
        self.peers.iter().filter(|peer| peer.name != self.name).cloned().collect()
    }

    /// The peers in one order, as RocketMQ writes them: what two nodes can compare.
    pub(crate) fn peer_list(&self) -> String {
        let mut peers: Vec<_> =
            self.peers.iter().map(|peer| format!("{}-{}", peer.name, peer.address)).collect();
        peers.sort();
        peers.join(";")
    }
}
