//! Topics: where they are, and the few changes that do not come with a registration.

use ferrymq_proto::bodies::TopicRoute;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{DeleteRoute, GetRoute, RegisterTopic};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::Connection;
use ferrymq_proto::version;

use crate::kv::ORDER_TOPICS;
use crate::office::{Office, Reply};
use crate::refusal::Refusal;
use crate::routes::{Lookup, Queues};

pub(crate) fn route(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = GetRoute::decode(&request.fields)?;
    let settings = office.settings();
    if settings.need_wait_for_service && office.started.elapsed() < settings.wait_for_service {
        return Err(Refusal::NotReady);
    }
    let zone = header.zone_name.as_deref().filter(|zone| !zone.trim().is_empty());
    let zone = zone.filter(|_| header.zone_mode == Some(true));
    // Apache writes a route that it filtered by zone in its own dialect, whoever asked.
    let reads_standard = request.version >= version::V4_9_4 || header.accept_standard_json_only == Some(true);
    let dialect = if reads_standard && zone.is_none() { Dialect::Standard } else { Dialect::Fastjson };
    let order = settings
        .order_message_enable
        .then(|| office.kv().get(ORDER_TOPICS, &header.topic).map(str::to_owned));
    let order = order.flatten();
    let lookup =
        Lookup { dialect, zone, acting_masters: settings.support_acting_master, order: order.as_deref() };
    let route = office.routes().route(&header.topic, &lookup);
    route.map(Reply::body).ok_or_else(|| Refusal::NoRoute(header.topic.to_string()))
}

pub(crate) fn register(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = RegisterTopic::decode(&request.fields)?;
    let topic = TopicName::parse(&header.topic)?;
    let route: TopicRoute = json::from_slice(&request.body)?;
    let queues = route.queue_datas.into_iter().map(|data| {
        let queues = Queues {
            read: data.read_queue_nums,
            write: data.write_queue_nums,
            permission: data.perm,
            sys_flag: data.topic_sys_flag,
        };
        (data.broker_name, queues)
    });
    office.routes_mut().add_topic(topic.as_str(), &queues.collect::<Vec<_>>());
    Ok(Reply::default())
}

pub(crate) fn delete(office: &Office, request: &Command, connection: &Connection) -> Result<Reply, Refusal> {
    let header = DeleteRoute::decode(&request.fields)?;
    let cluster = header.cluster_name.as_deref().filter(|cluster| !cluster.is_empty());
    office.routes_mut().delete_topic(&header.topic, cluster);
    tracing::info!(topic = ?header.topic, cluster, peer = %connection.peer(), "a topic's route was deleted");
    Ok(Reply::default())
}
