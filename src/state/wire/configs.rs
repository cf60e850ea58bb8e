//! Topics, groups and what else commands and checkpoints have in common.

use ferrymq_proto::bodies::{
    CustomizedRetryPolicy, DataVersion, ExponentialRetryPolicy, GroupConfig, GroupRetryPolicy,
    GroupSubscriptionRule, RetryPolicyKind, TopicConfig, TopicFilter,
};
use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};

use super::{DecodeError, messages};
use crate::state::{Group, OffsetChange, QueueLine, Register, Stamp, Topic, TopicQueue};

impl From<Stamp> for messages::Stamp {
    fn from(stamp: Stamp) -> Self {
        Self { at: stamp.at.0, term: stamp.term }
    }
}

impl From<messages::Stamp> for Stamp {
    fn from(stamp: messages::Stamp) -> Self {
        Self { at: Timestamp(stamp.at), term: stamp.term }
    }
}

impl From<&DataVersion> for messages::Version {
    fn from(version: &DataVersion) -> Self {
        Self { counter: version.counter, term: version.state_version, at: version.timestamp.0 }
    }
}

impl From<messages::Version> for DataVersion {
    fn from(version: messages::Version) -> Self {
        Self { counter: version.counter, state_version: version.term, timestamp: Timestamp(version.at) }
    }
}

/// The name of a topic and its configuration, which stand apart in the table.
pub fn topic(name: &TopicName, config: &TopicConfig) -> messages::Topic {
    messages::Topic {
        name: name.to_string(),
        read_queues: config.read_queue_nums,
        write_queues: config.write_queue_nums,
        perm: config.perm,
        filter: match config.topic_filter_type {
            TopicFilter::SingleTag => 0,
            TopicFilter::MultiTag => 1,
        },
        sys_flag: config.topic_sys_flag,
        order: config.order,
        attributes: config.attributes.clone(),
    }
}

impl TryFrom<messages::Topic> for Topic {
    type Error = DecodeError;

    fn try_from(topic: messages::Topic) -> Result<Self, DecodeError> {
        let name = TopicName::parse(&topic.name)?;
        let config = TopicConfig {
            attributes: topic.attributes,
            order: topic.order,
            perm: topic.perm,
            read_queue_nums: topic.read_queues,
            topic_filter_type: match topic.filter {
                0 => TopicFilter::SingleTag,
                1 => TopicFilter::MultiTag,
                other => return Err(DecodeError::UnknownValue("filter", other)),
            },
            topic_name: topic.name,
            topic_sys_flag: topic.sys_flag,
            write_queue_nums: topic.write_queues,
        };
        Ok(Self::new(name, config))
    }
}

pub fn group(name: &GroupName, config: &GroupConfig) -> messages::Group {
    messages::Group {
        name: name.to_string(),
        attributes: config.attributes.clone(),
        broker_id: config.broker_id,
        consume_broadcast: config.consume_broadcast_enable,
        consume: config.consume_enable,
        consume_from_min: config.consume_from_min_enable,
        consume_orderly: config.consume_message_orderly,
        consume_timeout_minutes: config.consume_timeout_minutes,
        retry_policy: messages::RetryPolicy::from(&config.group_retry_policy),
        sys_flag: config.group_sys_flag,
        notify_members: config.notify_consumer_ids_changed_enable,
        retry_times: config.retry_max_times,
        retry_queues: config.retry_queue_nums,
        subscriptions: config.subscriptions.as_ref().map(|rules| messages::Subscriptions {
            rules: rules.iter().map(messages::SubscriptionRule::from).collect(),
        }),
        slow_broker_id: config.which_broker_when_consume_slowly,
    }
}

impl TryFrom<messages::Group> for Group {
    type Error = DecodeError;

    fn try_from(group: messages::Group) -> Result<Self, DecodeError> {
        let name = GroupName::parse(&group.name)?;
        let config = GroupConfig {
            attributes: group.attributes,
            broker_id: group.broker_id,
            consume_broadcast_enable: group.consume_broadcast,
            consume_enable: group.consume,
            consume_from_min_enable: group.consume_from_min,
            consume_message_orderly: group.consume_orderly,
            consume_timeout_minutes: group.consume_timeout_minutes,
            group_name: group.name,
            group_retry_policy: group.retry_policy.try_into()?,
            group_sys_flag: group.sys_flag,
            notify_consumer_ids_changed_enable: group.notify_members,
            retry_max_times: group.retry_times,
            retry_queue_nums: group.retry_queues,
            subscriptions: group
                .subscriptions
                .map(|list| list.rules.into_iter().map(GroupSubscriptionRule::from).collect()),
            which_broker_when_consume_slowly: group.slow_broker_id,
        };
        Ok(Self::new(name, config))
    }
}

