//! Timers, as slaves and tools see them.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};

use super::topics::DataVersion;
use crate::position::{QueueOffset, Timestamp};

family! {
    /// RocketMQ: TimerMetricsSerializeWrapper.
    pub struct TimerMetrics {
        data_version: DataVersion = "dataVersion",
        /// By topic.
        timing_count: BTreeMap<String, TimerCount> = "timingCount",
    }

    pub struct TimerCount {
        count: i64 = "count",
        timestamp: Timestamp = "timeStamp",
    }
}

/// How far the timers are: the one body that is neither JSON nor text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimerCheckpoint {
    pub last_read_time: Timestamp,
    /// A position in a file that is no log of ours.
    pub last_timer_log_flush_position: i64,
    pub last_timer_queue_offset: QueueOffset,
    pub master_timer_queue_offset: QueueOffset,
    /// Old masters leave it out.
    pub data_version: DataVersion,
}

impl TimerCheckpoint {
    pub const BYTES: usize = 56;

    /// `None` when the body is too short.
    pub fn decode(mut body: &[u8]) -> Option<Self> {
        Some(Self {
            last_read_time: Timestamp(body.try_get_i64().ok()?),
            last_timer_log_flush_position: body.try_get_i64().ok()?,
            last_timer_queue_offset: QueueOffset(body.try_get_i64().ok()?),
            master_timer_queue_offset: QueueOffset(body.try_get_i64().ok()?),
            data_version: if body.is_empty() {
                DataVersion::default()
            } else {
                DataVersion {
                    state_version: body.try_get_i64().ok()?,
                    timestamp: Timestamp(body.try_get_i64().ok()?),
                    counter: body.try_get_i64().ok()?,
                }
            },
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(Self::BYTES);
        body.put_i64(self.last_read_time.0);
        body.put_i64(self.last_timer_log_flush_position);
        body.put_i64(self.last_timer_queue_offset.0);
        body.put_i64(self.master_timer_queue_offset.0);
        body.put_i64(self.data_version.state_version);
        body.put_i64(self.data_version.timestamp.0);
        body.put_i64(self.data_version.counter);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_javas() {
        let checkpoint = TimerCheckpoint {
            last_read_time: Timestamp(1_700_000_000_000),
            last_timer_log_flush_position: 2,
            last_timer_queue_offset: QueueOffset(3),
            master_timer_queue_offset: QueueOffset(4),
            data_version: DataVersion { state_version: 5, timestamp: Timestamp(6), counter: 7 },
        };
        let java: Vec<u8> =
            [0x18b_cfe5_6800_i64, 2, 3, 4, 5, 6, 7].into_iter().flat_map(i64::to_be_bytes).collect();
        assert_eq!((java.len(), checkpoint.encode()), (TimerCheckpoint::BYTES, java.clone()));
        assert_eq!(TimerCheckpoint::decode(&java), Some(checkpoint.clone()));
        let unversioned = TimerCheckpoint { data_version: DataVersion::default(), ..checkpoint };
        assert_eq!(TimerCheckpoint::decode(&java[..32]), Some(unversioned));
        for length in (0..32).chain(33..56) {
            assert_eq!(TimerCheckpoint::decode(&java[..length]), None, "{length}");
        }
    }
}
