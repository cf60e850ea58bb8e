//! openraft's own suite for stores, on our log.
//!
//! Two things stand between: the suite begins logs in their midst, which a log of frames never does, so that what is missing
//! is filled up before; and it purges entries that were never there, behind checkpoints that nobody made.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::clock::RealClock;
use ferrymq_storage::disk::{Disk, SimulatedDisk};
use ferrymq_storage::{BootId, Chain, FlushMode, LogThreads, Mark};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{OptionalSend, StorageError};

use super::rig::{SEGMENT_BYTES, TestApp, open_log, real_disk};
use crate::checkpoint::Checkpoints;
use crate::entry::{Entry, Payload};
use crate::log_store::{Bases, LogReader, LogStore};
use crate::meta::{MetaFile, NodeMeta};
use crate::state_machine::StateMachine;
use crate::types::{LogId, NodeId, Types, Vote, frame_index, log_id, term_of};

/// A checkpoint behind every entry, each at a segment of its own.
#[derive(Debug)]
struct AnyBase;

impl Bases for AnyBase {
    fn base_behind(&self, entry: LogId) -> Option<Mark> {
        let chain = Chain { index: frame_index(entry.index), term: term_of(entry), header_crc: 0 };
        Some(Mark { offset: LogOffset((entry.index as i64 + 1) * SEGMENT_BYTES as i64), chain })
    }
}

struct Filled(LogStore);

impl RaftLogStorage<Types> for Filled {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        self.0.get_log_state().await
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.0.reader()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.0.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.0.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        self.0.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut entries: Vec<_> = entries.into_iter().collect();
        let state = self.0.get_log_state().await?;
        if state.last_log_id.is_none() {
            let first = entries[0].log_id;
            let missing = (0..first.index)
                .map(|index| Entry { log_id: log_id(first.leader_id.term, index), payload: Payload::Blank });
            entries.splice(0..0, missing.collect::<Vec<_>>());
        }
        self.0.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.0.truncate_after(last).await
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.0.purge(upto).await
    }
}

struct Builder {
    disk: fn() -> Arc<dyn Disk>,
    mode: FlushMode,
}

impl StoreBuilder<Types, Filled, StateMachine, (tempfile::TempDir, LogThreads)> for Builder {
    async fn build(
        &self,
    ) -> Result<((tempfile::TempDir, LogThreads), Filled, StateMachine), StorageError<Types>> {
        let disk = (self.disk)();
        let folder = tempfile::tempdir().unwrap();
        let (store, machine, threads) = open(&disk, folder.path(), self.mode);
        Ok(((folder, threads), Filled(store), machine))
    }
}

fn open(disk: &Arc<dyn Disk>, folder: &Path, mode: FlushMode) -> (LogStore, StateMachine, LogThreads) {
    let (appender, _) = open_log(Arc::clone(disk), folder, mode).framed();
    let threads = LogThreads::start(appender.log()).unwrap();
    let meta = NodeMeta {
        node: NodeId(0),
        cluster: "c".into(),
        group: "g".into(),
        name: "n0".into(),
        boot: BootId([1; 16]),
        is_clean: false,
        is_lazy: false,
        is_quarantined: false,
        has_log: false,
        vote: None,
        purged: None,
    };
    let meta = Arc::new(MetaFile::create(&**disk, &folder.join("raft.meta"), meta).unwrap());
    let checkpoints = Arc::new(Checkpoints::open(Arc::clone(disk), folder).unwrap());
    let store = LogStore::open(appender, meta, Arc::new(AnyBase), mode, Arc::new(RealClock::new())).unwrap();
    let machine = StateMachine::open(Arc::new(TestApp::default()), store.clone(), checkpoints).unwrap();
    (store, machine, threads)
}

fn run(builder: Builder) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(Suite::test_all(builder)).unwrap();
}

#[test]
fn on_a_real_disk() {
    run(Builder { disk: real_disk, mode: FlushMode::Sync });
}

#[test]
fn on_a_real_disk_without_waiting_for_it() {
    run(Builder { disk: real_disk, mode: FlushMode::Async });
}

#[test]
fn on_a_simulated_disk() {
    run(Builder { disk: || Arc::new(SimulatedDisk::default()), mode: FlushMode::Sync });
}
