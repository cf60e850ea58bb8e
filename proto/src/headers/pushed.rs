//! What brokers ask of clients. (307 and 309, which a broker relays, are with the clients.)

use crate::header::NoFields;
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use crate::text::Text;

family! {
    /// What became of this transaction? One-way; the body is the half message. The client answers with `EndTransaction`.
    pub struct CheckTransaction: 39 => NoFields {
        topic: Option<Text> = "topic",
        transaction_table_offset: QueueOffset = "tranStateTableOffset",
        commit_log_offset: LogOffset = "commitLogOffset",
        /// The id that the client gave the message, as the next.
        message_id: Option<Text> = "msgId",
        transaction_id: Option<Text> = "transactionId",
        offset_message_id: Option<Text> = "offsetMsgId",
        broker_name: Option<Text> = "bname",
    }

    /// Consumers of this group came or went: share the queues anew. One-way.
    pub struct ConsumersChanged: 40 => NoFields {
        consumer_group: Text = "consumerGroup",
    }

    /// Go on consuming from these offsets. One-way; the body is a `QueueOffsets`, for C++ a `QueueOffsetList`.
    pub struct ResetClientOffset: 220 => NoFields {
        topic: Text = "topic",
        group: Text = "group",
        timestamp: Timestamp = "timestamp",
        is_force: bool = "isForce",
        /// −1: all.
        queue_id: QueueId = "queueId" or QueueId(-1),
        offset: Option<QueueOffset> = "offset",
    }

    /// How far are you? The answer's body is a `ConsumerStatus`.
    pub struct GetClientStatus: 221 => NoFields {
        topic: Text = "topic",
        group: Text = "group",
        client_addr: Option<Text> = "clientAddr",
    }

    /// The reply to a message that asked for one; the body is the reply's.
    pub struct PushReply: 326 => NoFields {
        producer_group: Text = "producerGroup",
        topic: Text = "topic",
        default_topic: Text = "defaultTopic",
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        queue_id: QueueId = "queueId",
        sys_flag: i32 = "sysFlag",
        born_timestamp: Timestamp = "bornTimestamp",
        flag: i32 = "flag",
        properties: Option<Text> = "properties",
        reconsume_times: Option<i32> = "reconsumeTimes",
        unit_mode: bool = "unitMode" or false,
        /// `ip:port`, here and below.
        born_host: Text = "bornHost",
        store_host: Text = "storeHost",
        store_timestamp: Timestamp = "storeTimestamp",
    }
}
