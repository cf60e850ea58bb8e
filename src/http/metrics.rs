//! The metrics of this node, under the names and labels that Apache's 5.x brokers give them. docs/metrics.md lists them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrymq_proto::bodies::ConsumeType;
use ferrymq_proto::name::{DEAD_LETTER_PREFIX, GroupName, RETRY_PREFIX, TopicName};
use ferrymq_proto::position::{QueueOffset, Timestamp};

use super::page::{Kind, Page};
use crate::broker::Broker;
use crate::clock;
use crate::refusal::Refusal;
use crate::services::archive::Archive;
use crate::services::clients::Caller;
use crate::services::consumption::QueueStand;
use crate::services::stats::{GotByGroup, PutByKind, SIZES};
use crate::services::vitals::space;

/// Queues whose lag is worked out for one page. Groups past this are left out, and the page says how many.
const QUEUES_MAX: usize = 20_000;

pub async fn page(broker: &Arc<Broker>) -> Result<String, Refusal> {
    let labels = broker.desk.follow().borrow().metrics.labels.clone();
    let mut common = vec![
        ("cluster", broker.identity.cluster.as_str()),
        ("node_type", "broker"),
        ("node_id", broker.identity.name.as_str()),
    ];
    common.extend(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let mut page = Page::new(&common);
    tables(broker, &mut page);
    traffic(broker, &mut page);
    connections(broker, &mut page);
    store(broker, &mut page);
    timers(broker, &mut page);
    raft(broker, &mut page);
    // Only where new offsets are: summed over all nodes they count once.
    if broker.writer.is_leader() {
        lag(broker, &mut page).await?;
    }
    Ok(page.finish())
}

fn truth(is_so: bool) -> &'static str {
    if is_so { "true" } else { "false" }
}

fn tables(broker: &Broker, page: &mut Page) {
    let (topics, groups) = {
        let tables = broker.tables.read();
        (tables.topics().count(), tables.groups().count())
    };
    let permission = broker.topics.broker_permission().0;
    page.gauge("rocketmq_broker_permission", "4 read, 2 write, together.", permission.into());
    page.gauge("rocketmq_topic_number", "Topics.", topics as f64);
    page.gauge("rocketmq_consumer_group_number", "Groups of consumers.", groups as f64);
}

fn traffic(broker: &Broker, page: &mut Page) {
    let topics = broker.statistics.put_by_kind();
    let mut kinds = Vec::new();
    for PutByKind { topic, is_system, kinds: of_topic } in &topics {
        for (kind, counted) in of_topic {
            let labels =
                [("topic", topic.as_str()), ("message_type", kind.name()), ("is_system", truth(*is_system))];
            kinds.push((labels, counted));
        }
    }
    let mut family = page.family("rocketmq_messages_in_total", Kind::Counter, "Messages that were stored.");
    kinds.iter().for_each(|(labels, counted)| family.add(labels, counted.messages as f64));
    let mut family = page.family("rocketmq_throughput_in_total", Kind::Counter, "Bytes that were stored.");
    kinds.iter().for_each(|(labels, counted)| family.add(labels, counted.bytes as f64));
    let mut family = page.family("rocketmq_message_size", Kind::Histogram, "Bytes of stored messages.");
    for (labels, counted) in &kinds {
        let steps = SIZES.iter().map(|size| *size as f64).zip(counted.sizes);
        family.histogram(labels, steps, counted.messages, counted.bytes);
    }
    let groups = broker.statistics.got_by_group();
    let mut family =
        page.family("rocketmq_messages_out_total", Kind::Counter, "Messages that were handed out.");
    for got in &groups {
        family.add(&out_labels(got), got.messages as f64);
    }
    let mut family =
        page.family("rocketmq_throughput_out_total", Kind::Counter, "Bytes that were handed out.");
    for got in &groups {
        family.add(&out_labels(got), got.bytes as f64);
    }
    let failed = broker.statistics.traffic().failed() as f64;
    page.family("ferrymq_messages_refused_total", Kind::Counter, "Messages that were not stored.")
        .add(&[], failed);
}

