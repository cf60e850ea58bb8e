//! Which queues a consumer gets, when the broker decides, and how it consumes them.

use std::collections::BTreeMap;

use super::clients::MessageModel;
use super::queue::MessageQueue;
use super::word::words;

words! {
    pub enum ConsumeMode {
        #[default]
        Pull = "PULL",
        Pop = "POP",
    }
}

family! {
    /// RocketMQ: QueryAssignmentRequestBody.
    pub struct AssignmentQuery {
        client_id: String = "clientId",
        consumer_group: String = "consumerGroup",
        message_model: MessageModel = "messageModel",
        /// `AVG` or `AVG_BY_CIRCLE`.
        strategy_name: String = "strategyName",
        topic: String = "topic",
    }

    /// RocketMQ: QueryAssignmentResponseBody. Without the member, the broker does not know.
    pub struct Assignments {
        assignments: Option<Vec<Assignment>> = "messageQueueAssignments",
    }

    pub struct Assignment {
        attachments: Option<BTreeMap<String, String>> = "attachments",
        queue: MessageQueue = "messageQueue",
        mode: ConsumeMode = "mode",
    }

    /// How a group consumes a topic (RocketMQ: SetMessageRequestModeRequestBody).
    pub struct RequestMode {
        consumer_group: String = "consumerGroup",
        mode: ConsumeMode = "mode",
        /// How many of the group's members share a queue; −1 or 0: all.
        pop_share_queue_num: i32 = "popShareQueueNum",
        topic: String = "topic",
    }

    pub struct RequestModes {
        /// By topic, then by group.
        modes: BTreeMap<String, BTreeMap<String, RequestMode>> = "messageRequestModeMap",
    }
}
