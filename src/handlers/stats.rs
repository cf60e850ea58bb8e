//! Statistics: how far topics and groups have come, and how fast.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrymq_proto::bodies::{
    BrokerStats, BrokerStatsItem, ConsumeOffset, ConsumeStats, ConsumeStatsList, ConsumeTimeSpans,
    MessageQueue, QueueTimeSpan, TopicOffset, TopicStats,
};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{
    GetConsumeStats, GetConsumeTimeSpans, GetTopicStats, ListConsumeStats, ViewBrokerStats,
};
use ferrymq_proto::json::{self, Dialect, ToJson};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::Connection;
use ferrymq_proto::position::{QueueId, Timestamp};

use crate::broker::Broker;
use crate::clock;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};
use crate::services::consumption::QueueStand;
use crate::services::stats::Summary;

/// What Java says instead of a time that is not known.
const NO_TIME: Timestamp = Timestamp(-1);

/// 202.
pub async fn of_topic(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = GetTopicStats::decode(&request.fields)?;
    let queues = broker.consumption.queues(&header.topic).await?;
    let offset = |state: &crate::services::consumption::QueueState| TopicOffset {
        last_update_timestamp: state.last_time.unwrap_or_default(),
        max_offset: state.span.max,
        min_offset: state.span.min,
    };
    let offsets = queues.iter().map(|state| (queue_of(broker, &header.topic, state.queue), offset(state)));
    let put_tps = broker.statistics.put_per_second(&header.topic);
    Ok(body(&TopicStats { offsets: offsets.collect(), put_tps }))
}

/// 208.
pub async fn of_group(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = GetConsumeStats::decode(&request.fields)?;
    let group = &header.consumer_group;
    let list = header.topic_list.as_deref().unwrap_or_default();
    let listed = list.split(';').map(str::trim).filter(|topic| !topic.is_empty());
    let listed: Vec<_> = listed.filter_map(|topic| TopicName::parse(topic).ok()).collect();
    let topics = if list.trim().is_empty() {
        let given = header.topic.as_deref().filter(|topic| !topic.trim().is_empty());
        broker.consumption.topics_of(group, given)
    } else {
        listed.into_iter().collect()
    };
    let tps = topics.iter().map(|topic| broker.statistics.got_per_second(topic.as_str(), group));
    // The sum of nothing is -0.0, which looks strange.
    let tps = tps.fold(0.0, |all, tps| all + tps);
    let stands = broker.consumption.stands(group, topics).await?;
    Ok(body(&consume_stats(broker, &stands, tps)))
}

/// 317: of every group.
pub async fn of_groups(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = ListConsumeStats::decode(&request.fields)?;
    let groups: Vec<_> = broker.tables.read().groups().iter().map(|(name, _)| name.clone()).collect();
    let mut list =
        ConsumeStatsList { broker_addr: Some(broker.address.to_string()), ..ConsumeStatsList::default() };
    for group in groups {
        let mut of_group = Vec::new();
        for topic in broker.consumption.topics_of(group.as_str(), None) {
            let found = broker.topics.find(topic.as_str());
            if found.is_none_or(|topic| header.is_order && !topic.order) {
                continue;
            }
            let tps = broker.statistics.got_per_second(topic.as_str(), group.as_str());
            let stands = broker.consumption.stands(group.as_str(), [topic]).await?;
            let stats = consume_stats(broker, &stands, tps);
            for ConsumeOffset { broker_offset, consumer_offset, pull_offset, .. } in stats.offsets.values() {
                list.total_diff += broker_offset.0 - consumer_offset.0;
                list.total_inflight_diff += pull_offset.0 - consumer_offset.0;
            }
            of_group.push(stats);
        }
        list.stats.push(BTreeMap::from([(group.to_string(), of_group)]));
    }
    Ok(body(&list))
}

fn consume_stats(broker: &Broker, stands: &[QueueStand], consume_tps: f64) -> ConsumeStats {
    let offset = |stand: &QueueStand| {
        let consumed = stand.consumed.unwrap_or_default();
        ConsumeOffset {
            broker_offset: stand.span.max,
            consumer_offset: consumed,
            last_timestamp: stand.consumed_time.unwrap_or_default(),
            pull_offset: stand.pulled.max(consumed),
        }
    };
    let offsets =
        stands.iter().map(|stand| (queue_of(broker, stand.topic.as_str(), stand.queue), offset(stand)));
    ConsumeStats { consume_tps, offsets: offsets.collect() }
}

/// 303.
pub async fn time_spans(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = GetConsumeTimeSpans::decode(&request.fields)?;
    let queues = broker.consumption.times(&header.group, &header.topic).await?;
    let now = clock::now();
    let spans = queues.iter().map(|times| QueueTimeSpan {
        consume_timestamp: times.consumed.unwrap_or(NO_TIME),
        delay_millis: times.next.map_or(0, |next| now.0.saturating_sub(next.0)),
        max_timestamp: times.latest.unwrap_or(NO_TIME),
        queue: queue_of(broker, &header.topic, times.queue),
        min_timestamp: times.earliest.unwrap_or(NO_TIME),
    });
    Ok(body(&ConsumeTimeSpans { spans: spans.collect() }))
}

/// 315.
pub fn view(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let ViewBrokerStats { stats_name, stats_key } = ViewBrokerStats::decode(&request.fields)?;
    let missing = || Refusal::Failed(format!("The stats <{stats_name}> <{stats_key}> not exist"));
    let [minute, hour, day] = broker.statistics.find(&stats_name, &stats_key).ok_or_else(missing)?.map(item);
    Ok(body(&BrokerStats { day, hour, minute }))
}

fn item(summary: Summary) -> BrokerStatsItem {
    BrokerStatsItem { average_per_call: summary.per_time, sum: summary.sum, tps: summary.per_second }
}

fn queue_of(broker: &Broker, topic: &str, queue_id: QueueId) -> MessageQueue {
    MessageQueue { broker_name: broker.identity.name.to_string(), queue_id, topic: topic.to_owned() }
}

fn body(body: &impl ToJson) -> Reply {
    Reply::body(json::to_string(body, Dialect::Fastjson))
}
