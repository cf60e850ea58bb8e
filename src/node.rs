//! A running broker node: its store is opened, its services are put together, it registers and serves until it is told to stop.
//!
//! The order counts. Before the first request everything that is stored was dispatched; at the end the name servers hear first
//! that the node goes, then its connections end, then what was taken is written, and last the store is closed.

mod rules;

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::bodies::TimerCheckpoint;
use ferrymq_proto::name::NameError;
use ferrymq_proto::net::{self, Client};
use ferrymq_storage::Layout;
use ferrymq_storage::cold::ColdReads;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::clock;
use crate::config::broker::{BrokerConfig, Endpoint, Metrics, Mode};
use crate::config::desk::BrokerDesk;
use crate::config::live::Live;
use crate::handlers::pull::PullRules;
use crate::http;
use crate::pair_node::{self, Side};
use crate::raft_node::{self, Takeover, follower_id};
use crate::replication::classic;
use crate::replication::raft::Raft;
use crate::replication::{Replicator, SharedTables, Writer};
use crate::server::Counter;
use crate::services::archive::Archive;
use crate::services::arrivals;
use crate::services::assignment::Assignment;
use crate::services::clients::Clients;
use crate::services::consumption::Consumption;
use crate::services::courier::Courier;
use crate::services::delays::timers::TimerSettings;
use crate::services::delays::timers::apaches::Legacy;
use crate::services::delays::timers::place::Place;
use crate::services::delays::{self, Delays, Saving, Trouble};
use crate::services::filters::Filters;
use crate::services::keeping::{Keeping, Scope};
use crate::services::posting::{self, Posting, TimerRules};
use crate::services::produce::{Marks, Produce};
use crate::services::pull::Pull;
use crate::services::query::Query;
use crate::services::recall::Recall;
use crate::services::registration::{OwnName, Registration, RegistrationRules, Seat};
use crate::services::replies::Replies;
use crate::services::retries::Retries;
use crate::services::stats::Statistics;
use crate::services::topics::Topics;
use crate::services::transactions::{self, Transactions};
use crate::services::vitals::Vitals;
use crate::services::{groups::Groups, offsets::Offsets, order_locks::OrderLocks};
use crate::state::Tables;
use crate::state::files::{FileError, elsewhere};
use crate::store::{self, Store, StoreError, Waking};
use crate::system_tables::{SystemTables, SystemTablesError};

