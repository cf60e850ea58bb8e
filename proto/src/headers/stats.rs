//! Statistics.

use crate::header::NoFields;
use crate::text::Text;

family! {
    /// How a broker is. The answer's body is a `KvTable`.
    pub struct GetRuntimeInfo: 28 => NoFields {}

    /// The answer's body is a `ConsumeStats`.
    pub struct GetConsumeStats: 208 => NoFields {
        consumer_group: Text = "consumerGroup",
        topic: Option<Text> = "topic",
        /// Several topics, `;` between them.
        topic_list: Option<Text> = "topicList",
    }

    /// The answer's body is a `ConsumeStatsList`.
    pub struct ListConsumeStats: 317 => NoFields {
        is_order: bool = "isOrder",
    }

    /// The answer's body is a `ConsumeTimeSpans`.
    pub struct GetConsumeTimeSpans: 303 => NoFields {
        topic: Text = "topic",
        group: Text = "group",
    }

    /// The answer's body is a `CorrectionOffsets`.
    pub struct GetCorrectionOffsets: 308 => NoFields {
        compare_group: Text = "compareGroup",
        topic: Text = "topic",
        filter_groups: Option<Text> = "filterGroups",
    }

    /// The answer's body is a `BrokerStats`.
    pub struct ViewBrokerStats: 315 => NoFields {
        stats_name: Text = "statsName",
        stats_key: Text = "statsKey",
    }
}
