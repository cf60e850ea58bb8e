//! Popping messages: the broker chooses them, and takes them back when they are not acknowledged.

use crate::header::NoFields;
use crate::position::{QueueId, QueueOffset, Timestamp};
use crate::text::Text;

family! {
    pub struct PopMessage: 200050 => PopReply {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        /// −1: any.
        queue_id: QueueId = "queueId",
        max_message_nums: i32 = "maxMsgNums",
        invisible_millis: i64 = "invisibleTime",
        poll_millis: i64 = "pollTime",
        /// 0: now.
        born_time: Timestamp = "bornTime" or Timestamp(0),
        /// Where a new group starts: 0 at the oldest message, 1 at the newest.
        init_mode: i32 = "initMode",
        expression_type: Option<Text> = "expType",
        expression: Option<Text> = "exp",
        order: bool = "order" or false,
        attempt_id: Option<Text> = "attemptId",
    }

    /// The body is the messages, one after the other. The three texts say which queue and offset each has.
    pub struct PopReply {
        pop_time: Timestamp = "popTime",
        invisible_millis: i64 = "invisibleTime",
        revive_queue_id: QueueId = "reviveQid",
        rest_num: i64 = "restNum",
        start_offset_info: Option<Text> = "startOffsetInfo",
        message_offset_info: Option<Text> = "msgOffsetInfo",
        order_count_info: Option<Text> = "orderCountInfo",
    }

    pub struct AckMessage: 200051 => NoFields {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        /// The message's POP_CK property.
        extra_info: Text = "extraInfo",
        offset: QueueOffset = "offset",
        /// Since 5.5.
        lite_topic: Option<Text> = "liteTopic",
    }

    /// The body is a `BatchAck`.
    pub struct AckMessages: 200151 => NoFields {}

    pub struct ChangeInvisibleTime: 200053 => ChangeInvisibleTimeReply {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        extra_info: Text = "extraInfo",
        offset: QueueOffset = "offset",
        invisible_millis: i64 = "invisibleTime",
        /// Since 5.5, like the next.
        lite_topic: Option<Text> = "liteTopic",
        suspend: Option<bool> = "suspend",
    }

    pub struct ChangeInvisibleTimeReply {
        pop_time: Timestamp = "popTime",
        invisible_millis: i64 = "invisibleTime",
        revive_queue_id: QueueId = "reviveQid",
    }

    /// Looks without taking. Answered as [`PopMessage`].
    pub struct PeekMessage: 200052 => PopReply {
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        max_message_nums: i32 = "maxMsgNums",
        consumer_group: Text = "consumerGroup",
    }

    /// Waits for a message without taking it.
    pub struct AwaitMessage: 200054 => AwaitReply {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        poll_millis: i64 = "pollTime",
        born_time: Timestamp = "bornTime",
        order: bool = "order" or false,
        attempt_id: Option<Text> = "attemptId",
        /// Since 5.5, like the expression.
        expression_type: Option<Text> = "expType",
        expression: Option<Text> = "exp",
    }

    pub struct AwaitReply {
        has_message: bool = "hasMsg",
        polling_full: bool = "pollingFull" or false,
    }

    /// How many requests wait for a queue?
    pub struct GetPollingInfo: 200055 => PollingInfoReply {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
    }

    pub struct PollingInfoReply {
        polling_num: i32 = "pollingNum",
    }

    /// Moves the records of pops from one kind of storage to the other (mqadmin: exportPopRecord).
    pub struct RollBackPops: 200056 => NoFields {}
}
