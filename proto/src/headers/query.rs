//! Looking at stored messages.

use crate::header::NoFields;
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use crate::text::Text;

family! {
    /// Messages by key. The answer's body is the messages, one after the other.
    pub struct QueryMessages: 12 => QueryReply {
        topic: Text = "topic",
        key: Text = "key",
        max_num: i32 = "maxNum",
        begin_timestamp: Timestamp = "beginTimestamp",
        end_timestamp: Timestamp = "endTimestamp",
        /// The key is the id that the client gave the message.
        unique_key_query: bool = "_UNIQUE_KEY_QUERY" or false,
        /// Since 5.5, like the last key.
        index_type: Option<Text> = "indexType",
        last_key: Option<Text> = "lastKey",
    }

    pub struct QueryReply {
        index_last_update_timestamp: Timestamp = "indexLastUpdateTimestamp",
        index_last_update_offset: LogOffset = "indexLastUpdatePhyoffset",
    }

    /// One message by its place in the log. The answer's body is the message.
    pub struct ViewMessage: 33 => NoFields {
        topic: Option<Text> = "topic",
        offset: LogOffset = "offset",
    }

    /// Entries of a consume queue. The answer's body is a `ConsumeQueueEntries`.
    pub struct QueryConsumeQueue: 321 => NoFields {
        topic: Text = "topic",
        queue_id: QueueId = "queueId" or QueueId(0),
        index: QueueOffset = "index" or QueueOffset(0),
        count: i32 = "count" or 0,
        /// Also say which entries this group would get.
        consumer_group: Option<Text> = "consumerGroup",
    }
}
