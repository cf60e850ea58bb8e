//! What several of these programs ask a broker, with what is the same for all of them.

use ferrymq_proto::bodies::TopicFilter;
use ferrymq_proto::headers::{PullMessage, SendMessageV2, UpdateTopic};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};

const TEMPLATE: &str = "TBW102";
const PULL_MESSAGES: i32 = 32;

pub fn topic(name: &str, queues: usize) -> UpdateTopic {
    let queues = i32::try_from(queues).unwrap();
    UpdateTopic {
        topic: name.into(),
        default_topic: TEMPLATE.into(),
        read_queue_nums: queues,
        write_queue_nums: queues,
        perm: 6,
        topic_filter_type: TopicFilter::default(),
        topic_sys_flag: 0,
        order: false,
        attributes: None,
        force: false,
    }
}

pub fn send(group: &str, topic: &str, queue: QueueId) -> SendMessageV2 {
    SendMessageV2 {
        producer_group: group.into(),
        topic: topic.into(),
        default_topic: TEMPLATE.into(),
        default_topic_queue_nums: 4,
        queue_id: queue,
        sys_flag: 0,
        born_timestamp: Timestamp(0),
        flag: 0,
        properties: None,
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}

/// For what the group has stated.
pub fn pull(group: &str, topic: &str, queue: QueueId, from: QueueOffset) -> PullMessage {
    PullMessage {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id: queue,
        queue_offset: from,
        max_message_nums: PULL_MESSAGES,
        sys_flag: 0,
        commit_offset: from,
        suspend_timeout_millis: 0,
        subscription: None,
        subscription_version: 1,
        expression_type: None,
        max_message_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
        lite_topic: None,
    }
}
