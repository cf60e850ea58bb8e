//! Administering topics on a broker.

use crate::bodies::TopicFilter;
use crate::header::NoFields;
use crate::text::Text;

family! {
    /// Creates or changes a topic. 513 does so for a static topic, whose `QueueMappingDetail` is the body.
    pub struct UpdateTopic: 17 or 513 => NoFields {
        topic: Text = "topic",
        default_topic: Text = "defaultTopic",
        read_queue_nums: i32 = "readQueueNums",
        write_queue_nums: i32 = "writeQueueNums",
        perm: i32 = "perm",
        topic_filter_type: TopicFilter = "topicFilterType",
        topic_sys_flag: i32 = "topicSysFlag" or 0,
        order: bool = "order" or false,
        /// `+key=value,-other`.
        attributes: Option<Text> = "attributes",
        force: bool = "force" or false,
    }

    /// The body is a `TopicConfigList`.
    pub struct UpdateTopics: 18 => NoFields {}

    /// All topics, or a page of them. The answer's body is a `TopicTable`.
    pub struct GetTopicTable: 21 => TopicTableReply {
        topic_seq: Option<i32> = "topicSeq",
        max_topic_num: Option<i32> = "maxTopicNum",
        /// JSON.
        data_version: Option<Text> = "dataVersion",
    }

    pub struct TopicTableReply {
        /// Without it, there are no more pages.
        total_topic_num: Option<i32> = "totalTopicNum",
    }

    pub struct DeleteTopic: 215 => NoFields {
        topic: Text = "topic",
    }

    /// The answer's body is a `TopicStats`.
    pub struct GetTopicStats: 202 => NoFields {
        topic: Text = "topic",
    }

    /// The answer's body is a `MappedTopicConfig`.
    pub struct GetTopicConfig: 351 => NoFields {
        topic: Text = "topic",
        /// The topic is meant as a static one.
        logical: Option<bool> = "lo",
    }

    /// The answer's body is a `TopicList`.
    pub struct ListBrokerSystemTopics: 305 => NoFields {}

    /// The topics that a group consumes. The answer's body is a `TopicList`.
    pub struct ListGroupTopics: 343 => NoFields {
        group: Text = "group",
    }

    /// The groups that consume a topic. The answer's body is a `GroupList`.
    pub struct ListTopicGroups: 300 => NoFields {
        topic: Text = "topic",
    }
}
