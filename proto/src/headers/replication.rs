//! What slaves ask of their master. (Topics, groups and request modes, which others ask for too, are with their families.)

use crate::header::NoFields;
use crate::position::LogOffset;
use crate::text::Text;

family! {
    /// The answer's body is a `ConsumerOffsets`.
    pub struct GetConsumerOffsets: 43 => NoFields {}

    /// The answer's body is a `DelayOffsets`.
    pub struct GetDelayOffsets: 45 => NoFields {}

    /// The answer's body is a `TimerCheckpoint`.
    pub struct GetTimerCheckpoint: 60 => NoFields {}

    /// The answer's body is a `TimerMetrics`.
    pub struct GetTimerMetrics: 61 => NoFields {}

    /// Ours alone: what Apache's tables have no place for. The answer's body is JSON.
    pub struct GetOwnTables: 70004 => NoFields {}

    /// Who is who: a slave tells and asks when it connects.
    pub struct ExchangeHaInfo: 906 => HaInfoReply {
        master_ha_address: Option<Text> = "masterHaAddress",
        master_flush_offset: Option<LogOffset> = "masterFlushOffset",
        master_address: Option<Text> = "masterAddress",
    }

    pub struct HaInfoReply {
        master_ha_address: Option<Text> = "masterHaAddress",
        master_flush_offset: Option<LogOffset> = "masterFlushOffset",
        master_address: Option<Text> = "masterAddress",
    }

    /// The answer's body is an `HaStatus`.
    pub struct GetHaStatus: 907 => NoFields {}

    pub struct ResetMasterFlushOffset: 908 => NoFields {
        master_flush_offset: LogOffset = "masterFlushOffset",
    }

    /// To a process that holds several brokers.
    pub struct AddBroker: 902 => NoFields {
        config_path: Option<Text> = "configPath",
    }

    /// To such a process.
    pub struct RemoveBroker: 903 => NoFields {
        broker_name: Text = "brokerName",
        broker_cluster_name: Text = "brokerClusterName",
        broker_id: i64 = "brokerId",
    }
}
