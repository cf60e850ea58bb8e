//! What brokers, clients and tools ask of a name server about brokers and topics.

use crate::header::NoFields;
use crate::position::LogOffset;
use crate::text::Text;

family! {
    /// "I am here": sent every 30 s. The body is a `Registration`.
    pub struct RegisterBroker: 103 => RegisterBrokerReply {
        broker_name: Text = "brokerName",
        broker_addr: Text = "brokerAddr",
        cluster_name: Text = "clusterName",
        ha_server_addr: Text = "haServerAddr",
        broker_id: i64 = "brokerId",
        /// Forget the broker after this much silence.
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMillis",
        /// Absent: the broker is too old to know of acting masters.
        enable_acting_master: Option<bool> = "enableActingMaster",
        /// The body is in its compressed form.
        compressed: bool = "compressed" or false,
        /// 0: do not check.
        body_crc32: i32 = "bodyCrc32" or 0,
        zone_name: Option<Text> = "__ZONE_NAME",
    }

    pub struct RegisterBrokerReply {
        ha_server_addr: Option<Text> = "haServerAddr",
        master_addr: Option<Text> = "masterAddr",
    }

    pub struct UnregisterBroker: 104 => NoFields {
        broker_name: Text = "brokerName",
        broker_addr: Text = "brokerAddr",
        cluster_name: Text = "clusterName",
        broker_id: i64 = "brokerId",
    }

    /// Has this broker's configuration changed? The body is its `DataVersion`.
    pub struct QueryDataVersion: 322 => QueryDataVersionReply {
        broker_name: Text = "brokerName",
        broker_addr: Text = "brokerAddr",
        cluster_name: Text = "clusterName",
        broker_id: i64 = "brokerId",
    }

    /// The body is the `DataVersion` that is known, if any.
    pub struct QueryDataVersionReply {
        changed: bool = "changed",
    }

    /// Keeps a registration alive without repeating it.
    pub struct BrokerHeartbeat: 904 => NoFields {
        cluster_name: Text = "clusterName",
        broker_addr: Text = "brokerAddr",
        broker_name: Text = "brokerName",
        broker_id: Option<i64> = "brokerId",
        epoch: Option<i32> = "epoch",
        max_offset: Option<LogOffset> = "maxOffset",
        confirm_offset: Option<LogOffset> = "confirmOffset",
        /// Java's spelling.
        heartbeat_timeout_millis: Option<i64> = "heartbeatTimeoutMills",
        election_priority: Option<i32> = "electionPriority",
    }

    /// The addresses of one broker name. The answer's body is a `MemberGroupReply`.
    pub struct GetMemberGroup: 901 => NoFields {
        cluster_name: Text = "clusterName",
        broker_name: Text = "brokerName",
    }

    /// From the name server to brokers, one-way: who has the smallest id now.
    pub struct MinBrokerIdChanged: 905 => NoFields {
        min_broker_id: Option<i64> = "minBrokerId",
        broker_name: Option<Text> = "brokerName",
        min_broker_addr: Option<Text> = "minBrokerAddr",
        offline_broker_addr: Option<Text> = "offlineBrokerAddr",
        ha_broker_addr: Option<Text> = "haBrokerAddr",
    }

    /// Where a topic's queues are. The answer's body is a `TopicRoute`.
    pub struct GetRoute: 105 => NoFields {
        topic: Text = "topic",
        accept_standard_json_only: Option<bool> = "acceptStandardJsonOnly",
        zone_mode: Option<bool> = "__ZONE_MODE",
        zone_name: Option<Text> = "__ZONE_NAME",
    }

    /// The answer's body is a `ClusterInfo`.
    pub struct GetClusterInfo: 106 => NoFields {}

    /// Takes the write permission from every topic of a broker.
    pub struct WipeWritePerm: 205 => WipeWritePermReply {
        broker_name: Text = "brokerName",
    }

    pub struct WipeWritePermReply {
        wipe_topic_count: i32 = "wipeTopicCount",
    }

    /// Gives it back.
    pub struct AddWritePerm: 327 => AddWritePermReply {
        broker_name: Text = "brokerName",
    }

    pub struct AddWritePermReply {
        add_topic_count: i32 = "addTopicCount",
    }

    /// Adds one topic to a registration. The body is a `TopicRoute`, of which the queues count.
    pub struct RegisterTopic: 217 => NoFields {
        topic: Text = "topic",
    }

    /// Forgets where a topic is: everywhere, or in one cluster.
    pub struct DeleteRoute: 216 => NoFields {
        topic: Text = "topic",
        cluster_name: Option<Text> = "clusterName",
    }

    /// All topics. The answer's body is a `TopicList`, here and in the lists below.
    pub struct ListTopics: 206 => NoFields {}

    pub struct ListClusterTopics: 224 => NoFields {
        cluster: Text = "cluster",
    }

    /// The names of clusters and brokers, which are topics as well.
    pub struct ListSystemTopics: 304 => NoFields {}

    pub struct ListUnitTopics: 311 => NoFields {}

    pub struct ListUnitSubscribedTopics: 312 => NoFields {}

    /// Subscribed across units, but not themselves in one.
    pub struct ListUnitSubscribedPlainTopics: 313 => NoFields {}
}
