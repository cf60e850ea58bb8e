//! Reading messages, and showing them.

use bytes::Bytes;
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{GetMaxOffset, GetMinOffset, PullMessage, PullReply, SearchOffset};
use ferrymq_proto::position::{QueueId, QueueOffset};
use ferrymq_proto::record::{Record, RecordError, Records, property};

use super::{Cell, Failure, Moment, Node, Remote, Table};
use crate::config::shown;

/// The group of Apache's own tools; it keeps no offsets.
const GROUP: &str = "TOOLS_CONSUMER";
/// The request says itself what it subscribes to.
const HAS_SUBSCRIPTION: i32 = 0x4;
/// The broker may wait for a message.
const MAY_WAIT: i32 = 0x2;
/// Of a body so many characters are shown in a table.
const BODY_CHARACTERS_MAX: usize = 80;

/// What a queue had from an offset on.
#[derive(Debug)]
pub struct Pulled {
    pub records: Bytes,
    pub next: QueueOffset,
    pub min: QueueOffset,
    pub max: QueueOffset,
    /// Why there are none, if there are none.
    pub code: ResponseCode,
}

/// A place to read from.
#[derive(Clone, Debug)]
pub struct Found {
    pub node: Node,
    pub queue: QueueId,
    pub next: QueueOffset,
}

impl Remote {
    /// Reads a queue on. An offset outside of what is there is moved into it.
    pub async fn pull(
        &self,
        place: &Found,
        topic: &str,
        expression: &str,
        count: i32,
        wait_ms: i64,
    ) -> Result<Pulled, Failure> {
        let request = PullMessage {
            consumer_group: GROUP.into(),
            topic: topic.into(),
            queue_id: place.queue,
            queue_offset: place.next,
            max_message_nums: count,
            sys_flag: HAS_SUBSCRIPTION | if wait_ms > 0 { MAY_WAIT } else { 0 },
            suspend_timeout_millis: wait_ms,
            subscription: Some(expression.into()),
            ..PullMessage::default()
        };
        let address = &place.node.address;
        let answer = self.exchange(address, &request).await?;
        let reply = |fields| {
            PullReply::decode(fields).map_err(|error| {
                Failure::operation(format!("the answer of {address} cannot be read: {error}"))
            })
        };
        match ResponseCode(answer.code) {
            code @ (ResponseCode::SUCCESS
            | ResponseCode::PULL_NOT_FOUND
            | ResponseCode::PULL_RETRY_IMMEDIATELY
            | ResponseCode::PULL_OFFSET_MOVED) => {
                let reply = reply(&answer.fields)?;
                let records = if code == ResponseCode::SUCCESS { answer.body } else { Bytes::new() };
                let (next, min, max) = (reply.next_begin_offset, reply.min_offset, reply.max_offset);
                Ok(Pulled { records, next, min, max, code })
            }
            code => Err(Failure::operation(format!(
                "{address} refused with {code}: {}",
                shown(&answer.remark.unwrap_or_default())
            ))),
        }
    }

    pub async fn min_offset(&self, place: &Found, topic: &str) -> Result<QueueOffset, Failure> {
        let request = GetMinOffset { topic: topic.into(), queue_id: place.queue };
        let (reply, _) = self.ask(&place.node.address, &request, Bytes::new()).await?;
        Ok(reply.offset)
    }

    pub async fn max_offset(&self, place: &Found, topic: &str) -> Result<QueueOffset, Failure> {
        let request = GetMaxOffset { topic: topic.into(), queue_id: place.queue, committed: true };
        let (reply, _) = self.ask(&place.node.address, &request, Bytes::new()).await?;
        Ok(reply.offset)
    }

    /// The first message that is not older.
    pub async fn offset_at(&self, place: &Found, topic: &str, time: Moment) -> Result<QueueOffset, Failure> {
        let request = SearchOffset {
            topic: topic.into(),
            queue_id: place.queue,
            timestamp: time.0,
            ..SearchOffset::default()
        };
        let (reply, _) = self.ask(&place.node.address, &request, Bytes::new()).await?;
        Ok(reply.offset)
    }
}

/// A message as a line of a table.
pub const COLUMNS: &[&str] = &["broker", "queue", "offset", "stored", "tags", "keys", "id", "body"];

pub fn row(record: &Record<'_>, broker: &str) -> [Cell; 8] {
    let property = |name| record.properties.get(name).map(std::borrow::Cow::into_owned);
    let body: String = shown_body(record).chars().take(BODY_CHARACTERS_MAX).collect();
    [
        broker.into(),
        record.queue_id.0.into(),
        record.queue_offset.0.into(),
        Moment(record.store_timestamp).to_string().into(),
        property(property::TAGS).into(),
        property(property::KEYS).into(),
        property(property::UNIQUE_KEY).unwrap_or_else(|| record.message_id().to_string()).into(),
        body.into(),
    ]
}

/// A body as text, or else what it is.
pub fn shown_body(record: &Record<'_>) -> String {
    if let Some(kind) = record.sys_flag.compression() {
        return format!("<{} bytes, compressed by {kind:?}>", record.body.len());
    }
    match std::str::from_utf8(record.body) {
        Ok(text) => shown(text),
        Err(_) => format!("<{} bytes that are no text>", record.body.len()),
    }
}

pub fn unreadable(error: &RecordError) -> Failure {
    Failure::operation(format!("a message cannot be read: {error}"))
}

/// The table of the messages in `bytes`.
pub fn show(bytes: &[u8], broker: &str, table: &mut Table) -> Result<(), Failure> {
    for record in Records::new(bytes) {
        let record = record.map_err(|error| unreadable(&error))?;
        table.row(row(&record, broker));
    }
    Ok(())
}
