//! A running broker node: its store is opened, its services are put together, it registers and serves until it is told to stop.
//!
//! The order counts. Before the first request everything that is stored was dispatched; at the end the name servers hear first
//! that the node goes, then its connections end, then what was taken is written, and last the store is closed.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::net::{self, Client};
use ferrymq_storage::cold::ColdReads;
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::dispatch::{
    Arrival, Arrivals as Dispatched, Derived, DerivedSettings, DerivedThreads, DispatchError,
    OpenDerivedError,
};
use ferrymq_storage::queues::DelayLevels;
use ferrymq_storage::{FatalHook, FlushMode, Layout, Log, LogThreads, Mark, OpenError, Settings, recovery};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::broker::Broker;
use crate::config::broker::{BrokerConfig, Endpoint, FlushDisk, Mode};
use crate::config::desk::BrokerDesk;
use crate::config::live::Live;
use crate::handlers::pull::PullRules;
use crate::replication::classic::{self, Classic};
use crate::replication::{NotStored, Replicator, SharedTables, Writer};
use crate::server::Counter;
use crate::services::archive::Archive;
use crate::services::arrivals::{self, Arrivals};
use crate::services::assignment::Assignment;
use crate::services::clients::Clients;
use crate::services::filters::Filters;
use crate::services::message::MessageLimits;
use crate::services::posting::{Posting, TimerRules};
use crate::services::produce::{Marks, Produce, ProduceRules};
use crate::services::pull::{Portion, Pull};
use crate::services::query::{Query, QueryRules};
use crate::services::recall::Recall;
use crate::services::registration::{OwnName, Registration, RegistrationRules};
use crate::services::replies::Replies;
use crate::services::retries::Retries;
use crate::services::topics::{AdminRules, Permission, TopicSettings, Topics};
use crate::services::transactions::{self, TransactionRules, Transactions};
use crate::services::{groups::Groups, offsets::Offsets, order_locks::OrderLocks};
use crate::state::files::{ConfigFolder, FileError};
use crate::state::{self, Command, GroupRules, Stamp, SystemTopics, Topic, TopicRules};

