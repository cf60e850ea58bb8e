//! Clients: their heartbeats, who is connected, and what tools want to hear from them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::{
    ClientCheck, Connection as ClientConnection, ConsumeType, ConsumerConnections, ConsumerData,
    ConsumerList, GroupSubscription, HeartbeatData, ProducerConnections, ProducerInfo, ProducerTable,
};
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::fields::Fields;
use ferrymq_proto::filter::{self, Filter};
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{
    ConsumeDirectly, GetConsumerConnections, GetConsumerRunningInfo, GetProducerConnections, GetSubscription,
    HeartbeatReply, ListConsumers, UnregisterClient,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::GroupName;
use ferrymq_proto::net::{Call, Connection};
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::text::Text;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply, answered};
use crate::server::refuse;
use crate::services::clients::{Caller, ConsumerGroup, Manner, Member, Statement};
use crate::services::groups::Need;
use crate::state::ClientId;

/// What a client may call itself.
const CLIENT_ID_BYTES_MAX: usize = 1024;
/// Objects in one heartbeat: they take far more memory than their text.
const HEARTBEAT_OBJECTS_MAX: usize = 100_000;
/// How long a client may take to answer what a tool asks.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// Before this (3.1.8) a client answers no tools.
const ANSWERS_TOOLS: i32 = 62;

/// 34.
pub fn heartbeat(broker: &Arc<Broker>, call: Call) {
    let heartbeat = match read_heartbeat(&call.request) {
        Ok(heartbeat) => heartbeat,
        Err(refusal) => return refuse(call, refusal),
    };
    let needs = unmet(broker, &heartbeat);
    if needs.is_empty() {
        return hear(broker, call, &heartbeat);
    }
    let (broker, runtime) = (Arc::clone(broker), broker.runtime.clone());
    runtime.spawn(async move {
        for need in needs {
            if let Err(refusal) = broker.groups.meet(&need).await {
                // It may consume all the same, if only its group is there.
                tracing::warn!(group = %need.group, %refusal, "a group is not ready for its consumers");
            }
        }
        hear(&broker, call, &heartbeat);
    });
}

fn read_heartbeat(request: &Command) -> Result<HeartbeatData, Refusal> {
    let objects = request.body.iter().filter(|byte| **byte == b'{').count();
    if objects > HEARTBEAT_OBJECTS_MAX {
        return Err(Refusal::Parameter(format!(
            "the heartbeat has {objects} entries, more than the {HEARTBEAT_OBJECTS_MAX} allowed"
        )));
    }
    let heartbeat: HeartbeatData = json::from_slice(&request.body)?;
    client_id(&heartbeat.client_id)?;
    Ok(heartbeat)
}

/// Checks what a client calls itself: it is logged, compared and kept.
pub fn client_id(text: &str) -> Result<ClientId, Refusal> {
    if text.is_empty() || text.len() > CLIENT_ID_BYTES_MAX {
        let bytes = text.len();
        return Err(Refusal::Parameter(format!(
            "a client id has 1 to {CLIENT_ID_BYTES_MAX} bytes, not {bytes}"
        )));
    }
    if text.chars().any(char::is_control) {
        return Err(Refusal::Parameter("a client id has no control characters".to_owned()));
    }
    Ok(ClientId::from(text))
}

/// The groups in a heartbeat that are listened to.
fn consumers<'h>(
    broker: &Broker,
    heartbeat: &'h HeartbeatData,
) -> impl Iterator<Item = (GroupName, &'h ConsumerData)> {
    let refuses_pull = broker.pull_rules.get().refuses_pull_consumers;
    let welcome =
        move |consumer: &&ConsumerData| !refuses_pull || consumer.consume_type != ConsumeType::Actively;
    let named = |consumer: &'h ConsumerData| Some((GroupName::parse(&consumer.group_name).ok()?, consumer));
    heartbeat.consumers.iter().filter(welcome).filter_map(named)
}

/// What has to be created before the consumers of a heartbeat can be members of their groups.
fn unmet(broker: &Broker, heartbeat: &HeartbeatData) -> Vec<Need> {
    let need = |(group, consumer): (GroupName, &ConsumerData)| {
        let topics = consumer.subscriptions.iter().map(|subscription| subscription.topic.as_str());
        let is_ordered = broker.groups.consumes_in_order(topics);
        Need { group, is_ordered, unit_mode: consumer.unit_mode }
    };
    consumers(broker, heartbeat).map(need).filter(|need| !broker.groups.is_met(need)).collect()
}

