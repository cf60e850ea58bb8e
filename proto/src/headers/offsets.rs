//! Asking for offsets, and committing them.

use crate::bodies::words;
use crate::fields::FieldText;
use crate::header::{FieldValue, NoFields};
use crate::position::{QueueId, QueueOffset, Timestamp};
use crate::text::Text;

words! {
    /// Which of the messages with one store time is meant.
    pub enum Boundary {
        #[default]
        Lower = "LOWER",
        Upper = "UPPER",
    }
}

/// As Java: whatever is not "upper" is the lower one.
impl FieldValue for Boundary {
    const KIND: &'static str = "LOWER or UPPER";

    fn parse(text: FieldText<'_>) -> Option<Self> {
        Some(Self::from_word(&text).unwrap_or_default())
    }

    fn write(&self, out: &mut String) {
        out.push_str(self.as_str());
    }
}

family! {
    pub struct QueryConsumerOffset: 14 => OffsetReply {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        /// May 0 be the answer for a group that has no offset yet?
        set_zero_if_not_found: Option<bool> = "setZeroIfNotFound",
    }

    pub struct UpdateConsumerOffset: 15 => NoFields {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        commit_offset: QueueOffset = "commitOffset",
    }

    /// The offset that the next message will get.
    pub struct GetMaxOffset: 30 => OffsetReply {
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        committed: bool = "committed" or true,
    }

    /// The offset of the oldest message that is left.
    pub struct GetMinOffset: 31 => OffsetReply {
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
    }

    pub struct SearchOffset: 29 => OffsetReply {
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        timestamp: Timestamp = "timestamp",
        boundary: Boundary = "boundaryType" or Boundary::Lower,
        /// Since 5.5.
        lite_topic: Option<Text> = "liteTopic",
    }

    pub struct OffsetReply {
        offset: QueueOffset = "offset",
    }

    pub struct GetEarliestStoreTime: 32 => EarliestStoreTimeReply {
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
    }

    pub struct EarliestStoreTimeReply {
        /// −1: the queue is empty.
        timestamp: Timestamp = "timestamp",
    }
}
