//! Moving groups to other offsets, and asking consumers how far they are.
//!
//! A reset takes effect in the broker, whether its consumers are there or not; or, where the settings say so, in the consumers,
//! as it did before 5.0.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::bodies::{
    ConsumerStatus, MessageQueue, OffsetOfQueue, QueueOffsetList, QueueOffsets, TopicConfig,
};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{GetClientStatus, GetConsumerStatus, ResetClientOffset, ResetOffset};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::language::Language;
use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::net::Connection;
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use tokio::task::JoinSet;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};
use crate::services::clients::{Member, request};
use crate::services::offsets::Target;
use crate::state::QueueLine;

/// Before this (3.0.7) a client cannot be reset.
const CAN_BE_RESET: i32 = 28;
/// How long consumers may take to say how far they are.
const STATUS_WAIT: Duration = Duration::from_secs(5);

/// 222.
pub async fn reset(broker: &Arc<Broker>, command: &Command, _connection: &Connection) -> Answer {
    let header = ResetOffset::decode(&command.fields)?;
    let found = broker.topics.find_named(&header.topic);
    let (topic, config) = found.ok_or_else(|| Refusal::NoSuchTopic(header.topic.to_string()))?;
    let lines = if broker.offsets.resets_here() {
        reset_here(broker, &header, &topic, &config).await?
    } else {
        reset_consumers(broker, &header, &config)?
    };
    tracing::info!(group = %header.group, %topic, queues = lines.len(), "offsets are reset");
    let offset_table =
        lines.iter().map(|line| (queue_of(broker, &header.topic, line.queue), line.next)).collect();
    Ok(Reply::body(json::to_string(&QueueOffsets { offset_table }, Dialect::Fastjson)))
}

async fn reset_here(
    broker: &Broker,
    header: &ResetOffset,
    topic: &TopicName,
    config: &TopicConfig,
) -> Result<Vec<QueueLine>, Refusal> {
    if broker.groups.find(&header.group).is_none() {
        return Err(Refusal::NoSuchGroup(header.group.to_string()));
    }
    let group = GroupName::parse(&header.group)?;
    let queues = config.read_queue_nums;
    let lines = if header.queue_id < QueueId(0) {
        let target = Target::new(None, header.timestamp);
        broker.offsets.targets(&header.topic, (0..queues).map(QueueId), target)?
    } else if header.queue_id.0 >= queues {
        return Err(Refusal::NoSuchQueue { topic: topic.clone(), queue: header.queue_id, queues });
    } else {
        let target = Target::new(header.offset, header.timestamp);
        broker.offsets.targets(&header.topic, [header.queue_id], target)?
    };
    if lines.is_empty() {
        return Err(Refusal::Failed("No queues to reset.".to_owned()));
    }
    broker.offsets.reset(&group, topic, lines.clone()).await?;
    // Consumers that wait for messages hear of it now, and not when they have waited long enough.
    for line in &lines {
        broker.arrivals.wake(topic.as_str(), line.queue, QueueOffset(i64::MAX));
    }
    Ok(lines)
}

fn reset_consumers(
    broker: &Broker,
    header: &ResetOffset,
    config: &TopicConfig,
) -> Result<Vec<QueueLine>, Refusal> {
    let mut lines = Vec::new();
    for queue in (0..config.write_queue_nums).map(QueueId) {
        let missing = || Refusal::Failed(format!("The consumer group <{}> not exist", header.group));
        let consumed = broker.offsets.find(&header.group, &header.topic, queue).ok_or_else(missing)?;
        let target = match header.timestamp {
            Timestamp(-1) => Target::End,
            time => Target::Time(time),
        };
        let wanted = broker.offsets.targets(&header.topic, [queue], target)?;
        let next = wanted.first().map_or(consumed, |line| line.next);
        // Unless it is forced, a reset leads backwards only.
        lines.push(QueueLine { queue, next: if header.is_force { next } else { next.min(consumed) } });
    }
    let members = broker.clients.consumers(&header.group);
    if members.is_empty() {
        return Err(Refusal::GroupOffline(header.group.to_string()));
    }
    for member in &members {
        check_version(member)?;
        if !broker.clients.tell(member, reset_request(broker, header, &lines, member.caller.language)) {
            tracing::warn!(group = %header.group, client = %member.caller.client, "a consumer could not be reset");
        }
    }
    Ok(lines)
}