/// Threads that may wait for the disk, and reads that may wait for one of them.
const COLD_READ_THREADS: usize = 4;
const COLD_READS_WAITING_MAX: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot listen on {address} for HTTP: {source}")]
    ListenHttp { address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("{0}")]
    Tables(#[from] FileError),
    #[error("{0}")]
    Replication(#[from] classic::StartError),
    #[error("{0}")]
    Raft(#[from] ferrymq_raft::StartError),
    #[error("the system topics could not be created: {0}")]
    SystemTopics(#[from] SystemTablesError),
    #[error("brokerIP1={host} is no address and no known name: {source}")]
    Host { host: String, source: io::Error },
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// A node that listens. It serves once it is [`run`](Self::run).
pub struct Node {
    broker: Arc<Broker>,
    sockets: net::Server,
    address: SocketAddr,
    http: Option<http::Port>,
    registration: Registration,
    store: Store,
    replicator: Arc<dyn Replicator>,
    seat: Arc<watch::Sender<Option<Seat>>>,
    /// In a group that elects its leader.
    takeover: Option<Takeover>,
    /// Of a pair, elsewhere.
    side: Option<Side>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?} on {})", self.broker, self.address)
    }
}

impl Node {
    /// Opens the store and starts to listen. Must be called on the runtime that shall serve.
    pub async fn start(config: &BrokerConfig, desk: Arc<BrokerDesk>) -> Result<Self, StartError> {
        let listen = SocketAddr::new(config.network.bind_address, config.network.listen_port);
        // The port first: who cannot have it must not touch the store of the one who has.
        let failed = |source| StartError::Listen { address: listen, source };
        let mut sockets = net::Server::bind(listen, config.network.limits.clone()).map_err(failed)?;
        bind_express_port(&mut sockets, listen);
        let bound = sockets.local_addr().map_err(failed)?;
        let address = own_address(&config.identity.host, bound.port())?;
        let http = http_port(config).await?;
        if !matches!(config.mode, Mode::Raft(_)) {
            // Before anything in the store is changed.
            elsewhere::check(&config.store.root)?;
        }

        let waking = Waking::default();
        let system = SystemTables::of(config)?;
        let Replicated { store, tables, replicator, raft, side } = match &config.mode {
            Mode::Master => of_pair(
                pair_node::master(store::open(config, Layout::Classic, waking.clone())?, config, &desk)
                    .await?,
            ),
            Mode::Slave { .. } => {
                of_pair(pair_node::slave(store::open(config, Layout::Classic, waking.clone())?, config)?)
            }
            Mode::Raft(group) => {
                let opened = raft_node::open(config, group, &waking).await?;
                let tables = SharedTables::new(Tables::default());
                let (store, raft) = raft_node::join(config, group, opened, tables.clone()).await?;
                let raft = Arc::new(raft);
                let raft_seat = (Arc::clone(&raft), follower_id(group));
                Replicated { store, tables, replicator: raft, raft: Some(raft_seat), side: None }
            }
        };
        let writer = Writer(Arc::clone(&replicator));
        if config.mode == Mode::Master {
            system.create(&tables, &writer).await?;
        }
        let broker = Arc::new(assemble((config, &desk), address, tables, writer, waking, &store)?);
        let (seat, seat_seen) = watch::channel(first_seat(&config.mode));
        let seat = Arc::new(seat);
        let takeover = raft.map(|(raft, follower_id)| Takeover {
            raft,
            broker: Arc::clone(&broker),
            system,
            follower_id,
            seat: Arc::clone(&seat),
        });
        let ha_port = side.as_ref().and_then(Side::ha_port).unwrap_or(config.replication.port);
        let following = side.as_ref().and_then(Side::following);
        let registration = registration(config, &broker, (address, ha_port), seat_seen).telling(following);
        Ok(Self { broker, sockets, address, http, registration, store, replicator, seat, takeover, side })
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[cfg(test)]
    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Serves until `stop` turns true. Returns when everything that was taken is written and the store is closed.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let Self { broker, sockets, http, registration, store, replicator, seat, takeover, side, .. } = self;
        let (leave, leaving) = watch::channel(false);
        let registering = tokio::spawn(registration.run(leaving));
        let sweeping = tokio::spawn(sweep(Arc::clone(&broker)));
        let (close, closing) = watch::channel(false);
        let serving = tokio::spawn(sockets.run(Arc::new(Counter::new(Arc::clone(&broker))), closing));
        let mut services = broker.start_services();
        let pairing = side.map(|side| side.start(&broker));
        if let Some(http) = http {
            services.spawn(http.run(Arc::clone(&broker)));
        }
        let group = takeover.as_ref().map(|takeover| takeover.raft.handle().clone());
        let taking_over = takeover.map(|takeover| tokio::spawn(takeover.run()));
        // An error says that nobody is left who could stop this node otherwise.
        let _ = stop.wait_for(|stop| *stop).await;
        if let Some(group) = &group {
            raft_node::hand_over(&broker, group).await;
        }
        leave.send_replace(true);
        // It ends when it has unregistered.
        if let Err(error) = registering.await {
            tracing::error!(%error, "registration failed");
        }
        seat.send_replace(None);
        broker.arrivals.wake_all();
        close.send_replace(true);
        if let Err(error) = serving.await {
            tracing::error!(%error, "serving failed");
        }
        sweeping.abort();
        taking_over.inspect(|task| task.abort());
        services.shutdown().await;
        broker.delays.flush().await;
        broker.transactions.flush().await;
        broker.offsets.flush().await;
        if let Some(pairing) = pairing {
            pairing.stop().await;
        }
        leave_timers(&broker).await;
        let keeping = Arc::clone(&broker.keeping);
        let close = move || {
            keeping.stop();
            store.close(&*replicator);
        };
        let closed = tokio::task::spawn_blocking(close).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the store could not be closed in order");
        }
    }
}

/// A classic store may be given to Apache's broker next.
async fn leave_timers(broker: &Arc<Broker>) {
    let config = Arc::clone(&broker.desk.follow().borrow());
    let place = Place::load(broker.tables.read().progress());
    let Some(place) = place.filter(|_| config.mode == Mode::Master && config.timer.is_enabled) else {
        return;
    };
    let broker = Arc::clone(broker);
    let leave = move || {
        let topic = &posting::timer_topic().map_err(Trouble::from)?;
        let (root, tick_ms) = (&*config.store.root, milliseconds(config.timer.precision));
        Legacy { archive: &broker.archive, topic, place, root, tick_ms }.leave(clock::now())
    };
    if let Err(error) = tokio::task::spawn_blocking(leave).await.unwrap_or(Ok(())) {
        tracing::error!(%error, "Apache's broker would fire timers of this store once more");
    }
}

/// Looks again and again for pulls that have waited long enough.
async fn sweep(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(arrivals::SWEEP_INTERVAL).await;
        broker.arrivals.sweep(Instant::now());
    }
}

/// A store, and who appends to it.
struct Replicated {
    store: Store,
    tables: SharedTables,
    replicator: Arc<dyn Replicator>,
    /// With the id of a node that does not lead.
    raft: Option<(Arc<Raft>, i64)>,
    side: Option<Side>,
}

