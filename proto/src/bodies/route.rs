//! Where topics and brokers are.

use std::collections::{BTreeMap, BTreeSet};

use super::mapping::QueueMappingInfo;

family! {
    /// Where one topic's queues are (RocketMQ: TopicRouteData).
    pub struct TopicRoute {
        broker_datas: Vec<BrokerData> = "brokerDatas",
        filter_server_table: BTreeMap<String, Vec<String>> = "filterServerTable",
        /// `brokerA:4;brokerB:4`. Clients take it instead of the queue data, so it is mostly left out.
        order_topic_conf: Option<String> = "orderTopicConf",
        queue_datas: Vec<QueueData> = "queueDatas",
        topic_queue_mapping_by_broker: Option<BTreeMap<String, QueueMappingInfo>> = "topicQueueMappingByBroker",
    }

    /// How many queues of a topic lie on one broker, and what is allowed there.
    pub struct QueueData {
        broker_name: String = "brokerName",
        perm: i32 = "perm",
        read_queue_nums: i32 = "readQueueNums",
        /// Until 4.8 it had the second name.
        topic_sys_flag: i32 = "topicSysFlag" | "topicSynFlag",
        write_queue_nums: i32 = "writeQueueNums",
    }

    /// The members of one broker name and where they listen.
    pub struct BrokerData {
        broker_addrs: BTreeMap<i64, String> = "brokerAddrs",
        broker_name: String = "brokerName",
        cluster: String = "cluster",
        enable_acting_master: bool = "enableActingMaster",
        zone_name: Option<String> = "zoneName",
    }

    pub struct ClusterInfo {
        broker_addr_table: BTreeMap<String, BrokerData> = "brokerAddrTable",
        cluster_addr_table: BTreeMap<String, BTreeSet<String>> = "clusterAddrTable",
    }

    /// The answer to `GetMemberGroup`. Without a group, the name server knows no such broker.
    pub struct MemberGroupReply {
        broker_member_group: Option<MemberGroup> = "brokerMemberGroup",
    }

    pub struct MemberGroup {
        broker_addrs: BTreeMap<i64, String> = "brokerAddrs",
        broker_name: String = "brokerName",
        cluster: String = "cluster",
    }

    /// Topics, and at times the address of the broker that has them.
    pub struct TopicList {
        broker_addr: Option<String> = "brokerAddr",
        topic_list: Vec<String> = "topicList",
    }
}
