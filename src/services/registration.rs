//! Telling the name servers what this broker has: at once when it changes, and again and again so that they know it lives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::{Registration as RegistrationBody, TopicConfig};
use ferrymq_proto::headers::{RegisterBroker, UnregisterBroker};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Client;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::topics::{Permission, Topics};
use crate::replication::SharedTables;

/// Changes that come close together are told together.
const GATHERING: Duration = Duration::from_millis(10);

/// How this node is called. As a leader its id is 0.
#[derive(Clone, Debug)]
pub struct OwnName {
    pub cluster: String,
    pub broker: String,
    pub address: String,
    pub ha_address: String,
}

#[derive(Clone, Debug)]
pub struct RegistrationRules {
    pub period: Duration,
    pub silence_max: Duration,
    pub has_acting_master: bool,
}

#[derive(Debug)]
pub struct Registration {
    own: OwnName,
    rules: RegistrationRules,
    tables: SharedTables,
    topics: Arc<Topics>,
    /// The id to register as. None: this node shall not be found now.
    role: watch::Receiver<Option<i64>>,
    name_servers: Vec<Arc<Client>>,
}

impl Registration {
    pub fn new(
        own: OwnName,
        rules: RegistrationRules,
        tables: SharedTables,
        topics: Arc<Topics>,
        role: watch::Receiver<Option<i64>>,
        name_servers: Vec<Arc<Client>>,
    ) -> Self {
        Self { own, rules, tables, topics, role, name_servers }
    }

    /// Registers until `stop` turns true, and then unregisters.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let changed: Arc<Notify> = self.topics.changed();
        loop {
            let id = *self.role.borrow_and_update();
            if let Some(id) = id {
                self.register(id).await;
            }
            tokio::select! {
                () = stopped(&mut stop) => break,
                () = tokio::time::sleep(self.rules.period) => {}
                () = changed.notified() => tokio::time::sleep(GATHERING).await,
                _ = self.role.changed() => {}
            }
        }
        let id = *self.role.borrow();
        if let Some(id) = id {
            self.unregister(id).await;
        }
    }

    /// Tells all name servers, beside each other: one that is away does not keep the others waiting.
    async fn register(&self, id: i64) {
        let body = self.body();
        let header = RegisterBroker {
            broker_name: self.own.broker.as_str().into(),
            broker_addr: self.own.address.as_str().into(),
            cluster_name: self.own.cluster.as_str().into(),
            ha_server_addr: self.own.ha_address.as_str().into(),
            broker_id: id,
            // Without heartbeats beside the registrations, the name server's own patience counts.
            heartbeat_timeout_millis: i64::try_from(self.rules.silence_max.as_millis())
                .ok()
                .filter(|_| self.rules.has_acting_master),
            enable_acting_master: Some(self.rules.has_acting_master),
            compressed: false,
            body_crc32: crc32(&body),
            zone_name: None,
        };
        let mut calls = JoinSet::new();
        for name_server in &self.name_servers {
            let (name_server, header, body) = (Arc::clone(name_server), header.clone(), body.clone());
            calls.spawn(async move {
                match name_server.call(&header, body).await {
                    Ok(_) => tracing::debug!(?name_server, "registered"),
                    Err(error) => tracing::warn!(?name_server, %error, "this broker could not be registered; trying again"),
                }
            });
        }
        while calls.join_next().await.is_some() {}
    }

    async fn unregister(&self, id: i64) {
        let header = UnregisterBroker {
            broker_name: self.own.broker.as_str().into(),
            broker_addr: self.own.address.as_str().into(),
            cluster_name: self.own.cluster.as_str().into(),
            broker_id: id,
        };
        let mut calls = JoinSet::new();
        for name_server in &self.name_servers {
            let (name_server, header) = (Arc::clone(name_server), header.clone());
            calls.spawn(async move {
                if let Err(error) = name_server.call(&header, Bytes::new()).await {
                    tracing::warn!(?name_server, %error, "this broker could not be unregistered");
                }
            });
        }
        while calls.join_next().await.is_some() {}
    }

    fn body(&self) -> Bytes {
        let permission = self.topics.broker_permission();
        let mut topics = self.tables.read().topics().body(0, usize::MAX);
        topics.topic_config_table.values_mut().for_each(|topic| mask(topic, permission));
        let body = RegistrationBody { filter_server_list: Vec::new(), topics };
        Bytes::from(json::to_string(&body, Dialect::Fastjson))
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could stop us otherwise.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// A topic is not open for what its broker is closed for.
fn mask(topic: &mut TopicConfig, permission: Permission) {
    const BOTH: i32 = crate::state::permission::READ | crate::state::permission::WRITE;
    topic.perm &= permission.0 | !BOTH;
}

/// As Java computes it: without the sign.
fn crc32(body: &[u8]) -> i32 {
    ferrymq_proto::record::checksum(body)
}