impl From<&GroupRetryPolicy> for messages::RetryPolicy {
    fn from(policy: &GroupRetryPolicy) -> Self {
        Self {
            kind: match policy.kind {
                RetryPolicyKind::Customized => 0,
                RetryPolicyKind::Exponential => 1,
            },
            customized: policy
                .customized
                .as_ref()
                .map(|retry| messages::CustomizedRetry { next_millis: retry.next_millis.clone() }),
            exponential: policy.exponential.as_ref().map(|retry| messages::ExponentialRetry {
                initial_millis: retry.initial_millis,
                max_millis: retry.max_millis,
                multiplier: retry.multiplier,
            }),
        }
    }
}

impl TryFrom<messages::RetryPolicy> for GroupRetryPolicy {
    type Error = DecodeError;

    fn try_from(policy: messages::RetryPolicy) -> Result<Self, DecodeError> {
        Ok(Self {
            customized: policy
                .customized
                .map(|retry| CustomizedRetryPolicy { next_millis: retry.next_millis }),
            exponential: policy.exponential.map(|retry| ExponentialRetryPolicy {
                initial_millis: retry.initial_millis,
                max_millis: retry.max_millis,
                multiplier: retry.multiplier,
            }),
            kind: match policy.kind {
                0 => RetryPolicyKind::Customized,
                1 => RetryPolicyKind::Exponential,
                other => return Err(DecodeError::UnknownValue("retry policy", other)),
            },
        })
    }
}

impl From<&GroupSubscriptionRule> for messages::SubscriptionRule {
    fn from(rule: &GroupSubscriptionRule) -> Self {
        Self {
            expression: rule.expression.clone(),
            expression_type: rule.expression_type.clone(),
            topic: rule.topic.clone(),
            version: rule.version,
        }
    }
}

impl From<messages::SubscriptionRule> for GroupSubscriptionRule {
    fn from(rule: messages::SubscriptionRule) -> Self {
        Self {
            expression: rule.expression,
            expression_type: rule.expression_type,
            topic: rule.topic,
            version: rule.version,
        }
    }
}

pub fn offsets(group: &GroupName, topic: &TopicName, lines: &[QueueLine]) -> messages::Offsets {
    messages::Offsets {
        group: group.to_string(),
        topic: topic.to_string(),
        queues: lines.iter().map(|line| line.queue.0).collect(),
        next: lines.iter().map(|line| line.next.0).collect(),
    }
}

impl TryFrom<messages::Offsets> for OffsetChange {
    type Error = DecodeError;

    fn try_from(offsets: messages::Offsets) -> Result<Self, DecodeError> {
        let messages::Offsets { group, topic, queues, next } = offsets;
        if queues.len() != next.len() {
            return Err(DecodeError::Uneven { queues: queues.len(), offsets: next.len() });
        }
        let lines = queues
            .into_iter()
            .zip(next)
            .map(|(queue, next)| QueueLine { queue: QueueId(queue), next: QueueOffset(next) });
        Ok(Self {
            group: GroupName::parse(&group)?,
            topic: TopicName::parse(&topic)?,
            queues: lines.collect(),
        })
    }
}

impl From<&TopicQueue> for messages::Queue {
    fn from(queue: &TopicQueue) -> Self {
        Self { topic: queue.topic.to_string(), queue: queue.queue.0 }
    }
}

impl TryFrom<messages::Queue> for TopicQueue {
    type Error = DecodeError;

    fn try_from(queue: messages::Queue) -> Result<Self, DecodeError> {
        Ok(Self { topic: TopicName::parse(&queue.topic)?, queue: QueueId(queue.queue) })
    }
}

pub fn register(name: &str, value: Option<&Register>) -> messages::Register {
    let value = value.map(|value| match value {
        Register::Number(number) => messages::RegisterValue::Number(*number),
        Register::Bytes(bytes) => messages::RegisterValue::Bytes(bytes.clone()),
    });
    messages::Register { name: name.to_owned(), value }
}

impl From<messages::RegisterValue> for Register {
    fn from(value: messages::RegisterValue) -> Self {
        match value {
            messages::RegisterValue::Number(number) => Self::Number(number),
            messages::RegisterValue::Bytes(bytes) => Self::Bytes(bytes),
        }
    }
}
