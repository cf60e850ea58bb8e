//! A node of a group, running: Raft on threads of its own, so that a burst of clients never delays a heartbeat.

mod admin;
mod identity;
mod preference;
mod retention;
mod start;
mod stop;

use std::sync::{Arc, Weak};
use std::{fmt, io};

use ferrymq_storage::clock::Clock;
use ferrymq_storage::disk::Disk;
use ferrymq_storage::{FramedAppender, Index, Log, LogThreads, Report};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{Instant, ServerState};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, watch};

use crate::abstention::Abstention;
use crate::checkpoint::Checkpoints;
use crate::log_store::{Inner, LogStore};
use crate::meta::MetaFile;
use crate::proposer::Proposer;
use crate::settings::GroupSettings;
use crate::state_machine::Progress;
use crate::status::{Around, Leadership, Status, status_of};
use crate::transport::client::Peers;
use crate::transport::{Links, RaftHandle};
use crate::types::{NodeId, index_of};

pub use admin::AdminError;
pub(crate) use identity::{meta_path, new_node};
pub use start::StartError;

/// The log of a node, as it was opened.
#[derive(Debug)]
pub struct LogParts {
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub appender: FramedAppender,
    pub report: Report,
}

/// What a handle needs to speak to the group. It outlives the group, and then everything fails.
struct Shared {
    settings: GroupSettings,
    node: NodeId,
    raft: RaftHandle,
    proposer: Proposer,
    peers: Peers,
    links: Arc<Links>,
    log: Log,
    /// Gone when the group was stopped.
    log_store: Weak<Inner>,
    checkpoints: Arc<Checkpoints>,
    meta: Arc<MetaFile>,
    abstention: Arc<Abstention>,
    progress: watch::Receiver<Progress>,
    leadership: watch::Receiver<Leadership>,
    trouble: watch::Receiver<Option<String>>,
}

/// Speaks to a group from any thread or task. Clones share everything.
#[derive(Clone)]
pub struct GroupHandle {
    shared: Arc<Shared>,
}

/// The owner of a running node. Without [`stop`](Group::stop) it ends as if the process had died.
pub struct Group {
    handle: GroupHandle,
    /// Gone when it was stopped.
    engine: Option<Engine>,
}

/// What runs.
struct Engine {
    runtime: Runtime,
    threads: LogThreads,
    log_store: LogStore,
    stop_server: Option<oneshot::Sender<()>>,
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(f)
    }
}

impl fmt::Debug for GroupHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group({} as {})", self.shared.settings.group, self.shared.settings.name)
    }
}

impl Group {
    pub fn handle(&self) -> GroupHandle {
        self.handle.clone()
    }
}

impl GroupHandle {
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Takes proposals.
    pub fn proposer(&self) -> &Proposer {
        &self.shared.proposer
    }

    /// Who leads, and whether that is this node and it is ready.
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.clone()
    }

    /// Links that tests may cut.
    pub fn links(&self) -> &Links {
        &self.shared.links
    }

    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let around = Around {
            member: shared.settings.itself(),
            is_writable: shared.proposer.open_term().is_some(),
            abstains: shared.abstention.reason(),
            trouble: shared.trouble.borrow().clone(),
        };
        let progress = *shared.progress.borrow();
        let metrics = shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        status_of(&metrics, progress, around)
    }

    /// What the log up to a frame comes to: nodes with the same one have the same log up to there. May read it from the disk.
    pub fn chain_at(&self, index: Index) -> io::Result<u32> {
        let log_store =
            self.shared.log_store.upgrade().ok_or_else(|| io::Error::other("the node has stopped"))?;
        let applied = index_of(self.shared.progress.borrow().last);
        if index > applied {
            return Err(io::Error::other(format!(
                "frame {index} is not final here: {applied} is the last one"
            )));
        }
        Ok(log_store.frames.mark_behind(index)?.chain.header_crc)
    }

    /// Whether this node may still answer for the group: it has heard from a majority within the lease, so that no other can lead.
    pub fn has_lease(&self) -> bool {
        let metrics = self.shared.raft.metrics();
        let metrics = metrics.borrow_watched();
        let is_leader = metrics.state == ServerState::Leader && metrics.running_state.is_ok();
        let acked = metrics.last_quorum_acked.as_ref();
        is_leader && acked.is_some_and(|acked| acked.elapsed() < self.shared.settings.timing.election_max)
    }

    /// As [`has_lease`](Self::has_lease), asked of a majority now, and waited until all that was final at that time is applied.
    pub async fn confirm_lead(&self) -> bool {
        self.shared.raft.ensure_linearizable(openraft::ReadPolicy::ReadIndex).await.is_ok()
    }
}
