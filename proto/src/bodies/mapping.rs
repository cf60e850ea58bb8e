//! Static topics: how their logical queues map to the queues of brokers.

use std::collections::BTreeMap;

use crate::position::{QueueId, QueueOffset, Timestamp};

/// The scope of a mapping that spans all brokers.
const GLOBAL: &str = "__global__";

family! {
    /// Which logical queues of a topic one broker has now.
    pub struct QueueMappingInfo {
        broker_name: Option<String> = "bname",
        /// Logical queue to the broker's queue.
        current_ids: BTreeMap<QueueId, QueueId> = "currIdMap",
        dirty: bool = "dirty",
        epoch: i64 = "epoch",
        scope: String = "scope" or GLOBAL.to_owned(),
        topic: Option<String> = "topic",
        total_queues: i32 = "totalQueues",
    }

    /// The same with the history of every queue.
    pub struct QueueMappingDetail {
        broker_name: Option<String> = "bname",
        current_ids: BTreeMap<QueueId, QueueId> = "currIdMap",
        dirty: bool = "dirty",
        epoch: i64 = "epoch",
        /// Logical queue to the stretches of it, oldest first.
        hosted_queues: BTreeMap<QueueId, Vec<QueueMappingItem>> = "hostedQueues",
        scope: String = "scope" or GLOBAL.to_owned(),
        topic: Option<String> = "topic",
        total_queues: i32 = "totalQueues",
    }

    /// A stretch of a logical queue in one broker's queue (RocketMQ: LogicQueueMappingItem).
    pub struct QueueMappingItem {
        broker_name: Option<String> = "bname",
        /// −1: still open, like the time.
        end_offset: QueueOffset = "endOffset" or QueueOffset(-1),
        generation: i32 = "gen",
        logic_offset: QueueOffset = "logicOffset",
        queue_id: QueueId = "queueId",
        start_offset: QueueOffset = "startOffset",
        time_of_end: Timestamp = "timeOfEnd" or Timestamp(-1),
        time_of_start: Timestamp = "timeOfStart" or Timestamp(-1),
    }
}
