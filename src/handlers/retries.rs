//! Messages that are sent back to be consumed again.

use std::sync::Arc;

use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::SendBack;
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::requests::{Answer, Reply};
use crate::services::retries::SentBack;

/// 36.
pub async fn send_back(broker: &Arc<Broker>, command: &Command, _connection: &Connection) -> Answer {
    let header = SendBack::decode(&command.fields)?;
    let wish = SentBack {
        offset: header.offset,
        group: header.group.to_string(),
        delay_level: header.delay_level,
        unit_mode: header.unit_mode,
        reconsume_times_max: header.max_reconsume_times,
        client_version: command.version,
    };
    broker.retries.send_back(wish).await?;
    // Whatever the header says is counted only if there is such a topic.
    if let Some(topic) = header.origin_topic.as_deref().filter(|topic| broker.topics.find(topic).is_some()) {
        broker.statistics.sent_back(topic, &header.group);
    }
    Ok(Reply::empty())
}
