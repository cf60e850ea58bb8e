//! Lists of topics.

use ferrymq_proto::bodies::TopicList;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::ListClusterTopics;
use ferrymq_proto::net::Connection;

use super::fastjson;
use crate::office::{Office, Reply};
use crate::refusal::Refusal;
use crate::routes::{Routes, UNIT, UNIT_SUBSCRIBED};

pub(crate) fn all(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    if !office.settings().enable_all_topic_list {
        return Err(Refusal::ListDisabled);
    }
    Ok(Reply::body(fastjson(&office.routes().all_topics())))
}

pub(crate) fn system(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    Ok(Reply::body(fastjson(&office.routes().system_topics())))
}

pub(crate) fn of_cluster(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = ListClusterTopics::decode(&request.fields)?;
    listed(office, |routes| routes.topics_of_cluster(&header.cluster))
}

pub(crate) fn unit(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    listed(office, |routes| routes.topics_flagged(UNIT, 0))
}

pub(crate) fn unit_subscribed(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    listed(office, |routes| routes.topics_flagged(UNIT_SUBSCRIBED, 0))
}

pub(crate) fn unit_subscribed_plain(office: &Office, _: &Command, _: &Connection) -> Result<Reply, Refusal> {
    listed(office, |routes| routes.topics_flagged(UNIT_SUBSCRIBED, UNIT))
}

fn listed(office: &Office, list: impl FnOnce(&Routes) -> TopicList) -> Result<Reply, Refusal> {
    if !office.settings().enable_topic_list {
        return Err(Refusal::ListDisabled);
    }
    Ok(Reply::body(fastjson(&list(&office.routes()))))
}
