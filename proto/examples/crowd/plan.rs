//! How many there are of all, who is in which group, and what the broker has taken so far.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::{HeartbeatData, ProducerData};
use ferrymq_proto::headers::Heartbeat;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Client;
use tokio::time::sleep;

use crate::requests;

pub const CALL_MAX: Duration = Duration::from_secs(60);
pub const HEARTBEATS: Duration = Duration::from_secs(30);
const GROUP_MEMBERS: usize = 2;

pub struct Plan {
    pub address: String,
    pub process: usize,
    pub clients: usize,
    pub groups: usize,
    pub topics: usize,
    pub queues: usize,
}

impl Plan {
    pub fn topic(&self, number: usize) -> String {
        format!("crowd-topic-{}", number % self.topics)
    }

    pub fn members(&self, group: usize) -> [usize; GROUP_MEMBERS] {
        // So far apart that they do not die together.
        let first = group % self.clients;
        [first, (first + self.clients / 2 + group / self.clients) % self.clients]
    }

    pub async fn create_topics(&self) {
        let client = Client::new(&self.address, CALL_MAX);
        for number in 0..self.topics {
            let header = requests::topic(&self.topic(number), self.queues);
            client.call(&header, Bytes::new()).await.expect("a topic");
        }
    }

    pub async fn producers(&self) -> Vec<Arc<Client>> {
        let mut clients = Vec::new();
        for number in 0..self.clients {
            let client = Arc::new(Client::new(&self.address, CALL_MAX));
            let data = HeartbeatData {
                client_id: format!("producer@{number}"),
                producers: vec![ProducerData { group_name: format!("crowd-producers-{number}") }],
                ..HeartbeatData::default()
            };
            beat(&client, &data).await;
            let speaking = Arc::downgrade(&client);
            tokio::spawn(async move {
                loop {
                    sleep(HEARTBEATS).await;
                    let Some(client) = speaking.upgrade() else { return };
                    beat(&client, &data).await;
                }
            });
            clients.push(client);
        }
        clients
    }

    pub fn report(&self, what: &str, took: Duration) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        println!(
            "{what}: {:.1} s; broker: {} MiB resident, {:.1} CPU-seconds, {} threads",
            took.as_secs_f64(),
            field("VmRSS:") / 1024,
            self.cpu_seconds(),
            field("Threads:")
        );
    }

    pub fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap_or_default();
        let after = text.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        // Linux shows hundredths of a second, whatever the machine.
        ticks as f64 / 100.0
    }
}

pub async fn beat(client: &Client, data: &HeartbeatData) {
    let body = Bytes::from(json::to_string(data, Dialect::Fastjson));
    client.call(&Heartbeat {}, body).await.expect("a heartbeat");
}
