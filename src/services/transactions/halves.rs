//! The records of a transaction: the half, the message that commits it, the half once more, and the mark that it is finished.
//!
//! They are Apache's, so that either broker can go on with the other's store. Two fields that Apache leaves empty say more here,
//! and it does not look at them: `prepared_offset` of a half that was written again is where the first one lies, and that of a
//! mark is where one has to look from for messages that commit a half without a mark.

use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::{SystemTopic, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, PropertyList, Record, SysFlag, TransactionState, property, stamp};

use super::table::{Half, Root};
use crate::replication::{NotStored, Stored};
use crate::services::message::{Message, NotAMessage};

/// Says that the first half lies at offset 0, which by itself says nothing.
const FIRST_OF_ALL: LogOffset = LogOffset(-1);

/// The tag of a mark.
const FINISHED: &str = "d";
const SEPARATOR: char = ',';

/// All halves and all marks are in one queue each.
pub const QUEUE: QueueId = QueueId(0);

/// Makes the half of a transaction out of a message: it waits where no consumer looks, and remembers where it belongs.
pub fn prepare(message: &mut Message) -> Result<(), NotStored> {
    let (topic, queue) = (message.topic.clone(), message.queue_id);
    message.set(property::REAL_TOPIC, topic.as_str())?;
    message.set(property::REAL_QUEUE_ID, &queue.to_string())?;
    if let Some(id) = message.property(property::UNIQUE_KEY) {
        message.set(property::TRANSACTION_ID, &id)?;
    }
    // What tells it from others is its topic.
    message.sys_flag = message.sys_flag.with_transaction(TransactionState::None);
    message.topic = SystemTopic::TransactionHalf.into();
    message.queue_id = QUEUE;
    Ok(())
}

/// What of a record makes it a half; `None`: it is something else.
pub fn half(record: &Record<'_>) -> Option<Half> {
    let is_half = record.topic == SystemTopic::TransactionHalf.as_str() && record.queue_id == QUEUE;
    is_half.then(|| Half {
        root: root(record),
        queue_offset: record.queue_offset,
        log_offset: record.log_offset,
        born: record.born_timestamp,
        checks: checks(record),
        immunity_ms: immunity(record),
    })
}

fn root(record: &Record<'_>) -> Root {
    match record.prepared_offset {
        LogOffset(0) => Root(record.log_offset),
        FIRST_OF_ALL => Root(LogOffset(0)),
        first => Root(first),
    }
}

fn checks(record: &Record<'_>) -> u32 {
    let times = record.properties.get(property::TRANSACTION_CHECK_TIMES);
    times.and_then(|times| times.parse().ok()).unwrap_or_default()
}

fn immunity(record: &Record<'_>) -> Option<i64> {
    let seconds = record.properties.get(property::CHECK_IMMUNITY_SECONDS)?.parse::<i64>().ok()?;
    (seconds >= 0).then(|| seconds.saturating_mul(1000))
}

/// Where the message of a half is to go.
fn destination(properties: &PropertyList) -> Option<(TopicName, QueueId)> {
    let topic = TopicName::parse(&properties.get(property::REAL_TOPIC)?).ok()?;
    let queue = properties.get(property::REAL_QUEUE_ID)?.parse().ok().filter(|queue| *queue >= 0)?;
    Some((topic, QueueId(queue)))
}

