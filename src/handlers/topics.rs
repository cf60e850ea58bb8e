//! Administering topics.

use std::sync::Arc;

use ferrymq_proto::bodies::{DataVersion, MappedTopicConfig, TopicConfig, TopicConfigList, TopicList};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{DeleteTopic, GetTopicConfig, GetTopicTable, TopicTableReply, UpdateTopic};
use ferrymq_proto::json::{self, Dialect, ToJson};
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};
use crate::services::topics::attributes;

/// 17.
pub async fn put(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = UpdateTopic::decode(&request.fields)?;
    let changes = attributes::read_changes(header.attributes.as_deref().unwrap_or_default());
    let config = TopicConfig {
        attributes: changes.map_err(|error| Refusal::Failed(error.to_string()))?,
        order: header.order,
        perm: header.perm,
        read_queue_nums: header.read_queue_nums,
        topic_filter_type: header.topic_filter_type,
        topic_name: header.topic.to_string(),
        topic_sys_flag: header.topic_sys_flag,
        write_queue_nums: header.write_queue_nums,
    };
    broker.topics.put(vec![config]).await?;
    Ok(Reply::empty())
}

/// 18.
pub async fn put_all(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let list: TopicConfigList = json::from_slice(&request.body)?;
    broker.topics.put(list.topics).await?;
    Ok(Reply::empty())
}

/// 21. Whoever asks for a page gets as much as it asks for, from the start if the table has changed since the last page.
pub fn table(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetTopicTable::decode(&request.fields)?;
    let number =
        |given: Option<i32>, otherwise| given.map_or(otherwise, |given| usize::try_from(given).unwrap_or(0));
    let seen = header.data_version.as_deref().and_then(|text| json::from_str::<DataVersion>(text).ok());
    let tables = broker.tables.read();
    let is_same = seen.as_ref() == Some(tables.topics().version());
    let begin = if is_same { number(header.topic_seq, 0) } else { 0 };
    let table = tables.topics().body(begin, number(header.max_topic_num, usize::MAX));
    let reply = TopicTableReply { total_topic_num: i32::try_from(tables.topics().count()).ok() };
    drop(tables);
    Ok(Reply::header(&reply).with_body(json::to_string(&table, Dialect::Fastjson)))
}

/// 351.
pub fn config(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetTopicConfig::decode(&request.fields)?;
    let found = broker.topics.find(&header.topic);
    let found = found.ok_or_else(|| Refusal::NoSuchTopic(header.topic.to_string()))?;
    Ok(body(&MappedTopicConfig::from((*found).clone())))
}

/// 215.
pub async fn delete(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = DeleteTopic::decode(&request.fields)?;
    let groups = broker.offsets.groups_of(&header.topic);
    let _held = broker.offsets.hold_back().await;
    let gone = broker.topics.delete(&header.topic, groups.iter().map(|group| group.as_str())).await?;
    for topic in &gone {
        broker.offsets.forget_topic(topic.as_str());
        broker.statistics.forget_topic(topic.as_str());
    }
    Ok(Reply::empty())
}

/// 305.
pub fn system(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let topic_list = broker.topics.system().map(ToString::to_string).collect();
    Ok(body(&TopicList { broker_addr: None, topic_list }))
}

/// 316.
pub async fn clean_unused(broker: &Arc<Broker>, _request: &Command, _connection: &Connection) -> Answer {
    let stored = broker.archive.patiently(|archive| archive.topics()).await?;
    broker.topics.delete_unused(stored).await?;
    Ok(Reply::empty())
}

fn body(body: &impl ToJson) -> Reply {
    Reply::body(json::to_string(body, Dialect::Fastjson))
}