fn of_pair(parts: pair_node::Parts) -> Replicated {
    let pair_node::Parts { store, tables, replicator, side } = parts;
    Replicated { store, tables, replicator, raft: None, side: Some(side) }
}

/// Who leads a group is not known yet.
fn first_seat(mode: &Mode) -> Option<Seat> {
    let id = match mode {
        Mode::Master => 0,
        Mode::Slave { broker_id } => i64::try_from(*broker_id).unwrap_or(i64::MAX),
        Mode::Raft(_) => return None,
    };
    Some(Seat { id, term: 0 })
}

/// Clients with `vipChannelEnabled` send to the port two below. Few have it, so a broker without that port goes on.
fn bind_express_port(sockets: &mut net::Server, listen: SocketAddr) {
    // Port 0 means any port: none below it belongs to this broker.
    let Some(port) = listen.port().checked_sub(2).filter(|port| *port > 0) else { return };
    let address = SocketAddr::new(listen.ip(), port);
    if let Err(error) = sockets.bind_second(address) {
        tracing::warn!(%address, %error, "clients with vipChannelEnabled cannot connect");
    }
}

async fn http_port(config: &BrokerConfig) -> Result<Option<http::Port>, StartError> {
    let Metrics { is_exported, address, port, .. } = config.metrics;
    if !is_exported {
        return Ok(None);
    }
    let address = SocketAddr::new(address.unwrap_or(config.network.bind_address), port);
    let failed = |source| StartError::ListenHttp { address, source };
    let port = http::Port::bind(address).await.map_err(failed)?;
    tracing::info!(address = %port.address().map_err(failed)?, "metrics and health are told over HTTP");
    Ok(Some(port))
}

/// The address that clients are told. A name is looked up once: message ids hold an address.
fn own_address(host: &str, port: u16) -> Result<SocketAddr, StartError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let unknown = |source| StartError::Host { host: host.to_owned(), source };
    let mut found = (host, port).to_socket_addrs().map_err(unknown)?;
    found.next().ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))
}

fn assemble(
    (config, desk): (&BrokerConfig, &Arc<BrokerDesk>),
    address: SocketAddr,
    tables: SharedTables,
    writer: Writer,
    waking: Waking,
    store: &Store,
) -> Result<Broker, StartError> {
    let cold_reads = ColdReads::start(COLD_READ_THREADS, COLD_READS_WAITING_MAX)?;
    let archive = Archive::new(store.log.clone(), store.derived.clone(), cold_reads);
    let timers = TimerRules {
        is_enabled: config.timer.is_enabled,
        delay_ms_max: milliseconds(config.timer.delay_max),
        precision_ms: milliseconds(config.timer.precision),
    };
    let limits = Live::new(desk.follow(), rules::message_limits);
    let posting = Posting::new(writer.clone(), limits, config.delay.levels.clone(), timers);
    let topics = Arc::new(Topics::new(tables.clone(), writer.clone(), rules::topic_settings(config, desk)?));
    let group_rules = Live::new(desk.follow(), rules::group_rules);
    let groups = Arc::new(Groups::new(tables.clone(), writer.clone(), Arc::clone(&topics), group_rules));
    let locks = Arc::new(OrderLocks::new(tables.clone(), writer.clone()));
    let recent_bytes = rules::recent_bytes(config.pull.memory_ratio);
    let offsets = Arc::new(Offsets::new(
        tables.clone(),
        writer.clone(),
        archive.clone(),
        Live::new(desk.follow(), |config| config.offsets.clone()),
        recent_bytes,
    ));
    let clients = Arc::new(Clients::new(tables.clone(), Live::new(desk.follow(), rules::clients)));
    let assignment = Assignment::new(
        tables.clone(),
        writer.clone(),
        config.identity.name.clone(),
        name_servers(config),
        Live::new(desk.follow(), |config| config.clients.queues_are_dealt),
    );
    let marks = Marks {
        cluster: config.identity.cluster.to_string(),
        region: config.identity.region.as_str().into(),
        store_host: address,
    };
    let produce_rules = Live::new(desk.follow(), rules::produce_rules);
    let produce = Produce::new(
        tables.clone(),
        Arc::clone(&topics),
        Arc::clone(&locks),
        posting.clone(),
        marks,
        produce_rules,
    );
    let retries =
        Retries::new(Arc::clone(&groups), Arc::clone(&topics), archive.clone(), posting.clone(), address);
    let recall = Recall::new(
        Arc::clone(&topics),
        posting.clone(),
        config.identity.name.clone(),
        address,
        config.recall.clone(),
    );
    let transactions = transactions::Parts {
        archive: archive.clone(),
        posting: posting.clone(),
        offsets: Arc::clone(&offsets),
        clients: Arc::clone(&clients),
        topics: Arc::clone(&topics),
        broker: config.identity.name.clone(),
        host: address,
    };
    let transactions = Transactions::new(transactions, Live::new(desk.follow(), rules::transaction_rules));
    let transactions = Arc::new(transactions);
    let stores_replies = Live::new(desk.follow(), |config| config.produce.stores_replies);
    let replies = Replies::new(Arc::clone(&clients), posting, address, stores_replies);
    let scope = writer.group().map_or(Scope::Log, |group| Scope::Group(group.clone()));
    let delays = Arc::new(Delays::new(delays::Parts {
        archive: archive.clone(),
        tables: tables.clone(),
        writer: writer.clone(),
        alarms: waking.alarms,
        saving: match config.mode {
            Mode::Raft(_) => Saving::WithEach,
            _ => Saving::Every(config.delay.flush_interval),
        },
        delays: config.delay.levels.clone(),
        timers: config.timer.is_enabled.then(|| timer_settings(config)),
    })?);
    let keeping = Keeping::new(
        store.derived.clone(),
        Live::new(desk.follow(), rules::retention),
        scope,
        // A slave serves no timers: what its master has written once more comes with the log.
        delays.timers().filter(|_| !matches!(config.mode, Mode::Slave { .. })).cloned(),
    );
    Ok(Broker {
        identity: config.identity.clone(),
        address,
        pull: Pull::new(archive.clone(), Live::new(desk.follow(), rules::portions), recent_bytes),
        pull_rules: Live::new(desk.follow(), |config| PullRules::from(&config.pull)),
        filters: Filters::default(),
        consumption: Consumption::new(
            tables.clone(),
            archive.clone(),
            Arc::clone(&offsets),
            Arc::clone(&clients),
        ),
        statistics: Arc::new(Statistics::new(config.identity.cluster.to_string(), Arc::clone(&topics))),
        keeping: Arc::new(keeping),
        vitals: Vitals::new(config.store.root.clone(), config.store.log_folder.clone()),
        desk: Arc::clone(desk),
        query: Query::new(archive.clone(), Live::new(desk.follow(), rules::query_rules)),
        runtime: Handle::current(),
        tables,
        writer,
        archive,
        topics,
        groups,
        clients,
        offsets,
        locks,
        assignment,
        produce,
        retries,
        recall,
        delays,
        arrivals: waking.arrivals,
        transactions,
        replies,
        courier: courier(config, address),
    })
}