/// Why a half cannot become what it should.
#[derive(Debug, thiserror::Error)]
pub enum BadHalf {
    #[error(transparent)]
    Message(#[from] NotAMessage),
    #[error("it does not say where it belongs")]
    NoDestination,
    #[error(transparent)]
    NoRoom(#[from] NotStored),
}

/// The message that commits a half. It keeps the mark of one, as in Apache's store: by it the consumers' client knows the id of
/// the transaction.
pub fn committed(record: &Record<'_>) -> Result<Message, BadHalf> {
    let mut message = Message::from_record(record)?;
    let (topic, queue_id) = destination(&message.properties).ok_or(BadHalf::NoDestination)?;
    for name in [property::REAL_TOPIC, property::REAL_QUEUE_ID] {
        message.properties.remove(name);
    }
    message.topic = topic;
    message.queue_id = queue_id;
    message.sys_flag = message.sys_flag.with_transaction(TransactionState::Committed);
    message.prepared_offset = record.log_offset;
    Ok(message)
}

/// The half once more, with `checks` questions asked.
pub fn copy(record: &Record<'_>, half: &Half, checks: u32) -> Result<Message, BadHalf> {
    let mut message = Message::from_record(record)?;
    message.prepared_offset = if half.root.0.0 == 0 { FIRST_OF_ALL } else { half.root.0 };
    if checks != half.checks {
        message.set(property::TRANSACTION_CHECK_TIMES, &checks.to_string())?;
    }
    Ok(message)
}

/// The half among those that are given up.
pub fn given_up(record: &Record<'_>) -> Result<Message, BadHalf> {
    let mut message = Message::from_record(record)?;
    message.topic = SystemTopic::TransactionGivenUp.into();
    message.prepared_offset = LogOffset(0);
    Ok(message)
}

/// The half of a transaction that had been given up.
pub fn resumed(record: &Record<'_>) -> Result<Message, BadHalf> {
    let mut message = Message::from_record(record)?;
    destination(&message.properties).ok_or(BadHalf::NoDestination)?;
    message.topic = SystemTopic::TransactionHalf.into();
    message.prepared_offset = record.log_offset;
    message.set(property::TRANSACTION_CHECK_TIMES, "0")?;
    Ok(message)
}

/// Says that these halves are finished. Messages that commit others lie nowhere before `commits_from`.
pub fn mark(
    halves: &[QueueOffset],
    commits_from: LogOffset,
    host: SocketAddr,
    now: Timestamp,
) -> Result<Message, NotStored> {
    let mut body = String::new();
    for half in halves {
        // Writing into a string does not fail.
        let _ = write!(body, "{half}{SEPARATOR}");
    }
    let mut message = Message {
        topic: SystemTopic::TransactionOperation.into(),
        queue_id: QUEUE,
        flag: 0,
        sys_flag: SysFlag::default(),
        born_timestamp: now,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: commits_from,
        properties: PropertyList::new(),
        body: body.into(),
    };
    message.set(property::TAGS, FINISHED)?;
    Ok(message)
}

/// The halves that a mark names. What is no mark names none.
pub fn marked<'r>(record: &Record<'r>) -> impl Iterator<Item = QueueOffset> + use<'r> {
    let is_mark = record.properties.get(property::TAGS).as_deref() == Some(FINISHED);
    let body = if is_mark { std::str::from_utf8(record.body).unwrap_or_default() } else { "" };
    body.split(SEPARATOR).filter_map(|half| half.trim().parse().ok()).map(QueueOffset)
}

/// What a producer is shown of its half when it is asked: the message it had sent, where the copy was `stored`.
pub fn shown(copy: Message, stored: &Stored) -> Result<Bytes, BadHalf> {
    let (topic, queue_id) = destination(&copy.properties).ok_or(BadHalf::NoDestination)?;
    let record = NewRecord {
        topic,
        queue_id,
        flag: copy.flag,
        sys_flag: copy.sys_flag,
        born_timestamp: copy.born_timestamp,
        born_host: copy.born_host,
        store_host: copy.store_host,
        reconsume_times: copy.reconsume_times,
        prepared_offset: LogOffset(0),
        properties: copy.properties.into_bytes(),
        body: copy.body,
    };
    let mut bytes = BytesMut::new();
    let illegal = |error: &dyn std::fmt::Display| BadHalf::NoRoom(NotStored::Illegal(error.to_string()));
    record.encode(usize::MAX, &mut bytes).map_err(|error| illegal(&error))?;
    stamp(&mut bytes, stored.queue_offset, stored.log_offset, stored.store_timestamp)
        .map_err(|error| illegal(&error))?;
    Ok(bytes.freeze())
}
