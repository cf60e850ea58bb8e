//! Controllers, which elect masters. Of these Java requires little; what its code cannot do without is required here.

use crate::header::NoFields;
use crate::position::Timestamp;
use crate::text::Text;

family! {
    /// The body is a `SyncStateSet`, and so is the answer's.
    pub struct AlterSyncStateSet: 1001 => AlterSyncStateSetReply {
        broker_name: Text = "brokerName",
        master_broker_id: i64 = "masterBrokerId",
        master_epoch: i32 = "masterEpoch",
        /// Since 5.5.
        invoke_time: Option<Timestamp> = "invokeTime",
    }

    pub struct AlterSyncStateSetReply {
        new_sync_state_set_epoch: i32 = "newSyncStateSetEpoch",
    }

    /// The answer's body is an `Election`.
    pub struct ElectMaster: 1002 => ElectMasterReply {
        cluster_name: Text = "clusterName" or Text::default(),
        broker_name: Text = "brokerName" or Text::default(),
        broker_id: i64 = "brokerId" or -1,
        /// Elect this broker and no other.
        designate_elect: bool = "designateElect" or false,
        invoke_time: Option<Timestamp> = "invokeTime",
    }

    pub struct ElectMasterReply {
        master_broker_id: Option<i64> = "masterBrokerId",
        master_address: Option<Text> = "masterAddress",
        master_epoch: Option<i32> = "masterEpoch",
        sync_state_set_epoch: Option<i32> = "syncStateSetEpoch",
    }

    /// The answer's body is a `SyncStateSet`.
    pub struct RegisterReplica: 1003 => RegisterReplicaReply {
        cluster_name: Text = "clusterName",
        broker_name: Text = "brokerName",
        broker_id: i64 = "brokerId",
        broker_address: Text = "brokerAddress",
        invoke_time: Option<Timestamp> = "invokeTime",
    }

    pub struct RegisterReplicaReply {
        cluster_name: Option<Text> = "clusterName",
        broker_name: Option<Text> = "brokerName",
        master_broker_id: Option<i64> = "masterBrokerId",
        master_address: Option<Text> = "masterAddress",
        master_epoch: Option<i32> = "masterEpoch",
        sync_state_set_epoch: Option<i32> = "syncStateSetEpoch",
    }

    /// The answer's body is a `SyncStateSet`.
    pub struct GetReplicaInfo: 1004 => ReplicaInfoReply {
        broker_name: Text = "brokerName",
    }

    pub struct ReplicaInfoReply {
        master_broker_id: Option<i64> = "masterBrokerId",
        master_address: Option<Text> = "masterAddress",
        master_epoch: Option<i32> = "masterEpoch",
    }

    pub struct GetControllerMetadata: 1005 => ControllerMetadataReply {}

    pub struct ControllerMetadataReply {
        group: Option<Text> = "group",
        controller_leader_id: Option<Text> = "controllerLeaderId",
        controller_leader_address: Option<Text> = "controllerLeaderAddress",
        is_leader: bool = "isLeader" or false,
        peers: Option<Text> = "peers",
    }

    /// The body is a list of broker names, the answer's a `ReplicaTable`.
    pub struct GetSyncStates: 1006 => NoFields {}

    /// To a broker. The answer's body is an `EpochCache`.
    pub struct GetEpochCache: 1007 => NoFields {}

    /// To a broker: this is your master. The body is a `SyncStateSet`.
    pub struct BrokerRoleChanged: 1008 => NoFields {
        master_address: Option<Text> = "masterAddress",
        master_epoch: Option<i32> = "masterEpoch",
        sync_state_set_epoch: Option<i32> = "syncStateSetEpoch",
        master_broker_id: Option<i64> = "masterBrokerId",
    }

    pub struct CleanBrokerData: 1011 => NoFields {
        cluster_name: Option<Text> = "clusterName",
        broker_name: Text = "brokerName",
        /// `;` between them.
        broker_ids_to_clean: Option<Text> = "brokerControllerIdsToClean",
        clean_living_broker: bool = "isCleanLivingBroker" or false,
        invoke_time: Option<Timestamp> = "invokeTime",
    }

    pub struct GetNextBrokerId: 1012 => NextBrokerIdReply {
        cluster_name: Text = "clusterName",
        broker_name: Text = "brokerName",
    }

    pub struct NextBrokerIdReply {
        cluster_name: Option<Text> = "clusterName",
        broker_name: Option<Text> = "brokerName",
        next_broker_id: Option<i64> = "nextBrokerId",
    }

    pub struct ApplyBrokerId: 1013 => ApplyBrokerIdReply {
        cluster_name: Text = "clusterName",
        broker_name: Text = "brokerName",
        applied_broker_id: i64 = "appliedBrokerId",
        register_check_code: Option<Text> = "registerCheckCode",
    }

    pub struct ApplyBrokerIdReply {
        cluster_name: Option<Text> = "clusterName",
        broker_name: Option<Text> = "brokerName",
    }
}
