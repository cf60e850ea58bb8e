//! What is done: one row per operation, with the value that its events carry.

use ferrymq_proto::json::{FromJson, JsonError, Reader, ToJson, Writer};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use super::NodeId;
use crate::message::{BodyHash, MessageId};

/// Declares the operations: their name in the file (`f`) and the struct of their value.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident($value:ty) = $f:literal,)*) => {
        #[derive(Clone, Debug, PartialEq)]
        pub enum Op {
            $($(#[$doc])* $name($value),)*
        }

        impl Op {
            pub fn f(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $f,)*
                }
            }

            pub(super) fn write_value(&self, writer: &mut Writer) {
                match self {
                    $(Self::$name(value) => value.write(writer),)*
                }
            }

            /// `None` when there is no such operation.
            pub(super) fn read_value(f: &str, reader: &mut Reader<'_>) -> Result<Option<Self>, JsonError> {
                match f {
                    $($f => FromJson::read(reader).map(|value| Some(Self::$name(value))),)*
                    _ => Ok(None),
                }
            }
        }
    };
}

operations! {
    /// What the run is about: the first event.
    Begin(BeginValue) = "begin",
    /// One message, or a batch of them, to one queue.
    Send(SendValue) = "send",
    /// Messages of one queue from an offset on.
    Pull(PullValue) = "pull",
    /// All of one queue, as one replica has it once the faults are over.
    Scan(ScanValue) = "scan",
    /// A member of a group has consumed some messages.
    Deliver(DeliverValue) = "deliver",
    /// A group says how far it is in a queue.
    Commit(OffsetValue) = "commit",
    /// A group asks how far it is in a queue.
    Fetch(OffsetValue) = "fetch",
    /// The first half of a transaction.
    Half(SendValue) = "half",
    /// The decision of a transaction, told or, after a question of the broker, told again.
    End(EndValue) = "end",
    /// A member of a group wants to own a queue.
    Lock(LockValue) = "lock",
    /// It gives it back.
    Unlock(LockValue) = "unlock",
    /// A topic is made.
    CreateTopic(TopicValue) = "create-topic",
    /// A topic is unmade.
    DeleteTopic(TopicValue) = "delete-topic",
    /// Is there such a topic?
    FindTopic(TopicValue) = "find-topic",
    /// A fault begins.
    Fault(FaultValue) = "fault",
    /// It ends.
    Heal(FaultValue) = "heal",
    /// Somebody else leads.
    Leader(LeaderValue) = "leader",
    /// A node has led in a term, as it says itself. Written at the end of the run, without the moment.
    Lead(LeadValue) = "lead",
    /// A part of the run begins.
    Phase(PhaseValue) = "phase",
    /// Something about the nodes that nobody asked for, as a process that ended by itself.
    Notice(NoticeValue) = "notice",
}

