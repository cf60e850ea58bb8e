//! What is committed happens: the broker's state changes, and the confirmed mark of the log moves.
//!
//! Where a segment ends, the state is kept as a checkpoint, before the first frame of the next one.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::frame::FrameKind;
use ferrymq_storage::{Chain, Log, Mark};
use futures_util::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, RaftSnapshotBuilder, Snapshot};
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use crate::app::{App, At, LogKept};
use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::command;
use crate::entry::{Applied, Entry, Frame, Payload};
use crate::log_store::LogStore;
use crate::types::{LogId, SnapshotMeta, StoredMembership, Types};

type SnapshotOf =
    Snapshot<openraft::vote::leader_id_std::CommittedLeaderId<u64>, crate::NodeId, crate::Member, Bytes>;

/// How far entries are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub last: Option<LogId>,
    pub mark: Mark,
}

pub(crate) struct StateMachine {
    app: Arc<dyn App>,
    log: Log,
    log_store: LogStore,
    checkpoints: Arc<Checkpoints>,
    membership: StoredMembership,
    progress: Progress,
    published: watch::Sender<Progress>,
}

impl StateMachine {
    /// Begins with the newest checkpoint. This waits for the disk.
    pub fn open(app: Arc<dyn App>, log_store: LogStore, checkpoints: Arc<Checkpoints>) -> io::Result<Self> {
        let log = log_store.frames().log().clone();
        let mut machine = Self {
            app,
            log,
            log_store,
            checkpoints,
            membership: StoredMembership::default(),
            progress: Progress::default(),
            published: watch::channel(Progress::default()).0,
        };
        if let Some(newest) = machine.checkpoints.newest() {
            machine.check(&newest)?;
            machine.app.restore(&newest.state, newest.mark, LogKept::Whole)?;
            machine.take(&newest);
        }
        if let Some(purged) = machine.log_store.purged() {
            let oldest = machine.checkpoints.publish_behind(purged);
            oldest.ok_or_else(|| {
                io::Error::other(format!(
                    "there is no checkpoint behind entry {purged}, where the log begins"
                ))
            })?;
        }
        Ok(machine)
    }

    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.published.subscribe()
    }

    /// Whether a checkpoint fits this node's log.
    fn check(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let (found, own) = (checkpoint.segment_bytes, self.log.segment_bytes());
        if found != own {
            return Err(io::Error::other(format!("a checkpoint is of segments of {found} bytes, not {own}")));
        }
        let offset = checkpoint.mark.offset.0;
        if offset.rem_euclid(own as i64) != 0 {
            return Err(io::Error::other(format!("a checkpoint at {offset}, where no segment begins")));
        }
        Ok(())
    }

    fn take(&mut self, checkpoint: &Checkpoint) {
        self.membership = checkpoint.membership.clone();
        self.progress = Progress { last: checkpoint.last, mark: checkpoint.mark };
        self.published.send_replace(self.progress);
    }

    fn base_of(&self, offset: LogOffset) -> LogOffset {
        LogOffset(offset.0 - offset.0.rem_euclid(self.log.segment_bytes() as i64))
    }

    async fn apply_entry(&mut self, entry: Entry) -> io::Result<Applied> {
        let applied = match &entry.payload {
            Payload::Frame(frame) => self.apply_frame(frame).await?,
            // Only a test has entries without a place.
            Payload::Blank | Payload::Membership(_) | Payload::Batch(_) => Applied::Nothing,
        };
        if let Some(members) = openraft::entry::RaftEntry::get_membership(&entry) {
            self.membership = StoredMembership::new(Some(entry.log_id), members);
        }
        self.progress.last = Some(entry.log_id);
        self.published.send_replace(self.progress);
        Ok(applied)
    }

    async fn apply_frame(&mut self, frame: &Frame) -> io::Result<Applied> {
        let base = self.base_of(frame.header().offset);
        if base > self.base_of(self.progress.mark.offset) {
            self.keep_checkpoint(base).await?;
        }
        let replies = match frame.kind() {
            FrameKind::Noop | FrameKind::Membership => Vec::new(),
            FrameKind::Messages | FrameKind::Command => self.apply_commands(frame)?,
        };
        self.progress.mark = frame.mark();
        self.log.confirm(self.progress.mark);
        Ok(Applied::Frame { frame: frame.clone(), replies })
    }

    fn apply_commands(&self, frame: &Frame) -> io::Result<Vec<Bytes>> {
        let commands = command::commands_of(&frame.body());
        let commands = commands
            .ok_or_else(|| io::Error::other(format!("{frame:?} holds something else than records")))?;
        let at = At { index: frame.header().index, term: frame.header().term };
        commands.iter().map(|command| self.app.apply(at, command)).collect()
    }

    /// Keeps the state behind the last frame of a segment. The file is written when the log before it is durable, while others
    /// are applied.
    async fn keep_checkpoint(&mut self, base: LogOffset) -> io::Result<()> {
        let confirmed = self.progress.mark;
        let app = Arc::clone(&self.app);
        let state = spawn_blocking(move || app.checkpoint(confirmed)).await.map_err(io::Error::other)??;
        let checkpoint = Checkpoint {
            mark: Mark { offset: base, chain: confirmed.chain },
            last: self.progress.last,
            segment_bytes: self.log.segment_bytes(),
            membership: self.membership.clone(),
            state: state.into(),
        };
        let (durable, is_durable) = oneshot::channel();
        self.log.when_durable(
            confirmed.offset,
            Box::new(move |result| {
                let _ = durable.send(result);
            }),
        );
        let checkpoints = Arc::clone(&self.checkpoints);
        tokio::spawn(async move {
            if !matches!(is_durable.await, Ok(Ok(()))) {
                return;
            }
            let saved = spawn_blocking(move || checkpoints.save(&checkpoint)).await;
            // A restart begins with an older one, and retention waits.
            if let Err(error) = saved.map_err(io::Error::other).and_then(|saved| saved) {
                tracing::warn!(%base, %error, "cannot keep a checkpoint");
            }
        });
        Ok(())
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.progress.last, self.membership.clone()))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(item) = entries.next().await {
            let (entry, responder) = item?;
            let applied = self.apply_entry(entry).await?;
            if let Some(responder) = responder {
                responder.send(applied);
            }
        }
        Ok(())
    }

    /// Without a checkpoint to publish there is nothing to build.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        let is_published = matches!(self.checkpoints.published(), Ok(Some(_)));
        if force || is_published { Some(self.get_snapshot_builder().await) } else { None }
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder {
            app: Arc::clone(&self.app),
            checkpoints: Arc::clone(&self.checkpoints),
            now: Checkpoint {
                mark: self.progress.mark,
                last: self.progress.last,
                segment_bytes: self.log.segment_bytes(),
                membership: self.membership.clone(),
                state: Bytes::new(),
            },
        }
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> Result<(), io::Error> {
        let checkpoint = Checkpoint::decode(snapshot)?;
        self.check(&checkpoint)?;
        if checkpoint.meta() != *meta {
            return Err(io::Error::other(format!(
                "a checkpoint behind {:?} came as the one behind {meta}",
                checkpoint.last
            )));
        }
        let (log_store, checkpoints, app) =
            (self.log_store.clone(), Arc::clone(&self.checkpoints), Arc::clone(&self.app));
        let checkpoint = spawn_blocking(move || install(checkpoint, &log_store, &checkpoints, &*app));
        let checkpoint = checkpoint.await.map_err(io::Error::other)??;
        self.take(&checkpoint);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf>, io::Error> {
        let published = self.checkpoints.published()?;
        Ok(published.map(|checkpoint| Snapshot { meta: checkpoint.meta(), snapshot: checkpoint.encode() }))
    }
}

