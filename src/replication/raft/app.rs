//! What the log is for: the tables, and what is derived from it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_raft::{App, At, Leadership, LogKept, Stamps};
use ferrymq_storage::dispatch::Derived;
use ferrymq_storage::stamp::{StampError, Stamper};
use ferrymq_storage::{AppendedFrame, FramedAppender, Mark, NewFrame, Term};

use super::super::SharedTables;
use super::Serving;
use super::checkpoint::Checkpoint;
use crate::state::{Command, Tables};

/// For what is derived to reach what is final. Longer means that its disk does not work, or that a node has years behind it.
const DISPATCH_WAIT: Duration = Duration::from_secs(60);
/// A new leader gives others a chance sooner.
const PREPARE_WAIT: Duration = Duration::from_secs(5);

pub(super) struct RaftApp {
    tables: SharedTables,
    derived: Derived,
    serving: Arc<Serving>,
}

impl RaftApp {
    pub fn new(tables: SharedTables, derived: Derived, serving: Arc<Serving>) -> Self {
        Self { tables, derived, serving }
    }

    fn wait(&self, to: Mark, time: Duration) -> io::Result<()> {
        if self.derived.wait_dispatched(to.offset, time) {
            return Ok(());
        }
        let (position, to) = (self.derived.position(), to.offset);
        let text = format!("the queues have come to offset {position} of the log, and not to {to}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    }
}

impl App for RaftApp {
    fn apply(&self, _: At, command: &[u8]) -> io::Result<Bytes> {
        let command = Command::decode(command).map_err(invalid)?;
        let reply = self.tables.write().apply(command);
        Ok(reply.encode().into())
    }

    fn checkpoint(&self, confirmed: Mark) -> io::Result<Vec<u8>> {
        self.wait(confirmed, DISPATCH_WAIT)?;
        let ends = self.derived.ends_at(confirmed.offset).map_err(io::Error::other)?;
        let tables = self.tables.read().checkpoint();
        Ok(Checkpoint { tables, ends, last_store_time: self.derived.last_store_time() }.encode())
    }

    fn restore(&self, state: &[u8], mark: Mark, kept: LogKept) -> io::Result<()> {
        let checkpoint = Checkpoint::decode(state).map_err(invalid)?;
        let tables = Tables::restore(&checkpoint.tables).map_err(invalid)?;
        if kept == LogKept::Nothing {
            self.wait(mark, DISPATCH_WAIT)?;
        }
        // Where the log begins at the mark and nothing behind it was dispatched, only the checkpoint knows how far queues had
        // come: when it was received just now, and after a crash in the midst of that.
        if self.derived.log().start() == mark.offset && self.derived.position() == mark.offset {
            let begun = self.derived.begin_at(&checkpoint.ends, checkpoint.last_store_time);
            begun.map_err(io::Error::other)?;
        }
        *self.tables.write() = tables;
        Ok(())
    }

    fn prepare(&self, _: Term, confirmed: Mark) -> io::Result<Box<dyn Stamps>> {
        self.wait(confirmed, PREPARE_WAIT)?;
        Ok(Box::new(LeaderStamps(Stamper::new(&self.derived).map_err(io::Error::other)?)))
    }

    fn leadership(&self, change: &Leadership) {
        // Whoever leads says when it is ready.
        if matches!(change, Leadership::Following { .. }) {
            self.serving.end();
        }
    }
}

/// Stamps for the leader of one term.
#[derive(Debug)]
struct LeaderStamps(Stamper);

impl Stamps for LeaderStamps {
    fn append(
        &mut self,
        appender: &mut FramedAppender,
        frame: NewFrame,
        body: &mut [u8],
    ) -> Result<AppendedFrame, StampError> {
        self.0.append_frame(appender, frame, body).map(|(appended, _)| appended)
    }

    fn commanded(&mut self, command: &[u8]) {
        // Whoever applies a command that cannot be read stops this node.
        let command = Command::decode(command).ok();
        for topic in command.iter().flat_map(Command::deleted_topics) {
            self.0.begin_anew(topic);
        }
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
