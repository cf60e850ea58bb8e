//! The store of a node: the log, what is derived from it, and the threads that work on both.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::name::TopicName;
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::dispatch::{
    Arrival, Arrivals as Dispatched, Derived, DerivedSettings, DerivedThreads, DispatchError,
    OpenDerivedError,
};
use ferrymq_storage::queues::DelayLevels;
use ferrymq_storage::{
    FatalHook, FlushMode, Layout, Log, LogThreads, Mark, OpenError, OpenLog, Settings, recovery,
};

use crate::config::broker::{BrokerConfig, FlushDisk};
use crate::replication::Replicator;
use crate::services::arrivals::Arrivals;
use crate::services::delays::Alarms;
use crate::state::Command;

/// Readers of queues share so many open files.
const QUEUE_FILES_MAX: usize = 1024;
/// How long dispatch may take to catch up at the start before it is told about, and told again.
const CATCHING_UP: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Log(#[from] OpenError),
    #[error("{0}")]
    Derived(#[from] OpenDerivedError),
    #[error("{0}")]
    Dispatch(#[from] DispatchError),
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// What runs. It ends in the order of the fields.
pub struct Store {
    derived_threads: DerivedThreads,
    /// None where a group has its own.
    log_threads: Option<LogThreads>,
    pub derived: Derived,
    pub log: Log,
}

/// A store, and what is needed to append to it.
pub struct Opened {
    pub store: Store,
    pub log: OpenLog,
}

/// Wakes those who wait for what is dispatched.
#[derive(Clone, Debug, Default)]
pub struct Waking {
    pub arrivals: Arc<Arrivals>,
    pub alarms: Alarms,
}

impl Dispatched for Waking {
    fn arrived(&mut self, arrival: &Arrival<'_>) {
        let topic = arrival.topic.as_str();
        let Arrival { queue, queue_offset, tags_code, properties, .. } = *arrival;
        self.arrivals.arrived(topic, queue, queue_offset, tags_code, properties);
        self.alarms.arrived(arrival);
    }

    fn are_awaited(&self) -> bool {
        self.arrivals.are_awaited()
    }

    fn removed_by(&mut self, command: &[u8]) -> Vec<TopicName> {
        // Whoever applies a command that cannot be read stops this node.
        let command = Command::decode(command).ok();
        command.iter().flat_map(Command::deleted_topics).cloned().collect()
    }
}

pub fn flush_mode(config: &BrokerConfig) -> FlushMode {
    match config.store.flush {
        FlushDisk::Sync => FlushMode::Sync,
        FlushDisk::Async => FlushMode::Async,
    }
}

/// Opens the store, and dispatches what is final. A log without frames is of a node that decides alone: what is written there is
/// final.
pub fn open(config: &BrokerConfig, layout: Layout, waking: Waking) -> Result<Opened, StoreError> {
    let store = &config.store;
    std::fs::create_dir_all(&store.root)?;
    let settings = Settings {
        folder: store.root.clone(),
        layout,
        segment_bytes: store.segment_bytes as u64,
        mode: flush_mode(config),
        flush_interval: store.flush_interval,
        boot: RealDisk::boot_id()?,
        on_fatal: FatalHook::abort(),
    };
    let open = recovery::open(Arc::new(RealDisk), settings)?;
    if let Some(cut) = &open.report.cut {
        tracing::warn!(path = %cut.path.display(), offset = %cut.offset, damage = %cut.damage, "a torn tail was cut off");
    }
    let log = open.log().clone();
    if layout == Layout::Classic {
        log.confirm(Mark { offset: log.written(), ..log.confirmed() });
    }
    let (derived, mut dispatcher) = Derived::open(&log, derived_settings(config), Box::new(waking))?;
    let mut told = Instant::now();
    while dispatcher.step()? {
        if told.elapsed() > CATCHING_UP {
            tracing::info!(position = %derived.position(), end = %log.written(), "dispatching what is stored");
            told = Instant::now();
        }
    }
    let log_threads = match layout {
        Layout::Classic => Some(LogThreads::start(&log)?),
        Layout::Framed => None,
    };
    let derived_threads = DerivedThreads::start(&derived, dispatcher)?;
    let store = Store { derived_threads, log_threads, derived, log };
    Ok(Opened { store, log: open })
}

pub fn derived_settings(config: &BrokerConfig) -> DerivedSettings {
    let store = &config.store;
    DerivedSettings {
        queue_file_entries: store.queue_file_entries() as u64,
        index_slots: u32::try_from(store.index_slots).unwrap_or(u32::MAX),
        index_entries: u32::try_from(store.index_entries).unwrap_or(u32::MAX),
        index_enabled: store.has_index,
        delay_levels: DelayLevels(config.delay.levels.delays().to_vec()),
        open_files_max: QUEUE_FILES_MAX,
        ..DerivedSettings::default()
    }
}

impl Store {
    pub fn close(self, replicator: &dyn Replicator) {
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
