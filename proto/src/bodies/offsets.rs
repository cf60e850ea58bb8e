//! Tables of offsets, as slaves copy them.

use std::collections::BTreeMap;

use super::topics::DataVersion;
use crate::position::{QueueId, QueueOffset};

family! {
    /// All that groups have committed (RocketMQ: ConsumerOffsetSerializeWrapper). 4.x has no version of it.
    pub struct ConsumerOffsets {
        data_version: Option<DataVersion> = "dataVersion",
        /// By `topic@group`.
        offsets: BTreeMap<String, BTreeMap<QueueId, QueueOffset>> = "offsetTable",
    }

    /// How far each delay level has been delivered (RocketMQ: DelayOffsetSerializeWrapper).
    pub struct DelayOffsets {
        data_version: Option<DataVersion> = "dataVersion",
        /// By level, from 1.
        offsets: BTreeMap<i32, QueueOffset> = "offsetTable",
    }

    /// The smallest offsets that the given groups have in a topic (RocketMQ: QueryCorrectionOffsetBody).
    pub struct CorrectionOffsets {
        offsets: BTreeMap<QueueId, QueueOffset> = "correctionOffsets",
    }
}
