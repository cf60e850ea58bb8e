//! Sending messages, sending them back, and calling them off.

use crate::header::NoFields;
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use crate::text::Text;

family! {
    /// One message; the body is the message's. 324 sends a reply to a requester.
    pub struct SendMessage: 10 or 324 => SendReply {
        producer_group: Text = "producerGroup",
        /// May be a retry topic.
        topic: Text = "topic",
        /// The topic whose configuration a new topic copies.
        default_topic: Text = "defaultTopic",
        default_topic_queue_nums: i32 = "defaultTopicQueueNums",
        /// Negative: any.
        queue_id: QueueId = "queueId",
        sys_flag: i32 = "sysFlag",
        born_timestamp: Timestamp = "bornTimestamp",
        /// The user's, kept as it is.
        flag: i32 = "flag",
        properties: Option<Text> = "properties",
        reconsume_times: i32 = "reconsumeTimes" or 0,
        unit_mode: bool = "unitMode" or false,
        /// The body is a batch.
        batch: bool = "batch" or false,
        /// Past this many attempts a retry topic gives up.
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
        broker_name: Option<Text> = "bname",
    }

    /// The same by short names: what Java, C++ and all batches (320) use. 325 sends a reply.
    pub struct SendMessageV2: 310 or 320 or 325 => SendReply {
        producer_group: Text = "a",
        topic: Text = "b",
        default_topic: Text = "c",
        default_topic_queue_nums: i32 = "d",
        queue_id: QueueId = "e",
        sys_flag: i32 = "f",
        born_timestamp: Timestamp = "g",
        flag: i32 = "h",
        properties: Option<Text> = "i",
        reconsume_times: i32 = "j" or 0,
        unit_mode: bool = "k" or false,
        max_reconsume_times: Option<i32> = "l",
        batch: bool = "m" or false,
        broker_name: Option<Text> = "n",
    }

    /// Also with the codes that mean "stored, but not safely yet": clients read it as for success.
    pub struct SendReply {
        /// Where the message lies; for a batch one id per message, joined by commas.
        message_id: Text = "msgId",
        queue_id: QueueId = "queueId",
        /// Of the first message of a batch.
        queue_offset: QueueOffset = "queueOffset",
        transaction_id: Option<Text> = "transactionId",
        batch_unique_id: Option<Text> = "batchUniqId",
        /// What [`RecallMessage`] wants to hear.
        recall_handle: Option<Text> = "recallHandle",
        region: Option<Text> = "MSG_REGION",
        /// `false` turns the client's tracing off for this message.
        trace_on: Option<bool> = "TRACE_ON",
    }

    /// A consumer could not consume a message and wants it again later.
    pub struct SendBack: 36 => NoFields {
        offset: LogOffset = "offset",
        group: Text = "group",
        /// 0: the broker chooses; negative: to the dead letters.
        delay_level: i32 = "delayLevel",
        origin_message_id: Option<Text> = "originMsgId",
        origin_topic: Option<Text> = "originTopic",
        unit_mode: bool = "unitMode" or false,
        max_reconsume_times: Option<i32> = "maxReconsumeTimes",
    }

    /// Calls a timer message off.
    pub struct RecallMessage: 370 => RecallReply {
        producer_group: Option<Text> = "producerGroup",
        topic: Text = "topic",
        recall_handle: Text = "recallHandle",
    }

    pub struct RecallReply {
        message_id: Text = "msgId",
    }
}

/// Both forms have the same fields, which are moved over one by one.
macro_rules! same_fields {
    ($from:ident => $to:ident) => {
        impl From<$from> for $to {
            fn from(header: $from) -> Self {
                Self {
                    producer_group: header.producer_group,
                    topic: header.topic,
                    default_topic: header.default_topic,
                    default_topic_queue_nums: header.default_topic_queue_nums,
                    queue_id: header.queue_id,
                    sys_flag: header.sys_flag,
                    born_timestamp: header.born_timestamp,
                    flag: header.flag,
                    properties: header.properties,
                    reconsume_times: header.reconsume_times,
                    unit_mode: header.unit_mode,
                    max_reconsume_times: header.max_reconsume_times,
                    batch: header.batch,
                    broker_name: header.broker_name,
                }
            }
        }
    };
}

same_fields! { SendMessage => SendMessageV2 }
same_fields! { SendMessageV2 => SendMessage }