fn hear(broker: &Broker, call: Call, heartbeat: &HeartbeatData) {
    let reply = register(broker, &call, heartbeat).map(|wants_all| {
        let header = HeartbeatReply {
            is_support_heart_beat_v2: Some(true),
            // Java says so to whoever does not ask.
            is_sub_change: Some(wants_all || heartbeat.heartbeat_fingerprint == 0),
        };
        Reply::header(&header)
    });
    let command = answered(&call.request, reply);
    call.answer(command);
}

/// Whether the client should state its subscriptions in full.
fn register(broker: &Broker, call: &Call, heartbeat: &HeartbeatData) -> Result<bool, Refusal> {
    let caller = Caller {
        connection: call.connection.id(),
        client: client_id(&heartbeat.client_id)?,
        address: call.connection.peer(),
        language: call.request.language,
        version: call.request.version,
    };
    let fingerprint = heartbeat.heartbeat_fingerprint;
    let leaves_out = fingerprint != 0 && heartbeat.without_subscriptions;
    let mut wants_all = false;
    for (group, consumer) in consumers(broker, heartbeat) {
        // A group that may not come by itself is passed over in silence, as Java does. Followers hear of it later.
        if broker.groups.find(group.as_str()).is_none() && broker.writer.is_leader() {
            continue;
        }
        let manner = Manner {
            consume_type: consumer.consume_type,
            model: consumer.message_model,
            from_where: consumer.consume_from_where,
        };
        let subscriptions = (!leaves_out).then(|| consumer.subscriptions.clone());
        let statement = Statement { manner, subscriptions, fingerprint };
        let heard = broker.clients.consume(&call.connection, &caller, &group, statement)?;
        wants_all |= heard.wants_all;
    }
    for producer in &heartbeat.producers {
        if let Ok(group) = GroupName::parse(&producer.group_name) {
            broker.clients.produce(&call.connection, &caller, &group)?;
        }
    }
    Ok(wants_all)
}

/// 35.
pub fn unregister(broker: &Broker, request: &Command, connection: &Connection) -> Answer {
    let header = UnregisterClient::decode(&request.fields)?;
    broker.clients.leave(connection, header.producer_group.as_deref(), header.consumer_group.as_deref());
    Ok(Reply::empty())
}

/// 38.
pub fn list_consumers(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = ListConsumers::decode(&request.fields)?;
    let members = broker.clients.consumers(&header.consumer_group);
    if members.is_empty() {
        return Err(Refusal::NoConsumer(header.consumer_group.to_string()));
    }
    let consumer_ids = members.iter().map(|member| member.caller.client.to_string()).collect();
    Ok(body(&ConsumerList { consumer_ids }))
}

/// 46.
pub fn check_config(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    if request.body.is_empty() {
        return Ok(Reply::empty());
    }
    let check: ClientCheck = json::from_slice(&request.body)?;
    let Some(subscription) = check.subscription else { return Ok(Reply::empty()) };
    if matches!(subscription.expression_type.as_str(), filter::TAG | "") {
        return Ok(Reply::empty());
    }
    if !broker.pull_rules.get().allows_sql {
        return Err(Refusal::FilterUnsupported(subscription.expression_type));
    }
    Filter::compile(&subscription.expression_type, &subscription.expression)?;
    Ok(Reply::empty())
}

/// 203.
pub fn consumer_connections(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetConsumerConnections::decode(&request.fields)?;
    let found = broker.clients.look(|table| table.group(&header.consumer_group).map(connections_of));
    let found = found.ok_or_else(|| Refusal::GroupOffline(header.consumer_group.to_string()))?;
    Ok(body(&found))
}

fn connections_of(group: &ConsumerGroup) -> ConsumerConnections {
    let Manner { consume_type, model, from_where } = group.manner();
    let subscriptions = group.subscriptions().map(|one| (one.data().topic.clone(), one.data().clone()));
    ConsumerConnections {
        connections: group.members().map(connection_of).collect(),
        consume_from_where: from_where,
        consume_type,
        message_model: model,
        subscriptions: subscriptions.collect(),
    }
}

fn connection_of(member: &Member) -> ClientConnection {
    ClientConnection {
        client_addr: member.caller.address.to_string(),
        client_id: member.caller.client.to_string(),
        language: member.caller.language,
        version: member.caller.version,
    }
}

