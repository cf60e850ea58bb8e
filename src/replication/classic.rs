//! One node that decides alone: Apache's master. Its slaves follow it, and it may wait for them.
//!
//! Messages: whatever waits goes into the log with one write, and with one fsync where the settings demand it ([`messages`]).
//! Tables: a thread changes them; whatever waits is applied, their files are written, and then it is answered. A message is final
//! when it is as safe here as its sender is told: written, or on disk. A sender may be kept waiting until slaves have it too.

mod messages;
pub mod tables;

use std::sync::Arc;

use ferrymq_storage::dispatch::Derived;
use ferrymq_storage::stamp::{StampError, Stamper};
use ferrymq_storage::{Appender, FlushMode, Log};
use tokio::runtime::Handle;

use self::messages::{Finish, LogWriter, Messages, Sent, Work};
use self::tables::{Changes, Removal, TablesParts, TablesThread};
use super::pair::{Followers, Pair};
use super::queue::NotTaken;
use super::{Batch, Changed, Done, NotStored, Replicator, Wait};
use crate::state;

pub struct Classic {
    messages: Messages,
    log: Log,
    tables: TablesThread,
    followers: Arc<Followers>,
}

impl std::fmt::Debug for Classic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Classic(written {})", self.log.written())
    }
}

/// What a classic node is made of.
pub struct Parts {
    pub appender: Appender,
    pub derived: Derived,
    pub mode: FlushMode,
    pub tables: TablesParts,
    /// Its slaves, if it has some.
    pub followers: Arc<Followers>,
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
        let changes = Changes::new();
        let log = parts.appender.log().clone();
        let stamper = Stamper::new(&parts.derived)?;
        let followers = parts.followers;
        let finish = Finish { log: log.clone(), mode: parts.mode, followers: Arc::clone(&followers) };
        let writer = LogWriter::new(parts.appender, stamper, finish, changes.clone());
        let messages = Messages::new(writer, Handle::current());
        let removal = Removal { messages: messages.clone(), derived: parts.derived };
        let tables = TablesThread::start_with(parts.tables, changes, Some(removal))?;
        Ok(Self { messages, log, tables, followers })
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
        self.tables.change(command, changed);
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

    fn pair(&self) -> Pair<'_> {
        Pair::Master(&self.followers)
    }

    fn stop(&self) {
        // First what belongs to messages is noted.
        self.messages.stop();
        self.followers.close();
        self.tables.stop();
    }
}

fn refused(reason: NotTaken) -> NotStored {
    match reason {
        NotTaken::Full { bytes } => NotStored::Busy(bytes),
        NotTaken::Closed => NotStored::Stopping,
    }
}
