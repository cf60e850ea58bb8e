//! Brokers register, show that they live, and leave.

use std::time::{Duration, Instant};

use ferrymq_proto::bodies::{self, DataVersion};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::{Header, HeaderError};
use ferrymq_proto::headers::{
    AddWritePerm, AddWritePermReply, BrokerHeartbeat, QueryDataVersion, QueryDataVersionReply,
    RegisterBroker, RegisterBrokerReply, UnregisterBroker, WipeWritePerm, WipeWritePermReply,
};
use ferrymq_proto::json;
use ferrymq_proto::name::{BrokerName, ClusterName, TopicName};
use ferrymq_proto::net::Connection;
use ferrymq_proto::record::checksum;
use ferrymq_proto::text::Text;

use super::fastjson;
use crate::kv::ORDER_TOPICS;
use crate::office::{Office, Reply};
use crate::refusal::Refusal;
use crate::routes::{Departure, Queues, Registered, Registration};

/// The longest `host:port`: a name of 255 bytes, a colon, a port.
const ADDRESS_BYTES_MAX: usize = 261;

pub(crate) fn register(
    office: &Office,
    request: &Command,
    connection: &Connection,
) -> Result<Reply, Refusal> {
    let header = RegisterBroker::decode(&request.fields)?;
    if header.body_crc32 != 0 && header.body_crc32 != checksum(&request.body) {
        return Err(Refusal::Checksum);
    }
    let body = bodies::Registration::decode(&request.body, header.compressed, request.version)
        .map_err(|error| Refusal::Registration(error.to_string()))?;
    let registration = read_registration(&header, body, request, connection)?;
    let settings = office.settings();
    let registered = office.routes_mut().register(&registration, &settings, Instant::now());
    let mut reply = RegisterBrokerReply { ha_server_addr: None, master_addr: None };
    match registered {
        Registered::Accepted { master, smallest_id_changed } => {
            office.note_broker(connection);
            if let Some(notice) = smallest_id_changed {
                office.notices.send(&notice);
            }
            if let Some((address, ha_address)) = master {
                reply.master_addr = Some(address.into());
                reply.ha_server_addr = ha_address.map(Into::into);
            }
        }
        Registered::Fenced { holder, holder_version } => {
            let Registration { group, id, address, .. } = registration;
            tracing::warn!(%group, id, address, holder, holder_version, "a broker of an older term was turned away");
        }
        Registered::TooEarly => return Err(Refusal::TooEarly),
    }
    let reply = Reply::header(&reply);
    if !settings.return_order_topic_config_to_broker {
        return Ok(reply);
    }
    Ok(match office.kv().namespace(ORDER_TOPICS) {
        Some(table) => reply.with_body(fastjson(&bodies::KvTable { table: table.clone() })),
        None => reply,
    })
}

fn read_registration(
    header: &RegisterBroker,
    body: bodies::Registration,
    request: &Command,
    connection: &Connection,
) -> Result<Registration, Refusal> {
    let group = BrokerName::parse(&header.broker_name)?;
    let mut refused = 0;
    let mut topics = Vec::with_capacity(body.topics.topic_config_table.len());
    for config in body.topics.topic_config_table.into_values() {
        let queues = Queues {
            read: config.read_queue_nums,
            write: config.write_queue_nums,
            permission: config.perm,
            sys_flag: config.topic_sys_flag,
        };
        match TopicName::parse(&config.topic_name) {
            Ok(topic) => topics.push((topic, queues)),
            Err(_) => refused += 1,
        }
    }
    if refused > 0 {
        tracing::warn!(%group, refused, "topics with unusable names were left out of a registration");
    }
    let from_old_broker = request.version < ferrymq_proto::version::V3_0_11;
    Ok(Registration {
        cluster: ClusterName::parse(&header.cluster_name)?,
        group,
        id: header.broker_id,
        address: read_address(&header.broker_addr)?,
        ha_address: Some(header.ha_server_addr.to_string()),
        zone: header.zone_name.as_ref().map(Text::to_string),
        silence_max: header
            .heartbeat_timeout_millis
            .map(|millis| Duration::from_millis(millis.max(0).unsigned_abs())),
        acting_master: header.enable_acting_master,
        version: body.topics.data_version,
        topics,
        mappings: body.topics.topic_queue_mapping_info_map,
        filter_servers: (!from_old_broker).then_some(body.filter_server_list),
        connection: connection.id(),
    })
}

/// Clients connect to what stands here, so it must look like `host:port`. A comma would break one client's parser.
fn read_address(address: &Text) -> Result<String, HeaderError> {
    let port = address.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then_some(port));
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    let valid =
        port.is_some_and(|port| port.parse::<u16>().is_ok()) && plain && address.len() <= ADDRESS_BYTES_MAX;
    if valid {
        return Ok(address.to_string());
    }
    Err(HeaderError::Illegal { name: "brokerAddr", value: address.clone(), expected: "host:port" })
}

pub(crate) fn heartbeat(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = BrokerHeartbeat::decode(&request.fields)?;
    office.routes_mut().touch(&header.cluster_name, &header.broker_addr, Instant::now());
    Ok(Reply::default())
}

pub(crate) fn query_version(office: &Office, request: &Command, _: &Connection) -> Result<Reply, Refusal> {
    let header = QueryDataVersion::decode(&request.fields)?;
    let asked: DataVersion = json::from_slice(&request.body)?;
    let mut routes = office.routes_mut();
    routes.touch(&header.cluster_name, &header.broker_addr, Instant::now());
    let known = routes.data_version(&header.cluster_name, &header.broker_addr);
    let reply = Reply::header(&QueryDataVersionReply { changed: known != Some(&asked) });
    Ok(match known {
        Some(known) => reply.with_body(fastjson(known)),
        None => reply,
    })
}

/// Who wants to leave.
pub(crate) fn departure(request: &Command) -> Result<Departure, HeaderError> {
    let header = UnregisterBroker::decode(&request.fields)?;
    Ok(Departure {
        cluster: header.cluster_name.to_string(),
        group: header.broker_name.to_string(),
        id: header.broker_id,
        address: header.broker_addr.to_string(),
    })
}

pub(crate) fn wipe_write_permission(
    office: &Office,
    request: &Command,
    connection: &Connection,
) -> Result<Reply, Refusal> {
    let header = WipeWritePerm::decode(&request.fields)?;
    let wipe_topic_count = office.routes_mut().wipe_write_permission(&header.broker_name);
    tracing::info!(group = %header.broker_name, peer = %connection.peer(), wipe_topic_count, "write permission wiped");
    Ok(Reply::header(&WipeWritePermReply { wipe_topic_count }))
}

pub(crate) fn add_write_permission(
    office: &Office,
    request: &Command,
    connection: &Connection,
) -> Result<Reply, Refusal> {
    let header = AddWritePerm::decode(&request.fields)?;
    let add_topic_count = office.routes_mut().add_write_permission(&header.broker_name);
    tracing::info!(group = %header.broker_name, peer = %connection.peer(), add_topic_count, "write permission added");
    Ok(Reply::header(&AddWritePermReply { add_topic_count }))
}
