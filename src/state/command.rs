//! What may happen to the tables, one variant a change, and what comes of it.
//!
//! A variant is never altered once it has been released: logs hold it. What it lacks comes as a new variant.

use std::sync::Arc;

use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};

use super::{ClientId, DelayLevel, GrantNumber, Group, Register, Stamp, Topic, TopicQueue};

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Adds those that do not exist; the others stay as they are. For topics that come by themselves.
    CreateTopics { topics: Vec<Topic>, stamp: Stamp },
    /// Adds or replaces them.
    PutTopics { topics: Vec<Topic>, stamp: Stamp },
    /// Removes them, the locks of their queues, and with `offsets` what was consumed of them.
    DeleteTopics { topics: Vec<TopicName>, offsets: bool, stamp: Stamp },
    /// Adds those that do not exist; the others stay as they are.
    CreateGroups { groups: Vec<Group>, stamp: Stamp },
    /// Adds or replaces them.
    PutGroups { groups: Vec<Group>, stamp: Stamp },
    /// Removes them, what is forbidden to them, their locks, and with `offsets` what they consumed.
    DeleteGroups { groups: Vec<GroupName>, offsets: bool, stamp: Stamp },
    /// What `group` may not do with `topic`; no bits: it may do everything.
    Forbid { group: GroupName, topic: TopicName, bits: i32, stamp: Stamp },
    /// How far groups have consumed. A queue that a reset waits for is left out, and keeps the reset's offset.
    CommitOffsets { changes: Vec<OffsetChange>, stamp: Stamp },
    /// Moves groups to these offsets, and keeps them there until their consumers were told ([`Self::ForgetResets`]).
    ResetOffsets { changes: Vec<OffsetChange>, stamp: Stamp },
    /// The consumers of these queues know their new offsets.
    ForgetResets { group: GroupName, topic: TopicName, queues: Vec<QueueId> },
    /// Gives `to` the offsets that `from` has in `topics`, in place of its own.
    CloneOffsets { from: GroupName, to: GroupName, topics: Vec<TopicName>, stamp: Stamp },
    /// Forgets what was consumed: of a topic by a group, or of it by all, or by it of all.
    RemoveOffsets { group: Option<GroupName>, topic: Option<TopicName>, stamp: Stamp },
    /// Gives `client` the queues that are still as they were when the grant was decided, or its own.
    GrantLocks { group: GroupName, client: ClientId, at: Timestamp, grants: Vec<LockGrant> },
    /// Frees the queues whose last grant is still this one.
    ReleaseLocks { group: GroupName, queues: Vec<(TopicQueue, GrantNumber)> },
    /// Moves progress, in the same command as what it is the progress of.
    Advance { delay: Vec<(DelayLevel, QueueOffset)>, registers: Vec<(Arc<str>, Option<Register>)> },
    /// Sets what all nodes must agree on, or removes it.
    Configure { namespace: Arc<str>, key: Arc<str>, value: Option<Arc<str>> },
    /// All of these or, after a crash, none. They are not nested.
    Together(Vec<Command>),
}

impl Command {
    /// The topics that it deletes, with their queues.
    pub fn deleted_topics(&self) -> Vec<&TopicName> {
        match self {
            Self::DeleteTopics { topics, .. } => topics.iter().collect(),
            Self::Together(commands) => commands.iter().flat_map(Self::deleted_topics).collect(),
            _ => Vec::new(),
        }
    }
}

/// Offsets of one group in one topic.
#[derive(Clone, Debug, PartialEq)]
pub struct OffsetChange {
    pub group: GroupName,
    pub topic: TopicName,
    pub queues: Vec<QueueLine>,
}

/// The next offset to consume of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLine {
    pub queue: QueueId,
    pub next: QueueOffset,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LockGrant {
    pub queue: TopicQueue,
    /// The grant that had run out when this one was decided; none when the queue was free.
    pub ends: Option<GrantNumber>,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Everything was so already.
    Unchanged,
    Changed,
    /// The queues of a [`Command::GrantLocks`] that `client` holds now.
    Granted(Vec<TopicQueue>),
    /// One for each of [`Command::Together`].
    Each(Vec<Reply>),
}

impl Reply {
    pub(super) fn changed(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Unchanged }
    }
}
