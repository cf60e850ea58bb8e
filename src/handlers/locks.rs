//! Locks of queues for consumers that keep the order.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferrymq_proto::bodies::{LockedQueues, MessageQueue, QueueLocks};
use ferrymq_proto::command::Command;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::net::Connection;

use super::clients::client_id;
use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};
use crate::services::order_locks::QUEUES_AT_ONCE_MAX;
use crate::state::{ClientId, TopicQueue};

/// 41.
pub async fn lock(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let asked = Asked::read(request)?;
    let held = broker.locks.lock(&asked.group, &asked.client, asked.queues()).await?;
    let is_held = |queue: &MessageQueue| topic_queue(queue).is_some_and(|queue| held.contains(&queue));
    // As they were asked for, with whatever broker name: the client compares them.
    let queues = asked.named.into_iter().filter(is_held).collect();
    Ok(Reply::body(json::to_string(&LockedQueues { queues }, Dialect::Fastjson)))
}

/// 42.
pub async fn unlock(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let asked = Asked::read(request)?;
    broker.locks.unlock(&asked.group, &asked.client, asked.queues()).await?;
    Ok(Reply::empty())
}

/// Which queues who wants, or does not want any more.
struct Asked {
    group: GroupName,
    client: ClientId,
    named: BTreeSet<MessageQueue>,
}

impl Asked {
    fn read(request: &Command) -> Result<Self, Refusal> {
        let body: QueueLocks = json::from_slice(&request.body)?;
        let queues = body.queues.len();
        if queues > QUEUES_AT_ONCE_MAX {
            return Err(Refusal::Parameter(format!(
                "{queues} queues are more than the {QUEUES_AT_ONCE_MAX} allowed"
            )));
        }
        let group = GroupName::parse(&body.consumer_group)?;
        Ok(Self { group, client: client_id(&body.client_id)?, named: body.queues })
    }

    /// Those that could exist, each once.
    fn queues(&self) -> Vec<TopicQueue> {
        let queues: BTreeSet<_> = self.named.iter().filter_map(topic_queue).collect();
        queues.into_iter().collect()
    }
}

fn topic_queue(queue: &MessageQueue) -> Option<TopicQueue> {
    Some(TopicQueue { topic: TopicName::parse(&queue.topic).ok()?, queue: queue.queue_id })
}