fn courier(config: &BrokerConfig, address: SocketAddr) -> Option<Arc<Courier>> {
    let name_servers = name_servers(config);
    let may_have_others = matches!(config.mode, Mode::Raft(_)) && !name_servers.is_empty();
    let (cluster, broker) = (config.identity.cluster.to_string(), config.identity.name.to_string());
    let own = format!("{}:{}", config.identity.host, address.port());
    may_have_others.then(|| Arc::new(Courier::new(cluster.into(), broker.into(), own, name_servers)))
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn timer_settings(config: &BrokerConfig) -> TimerSettings {
    // A store that was Apache's says so in its own way.
    let bytes = std::fs::read(config.store.root.join("config").join("timercheck")).ok();
    let apaches = bytes.and_then(|bytes| TimerCheckpoint::decode(&bytes));
    TimerSettings::new(config.retention.kept_for, apaches.as_ref(), milliseconds(config.timer.precision))
}

fn name_servers(config: &BrokerConfig) -> Vec<Arc<Client>> {
    let rules = &config.registration;
    let client = |endpoint: &Endpoint| Arc::new(Client::new(endpoint.to_string(), rules.timeout));
    rules.name_servers.iter().map(client).collect()
}

fn registration(
    config: &BrokerConfig,
    broker: &Broker,
    (address, ha_port): (SocketAddr, u16),
    seat: watch::Receiver<Option<Seat>>,
) -> Registration {
    let rules = &config.registration;
    let own = OwnName {
        cluster: config.identity.cluster.to_string(),
        broker: config.identity.name.to_string(),
        address: format!("{}:{}", config.identity.host, address.port()),
        ha_address: format!("{}:{}", config.identity.slave_host, ha_port),
    };
    let name_servers = name_servers(config);
    // Name servers that are to notice soon that a broker is gone must hear of it more often.
    let period = if rules.has_acting_master { rules.period.min(rules.silence_max / 3) } else { rules.period };
    let rules = RegistrationRules {
        period,
        silence_max: rules.silence_max,
        has_acting_master: rules.has_acting_master,
    };
    Registration::new(own, rules, broker.tables.clone(), Arc::clone(&broker.topics), seat, name_servers)
}