/// First the file, then the log, then the state: a crash in between is made good by the next start, which finds the file.
fn install(
    checkpoint: Checkpoint,
    log_store: &LogStore,
    checkpoints: &Checkpoints,
    app: &dyn App,
) -> io::Result<Checkpoint> {
    checkpoints.install(&checkpoint)?;
    let kept = match checkpoint.last {
        Some(last) if !log_store.contains(last) => {
            log_store.restart_at(checkpoint.mark)?;
            LogKept::Nothing
        }
        _ => LogKept::Whole,
    };
    app.restore(&checkpoint.state, checkpoint.mark, kept)?;
    Ok(checkpoint)
}

/// Gives openraft the checkpoint that was published.
pub(crate) struct SnapshotBuilder {
    app: Arc<dyn App>,
    checkpoints: Arc<Checkpoints>,
    /// The state of now, for a group that has no checkpoint.
    now: Checkpoint,
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf, io::Error> {
        if self.now.mark != Mark::default() || self.now.mark.chain != Chain::default() {
            let published = self.checkpoints.published()?;
            let checkpoint = published.ok_or_else(|| io::Error::other("there is no checkpoint yet"))?;
            return Ok(Snapshot { meta: checkpoint.meta(), snapshot: checkpoint.encode() });
        }
        let state = self.app.checkpoint(self.now.mark)?;
        let checkpoint = Checkpoint { state: state.into(), ..self.now.clone() };
        self.checkpoints.install(&checkpoint)?;
        Ok(Snapshot { meta: checkpoint.meta(), snapshot: checkpoint.encode() })
    }
}
