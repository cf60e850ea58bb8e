//! Topics as brokers configure them.

use std::collections::BTreeMap;

use super::mapping::{QueueMappingDetail, QueueMappingInfo};
use super::word::words;
use crate::fields::FieldText;
use crate::header::FieldValue;
use crate::position::Timestamp;

words! {
    /// How many tags a message of a topic may have.
    pub enum TopicFilter {
        #[default]
        SingleTag = "SINGLE_TAG",
        MultiTag = "MULTI_TAG",
    }
}

/// In a header an unknown word is refused.
impl FieldValue for TopicFilter {
    const KIND: &'static str = "SINGLE_TAG or MULTI_TAG";

    fn parse(text: FieldText<'_>) -> Option<Self> {
        Self::from_word(&text)
    }

    fn write(&self, out: &mut String) {
        out.push_str(self.as_str());
    }
}

family! {
    /// How new a broker's table is: equal when all three are.
    pub struct DataVersion {
        counter: i64 = "counter",
        /// The Raft term in which it was written, where there is one.
        state_version: i64 = "stateVersion",
        timestamp: Timestamp = "timestamp",
    }

    pub struct TopicConfig {
        attributes: BTreeMap<String, String> = "attributes",
        order: bool = "order",
        perm: i32 = "perm" or 6,
        read_queue_nums: i32 = "readQueueNums" or 16,
        topic_filter_type: TopicFilter = "topicFilterType",
        topic_name: String = "topicName",
        topic_sys_flag: i32 = "topicSysFlag",
        write_queue_nums: i32 = "writeQueueNums" or 16,
    }

    /// All topics of a broker (RocketMQ: TopicConfigSerializeWrapper; the three members about mappings came with 5.0).
    pub struct TopicTable {
        data_version: DataVersion = "dataVersion",
        mapping_data_version: DataVersion = "mappingDataVersion",
        topic_config_table: BTreeMap<String, TopicConfig> = "topicConfigTable",
        topic_queue_mapping_detail_map: BTreeMap<String, QueueMappingDetail> = "topicQueueMappingDetailMap",
        topic_queue_mapping_info_map: BTreeMap<String, QueueMappingInfo> = "topicQueueMappingInfoMap",
    }

    pub struct TopicConfigList {
        topics: Vec<TopicConfig> = "topicConfigList",
    }

    /// A topic's configuration and, when it is a static one, its mapping (RocketMQ: TopicConfigAndQueueMapping).
    pub struct MappedTopicConfig {
        attributes: BTreeMap<String, String> = "attributes",
        mapping_detail: Option<QueueMappingDetail> = "mappingDetail",
        order: bool = "order",
        perm: i32 = "perm" or 6,
        read_queue_nums: i32 = "readQueueNums" or 16,
        topic_filter_type: TopicFilter = "topicFilterType",
        topic_name: String = "topicName",
        topic_sys_flag: i32 = "topicSysFlag",
        write_queue_nums: i32 = "writeQueueNums" or 16,
    }
}

impl From<TopicConfig> for MappedTopicConfig {
    fn from(topic: TopicConfig) -> Self {
        Self {
            attributes: topic.attributes,
            mapping_detail: None,
            order: topic.order,
            perm: topic.perm,
            read_queue_nums: topic.read_queue_nums,
            topic_filter_type: topic.topic_filter_type,
            topic_name: topic.topic_name,
            topic_sys_flag: topic.topic_sys_flag,
            write_queue_nums: topic.write_queue_nums,
        }
    }
}
