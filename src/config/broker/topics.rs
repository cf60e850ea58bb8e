//! Which topics and groups there are from the start, and which come by themselves.

use super::rows::{Row, fixed, live, switch};
use crate::config::field::Field;
use ferrymq_proto::name::{SystemTopic, TopicName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// A first message creates its topic.
    pub are_created: bool,
    /// Queues of a topic that is created so.
    pub queues: usize,
    /// A topic of the cluster's name.
    pub has_cluster_topic: bool,
    /// A topic of the broker's name.
    pub has_broker_topic: bool,
    pub has_trace_topic: bool,
    pub trace_topic: TopicName,
    /// Topics may have the type MIXED.
    pub may_mix_types: bool,
    /// Tools must not change the broker's own topics.
    pub guards_system_topics: bool,
    pub deletes_retry_topics: bool,
    /// A first heartbeat creates its group.
    pub groups_are_created: bool,
    pub system_groups_are_created: bool,
}

impl Topics {
    pub(super) fn blank() -> Self {
        Topics {
            are_created: false,
            queues: 0,
            has_cluster_topic: false,
            has_broker_topic: false,
            has_trace_topic: false,
            trace_topic: SystemTopic::Trace.into(),
            may_mix_types: false,
            guards_system_topics: false,
            deletes_retry_topics: false,
            groups_are_created: false,
            system_groups_are_created: false,
        }
    }
}

pub(super) static KEYS: &[Row] = &[
    live(
        "autoCreateTopicEnable",
        "true",
        switch(|config| &mut config.topics.are_created),
        "A first message creates its topic.",
    )
    .important(),
    fixed(
        "defaultTopicQueueNums",
        "8",
        Field::Number(1..=16_384, |config| &mut config.topics.queues),
        "Queues of a topic that is created so, unless its producer wants fewer.",
    ),
    live(
        "autoCreateSubscriptionGroup",
        "true",
        switch(|config| &mut config.topics.groups_are_created),
        "A first heartbeat creates its consumer group.",
    )
    .important(),
    live(
        "enableCreateSysGroup",
        "true",
        switch(|config| &mut config.topics.system_groups_are_created),
        "The same for groups whose names mark them as the system's own.",
    ),
    fixed(
        "clusterTopicEnable",
        "true",
        switch(|config| &mut config.topics.has_cluster_topic),
        "Have a topic of the cluster's name.",
    ),
    fixed(
        "brokerTopicEnable",
        "true",
        switch(|config| &mut config.topics.has_broker_topic),
        "Have a topic of the broker's name.",
    ),
    fixed(
        "traceTopicEnable",
        "false",
        switch(|config| &mut config.topics.has_trace_topic),
        "Have the topic for message traces.",
    )
    .important(),
    fixed(
        "msgTraceTopicName",
        "RMQ_SYS_TRACE_TOPIC",
        Field::Parsed("a topic's name: letters, digits and any of % | _ -", |config, text| {
            config.topics.trace_topic = TopicName::parse_new(text).ok()?;
            Some(text.to_string())
        }),
        "Its name.",
    )
    .important(),
    live(
        "enableMixedMessageType",
        "false",
        switch(|config| &mut config.topics.may_mix_types),
        "Topics may be given the type MIXED.",
    ),
    live(
        "validateSystemTopicWhenUpdateTopic",
        "true",
        switch(|config| &mut config.topics.guards_system_topics),
        "Tools must not change the broker's own topics.",
    ),
    live(
        "clearRetryTopicWhenDeleteTopic",
        "true",
        switch(|config| &mut config.topics.deletes_retry_topics),
        "A deleted topic takes the retry topics with it that its groups have for it.",
    ),
];
