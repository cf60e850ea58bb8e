//! Consumer groups as brokers configure them.

use std::collections::BTreeMap;

use super::clients::SubscriptionData;
use super::topics::DataVersion;
use super::word::words;

words! {
    pub enum RetryPolicyKind {
        Exponential = "EXPONENTIAL",
        #[default]
        Customized = "CUSTOMIZED",
    }
}

/// When to try again, in milliseconds: the broker's delay levels.
const RETRY_MILLIS: [i64; 18] = [
    1_000, 5_000, 10_000, 30_000, 60_000, 120_000, 180_000, 240_000, 300_000, 360_000, 420_000, 480_000,
    540_000, 600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000,
];

family! {
    /// RocketMQ: SubscriptionGroupConfig.
    pub struct GroupConfig {
        attributes: BTreeMap<String, String> = "attributes",
        /// Where its members pull from first.
        broker_id: i64 = "brokerId",
        consume_broadcast_enable: bool = "consumeBroadcastEnable" or true,
        consume_enable: bool = "consumeEnable" or true,
        consume_from_min_enable: bool = "consumeFromMinEnable" or true,
        consume_message_orderly: bool = "consumeMessageOrderly",
        consume_timeout_minutes: i32 = "consumeTimeoutMinute" or 15,
        group_name: String = "groupName",
        group_retry_policy: GroupRetryPolicy = "groupRetryPolicy",
        group_sys_flag: i32 = "groupSysFlag",
        notify_consumer_ids_changed_enable: bool = "notifyConsumerIdsChangedEnable" or true,
        retry_max_times: i32 = "retryMaxTimes" or 16,
        retry_queue_nums: i32 = "retryQueueNums" or 1,
        subscriptions: Option<Vec<GroupSubscriptionRule>> = "subscriptionDataSet",
        /// And where from when they lag behind.
        which_broker_when_consume_slowly: i64 = "whichBrokerWhenConsumeSlowly" or 1,
    }

    pub struct GroupRetryPolicy {
        customized: Option<CustomizedRetryPolicy> = "customizedRetryPolicy",
        exponential: Option<ExponentialRetryPolicy> = "exponentialRetryPolicy",
        kind: RetryPolicyKind = "type",
    }

    pub struct CustomizedRetryPolicy {
        next_millis: Vec<i64> = "next" or RETRY_MILLIS.to_vec(),
    }

    pub struct ExponentialRetryPolicy {
        initial_millis: i64 = "initial" or 5_000,
        max_millis: i64 = "max" or 7_200_000,
        multiplier: i64 = "multiplier" or 2,
    }

    /// What a group has to subscribe to (RocketMQ: SimpleSubscriptionData).
    pub struct GroupSubscriptionRule {
        expression: String = "expression",
        expression_type: String = "expressionType",
        topic: String = "topic",
        version: i64 = "version",
    }

    pub struct GroupConfigList {
        groups: Vec<GroupConfig> = "groupConfigList",
    }

    /// All groups of a broker (RocketMQ: SubscriptionGroupWrapper).
    pub struct GroupTable {
        data_version: DataVersion = "dataVersion",
        /// By group, then by topic: bits of what is forbidden.
        forbidden: BTreeMap<String, BTreeMap<String, i32>> = "forbiddenTable",
        groups: BTreeMap<String, GroupConfig> = "subscriptionGroupTable",
    }

    pub struct GroupForbidden {
        group: Option<String> = "group",
        readable: Option<bool> = "readable",
        topic: Option<String> = "topic",
    }

    /// RocketMQ: QuerySubscriptionResponseBody.
    pub struct GroupSubscription {
        group: String = "group",
        subscription: Option<SubscriptionData> = "subscriptionData",
        topic: String = "topic",
    }

    pub struct GroupList {
        groups: Vec<String> = "groupList",
    }
}