ferrymq_proto::body! {
    pub struct BeginValue {
        system: String = "system",
        workload: String = "workload",
        nodes: i64 = "nodes",
        queues: i64 = "queues",
        /// Nodes that must have a message before it is acknowledged, the one that acknowledges it included.
        quorum: i64 = "quorum",
        /// How long a broker may keep in memory how far a group is, by its own documents. Absent: it may not.
        offsets_in_memory_ms: i64 = "offsetsInMemoryMs",
        seed: i64 = "seed",
    }

    #[derive(Eq, Copy)]
    pub struct Sent {
        id: MessageId = "id",
        hash: BodyHash = "h",
    }

    pub struct SendValue {
        queue: QueueId = "q",
        messages: Vec<Sent> = "m",
        /// Of the first message, once it is known.
        offset: Option<QueueOffset> = "o",
        log_offset: Option<LogOffset> = "phys",
        /// Who was asked.
        node: Option<NodeId> = "node",
        /// Milliseconds after which it is to become visible.
        delay_ms: Option<i64> = "delay",
        error: Option<String> = "error",
    }

    #[derive(Eq, Copy)]
    pub struct Seen {
        id: MessageId = "id",
        hash: BodyHash = "h",
        offset: QueueOffset = "o",
    }

    pub struct PullValue {
        queue: QueueId = "q",
        offset: QueueOffset = "from",
        node: Option<NodeId> = "node",
        seen: Vec<Seen> = "m",
        /// What the next message will get, as the answer says.
        max: Option<QueueOffset> = "max",
        error: Option<String> = "error",
    }

    pub struct ScanValue {
        node: Option<NodeId> = "node",
        leader: bool = "leader",
        queue: QueueId = "q",
        min: QueueOffset = "min",
        max: QueueOffset = "max",
        seen: Vec<Seen> = "m",
        error: Option<String> = "error",
    }

    pub struct DeliverValue {
        group: String = "group",
        /// The life of one member between two rebalances of this queue.
        session: i64 = "session",
        queue: QueueId = "q",
        /// The first delivery of the session may start anywhere up to here; says where the broker told it to start.
        started_at: QueueOffset = "start",
        seen: Vec<Seen> = "m",
        /// Sent back to be consumed again.
        retried: bool = "retried",
    }

    pub struct OffsetValue {
        group: String = "group",
        queue: QueueId = "q",
        /// Absent: the broker knows of none.
        offset: Option<QueueOffset> = "o",
        node: Option<NodeId> = "node",
        error: Option<String> = "error",
    }

    pub struct EndValue {
        id: MessageId = "id",
        commit: bool = "commit",
        /// The broker asked.
        asked: bool = "asked",
        error: Option<String> = "error",
    }

    pub struct LockValue {
        group: String = "group",
        owner: String = "owner",
        queue: QueueId = "q",
        granted: bool = "granted",
        node: Option<NodeId> = "node",
        error: Option<String> = "error",
    }

    pub struct TopicValue {
        topic: String = "topic",
        /// What it has, or is to have. Absent: there is no such topic.
        queues: Option<i64> = "queues",
        node: Option<NodeId> = "node",
        error: Option<String> = "error",
    }

    pub struct FaultValue {
        /// The row of the fault table.
        fault: String = "fault",
        /// Pairs a heal with its fault.
        number: i64 = "number",
        /// Nodes that do not run: they are dead, paused, or without power.
        down: Vec<NodeId> = "down",
        /// Nodes that were ended, paused or cut off at any time between its beginning and its end.
        struck: Vec<NodeId> = "struck",
        /// Ordered pairs between which no byte passes.
        cut: Vec<Flow> = "cut",
        /// Whoever was made the master, if that was tried.
        promoted: Option<NodeId> = "promoted",
        /// `installed`, `skipped` or `indeterminate`.
        result: Option<String> = "result",
        /// What shows that the fault is there.
        proof: Option<String> = "proof",
    }

    /// From one node to another.
    #[derive(Eq, Copy, Hash)]
    pub struct Flow {
        from: NodeId = "from",
        to: NodeId = "to",
    }

    pub struct LeaderValue {
        /// Nobody leads, as far as can be seen.
        node: Option<NodeId> = "node",
    }

    #[derive(Eq, Copy)]
    pub struct LeadValue {
        node: NodeId = "node",
        term: i64 = "term",
    }

    pub struct PhaseValue {
        /// `load`, `heal`, `converged`, `drained`, `stuck`, `restarted`: see [`phases`].
        phase: String = "phase",
        detail: Option<String> = "detail",
    }

    pub struct NoticeValue {
        node: Option<NodeId> = "node",
        notice: String = "notice",
    }
}

impl ScanValue {
    /// What it shows at an offset. What it shows is in the order of its offsets, mostly without gaps.
    pub fn at(&self, offset: QueueOffset) -> Option<&Seen> {
        let first = self.seen.first()?.offset;
        let guess = usize::try_from(offset.0.checked_sub(first.0)?).ok()?;
        let is_there = |seen: &&Seen| seen.offset == offset;
        let found = || self.seen.binary_search_by_key(&offset, |seen| seen.offset).ok();
        self.seen.get(guess).filter(is_there).or_else(|| self.seen.get(found()?))
    }
}

/// The phases that checkers know.
pub mod phases {
    /// Clients work and faults happen.
    pub const LOAD: &str = "load";
    /// All faults are over.
    pub const HEALED: &str = "healed";
    /// All replicas are as long as the leader's.
    pub const CONVERGED: &str = "converged";
    /// What the group promised did not come in time after the faults were over.
    pub const STUCK: &str = "stuck";
    /// All nodes were ended and started again.
    pub const RESTARTED: &str = "restarted";
    /// Everything was read.
    pub const DRAINED: &str = "drained";
}
