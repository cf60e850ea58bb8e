//! Looking at stored messages.

use std::sync::Arc;

use ferrymq_proto::bodies::{ConsumeQueueEntries, ConsumeQueueEntry};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{QueryConsumeQueue, QueryMessages, QueryReply, ViewMessage};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};
use crate::services::query::Wanted;

/// 12.
pub async fn by_key(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = QueryMessages::decode(&request.fields)?;
    let wanted = Wanted {
        topic: TopicName::parse(&header.topic)?,
        key: header.key.to_string(),
        is_unique: header.unique_key_query,
        messages_max: usize::try_from(header.max_num).unwrap_or_default(),
        begin: header.begin_timestamp,
        end: header.end_timestamp,
    };
    let found = broker.query.by_key(wanted).await?;
    let reply = Reply::header(&QueryReply {
        index_last_update_timestamp: found.indexed_time,
        index_last_update_offset: found.indexed_offset,
    });
    Ok(match found.messages.is_empty() {
        false => reply.with_body(found.messages),
        true => reply
            .with_code(ResponseCode::QUERY_NOT_FOUND)
            .with_remark("can not find message, maybe time range not correct"),
    })
}

/// 33.
pub async fn by_offset(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = ViewMessage::decode(&request.fields)?;
    Ok(Reply::body(broker.query.by_offset(header.offset).await?))
}

/// 321.
pub async fn entries(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let QueryConsumeQueue { topic, queue_id, index, count, consumer_group } =
        QueryConsumeQueue::decode(&request.fields)?;
    let count = usize::try_from(count).unwrap_or_default();
    let excerpt = broker.query.entries(TopicName::parse(&topic)?, queue_id, index, count).await?;
    let missing = || Refusal::Failed(format!("{queue_id}@{topic} is not exist!"));
    let excerpt = excerpt.ok_or_else(missing)?;
    let subscription = consumer_group.as_deref().and_then(|group| broker.clients.subscription(group, &topic));
    let offline = consumer_group.filter(|_| subscription.is_none());
    let is_out_of_range = excerpt.entries.is_empty() && count > 0;
    let body = ConsumeQueueEntries {
        filter_data: offline.map(|group| format!("{group}@{topic} is not online!")),
        max_queue_index: excerpt.span.max,
        min_queue_index: excerpt.span.min,
        entries: excerpt
            .entries
            .iter()
            .map(|entry| ConsumeQueueEntry {
                log_offset: entry.log_offset,
                size: i32::try_from(entry.bytes).unwrap_or(i32::MAX),
                tags_code: entry.tags_code.0,
                ..ConsumeQueueEntry::default()
            })
            .collect(),
        subscription_data: subscription.map(|subscription| subscription.data().clone()),
    };
    let reply = Reply::body(json::to_string(&body, Dialect::Fastjson));
    Ok(match is_out_of_range {
        true => reply.with_remark(format!("Index {index} of {queue_id}@{topic} is not exist!")),
        false => reply,
    })
}
