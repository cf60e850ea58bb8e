//! Starting a node.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ferrymq_storage::{FlushMode, Log, LogThreads};
use openraft::Config;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Engine, Group, GroupHandle, LogParts, Shared, identity, preference};
use crate::abstention::Abstention;
use crate::alertness::Alertness;
use crate::app::App;
use crate::bootstrap;
use crate::checkpoint::Checkpoints;
use crate::leadership::LeadershipTask;
use crate::log_store::LogStore;
use crate::mending::{Mender, inspection};
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
const RAFT_THREADS_MAX: usize = 2;
/// A checkpoint may be long, and the other node's disk slow.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(120);
/// Entries that one request may carry, if they are small.
const REQUEST_ENTRIES_MAX: u64 = 512;
/// Readers that wait for something to be mended. There are never more of them than peers, and the one who inspects.
const INJURIES_MAX: usize = 8;
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

/// Half of the cores, for the other half serves: a thread that finds work wakes another one to look for more, and where there are
/// only two cores that one takes the place of a server.
fn raft_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    (cores / 2).clamp(1, RAFT_THREADS_MAX)
}

impl Group {
    /// Starts a node. Must not be called from a task: it waits for the disk.
    pub fn start(settings: GroupSettings, parts: LogParts, app: Arc<dyn App>) -> Result<Self, StartError> {
        settings.check()?;
        let meta = Arc::new(identity::open(&settings, &parts)?);
        let runtime = Builder::new_multi_thread()
            .worker_threads(raft_threads())
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
    let abstention = Arc::new(Abstention::default());
    let (injured, injuries) = mpsc::channel(INJURIES_MAX);
    let known_raft = Arc::new(OnceLock::new());
    let mender = Mender {
        raft: Arc::clone(&known_raft),
        configured: settings.others(),
        log: log.clone(),
        peers: peers.clone(),
        abstention: Arc::clone(&abstention),
        injuries,
    };
    // A start applies what is final, and so may be the first to see that it is damaged.
    tokio::spawn(mender.run());
    store.tell_injuries(injured.clone());
    let is_quarantined = meta.current().is_quarantined;
    let config = config(&settings, is_quarantined)?;
    let raft = RaftHandle::new(node, config, peers.clone(), store.clone(), machine).await;
    let raft = raft.map_err(|error| StartError::Raft(error.to_string()))?;

    let _ = known_raft.set(raft.clone());
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
    tokio::spawn(inspection::run(log.clone(), injured));
    let alertness = Alertness::new();
    tokio::spawn(alertness.clone().run());
    let host = Host {
        identity: host,
        raft: raft.clone(),
        links: links.clone(),
        abstention: abstention.clone(),
        alertness,
        patience: settings.timing.election_max * 2,
        log: log.clone(),
        proposer: proposer.clone(),
        introduction: introducing(&settings, &meta, &raft, &log),
    };
    let stop_server = spawn_server(host, listener);
    let (trouble_told, trouble) = watch::channel(None);
    let own = introduction(&settings, &meta, &raft, &log);
    let report = move |reason| drop(trouble_told.send_replace(reason));
    tokio::spawn(bootstrap::run(settings.clone(), own, raft.clone(), peers.clone(), report));

    let preferred_leader = settings.preferred_leader.clone();
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
    let handle = GroupHandle { shared: Arc::new(shared) };
    if let Some(name) = preferred_leader {
        tokio::spawn(preference::run(handle.clone(), name));
    }
    Ok((handle, store, stop_server))
}

fn spawn_server(host: Host, listener: TcpListener) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = serve(host, listener, async move { drop(stopped.await) });
    tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the Raft server has ended");
        }
    });
    stop
}

type Introducing = Arc<dyn Fn() -> proto::Introduction + Send + Sync>;

fn introducing(settings: &GroupSettings, meta: &Arc<MetaFile>, raft: &RaftHandle, log: &Log) -> Introducing {
    let (settings, meta, raft, log) = (settings.clone(), Arc::clone(meta), raft.clone(), log.clone());
    Arc::new(move || introduction(&settings, &meta, &raft, &log))
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
