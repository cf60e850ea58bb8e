//! Timer messages that their sender calls off.

use std::sync::Arc;

use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{RecallMessage, RecallReply};
use ferrymq_proto::net::Connection;

use crate::broker::Broker;
use crate::requests::{Answer, Reply};

/// 370.
pub async fn recall(broker: &Arc<Broker>, command: &Command, connection: &Connection) -> Answer {
    let header = RecallMessage::decode(&command.fields)?;
    let producers = header.producer_group.as_deref();
    let called_off =
        broker.recall.call_off(&header.topic, &header.recall_handle, producers, connection.peer()).await?;
    Ok(Reply::header(&RecallReply { message_id: called_off.into() }))
}
