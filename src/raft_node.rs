//! A node of a group that elects its leader: how it joins, takes over, steps back and leaves.
//!
//! A new leader serves only when it has in order what a leader needs, and only then the name servers hear of it. One that steps
//! back serves no longer at once; whatever it knew as the leader alone is forgotten.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_raft::{GroupHandle, GroupSettings, Leadership, LogParts, Member, Timing};
use ferrymq_storage::clock::RealClock;
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::{Layout, OpenError, Term};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::broker::Broker;
use crate::clock;
use crate::config::broker::{BrokerConfig, Peer, RaftGroup};
use crate::node::StartError;
use crate::replication::SharedTables;
use crate::replication::raft::{Parts, Raft};
use crate::services::registration::Seat;
use crate::store::{self, Opened, Store, StoreError, Waking};
use crate::system_tables::SystemTables;

/// Between two tries to get in order what a leader needs.
const RETRY: Duration = Duration::from_millis(100);

/// Opens the store. What of the log is damaged is first taken from the other nodes; meanwhile this one takes part in nothing.
pub async fn open(config: &BrokerConfig, group: &RaftGroup, waking: &Waking) -> Result<Opened, StartError> {
    let mut mended = None;
    loop {
        let error = match store::open(config, Layout::Framed, waking.clone()) {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        let StoreError::Log(OpenError::Corruption(damaged)) = &error else { return Err(error.into()) };
        if mended == Some(damaged.offset) {
            return Err(error.into());
        }
        mended = Some(damaged.offset);
        tracing::error!(%error, "this node takes no part in its group before another node has given it the good bytes");
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        if let Err(reason) = ferrymq_raft::mend(&settings(config, group)?, &disk, damaged.offset).await {
            tracing::error!(%reason, "the damage stays");
            return Err(error.into());
        }
    }
}

/// Opens this node's part of the log, and lets it look for the others.
pub async fn join(
    config: &BrokerConfig,
    group: &RaftGroup,
    opened: Opened,
    tables: SharedTables,
) -> Result<(Store, Raft), StartError> {
    let Opened { store, log } = opened;
    let settings = settings(config, group)?;
    let (appender, report) = log.framed();
    let log = LogParts { disk: Arc::new(RealDisk), clock: Arc::new(RealClock::new()), appender, report };
    let derived = store.derived.clone();
    let parts = Parts { settings, log, derived, tables };
    let started = tokio::task::spawn_blocking(move || Raft::start(parts)).await;
    let raft = started.map_err(std::io::Error::other)??;
    Ok((store, raft))
}

fn settings(config: &BrokerConfig, group: &RaftGroup) -> Result<GroupSettings, StartError> {
    Ok(GroupSettings {
        cluster: config.identity.cluster.to_string(),
        group: group.name.clone(),
        name: group.own_id.clone(),
        peers: group.peers.iter().map(member).collect(),
        listen: SocketAddr::new(config.network.bind_address, own_port(group)),
        folder: config.store.root.clone(),
        boot: RealDisk::boot_id()?,
        mode: store::flush_mode(config),
        timing: Timing {
            heartbeat: group.timing.heartbeat,
            election_min: group.timing.election_min,
            election_max: group.timing.election_max,
        },
        preferred_leader: group.preferred_leader.clone(),
    })
}

/// A node as its group knows it.
pub fn member(peer: &Peer) -> Member {
    Member { name: peer.id.clone(), address: format!("{}:{}", peer.host, peer.port) }
}

fn own_port(group: &RaftGroup) -> u16 {
    own_peer(group).map_or(0, |peer| peer.port)
}

fn own_peer(group: &RaftGroup) -> Option<&Peer> {
    group.peers.iter().find(|peer| peer.id == group.own_id)
}

/// The id under which clients find this node while another one leads. As with Apache's: 1 for n0, 2 for n1.
pub fn follower_id(group: &RaftGroup) -> i64 {
    let number = own_peer(group).and_then(|peer| peer.number()).unwrap_or_default();
    i64::try_from(number).unwrap_or(i64::MAX - 1) + 1
}

/// Follows who leads the group.
pub struct Takeover {
    pub raft: Arc<Raft>,
    pub broker: Arc<Broker>,
    pub system: SystemTables,
    pub follower_id: i64,
    pub seat: Arc<watch::Sender<Option<Seat>>>,
}

impl Takeover {
    /// Runs until the group ends.
    pub async fn run(self) {
        let mut changes = self.raft.handle().leadership();
        loop {
            let change = changes.borrow_and_update().clone();
            match change {
                Leadership::Leading { term } => {
                    if !self.lead(term).await {
                        sleep(RETRY).await;
                        // The group may have changed its mind.
                        changes.mark_changed();
                    }
                }
                Leadership::Following { term, leader } => {
                    self.broker.offsets.forget_pending();
                    // Before there ever was a leader, nobody has to find this node.
                    if leader.is_some() || self.seat.borrow().is_some() {
                        self.sit(Seat { id: self.follower_id, term: number(term) });
                    }
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    async fn lead(&self, term: Term) -> bool {
        self.broker.offsets.forget_pending();
        self.broker.locks.begin(clock::now());
        if let Err(error) = self.system.create(&self.broker.tables, &self.broker.writer).await {
            tracing::warn!(%error, "this node leads its group, but cannot serve yet");
            return false;
        }
        self.raft.serve(term);
        self.sit(Seat { id: 0, term: number(term) });
        tracing::info!(%term, "this node leads its group, and serves");
        true
    }

    fn sit(&self, seat: Seat) {
        self.seat.send_if_modified(|present| {
            let is_news = *present != Some(seat);
            *present = Some(seat);
            is_news
        });
    }
}

fn number(term: Term) -> i64 {
    i64::try_from(term.0).unwrap_or(i64::MAX)
}

/// Lets another node lead, if this one does, before it stops.
pub async fn hand_over(broker: &Broker, group: &GroupHandle) {
    broker.transactions.flush().await;
    // What consumers have committed in the last second is worth more than that second.
    broker.offsets.flush().await;
    group.hand_over().await;
}
