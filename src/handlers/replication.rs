//! What master and slave tell each other, and whoever looks at them.

use ferrymq_proto::bodies::{HaClient, HaConnection, HaStatus, TimerCheckpoint, TimerMetrics};
use ferrymq_proto::command::Command;
use ferrymq_proto::headers::HaInfoReply;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Connection;
use ferrymq_proto::position::LogOffset;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::replication::pair::followers::Standing;
use crate::replication::pair::{Followers, Following, Pair};
use crate::requests::{Answer, Reply};
use crate::services::delays::timers::place::Place;
use crate::state::files::{self, ConfigFile};

/// 43.
pub fn offsets(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    Ok(Reply::body(files::body(ConfigFile::Offsets, &broker.tables.read())))
}

/// 45.
pub fn delays(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    Ok(Reply::body(files::body(ConfigFile::Delays, &broker.tables.read())))
}

/// 60.
pub fn timers(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let place = Place::load(broker.tables.read().progress());
    let place =
        place.ok_or_else(|| Refusal::Failed("The checkpoint is null: no timer was served yet".to_owned()))?;
    let tick = broker.desk.follow().borrow().timer.precision;
    let tick_ms = i64::try_from(tick.as_millis()).unwrap_or(i64::MAX);
    let next_tick = broker.delays.timers().map(|timers| timers.next_tick(&place, tick_ms));
    let checkpoint = TimerCheckpoint {
        last_read_time: next_tick.unwrap_or(place.fired.due),
        last_timer_queue_offset: place.read,
        master_timer_queue_offset: place.read,
        ..TimerCheckpoint::default()
    };
    Ok(Reply::body(checkpoint.encode()))
}

/// 61. How many timers of which topic wait is not counted here; Apache's slave that gets no answer complains all the time.
pub fn timer_counts(_broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    Ok(Reply::body(json::to_string(&TimerMetrics::default(), Dialect::Fastjson)))
}

/// 906. A master says where it is. A slave believes its settings and the name servers, and not whoever sends this.
pub fn exchange(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let Pair::Master(_) = broker.writer.pair() else { return Ok(Reply::empty()) };
    let ha_port = broker.desk.follow().borrow().replication.port;
    Ok(Reply::header(&HaInfoReply {
        master_ha_address: Some(format!("{}:{ha_port}", broker.identity.slave_host).into()),
        master_flush_offset: Some(broker.archive.log().durable()),
        master_address: Some(format!("{}:{}", broker.identity.host, broker.address.port()).into()),
    }))
}

/// Our own slaves ask for it: what Apache's tables have no place for.
pub fn own_tables(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    Ok(Reply::body(files::body(ConfigFile::Own, &broker.tables.read())))
}

/// 907.
pub fn status(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let end = broker.archive.log().confirmed().offset;
    let status = match broker.writer.pair() {
        Pair::Master(followers) => of_master(followers),
        Pair::Slave(following) => of_slave(following, end),
        Pair::None => {
            HaStatus { master: broker.writer.is_leader(), master_log_max_offset: end, ..HaStatus::default() }
        }
    };
    Ok(Reply::body(json::to_string(&status, Dialect::Fastjson)))
}

fn of_master(followers: &Followers) -> HaStatus {
    let end = followers.end();
    let standings = followers.standings();
    let near = standings.iter().filter(|standing| standing.is_near).count();
    let connection = |standing: &Standing| HaConnection {
        addr: standing.address.to_string(),
        diff: end.0.saturating_sub(standing.acknowledged.0).max(0),
        in_sync: standing.is_near,
        slave_ack_offset: standing.acknowledged,
        transfer_from_where: standing.sent,
        transferred_bytes_per_second: i64::try_from(standing.bytes_per_second).unwrap_or(i64::MAX),
    };
    HaStatus {
        client: HaClient::default(),
        connections: standings.iter().map(connection).collect(),
        in_sync_slave_nums: i32::try_from(near).unwrap_or(i32::MAX),
        master: true,
        master_log_max_offset: end,
    }
}

fn of_slave(following: &Following, end: LogOffset) -> HaStatus {
    let facts = following.facts();
    let client = HaClient {
        activated: Some(following.is_following()),
        last_read_timestamp: facts.heard_at,
        last_write_timestamp: facts.said_at,
        master_addr: following.masters().borrow().ha_address.clone(),
        master_flush_offset: LogOffset(0),
        max_offset: end,
        transferred_bytes_per_second: 0,
    };
    HaStatus { client, master: false, ..HaStatus::default() }
}
