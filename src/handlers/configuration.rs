//! The running configuration, as text.

use std::sync::Arc;

use ferrymq_proto::bodies::DataVersion;
use ferrymq_proto::command::Command;
use ferrymq_proto::headers::BrokerConfigReply;
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::requests::{Answer, Reply};

/// 26.
pub fn text(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    let (text, changes) = broker.desk.shown();
    let version = DataVersion { counter: changes, ..DataVersion::default() };
    let header = BrokerConfigReply { version: json::to_string(&version, Dialect::Fastjson).into() };
    Ok(Reply::header(&header).with_body(text))
}

/// 25. Without a body there is nothing to change.
pub async fn update(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let text = std::str::from_utf8(&request.body)
        .map_err(|_| Refusal::Failed("UnsupportedEncodingException: the body is not UTF-8".to_owned()))?
        .to_owned();
    if text.is_empty() {
        return Ok(Reply::empty());
    }
    let desk = Arc::clone(&broker.desk);
    let peer = connection.peer();
    let permission = broker.topics.broker_permission();
    // It is written to disk.
    let changed = tokio::task::spawn_blocking(move || desk.change(&text)).await;
    match changed {
        Ok(Ok(_)) => {
            tracing::info!(%peer, "the configuration was changed");
            if broker.topics.broker_permission() != permission {
                broker.topics.announce();
            }
            Ok(Reply::empty())
        }
        Ok(Err(refused)) => {
            tracing::warn!(%peer, %refused, "a change of the configuration was refused");
            Err(refused.into())
        }
        Err(error) => Err(Refusal::Failed(format!("the change was not made: {error}"))),
    }
}
