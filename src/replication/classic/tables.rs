//! The thread that changes the tables of a node that has them in files: whatever waits is applied, the files are written, and
//! then it is answered.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use ferrymq_proto::name::TopicName;
use ferrymq_storage::dispatch::{Derived, DispatchError};

use super::messages::{Forgotten, Messages, Work};
use super::refused;
use crate::replication::queue::WaitingQueue;
use crate::replication::{Changed, NotStored, SharedTables};
use crate::state;
use crate::state::files::{ConfigFile, ConfigFolder, FileError};

/// Changes of the tables that may wait.
const CHANGES_MAX: usize = 16_384;
/// How long dispatch may take to come to the end of the log, before the queues of a deleted topic are left as they are.
const DISPATCH_WAIT: Duration = Duration::from_secs(10);

/// What is done to the tables.
enum Step {
    Command(state::Command),
    Copy(Box<state::Copy>),
}

pub(super) struct Change {
    step: Step,
    changed: Changed,
}

impl Change {
    /// One whose outcome nobody waits for.
    pub fn unasked(command: state::Command) -> Self {
        Self { step: Step::Command(command), changed: Box::new(|_| ()) }
    }

    /// None: it is no command.
    fn command(&self) -> Option<&state::Command> {
        match &self.step {
            Step::Command(command) => Some(command),
            Step::Copy(_) => None,
        }
    }
}

/// Changes that wait for the thread.
#[derive(Clone)]
pub(super) struct Changes(Arc<WaitingQueue<Change>>);

impl Changes {
    pub fn new() -> Self {
        Self(Arc::new(WaitingQueue::new(CHANGES_MAX)))
    }

    /// False: it is not taken, and was told so.
    pub fn put(&self, change: Change) -> bool {
        let Err((change, reason)) = self.0.put(change, 1) else { return true };
        (change.changed)(Err(refused(reason)));
        false
    }
}

/// What the thread works on.
pub struct TablesParts {
    pub tables: SharedTables,
    pub files: ConfigFolder,
    /// How long what groups have committed may wait for its file.
    pub offsets_wait_max: Duration,
}

/// The running thread.
pub struct TablesThread {
    changes: Changes,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for TablesThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TablesThread")
    }
}

impl TablesThread {
    /// Of a node that writes no messages.
    pub fn start(parts: TablesParts) -> std::io::Result<Self> {
        Self::start_with(parts, Changes::new(), None)
    }

    /// With the messages of topics, which go when the topic is deleted.
    pub(super) fn start_with(
        parts: TablesParts,
        changes: Changes,
        removal: Option<Removal>,
    ) -> std::io::Result<Self> {
        let TablesParts { tables, files, offsets_wait_max } = parts;
        let offsets = OffsetsFile { wait_max: offsets_wait_max, written: Instant::now(), is_behind: false };
        let mut writer = TablesWriter { changes: changes.clone(), removal, tables, files, offsets };
        let thread = Builder::new().name("tables-write".into()).spawn(move || {
            while writer.step() {}
            writer.close();
        })?;
        Ok(Self { changes, thread: Mutex::new(Some(thread)) })
    }

    pub fn change(&self, command: state::Command, changed: Changed) {
        self.changes.put(Change { step: Step::Command(command), changed });
    }

    /// Takes over what another node's tables say.
    pub fn copy(&self, copy: state::Copy, changed: Changed) {
        self.changes.put(Change { step: Step::Copy(Box::new(copy)), changed });
    }

    /// Takes no more, and returns when what was taken is written.
    pub fn stop(&self) {
        self.changes.0.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that changes the tables ended with a panic");
        }
    }
}

/// Where the messages of topics are, which go with them.
pub(super) struct Removal {
    pub messages: Messages,
    pub derived: Derived,
}

/// Why a change that was made is not on disk as it should be.
#[derive(Debug, thiserror::Error)]
enum NotSaved {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("the queues of deleted topics could not be removed: {0}")]
    Queues(#[from] DispatchError),
    #[error("the queues of deleted topics could not be removed: the log was not dispatched in time")]
    NotDispatched,
    #[error("the queues of deleted topics could not be removed: the broker is stopping")]
    Stopping,
}

/// The topics that a command deletes.
fn deleted_topics(command: &state::Command) -> &[TopicName] {
    match command {
        state::Command::DeleteTopics { topics, .. } => topics,
        _ => &[],
    }
}

/// The thread that changes the tables.
struct TablesWriter {
    changes: Changes,
    removal: Option<Removal>,
    tables: SharedTables,
    files: ConfigFolder,
    offsets: OffsetsFile,
}

/// Consumers commit all the time, and nobody waits for it: their file is written once a while.
struct OffsetsFile {
    wait_max: Duration,
    written: Instant,
    /// Something was committed that is not in it.
    is_behind: bool,
}

impl OffsetsFile {
    /// How long it can wait.
    fn patience(&self) -> Duration {
        if self.is_behind { self.wait_max.saturating_sub(self.written.elapsed()) } else { Duration::MAX }
    }

