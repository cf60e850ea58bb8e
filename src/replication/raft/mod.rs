//! A node of a group that elects its leader: what a majority has is final, on every node.
//!
//! Messages and changes go into one log, in which both stand in the same order on all nodes. A message and the change that
//! belongs to it are one entry: both happen or neither. Who leads but is not [serving](Raft::serve) yet refuses as who does not
//! lead: what a new leader must have in order first is done by then.

mod app;
mod checkpoint;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ferrymq_raft::{
    Group, GroupHandle, GroupSettings, LogParts, Outcome, Placed, Proposal, ProposeError, StartError,
};
use ferrymq_storage::Term;
use ferrymq_storage::dispatch::Derived;

use super::pair::Copied;
use super::{Batch, Changed, Done, NotStored, Replicator, SharedTables, Stored, Wait};
use crate::state;
use app::RaftApp;

pub use checkpoint::{check as check_state, state_of};

pub struct Raft {
    handle: GroupHandle,
    /// Gone when it was stopped.
    group: Mutex<Option<Group>>,
    serving: Arc<Serving>,
}

/// The term in which this node serves as the leader; 0 when it does not.
#[derive(Debug, Default)]
struct Serving(AtomicU64);

impl Serving {
    fn begin(&self, term: Term) {
        self.0.store(term.0, Ordering::Release);
    }

    fn end(&self) {
        self.0.store(0, Ordering::Release);
    }

    fn term(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// What a node is made of. What is derived from the log follows it already, on threads of its own.
#[derive(Debug)]
pub struct Parts {
    pub settings: GroupSettings,
    pub log: LogParts,
    pub derived: Derived,
    pub tables: SharedTables,
}

impl std::fmt::Debug for Raft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.handle)
    }
}

impl Raft {
    /// Begins to take part in the group. Waits for the disk: not for a task.
    pub fn start(parts: Parts) -> Result<Self, StartError> {
        let Parts { settings, log, derived, tables } = parts;
        let serving = Arc::new(Serving::default());
        let app = RaftApp::new(tables, derived, Arc::clone(&serving));
        let group = Group::start(settings, log, Arc::new(app))?;
        Ok(Self { handle: group.handle(), group: Mutex::new(Some(group)), serving })
    }

    pub fn handle(&self) -> &GroupHandle {
        &self.handle
    }

    /// Clients may be served from now on, if this node still leads in that term.
    pub fn serve(&self, term: Term) {
        self.serving.begin(term);
    }
}

impl Replicator for Raft {
    /// Whoever does not want to wait for its message to be safe is told at the same time: before that nobody knows its place.
    fn append(&self, batch: Batch, _: Wait, done: Done) {
        let Batch { records, count, change } = batch;
        let proposal = Proposal { records, command: change.map(|command| command.encode().into()) };
        let told = move |outcome: Result<Outcome, ProposeError>| {
            done(outcome.map_err(not_stored).map(|outcome| {
                let stored: Vec<_> = outcome.placed.into_iter().map(stored).collect();
                assert_eq!(stored.len(), count, "a batch of {count} records became {}", stored.len());
                stored
            }));
        };
        self.handle.proposer().propose(proposal, Box::new(told));
    }

    fn change(&self, command: state::Command, done: Changed) {
        let proposal = Proposal { command: Some(command.encode().into()), ..Proposal::default() };
        let told = move |outcome: Result<Outcome, ProposeError>| {
            done(outcome.map_err(not_stored).and_then(|outcome| {
                let reply = outcome.reply.unwrap_or_default();
                state::Reply::decode(&reply).map_err(|error| NotStored::Refused(error.to_string()))
            }));
        };
        self.handle.proposer().propose(proposal, Box::new(told));
    }

    fn is_leader(&self) -> bool {
        let term = self.serving.term();
        term > 0 && self.handle.proposer().open_term() == Some(term)
    }

    fn is_current(&self) -> bool {
        self.is_leader() && self.handle.has_lease()
    }

    fn term(&self) -> i64 {
        i64::try_from(self.handle.proposer().open_term().unwrap_or_default()).unwrap_or(i64::MAX)
    }

    fn group(&self) -> Option<&GroupHandle> {
        Some(&self.handle)
    }

    fn stop(&self) {
        self.serving.end();
        let group = self.group.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Err(error)) = group.map(Group::stop) {
            tracing::error!(%error, "this node did not leave its group in order");
        }
    }
}

fn stored(placed: Placed) -> Stored {
    let Placed { queue_offset, log_offset, bytes, store_time } = placed;
    Stored { queue_offset, log_offset, bytes, store_timestamp: store_time, copied: Copied::Enough }
}

fn not_stored(error: ProposeError) -> NotStored {
    match error {
        ProposeError::NotLeader { .. } => NotStored::NotLeader,
        ProposeError::Discarded => NotStored::LeaderChanged,
        ProposeError::Stopping => NotStored::Stopping,
        ProposeError::Full { bytes } => NotStored::Busy(bytes),
        ProposeError::NoRoom(room) => NotStored::DiskFull(room),
        ProposeError::TooLong { .. } | ProposeError::BadRecord { .. } => {
            NotStored::Illegal(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
