//! Dealing out queues to consumers that leave it to the broker.
//!
//! Where the queues of a topic are, name servers know: other brokers have some of them too. Their answers are kept for a while.
//! Every consumer pulls; groups that were set to POP are refused until that is served.

mod strategy;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::bodies::{
    ConsumeMode, MessageModel, MessageQueue, QueueData, RequestMode, RequestModes, TopicRoute,
};
use ferrymq_proto::headers::GetRoute;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::{BrokerName, RETRY_PREFIX};
use ferrymq_proto::net::Client;
use ferrymq_proto::position::QueueId;
use ferrymq_proto::text::Text;

pub use strategy::Strategy;

use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::{SharedTables, Writer};
use crate::state::{Command, permission};

/// How long an answer of a name server is good.
const ROUTE_LIFE: Duration = Duration::from_secs(30);
/// Routes that are kept. When there are more, all are asked for anew.
const ROUTES_MAX: usize = 4096;
/// Queues of one topic that are dealt out.
const QUEUES_MAX: usize = 65_536;
/// Where request modes stand among the settings that all nodes share.
const NAMESPACE: &str = "messageRequestMode";

/// What a consumer asks for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub topic: String,
    pub client: String,
    pub model: MessageModel,
    pub strategy: String,
}

type Queues = Arc<Vec<MessageQueue>>;

#[derive(Debug)]
pub struct Assignment {
    tables: SharedTables,
    writer: Writer,
    broker: BrokerName,
    name_servers: Vec<Arc<Client>>,
    /// Sorted queues by topic, and since when they are known.
    routes: Mutex<HashMap<String, (Queues, Instant)>>,
    /// Whether the broker deals out queues at all; else every consumer hears of all.
    deals: Live<bool>,
}

impl Assignment {
    pub fn new(
        tables: SharedTables,
        writer: Writer,
        broker: BrokerName,
        name_servers: Vec<Arc<Client>>,
        deals: Live<bool>,
    ) -> Self {
        Self { tables, writer, broker, name_servers, routes: Mutex::default(), deals }
    }

    /// The queues for a consumer of a group with these members; `None`: the broker does not know, and the consumer goes on with
    /// what it has.
    pub async fn share(&self, wish: &Wish, mut clients: Vec<String>) -> Option<Vec<MessageQueue>> {
        let queues = self.queues(&wish.topic).await?;
        if wish.model == MessageModel::Broadcasting || !self.deals.get() {
            return Some(queues.to_vec());
        }
        let strategy = Strategy::find(&wish.strategy)?;
        if clients.is_empty() || queues.is_empty() || wish.client.is_empty() {
            return None;
        }
        clients.sort_unstable();
        Some(strategy.share(&wish.client, &queues, &clients))
    }

    /// All readable queues of a topic, sorted.
    async fn queues(&self, topic: &str) -> Option<Queues> {
        let known = self.routes().get(topic).cloned();
        if let Some((queues, since)) = &known
            && since.elapsed() < ROUTE_LIFE
        {
            return Some(Arc::clone(queues));
        }
        if self.name_servers.is_empty() {
            return self.own_queues(topic).map(Arc::new);
        }
        let Some(route) = self.route(topic).await else {
            return known.map(|(queues, _)| queues);
        };
        let queues = Arc::new(queues_of(topic, &route.queue_datas));
        let mut routes = self.routes();
        if routes.len() >= ROUTES_MAX {
            routes.clear();
        }
        routes.insert(topic.to_owned(), (Arc::clone(&queues), Instant::now()));
        Some(queues)
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<String, (Queues, Instant)>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the first name server that answers knows.
    async fn route(&self, topic: &str) -> Option<TopicRoute> {
        let header = GetRoute {
            topic: Text::from(topic),
            accept_standard_json_only: Some(true),
            ..GetRoute::default()
        };
        for name_server in &self.name_servers {
            match name_server.call(&header, Bytes::new()).await {
                Ok((_, body)) => match json::from_slice(&body) {
                    Ok(route) => return Some(route),
                    Err(error) => tracing::warn!(?name_server, %error, topic, "a route cannot be read"),
                },
                Err(error) => tracing::debug!(?name_server, %error, topic, "no route"),
            }
        }
        None
    }

    /// Of this broker alone, which has no name server to ask.
    fn own_queues(&self, topic: &str) -> Option<Vec<MessageQueue>> {
        let config = self.tables.read().topics().find(topic).cloned()?;
        let own = QueueData {
            broker_name: self.broker.to_string(),
            perm: config.perm,
            read_queue_nums: config.read_queue_nums,
            write_queue_nums: config.write_queue_nums,
            topic_sys_flag: config.topic_sys_flag,
        };
        Some(queues_of(topic, &[own]))
    }

    /// Sets how a group consumes a topic.
    pub async fn set_mode(&self, mode: &RequestMode) -> Result<(), Refusal> {
        if mode.topic.starts_with(RETRY_PREFIX) {
            return Err(Refusal::NoPermission("retry topic is not allowed to set mode".to_owned()));
        }
        {
            let tables = self.tables.read();
            if tables.topics().find(&mode.topic).is_none() {
                return Err(Refusal::NoSuchTopic(mode.topic.clone()));
            }
            if tables.groups().find(&mode.consumer_group).is_none() {
                return Err(Refusal::NoSuchGroup(mode.consumer_group.clone()));
            }
        }
        if mode.mode == ConsumeMode::Pop {
            return Err(Refusal::Failed("POP consumption is not served: the mode stays PULL".to_owned()));
        }
        let key = Arc::from(format!("{}@{}", mode.topic, mode.consumer_group));
        let value = Some(Arc::from(json::to_string(mode, Dialect::Standard)));
        self.writer.change(Command::Configure { namespace: Arc::from(NAMESPACE), key, value }).await?;
        Ok(())
    }

    /// Every mode that was set.
    pub fn modes(&self) -> RequestModes {
        let mut modes = RequestModes::default();
        let tables = self.tables.read();
        for (key, value) in tables.settings().namespace(NAMESPACE) {
            match json::from_str::<RequestMode>(value) {
                Ok(mode) => {
                    let groups = modes.modes.entry(mode.topic.clone()).or_default();
                    groups.insert(mode.consumer_group.clone(), mode);
                }
                Err(error) => tracing::warn!(%key, %error, "a request mode cannot be read"),
            }
        }
        modes
    }
}

/// The queues that may be read, sorted.
fn queues_of(topic: &str, data: &[QueueData]) -> Vec<MessageQueue> {
    let readable = data.iter().filter(|data| data.perm & permission::READ != 0);
    let queue = |data: &QueueData, queue_id| MessageQueue {
        broker_name: data.broker_name.clone(),
        queue_id: QueueId(queue_id),
        topic: topic.to_owned(),
    };
    let queues =
        readable.flat_map(|data| (0..data.read_queue_nums).map(move |queue_id| queue(data, queue_id)));
    let mut queues: Vec<_> = queues.take(QUEUES_MAX).collect();
    queues.sort_unstable();
    queues
}
