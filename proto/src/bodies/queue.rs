//! Queues by name, and what is said about them.

use std::collections::{BTreeMap, BTreeSet};

use super::clients::SubscriptionData;
use crate::json::{self, JsonError, Key, MapKey, Writer};
use crate::position::{LogOffset, QueueId, QueueOffset};

family! {
    /// One queue of a topic on a broker. As a key of a map it stands before the colon as it is, as an object.
    #[derive(Eq, PartialOrd, Ord, Hash)]
    pub struct MessageQueue {
        broker_name: String = "brokerName",
        queue_id: QueueId = "queueId",
        topic: String = "topic",
    }

    /// Offsets by queue (RocketMQ: ResetOffsetBody).
    pub struct QueueOffsets {
        offset_table: BTreeMap<MessageQueue, QueueOffset> = "offsetTable",
    }

    /// The same for the C++ client, which reads no objects as keys (RocketMQ: ResetOffsetBodyForC).
    pub struct QueueOffsetList {
        offset_table: Vec<OffsetOfQueue> = "offsetTable",
    }

    pub struct OffsetOfQueue {
        broker_name: String = "brokerName",
        offset: QueueOffset = "offset",
        queue_id: QueueId = "queueId",
        topic: String = "topic",
    }

    /// How far one client is, or each client of a group (RocketMQ: GetConsumerStatusBody).
    pub struct ConsumerStatus {
        /// By client id.
        consumer_table: BTreeMap<String, BTreeMap<MessageQueue, QueueOffset>> = "consumerTable",
        message_queue_table: BTreeMap<MessageQueue, QueueOffset> = "messageQueueTable",
    }

    /// Asks for the locks of queues, or gives them up (RocketMQ: LockBatchRequestBody, UnlockBatchRequestBody).
    pub struct QueueLocks {
        client_id: String = "clientId",
        consumer_group: String = "consumerGroup",
        queues: BTreeSet<MessageQueue> = "mqSet",
        only_this_broker: bool = "onlyThisBroker",
    }

    /// The queues that the client holds now.
    pub struct LockedQueues {
        queues: BTreeSet<MessageQueue> = "lockOKMQSet",
    }

    /// Entries of a consume queue (RocketMQ: QueryConsumeQueueResponseBody).
    pub struct ConsumeQueueEntries {
        filter_data: Option<String> = "filterData",
        max_queue_index: QueueOffset = "maxQueueIndex",
        min_queue_index: QueueOffset = "minQueueIndex",
        entries: Vec<ConsumeQueueEntry> = "queueData",
        subscription_data: Option<SubscriptionData> = "subscriptionData",
    }

    pub struct ConsumeQueueEntry {
        bit_map: Option<String> = "bitMap",
        /// The group would get it.
        eval: bool = "eval",
        extend_data_json: Option<String> = "extendDataJson",
        message: Option<String> = "msg",
        log_offset: LogOffset = "physicOffset",
        size: i32 = "physicSize",
        tags_code: i64 = "tagsCode",
    }

    /// Do the consume queues in RocksDB agree with the files? (RocketMQ: CheckRocksdbCqWriteResult)
    pub struct ConsumeQueueCheck {
        check_result: Option<String> = "checkResult",
        check_status: i32 = "checkStatus",
    }
}

impl MapKey for MessageQueue {
    /// Text is no queue to Java either.
    fn read_key(key: Key<'_>) -> Result<Self, JsonError> {
        match key {
            Key::Literal(source) => json::from_str(source),
            Key::Text(_) => Err(JsonError::Expected { expected: "a queue as key", at: 0 }),
        }
    }

    fn write_key(&self, writer: &mut Writer) {
        writer.object_key(|writer| {
            writer.key("brokerName");
            writer.string(&self.broker_name);
            writer.key("queueId");
            writer.integer(i64::from(self.queue_id.0));
            writer.key("topic");
            writer.string(&self.topic);
        });
    }
}
