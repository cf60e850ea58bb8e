//! The seam to the broker: what the log is for.

use std::io;

use bytes::Bytes;
use ferrymq_storage::{Index, Mark, Term};

use crate::stamps::Stamps;
use crate::status::Leadership;

/// Where a command stands in the log. It is the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub index: Index,
    pub term: Term,
}

/// What of a node's log is still there when its state is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKept {
    /// All of it: the state is that of a restart, and what was derived from the log is still right.
    Whole,
    /// Nothing: the log begins anew at the mark, and so does everything derived from it.
    Nothing,
}

/// The replicated state, and what belongs to it.
///
/// [`apply`](Self::apply), [`checkpoint`](Self::checkpoint) and [`restore`](Self::restore) are never called at the same time,
/// and in the order of the log.
pub trait App: Send + Sync + 'static {
    /// Changes the state. Whatever happens follows from the command and the state before it: no clock, no chance. It must not
    /// wait for anything. An error stops the node: to go on without the change is to have another state than its peers.
    fn apply(&self, at: At, command: &[u8]) -> io::Result<Bytes>;

    /// The state behind the confirmed mark of the log, which stands still meanwhile: what is derived from the log up to there
    /// can be waited for. May take its time.
    fn checkpoint(&self, confirmed: Mark) -> io::Result<Vec<u8>>;

    /// Replaces the state with that of a checkpoint, behind the mark. May take its time.
    fn restore(&self, state: &[u8], mark: Mark, kept: LogKept) -> io::Result<()>;

    /// This node leads from now on, and everything up to the mark is confirmed: waits until what is derived from the log has
    /// reached it, and says who stamps. Until it returns nobody can propose. On an error the leadership is given away.
    fn prepare(&self, term: Term, confirmed: Mark) -> io::Result<Box<dyn Stamps>>;

    /// Told of every change of leadership, in their order. It must not wait for anything.
    fn leadership(&self, change: &Leadership);
}
