//! A master with its slaves, or one of the slaves: how either is put together, and what of it goes on beside the requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_storage::Log;
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::config::broker::{BrokerConfig, BrokerRole, Replication};
use crate::config::desk::BrokerDesk;
use crate::config::live::Live;
use crate::node::StartError;
use crate::replication::classic::tables::{TablesParts, TablesThread};
use crate::replication::classic::{self, Classic};
use crate::replication::pair::followers::{Demand, Followers};
use crate::replication::pair::receiver::{OwnGroup, Receiver};
use crate::replication::pair::sender::{Port, StreamRules};
use crate::replication::pair::slave::{Following, Master, Shelf, Slave};
use crate::replication::pair::tables::TableCopies;
use crate::replication::{Replicator, SharedTables};
use crate::state::files::ConfigFolder;
use crate::store::{self, Opened, Store};

/// How long a master that stops waits for its slaves to have everything.
const LAST_BYTES_WAIT: Duration = Duration::from_secs(2);

/// A store, who appends to it, and the side of a pair that this is.
pub struct Parts {
    pub store: Store,
    pub tables: SharedTables,
    pub replicator: Arc<dyn Replicator>,
    pub side: Side,
}

pub enum Side {
    Master { port: Port, followers: Arc<Followers>, log: Log, rules: StreamRules },
    Slave { receiver: Receiver, slave: Arc<Slave>, following: Arc<Following>, config: Box<BrokerConfig> },
}

/// One node decides alone; others may follow it.
pub async fn master(opened: Opened, config: &BrokerConfig, desk: &BrokerDesk) -> Result<Parts, StartError> {
    let Opened { store, log } = opened;
    let (tables, parts) = tables(config)?;
    let rules = &config.replication;
    // Who waits for both, disk and slaves, need not wait for one after the other.
    let are_ahead = config.mode_keys.role == BrokerRole::SyncMaster;
    let demand = Live::new(desk.follow(), demand);
    let followers = Followers::new(store.log.clone(), demand, are_ahead, rules.lag_bytes_max);
    let followers = Arc::new(followers);
    // Port 0 means any: then there is none behind it.
    let port = if config.network.listen_port == 0 { 0 } else { rules.port };
    let port = Port::bind(SocketAddr::new(config.network.bind_address, port)).await;
    let parts = classic::Parts {
        appender: log.appender,
        derived: store.derived.clone(),
        mode: store::flush_mode(config),
        tables: parts,
        followers: Arc::clone(&followers),
    };
    let replicator = Arc::new(Classic::start(parts)?);
    let side = Side::Master { port, followers, log: store.log.clone(), rules: stream_rules(rules) };
    Ok(Parts { store, tables, replicator, side })
}

fn demand(config: &BrokerConfig) -> Option<Demand> {
    let rules = &config.replication;
    (config.mode_keys.role == BrokerRole::SyncMaster).then_some(Demand {
        copies: rules.replicas_in_sync,
        copies_min: rules.replicas_in_sync_min,
        adapts: rules.adapts_replicas,
        patience: rules.slave_timeout,
    })
}

/// A node that follows a master.
pub fn slave(opened: Opened, config: &BrokerConfig) -> Result<Parts, StartError> {
    let Opened { store, log } = opened;
    let (tables, parts) = tables(config)?;
    let rules = &config.replication;
    let master = Master {
        ha_address: rules.master.as_ref().map(ToString::to_string),
        // Apache's port for slaves is the one behind that for clients.
        address: rules
            .master
            .as_ref()
            .map(|master| format!("{}:{}", master.host, master.port.saturating_sub(1))),
        is_guess: true,
    };
    let following = Arc::new(Following::new(&store.log, master, rules.master.is_some()));
    let shelf = Arc::new(Shelf::new(log.appender));
    let slave = Arc::new(Slave {
        shelf: Arc::clone(&shelf),
        tables: TablesThread::start(parts)?,
        following: Arc::clone(&following),
    });
    let receiver = Receiver {
        log: store.log.clone(),
        shelf,
        following: Arc::clone(&following),
        mode: store::flush_mode(config),
        rules: stream_rules(rules),
        own: OwnGroup {
            cluster: config.identity.cluster.to_string(),
            broker: config.identity.name.to_string(),
        },
    };
    let replicator: Arc<dyn Replicator> = Arc::clone(&slave) as Arc<dyn Replicator>;
    let side = Side::Slave { receiver, slave, following, config: Box::new(config.clone()) };
    Ok(Parts { store, tables, replicator, side })
}

fn tables(config: &BrokerConfig) -> Result<(SharedTables, TablesParts), StartError> {
    let mut files = ConfigFolder::of_store(&config.store.root);
    let loaded = files.load()?;
    loaded.notes.iter().for_each(|note| tracing::warn!("{note}"));
    let tables = SharedTables::new(loaded.tables);
    let parts =
        TablesParts { tables: tables.clone(), files, offsets_wait_max: config.offsets.flush_interval };
    Ok((tables, parts))
}

fn stream_rules(rules: &Replication) -> StreamRules {
    StreamRules {
        heartbeat_interval: rules.heartbeat_interval,
        silence_max: rules.silence_max,
        part_bytes_max: rules.batch_bytes_max,
    }
}

impl Side {
    /// Where slaves connect.
    pub fn ha_port(&self) -> Option<u16> {
        match self {
            Self::Master { port, .. } => Some(port.address().port()),
            Self::Slave { .. } => None,
        }
    }

    /// Who must be told where the master is.
    pub fn following(&self) -> Option<Arc<Following>> {
        match self {
            Self::Master { .. } => None,
            Self::Slave { following, .. } => Some(Arc::clone(following)),
        }
    }

    /// Begins what goes on beside the requests.
    pub fn start(self, broker: &Broker) -> Running {
        let mut tasks = JoinSet::new();
        match self {
            Self::Master { port, followers, log, rules } => {
                tasks.spawn(port.run(Arc::clone(&followers), log, rules));
                let waiting = Arc::clone(&followers);
                tasks.spawn(async move { waiting.run().await });
                Running { tasks, followers: Some(followers) }
            }
            Self::Slave { receiver, slave, following, config } => {
                let log = receiver.log.clone();
                let timer_checkpoint = config.store.root.join("config").join("timercheck");
                let topics = Arc::clone(&broker.topics);
                let copies = TableCopies { following, slave, log, topics, timer_checkpoint };
                tasks.spawn(receiver.run());
                tasks.spawn(copies.run());
                Running { tasks, followers: None }
            }
        }
    }
}

/// What goes on until the node stops.
pub struct Running {
    tasks: JoinSet<()>,
    followers: Option<Arc<Followers>>,
}

impl Running {
    /// Lets slaves have the rest, and ends.
    pub async fn stop(mut self) {
        if let Some(followers) = &self.followers {
            followers.catch_up(LAST_BYTES_WAIT).await;
        }
        self.tasks.shutdown().await;
    }
}
