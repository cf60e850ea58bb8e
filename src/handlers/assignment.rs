//! Dealing out queues to consumers that leave it to the broker.

use std::sync::Arc;

use ferrymq_proto::bodies::{Assignment, AssignmentQuery, Assignments, ConsumeMode, RequestMode};
use ferrymq_proto::command::Command;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::requests::{Answer, Reply};
use crate::services::assignment::Wish;

/// 400.
pub async fn share(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let query: AssignmentQuery = json::from_slice(&request.body)?;
    let members = broker.clients.consumers(&query.consumer_group);
    let clients = members.iter().map(|member| member.caller.client.to_string()).collect();
    let wish = Wish {
        topic: query.topic,
        client: query.client_id,
        model: query.message_model,
        strategy: query.strategy_name,
    };
    let queues = broker.assignment.share(&wish, clients).await;
    let assigned = |queue| Assignment { attachments: None, queue, mode: ConsumeMode::Pull };
    let assignments =
        Assignments { assignments: queues.map(|queues| queues.into_iter().map(assigned).collect()) };
    Ok(Reply::body(json::to_string(&assignments, Dialect::Fastjson)))
}

/// 401.
pub async fn set_mode(broker: &Arc<Broker>, request: &Command, _connection: &Connection) -> Answer {
    let mode: RequestMode = json::from_slice(&request.body)?;
    broker.assignment.set_mode(&mode).await?;
    Ok(Reply::empty())
}

/// 402.
pub fn modes(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    Ok(Reply::body(json::to_string(&broker.assignment.modes(), Dialect::Fastjson)))
}
