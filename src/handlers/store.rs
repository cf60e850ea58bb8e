//! Tidying up the store.

use std::sync::Arc;

use ferrymq_proto::command::Command;
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::requests::{Answer, Reply};

/// 306.
pub async fn clean_queues(broker: &Arc<Broker>, _request: &Command, _connection: &Connection) -> Answer {
    broker.archive.patiently(|archive| archive.drop_derived()).await?;
    Ok(Reply::empty())
}

/// 329: whatever has expired goes at the next look, whatever the hour.
pub fn delete_expired(broker: &Broker, _request: &Command, _connection: &Connection) -> Answer {
    broker.keeping.request_run();
    Ok(Reply::empty())
}
