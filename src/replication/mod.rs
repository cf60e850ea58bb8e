//! Who decides that bytes are final.
//!
//! Everything that the broker writes goes through here: messages into the log, and changes to the replicated tables. What comes
//! back says where a message stands, or why it is not stored; then nothing of it will ever be seen.

pub mod classic;
#[cfg(test)]
pub mod drill;
pub mod pair;
mod queue;
pub mod raft;
#[cfg(test)]
pub mod rehearsal;
mod tables;

pub use tables::SharedTables;

use std::sync::Arc;

use bytes::BytesMut;
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::position::{LogOffset, QueueOffset, Timestamp};
use ferrymq_raft::GroupHandle;
use tokio::sync::oneshot;

use self::pair::{Copied, Pair};
use crate::state;

/// Records that are appended together: encoded one behind the other, with holes for their offsets and their time.
#[derive(Debug, Default)]
pub struct Batch {
    pub records: BytesMut,
    pub count: usize,
    /// A change of the tables that belongs to the records: in Raft both happen or neither; a classic node that ends in
    /// between has the records alone.
    pub change: Option<state::Command>,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    pub queue_offset: QueueOffset,
    pub log_offset: LogOffset,
    pub bytes: u32,
    pub store_timestamp: Timestamp,
    pub copied: Copied,
}

/// How safe the sender wants to know its message before it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// As the settings say.
    #[default]
    AsConfigured,
    /// In the log of this node.
    Written,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotStored {
    #[error(
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full ({0}), messages are put to the slave, message store has been shut down, etc."
    )]
    DiskFull(String),
    #[error(
        "service not available now. It may be caused by one of the following reasons: this node does not lead its group"
    )]
    NotLeader,
    /// It may be stored or not: the next leader decides.
    #[error(
        "service not available now. It may be caused by one of the following reasons: the leader of the group changed before this was final"
    )]
    LeaderChanged,
    #[error(
        "service not available now. It may be caused by one of the following reasons: the broker is stopping"
    )]
    Stopping,
    /// Too much waits to be written already.
    #[error("[PC_SYNCHRONIZED]broker busy, start flow control for a while: {0} bytes wait to be written")]
    Busy(usize),
    #[error("the message is illegal, maybe msg body or properties length not matched: {0}")]
    Illegal(String),
    /// The disk refused, and nothing was kept.
    #[error("create mapped file failed, server is busy or broken: {0}")]
    Disk(String),
    /// A change that the tables do not take.
    #[error("{0}")]
    Refused(String),
}

impl NotStored {
    /// The retryable ones are told by codes that all clients retry.
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::DiskFull(_) | Self::NotLeader | Self::LeaderChanged | Self::Stopping => {
                ResponseCode::SERVICE_NOT_AVAILABLE
            }
            Self::Busy(_) => ResponseCode::SYSTEM_BUSY,
            Self::Illegal(_) => ResponseCode::MESSAGE_ILLEGAL,
            Self::Disk(_) | Self::Refused(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}

/// Told once where each record of a batch stands, in its order. It must not block.
pub type Done = Box<dyn FnOnce(Result<Vec<Stored>, NotStored>) + Send>;
/// Told once what came of a change.
pub type Changed = Box<dyn FnOnce(Result<state::Reply, NotStored>) + Send>;

/// Both modes, classic and Raft, stand behind it.
pub trait Replicator: Send + Sync + std::fmt::Debug {
    /// Appends a batch: all of it or nothing, in the order of the calls.
    fn append(&self, batch: Batch, wait: Wait, done: Done);

    /// Changes the replicated tables.
    fn change(&self, command: state::Command, done: Changed);

    /// Whether this node takes writes now.
    fn is_leader(&self) -> bool;

    /// Whether this node knows that no other takes writes now: what it says of offsets and locks is the newest there is.
    fn is_current(&self) -> bool;

    /// Whether others may have more than this node.
    fn may_be_behind(&self) -> bool {
        !self.is_current()
    }

    /// The term in which this node leads; 0 where there is no Raft.
    fn term(&self) -> i64;

    /// The group that elects its leader, if this node belongs to one.
    fn group(&self) -> Option<&GroupHandle> {
        None
    }

    /// Which side of a pair it is, if there is one.
    fn pair(&self) -> Pair<'_> {
        Pair::None
    }

    /// Takes no more, and returns when what was taken is written and safe. Blocks.
    fn stop(&self);
}

/// The replicator, for those who wait.
#[derive(Clone, Debug)]
pub struct Writer(pub Arc<dyn Replicator>);

impl Writer {
    pub fn append(&self, batch: Batch, wait: Wait, done: Done) {
        self.0.append(batch, wait, done);
    }

    pub async fn store(&self, batch: Batch) -> Result<Vec<Stored>, NotStored> {
        let (sender, receiver) = oneshot::channel();
        self.0.append(batch, Wait::AsConfigured, Box::new(move |result| drop(sender.send(result))));
        receiver.await.unwrap_or(Err(NotStored::Stopping))
    }

    pub async fn change(&self, command: state::Command) -> Result<state::Reply, NotStored> {
        let (sender, receiver) = oneshot::channel();
        self.0.change(command, Box::new(move |result| drop(sender.send(result))));
        receiver.await.unwrap_or(Err(NotStored::Stopping))
    }

    pub fn is_leader(&self) -> bool {
        self.0.is_leader()
    }

    pub fn is_current(&self) -> bool {
        self.0.is_current()
    }

    pub fn may_be_behind(&self) -> bool {
        self.0.may_be_behind()
    }

    pub fn pair(&self) -> Pair<'_> {
        self.0.pair()
    }

    pub fn group(&self) -> Option<&GroupHandle> {
        self.0.group()
    }

    pub fn term(&self) -> i64 {
        self.0.term()
    }
}
