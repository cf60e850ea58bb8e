//! Replies to those who asked for one.

use std::sync::Arc;

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{SendMessage, SendMessageV2, SendReply};
use ferrymq_proto::net::Call;
use ferrymq_proto::position::{QueueId, QueueOffset};
use ferrymq_proto::record::message_id::OffsetMessageId;

use super::produce::submission;
use crate::broker::Broker;
use crate::replication::Stored;
use crate::requests::{Answer, Reply, answered};
use crate::server::refuse;
use crate::services::replies::Sent;

/// Java's, for a reply that is not stored: clients want some id.
const NO_ID: &str = "0";

/// 324: the fields have long names.
pub fn send(broker: &Arc<Broker>, call: Call) {
    match SendMessage::decode(&call.request.fields) {
        Ok(header) => submit(broker, call, header.into()),
        Err(error) => refuse(call, error.into()),
    }
}

/// 325: they have short ones.
pub fn send_short(broker: &Arc<Broker>, call: Call) {
    match SendMessageV2::decode(&call.request.fields) {
        Ok(header) => submit(broker, call, header),
        Err(error) => refuse(call, error.into()),
    }
}

/// The requester may take its time.
fn submit(broker: &Arc<Broker>, call: Call, header: SendMessageV2) {
    let (broker, runtime) = (Arc::clone(broker), broker.runtime.clone());
    runtime.spawn(async move {
        let answer = reply(&broker, &call, &header).await;
        let command = answered(&call.request, answer);
        call.answer(command);
    });
}

async fn reply(broker: &Broker, call: &Call, header: &SendMessageV2) -> Answer {
    let submission = submission(header, call);
    let topic = match broker.produce.topic(&submission)? {
        Some(topic) => topic,
        None => broker.produce.create_topic(&submission).await?,
    };
    let message = broker.produce.reply(&submission, &topic)?;
    let queue_id = message.queue_id;
    let sent = broker.replies.send(message, header).await?;
    Ok(told(broker, queue_id, sent))
}

/// The header is whole whatever became of the reply, as Java's.
fn told(broker: &Broker, queue_id: QueueId, sent: Sent) -> Reply {
    let marks = broker.produce.marks();
    let id = |stored: Stored| {
        OffsetMessageId { store_host: marks.store_host, log_offset: stored.log_offset }.to_string()
    };
    let header = SendReply {
        message_id: sent.stored.map_or_else(|| NO_ID.to_owned(), id).into(),
        queue_id,
        queue_offset: sent.stored.map_or(QueueOffset(0), |stored| stored.queue_offset),
        transaction_id: None,
        batch_unique_id: None,
        recall_handle: None,
        region: Some(marks.region.clone()),
        trace_on: Some(broker.produce.traces()),
    };
    let reply = Reply::header(&header);
    match sent.pushed {
        Ok(()) => reply,
        Err(reason) => reply.with_code(ResponseCode::SYSTEM_ERROR).with_remark(reason.to_string()),
    }
}
