//! Starting a node.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_storage::{FlushMode, Log, LogThreads};
use openraft::Config;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::{Engine, Group, GroupHandle, LogParts, Shared, identity};
use crate::abstention::Abstention;
use crate::app::App;
use crate::bootstrap;
use crate::checkpoint::Checkpoints;
use crate::leadership::LeadershipTask;
use crate::log_store::LogStore;
use crate::meta::{MetaFile, NodeMetaError};
use crate::proposer::Proposer;
use crate::proto;
use crate::quarantine::Quarantine;
use crate::settings::{GroupSettings, SettingsError, Timing};
use crate::state_machine::StateMachine;
use crate::status::Leadership;
use crate::transport::client::Peers;
use crate::transport::passport::Identity;
use crate::transport::{Host, Links, RaftHandle, serve};
use crate::types::last_entry;

/// Raft itself and the replication beside it. More would only wait for each other.
const RAFT_THREADS: usize = 2;
/// A checkpoint may be long, and the other node's disk slow.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
/// Entries that one request may carry, if they are small.
const REQUEST_ENTRIES_MAX: u64 = 512;
/// Of the first tries to reach a node again.
const BACKOFF: &str = "20ms 50ms 100ms ...500ms";

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Meta(#[from] NodeMetaError),
    #[error(
        "{path} is of {found}, but the configuration says {configured}; correct the configuration, or choose another folder"
    )]
    OtherNode { path: PathBuf, found: String, configured: String },
    #[error(
        "{path} is missing beside a log: nobody knows how this node has voted; restore it from a copy, or remove the folder and add the node anew"
    )]
    IdentityLost { path: PathBuf },
    #[error(
        "the log in {folder} is gone, but this node has had one; restore it from a copy, or remove the folder and add the node anew"
    )]
    LogLost { folder: PathBuf },
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot open the log for replication: {0}")]
    Log(io::Error),
    #[error("Raft does not start: {0}")]
    Raft(String),
}

impl Group {
    /// Starts a node. Must not be called from a task: it waits for the disk.
    pub fn start(settings: GroupSettings, parts: LogParts, app: Arc<dyn App>) -> Result<Self, StartError> {
        settings.check()?;
        let meta = Arc::new(identity::open(&settings, &parts)?);
        let runtime = Builder::new_multi_thread()
            .worker_threads(RAFT_THREADS)
            .thread_name("raft")
            .enable_all()
            .build()
            .map_err(StartError::Log)?;
        let threads = LogThreads::start(parts.appender.log()).map_err(StartError::Log)?;
        let started = runtime.block_on(start(settings, parts, app, meta));
        let (handle, log_store, stop_server) = started?;
        let engine = Engine { runtime, threads, log_store, stop_server: Some(stop_server) };
        Ok(Self { handle, engine: Some(engine) })
    }
}

type Started = (GroupHandle, LogStore, oneshot::Sender<()>);

