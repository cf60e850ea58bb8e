//! Statistics.

use std::collections::BTreeMap;

use super::queue::MessageQueue;
use crate::position::{QueueOffset, Timestamp};

family! {
    /// RocketMQ: TopicStatsTable.
    pub struct TopicStats {
        offsets: BTreeMap<MessageQueue, TopicOffset> = "offsetTable",
        put_tps: f64 = "topicPutTps",
    }

    pub struct TopicOffset {
        last_update_timestamp: Timestamp = "lastUpdateTimestamp",
        max_offset: QueueOffset = "maxOffset",
        min_offset: QueueOffset = "minOffset",
    }

    pub struct ConsumeStats {
        consume_tps: f64 = "consumeTps",
        offsets: BTreeMap<MessageQueue, ConsumeOffset> = "offsetTable",
    }

    /// RocketMQ: OffsetWrapper.
    pub struct ConsumeOffset {
        broker_offset: QueueOffset = "brokerOffset",
        consumer_offset: QueueOffset = "consumerOffset",
        /// When the message before the consumer's offset was stored.
        last_timestamp: Timestamp = "lastTimestamp",
        pull_offset: QueueOffset = "pullOffset",
    }

    pub struct ConsumeStatsList {
        broker_addr: Option<String> = "brokerAddr",
        /// Maps with one group each.
        stats: Vec<BTreeMap<String, Vec<ConsumeStats>>> = "consumeStatsList",
        total_diff: i64 = "totalDiff",
        total_inflight_diff: i64 = "totalInflightDiff",
    }

    /// RocketMQ: QueryConsumeTimeSpanBody.
    pub struct ConsumeTimeSpans {
        spans: Vec<QueueTimeSpan> = "consumeTimeSpanSet",
    }

    /// Java repeats the times as texts in its own time zone. Nobody reads them, and they are left out.
    pub struct QueueTimeSpan {
        consume_timestamp: Timestamp = "consumeTimeStamp",
        delay_millis: i64 = "delayTime",
        max_timestamp: Timestamp = "maxTimeStamp",
        queue: MessageQueue = "messageQueue",
        min_timestamp: Timestamp = "minTimeStamp",
    }

    /// RocketMQ: BrokerStatsData.
    pub struct BrokerStats {
        day: BrokerStatsItem = "statsDay",
        hour: BrokerStatsItem = "statsHour",
        minute: BrokerStatsItem = "statsMinute",
    }

    pub struct BrokerStatsItem {
        average_per_call: f64 = "avgpt",
        sum: i64 = "sum",
        tps: f64 = "tps",
    }
}
