//! Offsets of queues and of groups.

use std::sync::Arc;

use ferrymq_proto::bodies::CorrectionOffsets;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{
    Boundary, CloneOffsets, EarliestStoreTimeReply, GetCorrectionOffsets, GetEarliestStoreTime, GetMaxOffset,
    GetMinOffset, OffsetReply, QueryConsumerOffset, SearchOffset, UpdateConsumerOffset,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::{Call, Connection};
use ferrymq_proto::position::{QueueOffset, Timestamp};
use ferrymq_storage::queues;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply, answered};
use crate::server::refuse;
use crate::services::offsets::Commit;

/// 14.
pub fn query(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = QueryConsumerOffset::decode(&request.fields)?;
    let may_be_zero = header.set_zero_if_not_found != Some(false);
    let offset = broker.offsets.start(&header.consumer_group, &header.topic, header.queue_id, may_be_zero)?;
    Ok(Reply::header(&OffsetReply { offset }))
}

/// 15. A group keeps an answer back until no failover forgets the commit.
pub fn commit(broker: &Arc<Broker>, call: Call) {
    let (header, topic) = match to_commit(broker, &call.request) {
        Ok(checked) => checked,
        Err(refusal) => return refuse(call, refusal),
    };
    if call.request.is_one_way() || broker.writer.group().is_none() {
        let commit =
            broker.offsets.commit(&header.consumer_group, &topic, header.queue_id, header.commit_offset);
        let answer = answered(&call.request, Ok(committed(commit)));
        return call.answer(answer);
    }
    let (broker, runtime) = (Arc::clone(broker), broker.runtime.clone());
    runtime.spawn(async move {
        let (group, next) = (&header.consumer_group, header.commit_offset);
        let commit = broker.offsets.commit_safely(group, &topic, header.queue_id, next).await;
        let answer = answered(&call.request, commit.map(committed).map_err(Refusal::from));
        call.answer(answer);
    });
}

/// Queues that the topic does not have are refused, which Java takes: the table of offsets must not grow with invented ones.
fn to_commit(broker: &Broker, request: &Command) -> Result<(UpdateConsumerOffset, TopicName), Refusal> {
    let header = UpdateConsumerOffset::decode(&request.fields)?;
    let (topic, queues) = {
        let tables = broker.tables.read();
        if tables.groups().find(&header.consumer_group).is_none() {
            return Err(Refusal::NoSuchGroup(header.consumer_group.to_string()));
        }
        let topic = tables.topics().find_named(&header.topic);
        let (name, config) = topic.ok_or_else(|| Refusal::NoSuchTopic(header.topic.to_string()))?;
        (name.clone(), config.read_queue_nums.max(config.write_queue_nums))
    };
    if !(0..queues).contains(&header.queue_id.0) {
        return Err(Refusal::NoSuchQueue { topic, queue: header.queue_id, queues });
    }
    if header.commit_offset < QueueOffset(0) {
        return Err(Refusal::Parameter(format!("the offset {} is negative", header.commit_offset)));
    }
    Ok((header, topic))
}

fn committed(commit: Commit) -> Reply {
    match commit {
        Commit::Taken => Reply::empty(),
        Commit::Ignored => Reply::empty().with_remark("Offset has been previously reset"),
    }
}

/// 30.
pub fn max(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetMaxOffset::decode(&request.fields)?;
    let offset = broker.offsets.span(&header.topic, header.queue_id)?.max;
    Ok(Reply::header(&OffsetReply { offset }))
}

/// 31.
pub fn min(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetMinOffset::decode(&request.fields)?;
    let offset = broker.offsets.span(&header.topic, header.queue_id)?.min;
    Ok(Reply::header(&OffsetReply { offset }))
}

/// 29.
pub async fn at_time(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = SearchOffset::decode(&request.fields)?;
    let boundary = match header.boundary {
        Boundary::Lower => queues::Boundary::Lower,
        Boundary::Upper => queues::Boundary::Upper,
    };
    let offset = broker.offsets.at_time(&header.topic, header.queue_id, header.timestamp, boundary)?;
    Ok(Reply::header(&OffsetReply { offset }))
}

/// 32.
pub async fn earliest_time(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = GetEarliestStoreTime::decode(&request.fields)?;
    let timestamp = broker.offsets.earliest_time(&header.topic, header.queue_id)?.unwrap_or(Timestamp(-1));
    Ok(Reply::header(&EarliestStoreTimeReply { timestamp }))
}

/// 308: how far all groups have got that consume a topic, but for some.
pub fn correction(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetCorrectionOffsets::decode(&request.fields)?;
    let left_out: Vec<_> = header.filter_groups.as_deref().unwrap_or_default().split(',').collect();
    let mut offsets = broker.offsets.smallest(&header.topic, &left_out)?;
    for (queue, compared) in broker.offsets.queues(&header.compare_group, &header.topic) {
        if let Some(offset) = offsets.get_mut(&queue).filter(|offset| **offset > compared) {
            *offset = QueueOffset(i64::MAX);
        }
    }
    Ok(Reply::body(json::to_string(&CorrectionOffsets { offsets }, Dialect::Fastjson)))
}

/// 314: topics that are gone are left out, and those that the group has stopped to subscribe to.
pub async fn copy(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = CloneOffsets::decode(&request.fields)?;
    let source = &header.source_group;
    let wanted = header.topic.as_deref().unwrap_or_default();
    let mut topics = broker.offsets.topics_of(source);
    topics.retain(|topic| wanted.is_empty() || topic == wanted);
    topics.retain(|topic| broker.topics.find(topic.as_str()).is_some());
    if !header.offline && broker.clients.manner(source).is_some() {
        topics.retain(|topic| broker.clients.subscription(source, topic.as_str()).is_some());
    }
    broker.offsets.copy(source, &header.destination_group, topics.into_iter().collect()).await?;
    Ok(Reply::empty())
}