    /// Whether it can be left as it is after these changes.
    fn can_wait(&mut self, changes: &[Change]) -> bool {
        let is_commit =
            |change: &Change| matches!(change.command(), None | Some(state::Command::CommitOffsets { .. }));
        self.is_behind |= changes.iter().any(is_commit);
        // What else changes offsets was asked for by somebody who waits.
        let is_asked_for = |change: &Change| change.command().is_some_and(changes_offsets);
        self.is_behind && !self.patience().is_zero() && !changes.iter().any(is_asked_for)
    }
}

fn changes_offsets(command: &state::Command) -> bool {
    use state::Command as C;
    match command {
        C::ResetOffsets { .. } | C::CloneOffsets { .. } | C::RemoveOffsets { .. } => true,
        C::DeleteTopics { offsets, .. } | C::DeleteGroups { offsets, .. } => *offsets,
        C::Together(commands) => commands.iter().any(changes_offsets),
        _ => false,
    }
}

impl TablesWriter {
    fn step(&mut self) -> bool {
        let patience = self.offsets.patience();
        let Some(changes) = self.changes.0.take_within(CHANGES_MAX, CHANGES_MAX, patience) else {
            return false;
        };
        let offsets_can_wait = self.offsets.can_wait(&changes);
        let deleted: Vec<_> =
            changes.iter().filter_map(Change::command).flat_map(deleted_topics).cloned().collect();
        let applied: Vec<_> = {
            let mut tables = self.tables.write();
            let apply = |step| match step {
                Step::Command(command) => tables.apply(command),
                Step::Copy(copy) => tables.take_over(*copy),
            };
            let (steps, told): (Vec<_>, Vec<_>) =
                changes.into_iter().map(|change| (change.step, change.changed)).unzip();
            steps.into_iter().map(apply).zip(told).collect()
        };
        // What nobody may forget is in its file before anybody is answered.
        let saved = self.save(offsets_can_wait).and_then(|()| self.remove_queues(&deleted));
        for (reply, changed) in applied {
            changed(match &saved {
                Ok(()) => Ok(reply),
                Err(error) => Err(NotStored::Disk(error.to_string())),
            });
        }
        true
    }

    /// Removes the queues of deleted topics, with all that was sent to them before.
    fn remove_queues(&self, topics: &[TopicName]) -> Result<(), NotSaved> {
        let Some(Removal { messages, derived }) = self.removal.as_ref().filter(|_| !topics.is_empty()) else {
            return Ok(());
        };
        let (done, written) = sync_channel(1);
        let forgotten = Forgotten { topics: topics.to_vec(), done };
        // It takes no room: only a queue that is closed refuses it.
        let is_taken = messages.put(Work::Forget(forgotten), 0).is_ok();
        let end = written.recv().ok().filter(|_| is_taken).ok_or(NotSaved::Stopping)?;
        if !derived.wait_dispatched(end, DISPATCH_WAIT) {
            return Err(NotSaved::NotDispatched);
        }
        topics.iter().try_for_each(|topic| Ok(derived.remove_topic(topic)?))
    }

    fn save(&mut self, without_offsets: bool) -> Result<(), NotSaved> {
        let is_wanted = |file| !(without_offsets && file == ConfigFile::Offsets);
        // Files are written while everybody may read the tables.
        let due = self.files.due_where(&self.tables.read(), is_wanted);
        self.files.write(due)?;
        if !without_offsets {
            self.offsets.written = Instant::now();
            self.offsets.is_behind = false;
        }
        Ok(())
    }

    fn close(mut self) {
        if let Err(error) = self.save(false) {
            tracing::error!(%error, "the tables could not be saved");
        }
    }
}

#[cfg(test)]
mod tests {
    use ferrymq_proto::name::GroupName;

    use super::*;
    use crate::state::{Command, Stamp};

    #[test]
    fn only_what_nobody_waits_for_can_wait() {
        let stamp = Stamp::default();
        let commit = || Change::unasked(Command::CommitOffsets { changes: Vec::new(), stamp });
        let create = || Change::unasked(Command::CreateTopics { topics: Vec::new(), stamp });
        let removal = || Command::RemoveOffsets { group: GroupName::parse("g").ok(), topic: None, stamp };
        let remove = || Change::unasked(removal());
        let hour = Duration::from_secs(3600);
        let mut file = OffsetsFile { wait_max: hour, written: Instant::now(), is_behind: false };
        assert!(!file.can_wait(&[create()]), "nothing is behind");
        assert_eq!(file.patience(), Duration::MAX);
        assert!(file.can_wait(&[commit(), create()]));
        assert!(file.can_wait(&[create()]), "what was committed before still waits");
        assert!(file.patience() <= hour);
        assert!(!file.can_wait(&[commit(), remove()]));
        assert!(!file.can_wait(&[Change::unasked(Command::Together(vec![removal()]))]));
        file.wait_max = Duration::ZERO;
        assert!(!file.can_wait(&[commit()]), "it has waited long enough");
    }
}
