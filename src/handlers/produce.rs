//! Sending messages.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::code::RequestCode;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{SendMessage, SendMessageV2, SendReply};
use ferrymq_proto::name::RETRY_PREFIX;
use ferrymq_proto::net::Call;
use ferrymq_proto::record::SysFlag;
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::text::Text;

use crate::broker::Broker;
use crate::refusal::Refusal;
use crate::replication::NotStored;
use crate::requests::{Reply, answered};
use crate::server::refuse;
use crate::services::produce::{Receipt, Submission};
use crate::services::recall;
use crate::services::stats::Kind;

/// With a separator.
const OFFSET_MESSAGE_ID_BYTES: usize = 33;

/// 10: the fields have long names.
pub fn send(broker: &Arc<Broker>, call: Call) {
    match SendMessage::decode(&call.request.fields) {
        Ok(header) => submit(broker, call, header.into()),
        Err(error) => refuse(call, error.into()),
    }
}

/// 310 and 320: they have short ones.
pub fn send_short(broker: &Arc<Broker>, call: Call) {
    match SendMessageV2::decode(&call.request.fields) {
        Ok(mut header) => {
            // Go's batches do not say that they are.
            header.batch |= call.request.code == RequestCode::SEND_BATCH_MESSAGE.0;
            submit(broker, call, header);
        }
        Err(error) => refuse(call, error.into()),
    }
}

/// What the header says, as a producer's wish.
pub fn submission<'h>(header: &'h SendMessageV2, call: &Call) -> Submission<'h> {
    Submission {
        topic: &header.topic,
        template: &header.default_topic,
        template_queues: header.default_topic_queue_nums,
        queue_id: header.queue_id,
        sys_flag: SysFlag(header.sys_flag),
        born_timestamp: header.born_timestamp,
        born_host: call.connection.peer(),
        flag: header.flag,
        properties: header.properties.as_deref().unwrap_or_default(),
        reconsume_times: header.reconsume_times,
        reconsume_times_max: header.max_reconsume_times,
        unit_mode: header.unit_mode,
        is_batch: header.batch,
        client_version: call.request.version,
        body: call.request.body.clone(),
    }
}

fn submit(broker: &Arc<Broker>, call: Call, header: SendMessageV2) {
    let submission = submission(&header, &call);
    let topic = match broker.produce.topic(&submission) {
        Ok(Some(topic)) => topic,
        Ok(None) => return create_and_submit(broker, call, header),
        Err(refusal) => return refuse(call, refusal),
    };
    let answering = Arc::clone(broker);
    let kind = Kind::of(submission.properties);
    let topic_name = header.topic.clone();
    let began = Instant::now();
    let taken = Box::new(move |result| {
        count(&answering, (&topic_name, kind), &result, began.elapsed());
        answer(&answering, call, &topic_name, result);
    });
    broker.produce.take(&submission, &topic, taken);
}

/// The first message of a topic waits until the topic is there.
fn create_and_submit(broker: &Arc<Broker>, call: Call, header: SendMessageV2) {
    let broker = Arc::clone(broker);
    tokio::spawn(async move {
        match create(&broker, &submission(&header, &call)).await {
            Ok(()) => submit(&broker, call, header),
            Err(refusal) => refuse(call, refusal),
        }
    });
}

/// A group may come by itself with its retry topic.
async fn create(broker: &Broker, submission: &Submission<'_>) -> Result<(), Refusal> {
    if let Some(group) = submission.topic.strip_prefix(RETRY_PREFIX) {
        broker.groups.ensure(group).await?;
    }
    broker.produce.create_topic(submission).await.map(drop)
}

fn count(broker: &Broker, (topic, kind): (&str, Kind), result: &Result<Receipt, Refusal>, took: Duration) {
    match result {
        Ok(receipt) => {
            let bytes = receipt.stored.iter().map(|stored| stored.bytes as usize).sum();
            broker.statistics.put(topic, kind, receipt.stored.len(), bytes);
            broker.statistics.traffic().took(took);
        }
        Err(_) => broker.statistics.traffic().not_stored(),
    }
}

fn answer(broker: &Broker, call: Call, topic: &str, result: Result<Receipt, Refusal>) {
    // The group has another leader since the request came.
    if let (Err(Refusal::NotStored(NotStored::NotLeader)), Some(courier)) = (&result, &broker.courier) {
        return courier.carry(call);
    }
    let reply = result.map(|receipt| {
        let copied = receipt.stored.first().map(|stored| stored.copied).unwrap_or_default();
        Reply::header(&reply(broker, topic, receipt)).with_code(copied.code())
    });
    let command = answered(&call.request, reply);
    call.answer(command);
}

fn reply(broker: &Broker, topic: &str, receipt: Receipt) -> SendReply {
    let marks = broker.produce.marks();
    let mut message_id = String::with_capacity(OFFSET_MESSAGE_ID_BYTES * receipt.stored.len());
    for (index, stored) in receipt.stored.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let id = OffsetMessageId { store_host: marks.store_host, log_offset: stored.log_offset };
        let _ = write!(message_id, "{separator}{id}");
    }
    let recall_handle = receipt
        .timer
        .map(|(due, key)| recall::handle(topic, broker.identity.name.as_str(), due, &key))
        .map(Text::from);
    SendReply {
        message_id: message_id.into(),
        queue_id: receipt.queue_id,
        queue_offset: receipt.stored.first().map(|stored| stored.queue_offset).unwrap_or_default(),
        transaction_id: receipt.transaction_id.map(Text::from),
        batch_unique_id: None,
        recall_handle,
        region: Some(marks.region.clone()),
        trace_on: Some(broker.produce.traces()),
    }
}
