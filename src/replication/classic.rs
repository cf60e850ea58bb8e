//! One node that decides alone: Apache's master without slaves.
//!
//! Messages: whatever waits goes into the log with one write, and with one fsync where the settings demand it ([`messages`]).
//! Tables: a thread changes them; whatever waits is applied, their files are written, and then it is answered. A message is final
//! when it is as safe as its sender is told: written, or on disk.

mod messages;

use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use ferrymq_proto::name::TopicName;
use ferrymq_storage::dispatch::{Derived, DispatchError};
use ferrymq_storage::stamp::{StampError, Stamper};
use ferrymq_storage::{Appender, FlushMode, Log};
use tokio::runtime::Handle;

use self::messages::{Forgotten, LogWriter, Messages, Sent, Work};
use super::queue::{NotTaken, WaitingQueue};
use super::{Batch, Changed, Done, NotStored, Replicator, SharedTables, Wait};
use crate::state;
use crate::state::files::{ConfigFile, ConfigFolder, FileError};

/// Changes of the tables that may wait.
const CHANGES_MAX: usize = 16_384;
/// How long dispatch may take to come to the end of the log, before the queues of a deleted topic are left as they are.
const DISPATCH_WAIT: Duration = Duration::from_secs(10);

pub struct Classic {
    messages: Messages,
    changes: Arc<WaitingQueue<Change>>,
    log: Log,
    tables: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Classic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Classic(written {})", self.log.written())
    }
}

struct Change {
    command: state::Command,
    changed: Changed,
}

impl Change {
    /// One whose outcome nobody waits for.
    fn unasked(command: state::Command) -> Self {
        Self { command, changed: Box::new(|_| ()) }
    }
}

/// What a classic node is made of.
#[derive(Debug)]
pub struct Parts {
    pub appender: Appender,
    pub derived: Derived,
    pub mode: FlushMode,
    pub tables: SharedTables,
    pub files: ConfigFolder,
    /// How long what groups have committed may wait for its file.
    pub offsets_wait_max: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Stamp(#[from] StampError),
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Classic {
    /// Begins to take writes, on the runtime that calls this. All of the log was dispatched.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let changes = Arc::new(WaitingQueue::new(CHANGES_MAX));
        let log = parts.appender.log().clone();
        let stamper = Stamper::new(&parts.derived)?;
        let writer = LogWriter::new(parts.appender, stamper, parts.mode, Arc::clone(&changes));
        let messages = Messages::new(writer, Handle::current());
        let mut tables = TablesWriter {
            queue: Arc::clone(&changes),
            messages: messages.clone(),
            derived: parts.derived,
            tables: parts.tables,
            files: parts.files,
            offsets: OffsetsFile {
                wait_max: parts.offsets_wait_max,
                written: Instant::now(),
                is_behind: false,
            },
        };
        let changing = Builder::new().name("tables-write".into()).spawn(move || {
            while tables.step() {}
            tables.close();
        })?;
        Ok(Self { messages, changes, log, tables: std::sync::Mutex::new(Some(changing)) })
    }
}

impl Replicator for Classic {
    fn append(&self, batch: Batch, wait: Wait, done: Done) {
        let room = self.log.room();
        if !room.is_writable() {
            return done(Err(NotStored::DiskFull(room.to_string())));
        }
        let bytes = batch.records.len();
        let work = Work::Write(Sent { batch, wait, done });
        let Err(refusal) = self.messages.put(work, bytes) else { return };
        if let (Work::Write(sent), reason) = *refusal {
            (sent.done)(Err(refused(reason)));
        }
    }

    fn change(&self, command: state::Command, changed: Changed) {
        if let Err((change, reason)) = self.changes.put(Change { command, changed }, 1) {
            (change.changed)(Err(refused(reason)));
        }
    }

    fn is_leader(&self) -> bool {
        true
    }

    fn is_current(&self) -> bool {
        true
    }

    fn term(&self) -> i64 {
        0
    }

    fn stop(&self) {
        // First what belongs to messages is noted.
        self.messages.stop();
        self.changes.close();
        let tables = self.tables.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if tables.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that changes the tables ended with a panic");
        }
    }
}

fn refused(reason: NotTaken) -> NotStored {
    match reason {
        NotTaken::Full { bytes } => NotStored::Busy(bytes),
        NotTaken::Closed => NotStored::Stopping,
    }
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
    queue: Arc<WaitingQueue<Change>>,
    messages: Messages,
    derived: Derived,
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
        let is_commit = |change: &Change| matches!(change.command, state::Command::CommitOffsets { .. });
        self.is_behind |= changes.iter().any(is_commit);
        // What else changes offsets was asked for by somebody who waits.
        let is_asked_for = |change: &Change| changes_offsets(&change.command);
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
        let Some(changes) = self.queue.take_within(CHANGES_MAX, CHANGES_MAX, patience) else { return false };
        let offsets_can_wait = self.offsets.can_wait(&changes);
        let deleted: Vec<_> =
            changes.iter().flat_map(|change| deleted_topics(&change.command)).cloned().collect();
        let applied: Vec<_> = {
            let mut tables = self.tables.write();
            changes.into_iter().map(|change| (tables.apply(change.command), change.changed)).collect()
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
        if topics.is_empty() {
            return Ok(());
        }
        let (done, written) = sync_channel(1);
        let forgotten = Forgotten { topics: topics.to_vec(), done };
        // It takes no room: only a queue that is closed refuses it.
        let is_taken = self.messages.put(Work::Forget(forgotten), 0).is_ok();
        let end = written.recv().ok().filter(|_| is_taken).ok_or(NotSaved::Stopping)?;
        if !self.derived.wait_dispatched(end, DISPATCH_WAIT) {
            return Err(NotSaved::NotDispatched);
        }
        topics.iter().try_for_each(|topic| Ok(self.derived.remove_topic(topic)?))
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
        let remove = || {
            Change::unasked(Command::RemoveOffsets { group: GroupName::parse("g").ok(), topic: None, stamp })
        };
        let hour = Duration::from_secs(3600);
        let mut file = OffsetsFile { wait_max: hour, written: Instant::now(), is_behind: false };
        assert!(!file.can_wait(&[create()]), "nothing is behind");
        assert_eq!(file.patience(), Duration::MAX);
        assert!(file.can_wait(&[commit(), create()]));
        assert!(file.can_wait(&[create()]), "what was committed before still waits");
        assert!(file.patience() <= hour);
        assert!(!file.can_wait(&[commit(), remove()]));
        assert!(!file.can_wait(&[Change::unasked(Command::Together(vec![remove().command]))]));
        file.wait_max = Duration::ZERO;
        assert!(!file.can_wait(&[commit()]), "it has waited long enough");
    }
}
