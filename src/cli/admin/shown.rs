//! Things as Apache's tools write them.

use std::fmt::Write as _;

use ferrymq_proto::bodies::{GroupConfig, MappedTopicConfig};
use ferrymq_proto::position::{QueueOffset, Timestamp};
use ferrymq_proto::record::{Record, Version, property};

use crate::cli::remote::{Moment, shown_body};
use crate::config::shown;
use crate::state::permission;

/// `2026-11-21 15:04:05,678`, in UTC.
pub fn time(time: Timestamp) -> String {
    Moment(time).to_string().replace('T', " ").replace('.', ",").trim_end_matches('Z').to_owned()
}

/// The same to the second.
pub fn time_of_second(moment: Timestamp) -> String {
    time(moment).split(',').next().unwrap_or_default().to_owned()
}

pub fn permission(bits: i32) -> String {
    let flag = |bit: i32, letter: char| if bits & bit != 0 { letter } else { '-' };
    [flag(permission::READ, 'R'), flag(permission::WRITE, 'W'), flag(permission::INHERIT, 'X')]
        .iter()
        .collect()
}

pub fn topic(topic: &MappedTopicConfig) -> String {
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, topicSysFlag={}, order={}, attributes={}]",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        permission(topic.perm),
        topic.topic_filter_type.as_str(),
        topic.topic_sys_flag,
        topic.order,
        map(topic.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
    )
}

/// The settings of a group in Apache's order, with their names there.
pub fn group_settings(group: &GroupConfig) -> [(&'static str, String); 15] {
    [
        ("groupName", group.group_name.clone()),
        ("consumeEnable", group.consume_enable.to_string()),
        ("consumeFromMinEnable", group.consume_from_min_enable.to_string()),
        ("consumeBroadcastEnable", group.consume_broadcast_enable.to_string()),
        ("consumeMessageOrderly", group.consume_message_orderly.to_string()),
        ("retryQueueNums", group.retry_queue_nums.to_string()),
        ("retryMaxTimes", group.retry_max_times.to_string()),
        ("groupRetryPolicy", retry_policy(group)),
        ("brokerId", group.broker_id.to_string()),
        ("whichBrokerWhenConsumeSlowly", group.which_broker_when_consume_slowly.to_string()),
        ("notifyConsumerIdsChangedEnable", group.notify_consumer_ids_changed_enable.to_string()),
        ("groupSysFlag", group.group_sys_flag.to_string()),
        ("consumeTimeoutMinute", group.consume_timeout_minutes.to_string()),
        ("subscriptionDataSet", rules(group).unwrap_or_default()),
        ("attributes", map(group.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())))),
    ]
}

pub fn group(group: &GroupConfig) -> String {
    let settings = group_settings(group).map(|(name, value)| {
        let value = if name == "subscriptionDataSet" && value.is_empty() { "null".to_owned() } else { value };
        format!("{name}={value}")
    });
    format!("SubscriptionGroupConfig{{{}}}", settings.join(", "))
}

fn retry_policy(group: &GroupConfig) -> String {
    let policy = &group.group_retry_policy;
    let exponential = policy.exponential.as_ref().map_or("null".to_owned(), |policy| {
        format!(
            "ExponentialRetryPolicy{{initial={}, max={}, multiplier={}}}",
            policy.initial_millis, policy.max_millis, policy.multiplier
        )
    });
    let customized = policy.customized.as_ref().map_or("null".to_owned(), |policy| {
        format!("CustomizedRetryPolicy{{next={:?}}}", policy.next_millis)
    });
    format!(
        "GroupRetryPolicy{{type={}, exponentialRetryPolicy={exponential}, customizedRetryPolicy={customized}}}",
        policy.kind.as_str()
    )
}

fn rules(group: &GroupConfig) -> Option<String> {
    let rules = group.subscriptions.as_ref()?.iter().map(|rule| {
        format!(
            "SimpleSubscriptionData{{topic='{}', expressionType='{}', expression='{}', version={}}}",
            rule.topic, rule.expression_type, rule.expression, rule.version
        )
    });
    Some(format!("[{}]", rules.collect::<Vec<_>>().join(", ")))
}

/// A message as a client of Apache's sees it.
pub struct Message<'a> {
    pub record: Record<'a>,
    pub broker: &'a str,
    /// The ends of the queue, which come with a pull.
    pub ends: Option<(QueueOffset, QueueOffset)>,
}