fn out_labels(got: &GotByGroup) -> [(&'static str, &str); 4] {
    [
        ("topic", got.topic.as_str()),
        ("consumer_group", got.group.as_str()),
        ("is_system", truth(got.is_system)),
        ("is_retry", truth(got.topic.as_str().starts_with(RETRY_PREFIX))),
    ]
}

fn connections(broker: &Broker, page: &mut Page) {
    type Speakers = BTreeMap<(&'static str, i32), i64>;
    fn count<'c>(callers: impl Iterator<Item = &'c Caller>, speakers: &mut Speakers) {
        callers
            .for_each(|caller| *speakers.entry((caller.language.name(), caller.version)).or_default() += 1);
    }
    let mut producers = Speakers::new();
    let mut consumers = Vec::new();
    broker.clients.look(|table| {
        for (_, members) in table.producer_groups() {
            count(members.map(|member| &member.caller), &mut producers);
        }
        for (name, group) in table.groups() {
            let mut speakers = Speakers::new();
            count(group.members().map(|member| &member.caller), &mut speakers);
            let mode = match group.manner().consume_type {
                ConsumeType::Actively => "pull",
                ConsumeType::Passively => "push",
                ConsumeType::Pop => "pop",
            };
            consumers.push((name.clone(), mode, speakers));
        }
    });
    let mut family =
        page.family("rocketmq_producer_connections", Kind::Gauge, "Producers that are connected.");
    for ((language, version), count) in producers {
        let (language, version) = (language.to_lowercase(), version.to_string());
        let labels = [("language", &*language), ("version", &version), ("protocol_type", "remoting")];
        family.add(&labels, count as f64);
    }
    let mut family =
        page.family("rocketmq_consumer_connections", Kind::Gauge, "Consumers that are connected.");
    for (group, mode, speakers) in consumers {
        let is_system = truth(broker.topics.is_system(group.as_str()));
        for ((language, version), count) in speakers {
            let (language, version) = (language.to_lowercase(), version.to_string());
            let labels = [
                ("consumer_group", group.as_str()),
                ("language", &language),
                ("version", &version),
                ("consume_mode", mode),
                ("protocol_type", "remoting"),
                ("is_system", is_system),
            ];
            family.add(&labels, count as f64);
        }
    }
}

fn store(broker: &Broker, page: &mut Page) {
    const DISK: [(&str, &str); 2] = [("storage_type", "local"), ("storage_medium", "disk")];
    let archive = &broker.archive;
    let log = archive.log();
    let (start, end) = (log.start(), log.confirmed().offset);
    let mut add = |name, help, value: i64| page.family(name, Kind::Gauge, help).add(&DISK, value as f64);
    add("rocketmq_storage_size_bytes", "Bytes of the log that are kept.", end.0 - start.0);
    add(
        "rocketmq_storage_flush_behind_bytes",
        "Bytes of the log that the disk may lose with the power.",
        (log.written().0 - log.durable().0).max(0),
    );
    add(
        "rocketmq_storage_dispatch_behind_bytes",
        "Bytes of the log that no queue shows yet.",
        (end.0 - archive.derived().position().0).max(0),
    );
    let kept_ms = archive.earliest_time().map_or(0, |earliest| clock::now().0 - earliest.0);
    add("rocketmq_storage_message_reserve_time_milliseconds", "Age of the oldest message.", kept_ms);
    if let Some(space) = space(&broker.vitals.log_folder) {
        let mut add = |name, help, value: u64| page.gauge(name, help, value as f64);
        add("ferrymq_disk_used_percent", "Of the disk with the log.", space.used().0.into());
        add("ferrymq_disk_available_bytes", "What this node may still take of it.", space.available);
    }
}

fn timers(broker: &Broker, page: &mut Page) {
    let Some(timers) = broker.delays.timers() else { return };
    page.gauge(
        "rocketmq_timing_messages",
        "Timer messages that wait for their time.",
        timers.waiting() as f64,
    );
}

fn raft(broker: &Broker, page: &mut Page) {
    let Some(group) = broker.writer.group() else { return };
    let status = group.status();
    let name = [("node", status.member.name.as_str())];
    let mut add = |metric, help, value: f64| page.family(metric, Kind::Gauge, help).add(&name, value);
    add(
        "ferrymq_raft_leader",
        "1 if this node leads its group and serves.",
        f64::from(u8::from(broker.writer.is_leader())),
    );
    add(
        "ferrymq_raft_has_leader",
        "1 if this node knows who leads.",
        f64::from(u8::from(status.leader.is_some())),
    );
    add("ferrymq_raft_term", "The term of the group.", status.term.0 as f64);
    add("ferrymq_raft_last_index", "The last entry of this node's log.", status.last.0 as f64);
    add("ferrymq_raft_commit_index", "The last entry that is final.", status.committed.0 as f64);
    add("ferrymq_raft_applied_index", "The last entry that is applied.", status.applied.0 as f64);
    let behind: Vec<_> =
        status.nodes.iter().filter_map(|node| Some((&*node.member.name, node.lag?))).collect();
    let help = "Entries that another node is behind, as the leader sees it.";
    let mut family = page.family("ferrymq_raft_peer_lag_entries", Kind::Gauge, help);
    behind.into_iter().for_each(|(peer, lag)| family.add(&[("peer", peer)], lag as f64));
}

/// How far a group is behind in a topic.
#[derive(Debug, Default)]
struct Lag {
    messages: i64,
    ready: i64,
    in_flight: i64,
    /// When the oldest message was stored that is not consumed, and not handed out.
    oldest: Option<Timestamp>,
    oldest_ready: Option<Timestamp>,
}

/// What a page says of a lag.
type Figure = fn(&Lag, Timestamp) -> i64;

fn age(time: Option<Timestamp>, now: Timestamp) -> i64 {
    time.map_or(0, |time| (now.0 - time.0).max(0))
}

async fn lag(broker: &Arc<Broker>, page: &mut Page) -> Result<(), Refusal> {
    let mut groups: Vec<GroupName> = {
        let tables = broker.tables.read();
        tables.offsets().iter().map(|(group, _, _)| group.clone()).collect()
    };
    groups.dedup();
    let (mut queues, mut left_out) = (0, 0);
    let mut lags = Vec::new();
    for group in groups {
        if queues > QUEUES_MAX {
            left_out += 1;
            continue;
        }
        let topics = broker.offsets.topics_of(group.as_str());
        let stands = broker.consumption.stands(group.as_str(), topics).await?;
        queues += stands.len();
        let of_topics = broker.archive.patiently(move |archive| lag_by_topic(archive, &stands)).await?;
        lags.extend(of_topics.into_iter().map(|(topic, lag)| (group.clone(), topic, lag)));
    }
    let now = clock::now();
    let families: [(&str, &str, Figure); 5] = [
        ("rocketmq_consumer_lag_messages", "Messages that are not consumed.", |lag, _| lag.messages),
        ("rocketmq_consumer_ready_messages", "Messages that are not handed out.", |lag, _| lag.ready),
        (
            "rocketmq_consumer_inflight_messages",
            "Messages that are handed out and not consumed.",
            |lag, _| lag.in_flight,
        ),
        (
            "rocketmq_consumer_lag_latency_milliseconds",
            "Age of the oldest message that is not consumed.",
            |lag, now| age(lag.oldest, now),
        ),
        (
            "rocketmq_consumer_queueing_latency_milliseconds",
            "Age of the oldest message that is not handed out.",
            |lag, now| age(lag.oldest_ready, now),
        ),
    ];
    for (name, help, value) in families {
        let mut family = page.family(name, Kind::Gauge, help);
        for (group, topic, lag) in &lags {
            let labels = [
                ("topic", topic.as_str()),
                ("consumer_group", group.as_str()),
                ("is_retry", truth(topic.as_str().starts_with(RETRY_PREFIX))),
                ("is_system", truth(broker.topics.is_system(group.as_str()))),
            ];
            family.add(&labels, value(lag, now) as f64);
        }
    }
    page.gauge(
        "ferrymq_consumer_lag_groups_left_out",
        "Groups whose lag was too much to work out.",
        f64::from(left_out),
    );
    Ok(())
}

fn lag_by_topic(archive: &Archive, stands: &[QueueStand]) -> Result<BTreeMap<TopicName, Lag>, Refusal> {
    let mut lags = BTreeMap::<TopicName, Lag>::new();
    for stand in stands.iter().filter(|stand| !stand.topic.as_str().starts_with(DEAD_LETTER_PREFIX)) {
        let Some(consumed) = stand.consumed else { continue };
        let next = consumed.0.clamp(stand.span.min.0, stand.span.max.0);
        let pulled = stand.pulled.0.clamp(next, stand.span.max.0);
        let lag = lags.entry(stand.topic.clone()).or_default();
        lag.messages += stand.span.max.0 - next;
        lag.in_flight += pulled - next;
        lag.ready += stand.span.max.0 - pulled;
        let stored = |offset: i64| {
            let waits = offset < stand.span.max.0;
            let time = || archive.store_time(&stand.topic, stand.queue, QueueOffset(offset));
            waits.then(time).transpose().map(Option::flatten)
        };
        lag.oldest = earlier(lag.oldest, stored(next)?);
        lag.oldest_ready = earlier(lag.oldest_ready, stored(pulled)?);
    }
    Ok(lags)
}

fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min_by_key(|time| time.0)
}
