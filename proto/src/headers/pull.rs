//! Pulling messages.

use crate::position::{QueueId, QueueOffset};
use crate::text::Text;

family! {
    /// Messages of one queue from an offset on. 361 is the same for pull consumers.
    pub struct PullMessage: 11 or 361 => PullReply {
        consumer_group: Text = "consumerGroup",
        topic: Text = "topic",
        queue_id: QueueId = "queueId",
        queue_offset: QueueOffset = "queueOffset",
        max_message_nums: i32 = "maxMsgNums",
        sys_flag: i32 = "sysFlag",
        /// Counts when the system flag says so.
        commit_offset: QueueOffset = "commitOffset",
        suspend_timeout_millis: i64 = "suspendTimeoutMillis",
        subscription: Option<Text> = "subscription",
        subscription_version: i64 = "subVersion",
        /// Absent: `TAG`.
        expression_type: Option<Text> = "expressionType",
        max_message_bytes: Option<i32> = "maxMsgBytes",
        /// −1 a client, 0 to 2 the proxy's ordered, broadcast and stream consumers.
        request_source: Option<i32> = "requestSource",
        /// Java's spelling.
        proxy_forward_client_id: Option<Text> = "proxyFrowardClientId",
        /// Since 5.5.
        lite_topic: Option<Text> = "liteTopic",
    }

    /// The body is the messages, one after the other. Clients read the first four also when there are none.
    pub struct PullReply {
        suggest_which_broker_id: i64 = "suggestWhichBrokerId",
        next_begin_offset: QueueOffset = "nextBeginOffset",
        min_offset: QueueOffset = "minOffset",
        max_offset: QueueOffset = "maxOffset",
        offset_delta: Option<i64> = "offsetDelta",
        topic_sys_flag: Option<i32> = "topicSysFlag",
        group_sys_flag: Option<i32> = "groupSysFlag",
        /// What was forbidden, with NO_PERMISSION.
        forbidden_type: Option<i32> = "forbiddenType",
    }
}