/// 204.
pub fn producer_connections(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetProducerConnections::decode(&request.fields)?;
    let members = |group: &str| {
        broker.clients.look(|table| Some(table.producers(group)?.map(connection_of).collect::<Vec<_>>()))
    };
    let connections = members(&header.producer_group);
    let connections = connections.ok_or_else(|| Refusal::NoProducers(header.producer_group.to_string()))?;
    Ok(body(&ProducerConnections { connections }))
}

/// 328.
pub fn producers(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let info = |member: &Member| ProducerInfo {
        client_id: member.caller.client.to_string(),
        language: member.caller.language,
        last_update_timestamp: member.seen,
        // As Java writes an address.
        remote_ip: format!("/{}", member.caller.address),
        version: member.caller.version,
    };
    let producers = broker.clients.look(|table| {
        table
            .producer_groups()
            .map(|(group, members)| (group.to_string(), members.map(info).collect()))
            .collect()
    });
    Ok(body(&ProducerTable { producers }))
}

/// 345.
pub fn subscription(broker: &Broker, request: &Command, _connection: &Connection) -> Answer {
    let header = GetSubscription::decode(&request.fields)?;
    let found = broker.clients.subscription(&header.group, &header.topic);
    Ok(body(&GroupSubscription {
        group: header.group.to_string(),
        subscription: found.map(|subscription| subscription.data().clone()),
        topic: header.topic.to_string(),
    }))
}

/// 307: a tool asks a consumer how it is.
pub async fn running_info(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = GetConsumerRunningInfo::decode(&request.fields)?;
    let mut question = Command::request(RequestCode(request.code)).with_body(request.body.clone());
    question.fields = request.fields.clone();
    relay(broker, &header.consumer_group, &header.client_id, question).await
}

/// 309: a tool makes a consumer consume a message now.
pub async fn consume_directly(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let header = ConsumeDirectly::decode(&request.fields)?;
    let id = header.message_id.as_deref().unwrap_or_default();
    let unreadable =
        |error| Refusal::Failed(format!("the id of the message is none of a stored one: {error}"));
    let id = OffsetMessageId::parse(id).map_err(unreadable)?;
    let message = broker.archive.record(id.log_offset).ok_or(Refusal::NoMessageAt(id.log_offset))?;
    let (topic_flag, group_flag) = {
        let tables = broker.tables.read();
        let topic = header.topic.as_deref().and_then(|topic| tables.topics().find(topic));
        let group = tables.groups().find(&header.consumer_group);
        (topic.map(|topic| topic.topic_sys_flag), group.map(|group| group.group_sys_flag))
    };
    let ours = [
        ("brokerName", Some(broker.identity.name.to_string())),
        ("topicSysFlag", topic_flag.map(|flag| flag.to_string())),
        ("groupSysFlag", group_flag.map(|flag| flag.to_string())),
    ];
    let mut question = Command::request(RequestCode(request.code)).with_body(message);
    question.fields = with_ours(&request.fields, ours);
    let client = header.client_id.as_deref().unwrap_or_default();
    relay(broker, &header.consumer_group, client, question).await
}

/// The fields of a request, and those that the broker knows better.
fn with_ours<const N: usize>(given: &Fields, ours: [(&'static str, Option<String>); N]) -> Fields {
    let mut fields = Fields::empty();
    given.for_each(|name, value| {
        if !ours.iter().any(|(known, ours)| *known == name && ours.is_some()) {
            fields.push(name.to_owned(), value.to_text());
        }
    });
    for (name, value) in ours {
        if let Some(value) = value {
            fields.push(name, Text::from(value));
        }
    }
    fields
}

/// Asks a consumer, and answers what it answers.
async fn relay(broker: &Broker, group: &str, client: &str, question: Command) -> Answer {
    let offline = || Refusal::NotOnline { group: group.to_owned(), client: client.to_owned() };
    let member = broker.clients.consumer(group, client).ok_or_else(offline)?;
    if member.caller.version < ANSWERS_TOOLS {
        return Err(Refusal::ClientTooOld { client: client.to_owned(), version: member.caller.version });
    }
    let answer = broker.clients.ask(group, &member, question, ANSWER_WAIT).await?;
    Ok(Reply {
        code: ResponseCode(answer.code),
        remark: answer.remark,
        fields: Some(answer.fields),
        body: answer.body,
    })
}

fn body(body: &impl json::ToJson) -> Reply {
    Reply::body(Bytes::from(json::to_string(body, Dialect::Fastjson)))
}