fn check_version(member: &Member) -> Result<(), Refusal> {
    let version = member.caller.version;
    if version < CAN_BE_RESET {
        return Err(Refusal::ClientTooOld { client: member.caller.client.to_string(), version });
    }
    Ok(())
}

fn reset_request(broker: &Broker, header: &ResetOffset, lines: &[QueueLine], language: Language) -> Command {
    let reset = ResetClientOffset {
        topic: header.topic.clone(),
        group: header.group.clone(),
        timestamp: header.timestamp,
        // What it would force is settled already.
        is_force: false,
        queue_id: QueueId(-1),
        offset: None,
    };
    let body = if language == Language::Cpp {
        // It reads no objects as keys.
        let offset = |line: &QueueLine| OffsetOfQueue {
            broker_name: broker.identity.name.to_string(),
            offset: line.next,
            queue_id: line.queue,
            topic: header.topic.to_string(),
        };
        json::to_string(
            &QueueOffsetList { offset_table: lines.iter().map(offset).collect() },
            Dialect::Fastjson,
        )
    } else {
        let offset = |line: &QueueLine| (queue_of(broker, &header.topic, line.queue), line.next);
        json::to_string(&QueueOffsets { offset_table: lines.iter().map(offset).collect() }, Dialect::Fastjson)
    };
    request(&reset, body)
}

fn queue_of(broker: &Broker, topic: &str, queue_id: QueueId) -> MessageQueue {
    MessageQueue { broker_name: broker.identity.name.to_string(), queue_id, topic: topic.to_owned() }
}

/// 223: all consumers of a group, or one of them, say how far they are. Who does not answer is left out.
pub async fn status(broker: &Arc<Broker>, command: &Command, _connection: &Connection) -> Answer {
    let header = GetConsumerStatus::decode(&command.fields)?;
    let members = broker.clients.consumers(&header.group);
    if members.is_empty() {
        let group = &header.group;
        return Err(Refusal::Failed(format!("No Any Consumer online in the consumer group: [{group}]")));
    }
    let wanted = header.client_addr.as_deref().unwrap_or_default().trim();
    let mut answers = JoinSet::new();
    for member in members {
        check_version(&member)?;
        if wanted.is_empty() || member.caller.client.as_str() == wanted {
            let (broker, header) = (Arc::clone(broker), header.clone());
            answers.spawn(async move {
                (member.caller.client.to_string(), ask_status(&broker, &header, &member).await)
            });
        }
    }
    let mut consumer_table = BTreeMap::new();
    while let Some(answer) = answers.join_next().await {
        if let Ok((client, Some(table))) = answer {
            consumer_table.insert(client, table);
        }
    }
    let status = ConsumerStatus { consumer_table, ..ConsumerStatus::default() };
    Ok(Reply::body(json::to_string(&status, Dialect::Fastjson)))
}

async fn ask_status(
    broker: &Broker,
    header: &GetConsumerStatus,
    member: &Member,
) -> Option<BTreeMap<MessageQueue, QueueOffset>> {
    let question =
        GetClientStatus { topic: header.topic.clone(), group: header.group.clone(), client_addr: None };
    let answer = broker.clients.ask(&header.group, member, request(&question, ""), STATUS_WAIT).await.ok()?;
    if answer.code != ResponseCode::SUCCESS.0 || answer.body.is_empty() {
        return None;
    }
    let status = json::from_slice::<ConsumerStatus>(&answer.body);
    status
        .inspect_err(|error| tracing::warn!(%error, "a consumer's answer cannot be read"))
        .ok()
        .map(|status| status.message_queue_table)
}