impl Message<'_> {
    pub fn property(&self, name: &str) -> Option<String> {
        self.record.properties.get(name).map(|value| shown(&value))
    }

    /// As its client called it, or else where it lies.
    pub fn id(&self) -> String {
        self.property(property::UNIQUE_KEY).unwrap_or_else(|| self.record.message_id().to_string())
    }

    pub fn properties(&self) -> String {
        let mut pairs: Vec<(String, String)> =
            self.record.properties.iter().map(|(name, value)| (shown(&name), shown(&value))).collect();
        if let Some((min, max)) = self.ends {
            pairs.push((property::MIN_OFFSET.to_owned(), min.0.to_string()));
            pairs.push((property::MAX_OFFSET.to_owned(), max.0.to_string()));
        }
        map(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    }

    pub fn line(&self, prints_body: bool) -> String {
        let record = &self.record;
        let body = if prints_body { shown_body(record) } else { "NOT PRINT BODY".to_owned() };
        format!(
            "MSGID: {} MessageExt [brokerName={}, queueId={}, storeSize={}, queueOffset={}, sysFlag={}, bornTimestamp={}, bornHost=/{}, \
             storeTimestamp={}, storeHost=/{}, msgId={}, commitLogOffset={}, bodyCRC={}, reconsumeTimes={}, \
             preparedTransactionOffset={}, toString()=Message{{topic='{}', flag={}, properties={}, body={:?}, \
             transactionId={}}}] BODY: {body}\n",
            self.id(),
            self.broker,
            record.queue_id.0,
            self.stored_bytes(),
            record.queue_offset.0,
            record.sys_flag.0,
            record.born_timestamp.0,
            record.born_host,
            record.store_timestamp.0,
            record.store_host,
            self.id(),
            record.log_offset.0,
            record.body_crc,
            record.reconsume_times,
            record.prepared_offset.0,
            shown(record.topic),
            record.flag,
            self.properties(),
            record.body,
            self.property(property::TRANSACTION_ID).map_or("'null'".to_owned(), |id| format!("'{id}'")),
        )
    }

    /// Of the whole record: what is of fixed length in it, and what is not.
    fn stored_bytes(&self) -> usize {
        let record = &self.record;
        let hosts: usize = [record.born_host, record.store_host]
            .iter()
            .map(|host| if host.is_ipv6() { 20 } else { 8 })
            .sum();
        let topic_length = if record.version == Version::V1 { 1 } else { 2 };
        74 + topic_length
            + hosts
            + record.body.len()
            + record.topic.len()
            + record.properties.as_bytes().len()
    }

    /// Everything about it, a line each.
    pub fn detail(&self) -> String {
        let record = &self.record;
        let list = |name: &str| self.property(name).unwrap_or_else(|| "null".to_owned());
        let lines = [
            ("Topic:", shown(record.topic)),
            ("Tags:", format!("[{}]", list(property::TAGS))),
            ("Keys:", format!("[{}]", list(property::KEYS))),
            ("Queue ID:", record.queue_id.0.to_string()),
            ("Queue Offset:", record.queue_offset.0.to_string()),
            ("CommitLog Offset:", record.log_offset.0.to_string()),
            ("Reconsume Times:", record.reconsume_times.to_string()),
            ("Born Timestamp:", time(record.born_timestamp)),
            ("Store Timestamp:", time(record.store_timestamp)),
            ("Born Host:", record.born_host.to_string()),
            ("Store Host:", record.store_host.to_string()),
            ("System Flag:", record.sys_flag.0.to_string()),
            ("Properties:", self.properties()),
        ];
        let mut text = String::new();
        for (name, value) in lines {
            let _ = writeln!(text, "{name:<20} {value}");
        }
        text
    }
}

/// A map as Java prints one.
fn map<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    format!("{{{}}}", pairs.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", "))
}

/// JSON over several lines.
pub fn pretty(json: &str) -> String {
    let mut text = String::new();
    let (mut depth, mut is_quoted, mut is_escaped) = (0_usize, false, false);
    for character in json.chars() {
        if is_quoted {
            text.push(character);
            is_quoted = is_escaped || character != '"';
            is_escaped = !is_escaped && character == '\\';
            continue;
        }
        let line = |depth: usize, text: &mut String| {
            text.push('\n');
            text.extend(std::iter::repeat_n('\t', depth));
        };
        match character {
            '{' | '[' => {
                depth += 1;
                text.push(character);
                line(depth, &mut text);
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(depth, &mut text);
                text.push(character);
            }
            ',' => {
                text.push(character);
                line(depth, &mut text);
            }
            _ => {
                is_quoted = character == '"';
                text.push(character);
            }
        }
    }
    text
}
