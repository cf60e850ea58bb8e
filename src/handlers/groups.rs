//! Administering consumer groups.

use std::sync::Arc;

use ferrymq_proto::bodies::{GroupConfig, GroupConfigList, GroupForbidden, GroupList, TopicList};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{
    DeleteGroup, GetGroupConfig, GetGroupTable, GroupTableReply, ListGroupTopics, ListTopicGroups,
    UpdateGroupForbidden,
};
use ferrymq_proto::json::{self, Dialect, ToJson};
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};

/// 200.
pub async fn put(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let config: GroupConfig = json::from_slice(&request.body)?;
    broker.groups.put(vec![config]).await?;
    Ok(Reply::empty())
}

/// 225.
pub async fn put_all(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let list: GroupConfigList = json::from_slice(&request.body)?;
    broker.groups.put(list.groups).await?;
    Ok(Reply::empty())
}

/// 201. Whoever asks for a page gets as much as it asks for.
pub fn table(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetGroupTable::decode(&request.fields)?;
    let number =
        |given: Option<i32>, otherwise| given.map_or(otherwise, |given| usize::try_from(given).unwrap_or(0));
    let (table, total) =
        broker.groups.table(number(header.group_seq, 0), number(header.max_group_num, usize::MAX));
    let reply = GroupTableReply { total_group_num: i32::try_from(total).ok() };
    Ok(Reply::header(&reply).with_body(json::to_string(&table, Dialect::Fastjson)))
}

/// 207.
pub async fn delete(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = DeleteGroup::decode(&request.fields)?;
    let _held = broker.offsets.hold_back().await;
    broker.groups.delete(&header.group_name, header.clean_offset).await?;
    broker.statistics.forget_group(&header.group_name);
    if header.clean_offset {
        broker.offsets.forget_group(&header.group_name);
    }
    Ok(Reply::empty())
}

/// 352.
pub fn config(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetGroupConfig::decode(&request.fields)?;
    let config =
        broker.groups.find(&header.group).ok_or_else(|| Refusal::NoSuchGroup(header.group.to_string()))?;
    Ok(body(&*config))
}

/// 353.
pub async fn allow(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let UpdateGroupForbidden { group, topic, readable } = UpdateGroupForbidden::decode(&request.fields)?;
    if let Some(readable) = readable {
        broker.groups.allow_to_read(&group, &topic, readable).await?;
    }
    let readable = Some(broker.groups.may_read(&group, &topic));
    Ok(body(&GroupForbidden { group: Some(group.to_string()), readable, topic: Some(topic.to_string()) }))
}

/// 300: those that are connected, and those that were.
pub fn of_topic(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = ListTopicGroups::decode(&request.fields)?;
    let mut groups = broker.offsets.groups_of(&header.topic);
    groups.extend(broker.clients.subscribers(&header.topic));
    Ok(body(&GroupList { groups: groups.iter().map(ToString::to_string).collect() }))
}

/// 343.
pub fn topics(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = ListGroupTopics::decode(&request.fields)?;
    let topics = broker.offsets.topics_of(&header.group);
    Ok(body(&TopicList {
        broker_addr: Some(broker.address.to_string()),
        topic_list: topics.iter().map(ToString::to_string).collect(),
    }))
}

fn body(body: &impl ToJson) -> Reply {
    Reply::body(json::to_string(body, Dialect::Fastjson))
}
