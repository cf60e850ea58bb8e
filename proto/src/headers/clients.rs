//! Clients and their groups: who is there, and what they are doing.

use crate::header::NoFields;
use crate::text::Text;

family! {
    /// "I am here": sent every 30 s. The body is a `HeartbeatData`.
    pub struct Heartbeat: 34 => HeartbeatReply {}

    pub struct HeartbeatReply {
        is_support_heart_beat_v2: Option<bool> = "IS_SUPPORT_HEART_BEAT_V2",
        /// Asks for a full heartbeat.
        is_sub_change: Option<bool> = "IS_SUB_CHANGE",
    }

    pub struct UnregisterClient: 35 => NoFields {
        client_id: Text = "clientID",
        producer_group: Option<Text> = "producerGroup",
        consumer_group: Option<Text> = "consumerGroup",
    }

    /// The answer's body is a `ConsumerList`.
    pub struct ListConsumers: 38 => NoFields {
        consumer_group: Text = "consumerGroup",
    }

    /// Would this filter compile? The body is a `ClientCheck`.
    pub struct CheckClientConfig: 46 => NoFields {}

    /// The body is a `QueueLocks`, the answer's a `LockedQueues`.
    pub struct LockQueues: 41 => NoFields {}

    /// The body is a `QueueLocks`.
    pub struct UnlockQueues: 42 => NoFields {}

    /// The answer's body is a `ConsumerConnections`.
    pub struct GetConsumerConnections: 203 => NoFields {
        consumer_group: Text = "consumerGroup",
    }

    /// The answer's body is a `ProducerConnections`.
    pub struct GetProducerConnections: 204 => NoFields {
        producer_group: Text = "producerGroup",
    }

    /// The answer's body is a `ProducerTable`.
    pub struct ListProducers: 328 => NoFields {}

    /// From a tool to the broker and from there to the client, whose answer (a `ConsumerRunningInfo`) goes back untouched.
    pub struct GetConsumerRunningInfo: 307 => NoFields {
        consumer_group: Text = "consumerGroup",
        client_id: Text = "clientId",
        jstack_enable: bool = "jstackEnable" or false,
    }

    /// Makes a client consume one message now. On the way from the broker to the client the body is the message. The answer's
    /// body is a `ConsumeResult`.
    pub struct ConsumeDirectly: 309 => NoFields {
        consumer_group: Text = "consumerGroup",
        client_id: Option<Text> = "clientId",
        message_id: Option<Text> = "msgId",
        broker_name: Option<Text> = "brokerName",
        topic: Option<Text> = "topic",
        topic_sys_flag: Option<i32> = "topicSysFlag",
        group_sys_flag: Option<i32> = "groupSysFlag",
    }
}