/// Readers of queues share so many open files.
const QUEUE_FILES_MAX: usize = 1024;
/// What all queues keep in memory before it is written.
const QUEUE_TAIL_BYTES_MAX: u64 = 32 << 20;
/// Threads that may wait for the disk, and reads that may wait for one of them.
const COLD_READ_THREADS: usize = 4;
const COLD_READS_WAITING_MAX: usize = 4096;
/// How long dispatch may take to catch up at the start before it is told about.
const CATCHING_UP: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{0}")]
    Store(#[from] OpenError),
    #[error("{0}")]
    Derived(#[from] OpenDerivedError),
    #[error("{0}")]
    Dispatch(#[from] DispatchError),
    #[error("{0}")]
    Tables(#[from] FileError),
    #[error("{0}")]
    Replication(#[from] classic::StartError),
    #[error("the system topics could not be created: {0}")]
    SystemTopics(String),
    #[error("brokerIP1={host} is no address and no known name: {source}")]
    Host { host: String, source: io::Error },
    #[error("{0} is not built yet; start this node as a master")]
    Mode(&'static str),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

impl From<NotStored> for StartError {
    fn from(error: NotStored) -> Self {
        Self::SystemTopics(error.to_string())
    }
}

/// A node that listens. It serves once it is [`run`](Self::run).
pub struct Node {
    broker: Arc<Broker>,
    sockets: net::Server,
    address: SocketAddr,
    registration: Registration,
    store: OpenStore,
    replicator: Arc<dyn Replicator>,
    role: watch::Sender<Option<i64>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({:?} on {})", self.broker, self.address)
    }
}

/// The store, and the threads that work on it. They end in the order of the fields.
struct OpenStore {
    derived_threads: DerivedThreads,
    log_threads: LogThreads,
    derived: Derived,
    log: Log,
}

impl Node {
    /// Opens the store and starts to listen. Must be called on the runtime that shall serve.
    pub async fn start(config: &BrokerConfig, desk: Arc<BrokerDesk>) -> Result<Self, StartError> {
        match config.mode {
            Mode::Master => {}
            Mode::Slave { .. } => return Err(StartError::Mode("a slave")),
            Mode::Raft(_) => return Err(StartError::Mode("a Raft group")),
        }
        let listen = SocketAddr::new(config.network.bind_address, config.network.listen_port);
        // The port first: who cannot have it must not touch the store of the one who has.
        let failed = |source| StartError::Listen { address: listen, source };
        let mut sockets = net::Server::bind(listen, config.network.limits.clone()).map_err(failed)?;
        bind_express_port(&mut sockets, listen);
        let bound = sockets.local_addr().map_err(failed)?;
        let address = own_address(&config.identity.host, bound.port())?;

        let arrivals = Arc::new(Arrivals::default());
        let mode = match config.store.flush {
            FlushDisk::Sync => FlushMode::Sync,
            FlushDisk::Async => FlushMode::Async,
        };
        let opened = open_store(config, mode, Arc::clone(&arrivals))?;
        let mut files = ConfigFolder::of_store(&config.store.root);
        let loaded = files.load()?;
        loaded.notes.iter().for_each(|note| tracing::warn!("{note}"));
        let tables = SharedTables::new(loaded.tables);
        let replicator: Arc<dyn Replicator> = Arc::new(Classic::start(classic::Parts {
            appender: opened.appender,
            derived: opened.store.derived.clone(),
            mode,
            tables: tables.clone(),
            files,
        })?);
        let writer = Writer(Arc::clone(&replicator));
        create_system_tables(config, &tables, &writer).await?;
        let store = opened.store;
        let broker = Arc::new(assemble((config, &desk), address, tables, writer, arrivals, &store)?);
        let (role, role_seen) = watch::channel(Some(0));
        let registration = registration(config, &broker, address, role_seen);
        Ok(Self { broker, sockets, address, registration, store, replicator, role })
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn broker(&self) -> &Arc<Broker> {
        &self.broker
    }

    /// Serves until `stop` turns true. Returns when everything that was taken is written and the store is closed.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        let Self { broker, sockets, registration, store, replicator, role, .. } = self;
        let registering = tokio::spawn(registration.run(stop.clone()));
        let sweeping = tokio::spawn(sweep(Arc::clone(&broker)));
        let (close, closing) = watch::channel(false);
        let serving = tokio::spawn(sockets.run(Arc::new(Counter::new(Arc::clone(&broker))), closing));
        let mut services = broker.start_services();
        // It ends when it has unregistered.
        if let Err(error) = registering.await {
            tracing::error!(%error, "registration failed");
        }
        role.send_replace(None);
        broker.arrivals.wake_all();
        close.send_replace(true);
        if let Err(error) = serving.await {
            tracing::error!(%error, "serving failed");
        }
        sweeping.abort();
        services.shutdown().await;
        broker.transactions.flush().await;
        broker.offsets.flush().await;
        let closed = tokio::task::spawn_blocking(move || store.close(&*replicator)).await;
        if let Err(error) = closed {
            tracing::error!(%error, "the store could not be closed in order");
        }
    }
}

/// Looks again and again for pulls that have waited long enough.
async fn sweep(broker: Arc<Broker>) {
    loop {
        tokio::time::sleep(arrivals::SWEEP_INTERVAL).await;
        broker.arrivals.sweep(Instant::now());
    }
}

impl OpenStore {
    fn close(self, replicator: &dyn Replicator) {
        // The last flush completes what waits, so the threads of the log go on until the writers have ended.
        replicator.stop();
        self.derived.wait_dispatched(self.log.confirmed().offset, CATCHING_UP);
        drop(self.derived_threads);
        if let Err(error) = self.derived.close() {
            tracing::error!(%error, "what is derived from the log could not be closed in order");
        }
        drop(self.log_threads);
    }
}

struct Opened {
    store: OpenStore,
    appender: ferrymq_storage::Appender,
}

/// Wakes the pulls that wait for what is dispatched.
struct Waking(Arc<Arrivals>);

impl Dispatched for Waking {
    fn arrived(&mut self, arrival: &Arrival<'_>) {
        let topic = arrival.topic.as_str();
        self.0.arrived(topic, arrival.queue, arrival.queue_offset, arrival.tags_code, arrival.properties);
    }
}

fn open_store(config: &BrokerConfig, mode: FlushMode, arrivals: Arc<Arrivals>) -> Result<Opened, StartError> {
    let store = &config.store;
    std::fs::create_dir_all(&store.root)?;
    let settings = Settings {
        folder: store.root.clone(),
        layout: Layout::Classic,
        segment_bytes: store.segment_bytes as u64,
        mode,
        flush_interval: store.flush_interval,
        boot: RealDisk::boot_id()?,
        on_fatal: FatalHook::abort(),
    };
    let open = recovery::open(Arc::new(RealDisk), settings)?;
    if let Some(cut) = &open.report.cut {
        tracing::warn!(path = %cut.path.display(), offset = %cut.offset, damage = %cut.damage, "a torn tail was cut off");
    }
    let log = open.log().clone();
    // One node decides alone: what is written is final.
    log.confirm(Mark { offset: log.written(), ..log.confirmed() });
    let derived_settings = DerivedSettings {
        queue_file_entries: store.queue_file_entries() as u64,
        index_slots: u32::try_from(store.index_slots).unwrap_or(u32::MAX),
        index_entries: u32::try_from(store.index_entries).unwrap_or(u32::MAX),
        index_enabled: store.has_index,
        delay_levels: DelayLevels(config.delay.levels.delays().to_vec()),
        open_files_max: QUEUE_FILES_MAX,
        unwritten_bytes_max: QUEUE_TAIL_BYTES_MAX,
        rebuild: false,
    };
    let (derived, mut dispatcher) = Derived::open(&log, derived_settings, Box::new(Waking(arrivals)))?;
    let began = Instant::now();
    while dispatcher.step()? {
        if began.elapsed() > CATCHING_UP {
            tracing::info!(position = %derived.position(), end = %log.written(), "dispatching what is stored");
        }
    }
    let log_threads = LogThreads::start(&log)?;
    let derived_threads = DerivedThreads::start(&derived, dispatcher)?;
    let store = OpenStore { derived_threads, log_threads, derived, log };
    Ok(Opened { store, appender: open.appender })
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

/// The address that clients are told. A name is looked up once: message ids hold an address.
fn own_address(host: &str, port: u16) -> Result<SocketAddr, StartError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let unknown = |source| StartError::Host { host: host.to_owned(), source };
    let mut found = (host, port).to_socket_addrs().map_err(unknown)?;
    found.next().ok_or_else(|| unknown(io::ErrorKind::NotFound.into()))
}

/// As much of the end of the log as is taken to be in memory.
fn recent_bytes(percent_of_memory: u8) -> i64 {
    /// Where the size of the memory cannot be told.
    const SOME: i64 = 4 << 30;
    let status = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = status
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    let total = total.map_or(SOME, |kibibytes: i64| kibibytes.saturating_mul(1024));
    total / 100 * i64::from(percent_of_memory)
}

/// The topics and groups that every broker has.
async fn create_system_tables(
    config: &BrokerConfig,
    tables: &SharedTables,
    writer: &Writer,
) -> Result<(), StartError> {
    let topics = system_topics(config)?;
    let stamp = Stamp { at: crate::clock::now(), term: writer.term() };
    let commands: Vec<Command> = {
        let tables = tables.read();
        let groups = tables.groups().create_missing(state::Groups::from_the_start(), stamp);
        tables.topics().create_missing(topics, stamp).into_iter().chain(groups).collect()
    };
    for command in commands {
        writer.change(command).await?;
    }
    Ok(())
}

fn system_topics(config: &BrokerConfig) -> Result<Vec<Topic>, StartError> {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let topics = SystemTopics {
        cluster: config.identity.cluster.clone(),
        broker: config.identity.name.clone(),
        default_queues: number(config.topics.queues),
        auto_create: config.topics.are_created,
        cluster_topic: config.topics.has_cluster_topic,
        broker_topic: config.topics.has_broker_topic,
        trace: config.topics.has_trace_topic.then(|| config.topics.trace_topic.clone()),
        revive_queues: REVIVE_QUEUES,
        timers: config.timer.is_enabled,
    };
    topics.list().map_err(|error| StartError::SystemTopics(error.to_string()))
}

fn topic_settings(config: &BrokerConfig, desk: &BrokerDesk) -> Result<TopicSettings, StartError> {
    let admin = |config: &BrokerConfig| AdminRules {
        may_mix_types: config.topics.may_mix_types,
        guards_system_topics: config.topics.guards_system_topics,
        deletes_retry_topics: config.topics.deletes_retry_topics,
    };
    let rules = |config: &BrokerConfig| TopicRules { auto_create: config.topics.are_created };
    Ok(TopicSettings {
        rules: Live::new(desk.follow(), rules),
        admin: Live::new(desk.follow(), admin),
        permission: Live::new(desk.follow(), |config| Permission(config.identity.permission)),
        system: system_topics(config)?.into_iter().map(|topic| topic.name().clone()).collect(),
        broker_ip: config.identity.host.clone(),
    })
}

/// Apache's default (`reviveQueueNum`).
const REVIVE_QUEUES: i32 = 8;

fn assemble(
    (config, desk): (&BrokerConfig, &BrokerDesk),
    address: SocketAddr,
    tables: SharedTables,
    writer: Writer,
    arrivals: Arc<Arrivals>,
    store: &OpenStore,
) -> Result<Broker, StartError> {
    let cold_reads = ColdReads::start(COLD_READ_THREADS, COLD_READS_WAITING_MAX)?;
    let archive = Archive::new(store.log.clone(), store.derived.clone(), cold_reads);
    let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let timers = TimerRules {
        is_enabled: config.timer.is_enabled,
        delay_ms_max: milliseconds(config.timer.delay_max),
        precision_ms: milliseconds(config.timer.precision),
    };
    let limits = MessageLimits { body_bytes_max: config.store.message_bytes_max };
    let posting = Posting::new(writer.clone(), limits, config.delay.levels.clone(), timers);
    let topics = Arc::new(Topics::new(tables.clone(), writer.clone(), topic_settings(config, desk)?));
    let group_rules = GroupRules {
        auto_create: config.topics.groups_are_created,
        auto_create_system: config.topics.system_groups_are_created,
    };
    let groups = Arc::new(Groups::new(tables.clone(), writer.clone(), Arc::clone(&topics), group_rules));
    let locks = Arc::new(OrderLocks::new(tables.clone(), writer.clone()));
    let offsets = Arc::new(Offsets::new(
        tables.clone(),
        writer.clone(),
        archive.clone(),
        config.offsets.clone(),
        recent_bytes(config.pull.memory_ratio),
    ));
    let mut client_settings = config.clients.clone();
    // Transactions need to know their producers.
    client_settings.producers_are_registered |= !config.transactions.are_refused;
    let clients = Arc::new(Clients::new(tables.clone(), client_settings));
    let assignment = Assignment::new(
        tables.clone(),
        writer.clone(),
        config.identity.name.clone(),
        name_servers(config),
        config.clients.queues_are_dealt,
    );
    let marks = Marks {
        cluster: config.identity.cluster.to_string(),
        region: config.identity.region.clone(),
        trace_on: config.produce.traces,
        store_host: address,
    };
    let rules = ProduceRules {
        refuses_transactions: config.transactions.are_refused,
        batch_bytes_max: config.store.message_bytes_max,
    };
    let produce =
        Produce::new(tables.clone(), Arc::clone(&topics), Arc::clone(&locks), posting.clone(), marks, rules);
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
    let transactions = Arc::new(Transactions::new(transactions, transaction_rules(config)));
    let replies = Replies::new(Arc::clone(&clients), posting.clone(), address, config.produce.stores_replies);
    let hot = Portion { bytes_max: config.pull.bytes_max, messages_max: config.pull.messages_max };
    let cold = Portion { bytes_max: config.pull.cold_bytes_max, messages_max: config.pull.cold_messages_max };
    Ok(Broker {
        identity: config.identity.clone(),
        address,
        pull: Pull::new(archive.clone(), hot, cold),
        pull_rules: PullRules::from(&config.pull),
        filters: Filters::default(),
        query: Query::new(archive.clone(), Live::new(desk.follow(), query_rules)),
        runtime: Handle::current(),
        tables,
        writer,
        archive,
        posting,
        topics,
        groups,
        clients,
        offsets,
        locks,
        assignment,
        produce,
        retries,
        recall,
        arrivals,
        transactions,
        replies,
    })
}

fn query_rules(config: &BrokerConfig) -> QueryRules {
    QueryRules {
        messages_max: config.store.query_messages_max,
        unique_messages_max: config.store.unique_query_messages_max,
    }
}

fn transaction_rules(config: &BrokerConfig) -> TransactionRules {
    let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let rules = &config.transactions;
    TransactionRules {
        timeout_ms: milliseconds(rules.timeout),
        check_interval: rules.check_interval,
        checks_max: u32::try_from(rules.checks_max).unwrap_or(u32::MAX),
        kept_ms: milliseconds(config.retention.kept_for),
        marks_bytes_max: rules.decisions_bytes_max,
        marks_interval: rules.decisions_interval,
    }
}

fn name_servers(config: &BrokerConfig) -> Vec<Arc<Client>> {
    let rules = &config.registration;
    let client = |endpoint: &Endpoint| Arc::new(Client::new(endpoint.to_string(), rules.timeout));
    rules.name_servers.iter().map(client).collect()
}

fn registration(
    config: &BrokerConfig,
    broker: &Broker,
    address: SocketAddr,
    role: watch::Receiver<Option<i64>>,
) -> Registration {
    let rules = &config.registration;
    let own = OwnName {
        cluster: config.identity.cluster.to_string(),
        broker: config.identity.name.to_string(),
        address: format!("{}:{}", config.identity.host, address.port()),
        ha_address: format!("{}:{}", config.identity.slave_host, config.replication.port),
    };
    let name_servers = name_servers(config);
    let rules = RegistrationRules {
        period: rules.period,
        silence_max: rules.silence_max,
        has_acting_master: rules.has_acting_master,
    };
    Registration::new(own, rules, broker.tables.clone(), Arc::clone(&broker.topics), role, name_servers)
}
