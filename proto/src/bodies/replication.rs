//! How masters and slaves are doing, with and without a controller.

use std::collections::{BTreeMap, BTreeSet};

use super::route::MemberGroup;
use crate::position::{LogOffset, Timestamp};

family! {
    /// RocketMQ: HARuntimeInfo.
    pub struct HaStatus {
        client: HaClient = "haClientRuntimeInfo",
        connections: Vec<HaConnection> = "haConnectionInfo",
        in_sync_slave_nums: i32 = "inSyncSlaveNums",
        master: bool = "master",
        master_log_max_offset: LogOffset = "masterCommitLogMaxOffset",
    }

    /// A slave's connection to its master.
    pub struct HaClient {
        /// 5.5 leaves it out.
        activated: Option<bool> = "activated",
        last_read_timestamp: Timestamp = "lastReadTimestamp",
        last_write_timestamp: Timestamp = "lastWriteTimestamp",
        master_addr: Option<String> = "masterAddr",
        master_flush_offset: LogOffset = "masterFlushOffset",
        max_offset: LogOffset = "maxOffset",
        transferred_bytes_per_second: i64 = "transferredByteInSecond",
    }

    /// A master's connection from a slave.
    pub struct HaConnection {
        addr: String = "addr",
        diff: i64 = "diff",
        in_sync: bool = "inSync",
        slave_ack_offset: LogOffset = "slaveAckOffset",
        transfer_from_where: LogOffset = "transferFromWhere",
        transferred_bytes_per_second: i64 = "transferredByteInSecond",
    }

    /// The broker ids that have everything.
    pub struct SyncStateSet {
        ids: BTreeSet<i64> = "syncStateSet",
        epoch: i32 = "syncStateSetEpoch",
    }

    /// RocketMQ: ElectMasterResponseBody.
    pub struct Election {
        group: Option<MemberGroup> = "brokerMemberGroup",
        sync_state_set: BTreeSet<i64> = "syncStateSet",
    }

    /// By broker name (RocketMQ: BrokerReplicasInfo).
    pub struct ReplicaTable {
        replicas: BTreeMap<String, Replicas> = "replicasInfoTable",
    }

    pub struct Replicas {
        in_sync: Vec<Replica> = "inSyncReplicas",
        master_address: String = "masterAddress",
        master_broker_id: Option<i64> = "masterBrokerId",
        master_epoch: i32 = "masterEpoch",
        not_in_sync: Vec<Replica> = "notInSyncReplicas",
        sync_state_set_epoch: i32 = "syncStateSetEpoch",
    }

    pub struct Replica {
        alive: bool = "alive",
        broker_address: String = "brokerAddress",
        broker_id: Option<i64> = "brokerId",
        broker_name: String = "brokerName",
    }

    /// RocketMQ: EpochEntryCache.
    pub struct EpochCache {
        broker_id: i64 = "brokerId",
        broker_name: String = "brokerName",
        cluster_name: String = "clusterName",
        epochs: Vec<Epoch> = "epochList",
        max_offset: LogOffset = "maxOffset",
    }

    /// Which part of the log was written under one master.
    pub struct Epoch {
        end_offset: LogOffset = "endOffset" or LogOffset(i64::MAX),
        number: i32 = "epoch",
        start_offset: LogOffset = "startOffset",
    }
}
