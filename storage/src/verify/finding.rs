//! What a look over a store may find.

use std::path::PathBuf;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use crate::recovery::{ApachesDamage, Corruption, SegmentFault};

/// What is wrong with a store, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A file of the log is missing, or has no place in it. The walk goes on behind it.
    #[error(transparent)]
    Segment(#[from] SegmentFault),
    /// A unit is damaged. The walk went on with the next segment.
    #[error(transparent)]
    Unit(#[from] Corruption),
    /// A log of Apache's ends where no crash can have ended it.
    #[error(transparent)]
    Apaches(#[from] ApachesDamage),
    #[error(
        "{path} is damaged between byte {position} and byte {end} (offset {offset} of the log): the checksum beside it is \
         another one; restore the file from a copy"
    )]
    Block { path: PathBuf, position: u64, end: u64, offset: LogOffset },
    #[error("{path} is damaged at entry {entry}, so that nothing is known of block {entry}")]
    Sidecar { path: PathBuf, entry: u64 },
    #[error("{path} is damaged in slot {slot}; the other one holds the same")]
    MetaSlot { path: PathBuf, slot: usize },
    #[error("{path} holds what nobody writes there")]
    Lock { path: PathBuf },
    #[error("{path} is damaged")]
    Checkpoint { path: PathBuf },
    #[error("{path} is damaged at byte {position}: entry {offset} of queue {queue} of {topic} {problem}")]
    Entry {
        path: PathBuf,
        position: u64,
        topic: TopicName,
        queue: QueueId,
        offset: QueueOffset,
        problem: EntryProblem,
    },
    /// Its files do not follow each other, or have wrong lengths.
    #[error("the files of queue {queue} of {topic} are damaged: {problem}")]
    QueueFiles { topic: TopicName, queue: QueueId, problem: String },
    #[error("{path} is damaged at byte {position}: {problem}")]
    Index { path: PathBuf, position: u64, problem: IndexProblem },
    #[error("{path} has {found} bytes, but files of the index have {expected}")]
    IndexLength { path: PathBuf, found: u64, expected: u64 },
    /// The newest file has fewer entries than there are keys, or none is there.
    #[error("{path}: the index ends before the record at {offset}")]
    IndexShort { path: PathBuf, offset: LogOffset },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryProblem {
    #[error("is missing, although the record at {0} is there")]
    Missing(LogOffset),
    #[error("is another one than that of the record at {0}")]
    Other(LogOffset),
    #[error("is of no record of the log")]
    Stray,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexProblem {
    #[error("the header does not say what the entries do")]
    Header,
    #[error("slot {0} does not hold the number of its newest entry")]
    Slot(u32),
    #[error("entry {number} is another one than that of the record at {record}")]
    Entry { number: u32, record: LogOffset },
    #[error("entry {0} is of no record of the log")]
    Stray(u32),
}

/// A fault, and what it does to those who use the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub fault: Fault,
    pub affected: Affected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// Of a log: the messages that cannot be read as they were written, and others that nobody can find any more.
    Messages { count: u64, first: Vec<Message> },
    /// Readers of the queue would get wrong answers, until the files are made anew from the log.
    Readers,
    /// Searches by key would, until then.
    Searches,
    /// Everybody: no broker opens the store before that is put right.
    Everybody,
    /// Nobody. It is made anew when the store is opened.
    Nobody,
}

/// A message, as its readers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: TopicName,
    pub queue: QueueId,
    pub offset: QueueOffset,
}

impl Fault {
    /// Of all that is not in the log.
    pub(super) fn affects(self) -> Finding {
        let affected = match &self {
            Self::Unit(_)
            | Self::Apaches(_)
            | Self::Block { .. }
            | Self::Segment(SegmentFault::Missing { .. }) => {
                Affected::Messages { count: 0, first: Vec::new() }
            }
            Self::Segment(_) => Affected::Everybody,
            Self::Entry { .. } | Self::QueueFiles { .. } => Affected::Readers,
            Self::Index { .. } | Self::IndexLength { .. } | Self::IndexShort { .. } => Affected::Searches,
            Self::Sidecar { .. } | Self::MetaSlot { .. } | Self::Lock { .. } | Self::Checkpoint { .. } => {
                Affected::Nobody
            }
        };
        Finding { fault: self, affected }
    }

    /// The file.
    pub fn path(&self) -> Option<&std::path::Path> {
        match self {
            Self::Unit(found) => Some(&found.path),
            Self::Apaches(found) => Some(&found.path),
            Self::Segment(
                SegmentFault::Foreign { path }
                | SegmentFault::Missing { path }
                | SegmentFault::BadLength { path, .. },
            ) => Some(path),
            Self::Block { path, .. }
            | Self::Sidecar { path, .. }
            | Self::MetaSlot { path, .. }
            | Self::Lock { path }
            | Self::Checkpoint { path }
            | Self::Entry { path, .. }
            | Self::Index { path, .. }
            | Self::IndexLength { path, .. }
            | Self::IndexShort { path, .. } => Some(path),
            Self::QueueFiles { .. } => None,
        }
    }

    /// What a program may tell it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Segment(_) => "segment",
            Self::Unit(_) | Self::Apaches(_) => "unit",
            Self::Block { .. } => "block",
            Self::Sidecar { .. } => "sums",
            Self::MetaSlot { .. } => "meta",
            Self::Lock { .. } => "lock",
            Self::Checkpoint { .. } => "checkpoint",
            Self::Entry { .. } => "queue-entry",
            Self::QueueFiles { .. } => "queue-files",
            Self::Index { .. } | Self::IndexLength { .. } | Self::IndexShort { .. } => "index",
        }
    }
}