async fn start(
    settings: GroupSettings,
    parts: LogParts,
    app: Arc<dyn App>,
    meta: Arc<MetaFile>,
) -> Result<Started, StartError> {
    let address = settings.listen;
    let listener =
        TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let checkpoints =
        Checkpoints::open(Arc::clone(&parts.disk), &settings.folder).map_err(StartError::Log)?;
    let checkpoints = Arc::new(checkpoints);
    let log = parts.appender.log().clone();
    let store =
        LogStore::open(parts.appender, Arc::clone(&meta), checkpoints.clone(), settings.mode, parts.clock);
    let store = store.map_err(StartError::Log)?;
    let machine = StateMachine::open(Arc::clone(&app), store.clone(), Arc::clone(&checkpoints));
    let machine = machine.map_err(StartError::Log)?;
    let progress = machine.watch();

    let node = meta.current().node;
    let host = Identity {
        cluster: settings.cluster.clone(),
        group: settings.group.clone(),
        name: settings.name.clone(),
        node,
    };
    let links = Arc::new(Links::default());
    let patience = settings.timing.election_max * 2;
    let peers = Peers::new(host.clone(), Arc::clone(&links), patience);
    let is_quarantined = meta.current().is_quarantined;
    let config = config(&settings, is_quarantined)?;
    let raft = RaftHandle::new(node, config, peers.clone(), store.clone(), machine).await;
    let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;

    let abstention = Arc::new(Abstention::default());
    let (proposer, proposing) = Proposer::new(raft.clone(), log.clone());
    tokio::spawn(proposing);
    let (told, leadership) = watch::channel(Leadership::Following { term: Default::default(), leader: None });
    let task = LeadershipTask {
        raft: raft.clone(),
        app,
        log_store: store.clone(),
        proposer: proposer.clone(),
        progress: progress.clone(),
        told,
    };
    tokio::spawn(task.run());
    let quarantine = Quarantine {
        raft: raft.clone(),
        meta: Arc::clone(&meta),
        log: log.clone(),
        abstention: Arc::clone(&abstention),
        peers: peers.clone(),
        own: introduction(&settings, &meta, &raft, &log),
    };
    if is_quarantined {
        quarantine.begin();
        tokio::spawn(quarantine.run());
    }
    let stop_server =
        spawn_server(&settings, &raft, &log, &meta, (host, links.clone(), abstention.clone()), listener);
    let (trouble_told, trouble) = watch::channel(None);
    let own = introduction(&settings, &meta, &raft, &log);
    let report = move |reason| drop(trouble_told.send_replace(reason));
    tokio::spawn(bootstrap::run(settings.clone(), own, raft.clone(), peers.clone(), report));

    let shared = Shared {
        settings,
        node,
        raft,
        proposer,
        peers,
        links,
        log,
        log_store: store.downgrade(),
        checkpoints,
        meta,
        abstention,
        progress,
        leadership,
        trouble,
    };
    Ok((GroupHandle { shared: Arc::new(shared) }, store, stop_server))
}

fn spawn_server(
    settings: &GroupSettings,
    raft: &RaftHandle,
    log: &Log,
    meta: &Arc<MetaFile>,
    (identity, links, abstention): (Identity, Arc<Links>, Arc<Abstention>),
    listener: TcpListener,
) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let (settings, meta) = (settings.clone(), Arc::clone(meta));
    let (own_raft, own_log) = (raft.clone(), log.clone());
    let host = Host {
        identity,
        raft: raft.clone(),
        links,
        abstention,
        introduction: Arc::new(move || introduction(&settings, &meta, &own_raft, &own_log)),
    };
    let serving = serve(host, listener, async move { drop(stopped.await) });
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the Raft server has ended");
        }
    });
    stop
}

/// What this node says of itself now.
fn introduction(
    settings: &GroupSettings,
    meta: &MetaFile,
    raft: &RaftHandle,
    log: &Log,
) -> proto::Introduction {
    let known = meta.current();
    let metrics = raft.metrics();
    let metrics = metrics.borrow_watched();
    let last = metrics.last_log_index.zip(metrics.vote.committed.then_some(metrics.current_term));
    proto::Introduction {
        name: known.name,
        node: known.node.0,
        is_initialized: known.has_log || known.vote.is_some() || last_entry(log.confirmed().chain).is_some(),
        segment_bytes: log.segment_bytes(),
        peers: settings.peer_list(),
        is_leader: metrics.state == openraft::ServerState::Leader,
        term: metrics.current_term,
        last: last.map(|(index, term)| proto::LogId { term, index }),
    }
}

fn config(settings: &GroupSettings, is_quarantined: bool) -> Result<Arc<Config>, StartError> {
    let Timing { heartbeat, election_min, election_max } = settings.timing;
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: settings.cluster.clone(),
        heartbeat_interval: ms(heartbeat),
        election_timeout_min: ms(election_min),
        election_timeout_max: ms(election_max),
        install_snapshot_timeout: ms(SNAPSHOT_TIMEOUT),
        max_payload_entries: REQUEST_ENTRIES_MAX,
        snapshot_policy: openraft::SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        backoff: BACKOFF.into(),
        enable_elect: !is_quarantined,
        enable_pre_vote: Some(true),
        // After a restart it may have less than it has acknowledged; an election finds out.
        enable_leader_restore: Some(false),
        // A node that has lost its page cache gets again what it has lost.
        allow_log_reversion: Some(settings.mode == FlushMode::Async),
        // At least twice the longest election timeout: a leader without a majority falls silent now and then, so that others
        // who do not see each other's leader can elect.
        quorum_loss_probe_interval: Some(ms(election_max * 5 / 2)),
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| StartError::Raft(error.to_string()))
}
