//! Puts a name server under load and says how it bears it. Works against any name server.
//!
//! ```text
//! load ADDRESS register TOPICS BROKERS      time per registration; the brokers leave when it ends
//! load ADDRESS lookup TOPICS BROKERS CONNECTIONS IN_FLIGHT SECONDS
//! load ADDRESS idle CONNECTIONS             opens them, prints a line, holds them until its input ends
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::bodies::{DataVersion, Registration, TopicConfig, TopicTable};
use ferrymq_proto::headers::{GetClusterInfo, GetRoute, RegisterBroker};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Client;
use ferrymq_proto::position::Timestamp;
use tokio::task::JoinSet;

const CALL_MAX: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> usize { arguments[at].parse().expect("a number") };
    let address = arguments[0].as_str();
    match arguments[1].as_str() {
        "register" => {
            register(address, number(2), number(3)).await;
        }
        "lookup" => {
            let brokers = register(address, number(2), number(3)).await;
            lookup(address, number(2), number(4), number(5), Duration::from_secs(number(6) as u64)).await;
            drop(brokers);
        }
        "idle" => idle(address, number(2)).await,
        other => panic!("no mode {other}"),
    }
}

fn topic(n: usize) -> String {
    format!("topic-{n:06}")
}

/// Registers brokers that all serve all topics. They stay registered as long as the clients live.
async fn register(address: &str, topics: usize, brokers: usize) -> Vec<Client> {
    let table: BTreeMap<_, _> = (0..topics)
        .map(|n| (topic(n), TopicConfig { topic_name: topic(n), ..TopicConfig::default() }))
        .collect();
    let version = DataVersion { counter: 1, state_version: 0, timestamp: Timestamp(1) };
    let registration = Registration {
        topics: TopicTable { data_version: version, topic_config_table: table, ..TopicTable::default() },
        ..Registration::default()
    };
    let body = Bytes::from(json::to_string(&registration, Dialect::Fastjson));
    let mut clients = Vec::new();
    let mut times = Vec::new();
    for n in 0..brokers {
        let header = RegisterBroker {
            broker_name: format!("broker-{n}").into(),
            broker_addr: format!("10.0.0.{n}:10911").into(),
            cluster_name: "load".into(),
            ha_server_addr: format!("10.0.0.{n}:10912").into(),
            broker_id: 0,
            heartbeat_timeout_millis: None,
            enable_acting_master: Some(false),
            compressed: false,
            body_crc32: 0,
            zone_name: None,
        };
        let client = Client::new(address, CALL_MAX);
        let began = Instant::now();
        client.call(&header, body.clone()).await.expect("the registration");
        times.push(began.elapsed());
        clients.push(client);
    }
    times.sort_unstable();
    println!(
        "registered brokers={brokers} topics={topics} body_bytes={} median_ms={:.1} max_ms={:.1}",
        body.len(),
        times[times.len() / 2].as_secs_f64() * 1e3,
        times[times.len() - 1].as_secs_f64() * 1e3
    );
    clients
}

/// Each of `connections` keeps `in_flight` lookups of varying topics under way.
async fn lookup(address: &str, topics: usize, connections: usize, in_flight: usize, duration: Duration) {
    let end = Instant::now() + duration;
    let mut tasks = JoinSet::new();
    for connection in 0..connections {
        let client = Arc::new(Client::new(address, CALL_MAX));
        client.connected().await.expect("a connection");
        for slot in 0..in_flight {
            let client = Arc::clone(&client);
            let mut n = connection * 7919 + slot * 104_729;
            tasks.spawn(async move {
                let mut micros = Vec::new();
                let mut bytes = 0;
                while Instant::now() < end {
                    n += 1;
                    let header = GetRoute {
                        topic: topic(n % topics).into(),
                        accept_standard_json_only: Some(true),
                        zone_mode: None,
                        zone_name: None,
                    };
                    let began = Instant::now();
                    let (_, route) = client.call(&header, Bytes::new()).await.expect("a route");
                    micros.push(u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX));
                    bytes += route.len();
                }
                (micros, bytes)
            });
        }
    }
    let mut micros = Vec::new();
    let mut bytes = 0;
    while let Some(ended) = tasks.join_next().await {
        let (more, read) = ended.expect("a task");
        micros.extend(more);
        bytes += read;
    }
    micros.sort_unstable();
    let at = |share: f64| micros[((micros.len() - 1) as f64 * share) as usize];
    println!(
        "looked up count={} per_second={:.0} p50_us={} p99_us={} p999_us={} body_bytes={}",
        micros.len(),
        micros.len() as f64 / duration.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999),
        bytes / micros.len()
    );
}

/// Opens connections, each of which has asked once.
async fn idle(address: &str, connections: usize) {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = Client::new(address, CALL_MAX);
        client.call(&GetClusterInfo {}, Bytes::new()).await.expect("an answer");
        clients.push(client);
    }
    println!("open connections={connections}");
    let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
}
