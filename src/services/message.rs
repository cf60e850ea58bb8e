//! A message on its way into the log.

use std::net::SocketAddr;

use bytes::Bytes;
use ferrymq_proto::name::{NameError, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};
use ferrymq_proto::record::{EncodeError, NewRecord, PropertyError, PropertyList, Record, SysFlag, property};

use crate::replication::{Batch, NotStored};

/// Each makes a message wait.
pub const DELAYS: [&str; 4] = [
    property::DELAY_LEVEL,
    property::TIMER_DELIVER_MS,
    property::TIMER_DELAY_SECONDS,
    property::TIMER_DELAY_MS,
];

/// What is allowed of one message.
#[derive(Clone, Copy, Debug)]
pub struct MessageLimits {
    pub body_bytes_max: usize,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub topic: TopicName,
    pub queue_id: QueueId,
    /// The user's own.
    pub flag: i32,
    pub sys_flag: SysFlag,
    pub born_timestamp: Timestamp,
    pub born_host: SocketAddr,
    pub store_host: SocketAddr,
    pub reconsume_times: i32,
    /// Where the half of a committed transaction lies; else 0.
    pub prepared_offset: LogOffset,
    pub properties: PropertyList,
    pub body: Bytes,
}

/// Why a stored message cannot be made a new one.
#[derive(Debug, thiserror::Error)]
pub enum NotAMessage {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Properties(#[from] PropertyError),
}

impl Message {
    /// The message of a stored record, which is to be stored again.
    pub fn from_record(record: &Record<'_>) -> Result<Self, NotAMessage> {
        Ok(Self {
            topic: TopicName::parse(record.topic)?,
            queue_id: record.queue_id,
            flag: record.flag,
            sys_flag: record.sys_flag,
            born_timestamp: record.born_timestamp,
            born_host: record.born_host,
            store_host: record.store_host,
            reconsume_times: record.reconsume_times,
            prepared_offset: record.prepared_offset,
            properties: PropertyList::read(record.properties)?,
            body: Bytes::copy_from_slice(record.body),
        })
    }

    pub fn property(&self, name: &str) -> Option<String> {
        self.properties.get(name).map(|value| value.into_owned())
    }

    /// Sets a property; `MESSAGE_ILLEGAL` if there is no room for it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), NotStored> {
        self.properties.set(name, value).map_err(|error| NotStored::Illegal(error.to_string()))
    }

    /// The delay level that the sender asked for; 0 when none.
    pub fn delay_level(&self) -> i32 {
        self.properties.get(property::DELAY_LEVEL).and_then(|level| level.parse().ok()).unwrap_or_default()
    }

    /// Whether the message is the half of a transaction.
    pub fn is_half(&self) -> bool {
        let prepared = self.properties.get(property::TRANSACTION_PREPARED);
        prepared.is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The queue of a message with a priority: the one of that number, or the last of a topic that has no such queue. A message that
    /// waits, is ordered, or is the half of a transaction loses its priority instead.
    pub fn queue_by_priority(&mut self, write_queues: i32) -> Option<QueueId> {
        let priority = self.properties.get(property::PRIORITY)?.parse::<i32>().ok();
        let priority = priority.filter(|priority| *priority >= 0)?;
        let has = |name: &str| self.properties.get(name).is_some();
        if self.is_half() || DELAYS.into_iter().any(has) || has(property::SHARDING_KEY) {
            self.properties.remove(property::PRIORITY);
            return None;
        }
        Some(QueueId(priority.min(write_queues - 1).max(0)))
    }

    /// Whether the sender wants to hear that the message is safe. Yes, unless it says no.
    pub fn waits_for_safety(&self) -> bool {
        self.properties.get(property::WAIT).is_none_or(|wait| wait.eq_ignore_ascii_case("true"))
    }

    /// Appends the message to a batch, as a record with holes.
    pub fn encode_into(self, batch: &mut Batch, limits: MessageLimits) -> Result<(), NotStored> {
        let record = NewRecord {
            topic: self.topic,
            queue_id: self.queue_id,
            flag: self.flag,
            sys_flag: self.sys_flag,
            born_timestamp: self.born_timestamp,
            born_host: self.born_host,
            store_host: self.store_host,
            reconsume_times: self.reconsume_times,
            prepared_offset: self.prepared_offset,
            properties: self.properties.into_bytes(),
            body: self.body,
        };
        let encoded = record.encode(limits.body_bytes_max, &mut batch.records);
        encoded.map_err(|error: EncodeError| NotStored::Illegal(error.to_string()))?;
        batch.count += 1;
        Ok(())
    }

    /// A batch of this message alone.
    pub fn into_batch(self, limits: MessageLimits) -> Result<Batch, NotStored> {
        let mut batch = Batch::default();
        self.encode_into(&mut batch, limits)?;
        Ok(batch)
    }
}
