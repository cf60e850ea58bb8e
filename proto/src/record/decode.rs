//! Reading records.

use std::net::{IpAddr, SocketAddr};

use super::layout::{
    BODY_CRC_AT, BORN_HOST_AT, BORN_TIMESTAMP_AT, FLAG_AT, LOG_OFFSET_AT, QUEUE_ID_AT, QUEUE_OFFSET_AT,
    SysFlag, Version,
};
use super::message_id::OffsetMessageId;
use super::outline::{Misfit, Outline};
use super::properties::Properties;
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};

/// A view of one record. Its checksum is carried but not checked, because Apache brokers that inflate a body for an old
/// client keep the checksum of the deflated one: [`super::scan()`] is for logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub version: Version,
    pub body_crc: i32,
    pub queue_id: QueueId,
    /// The user's own, which means nothing to the broker.
    pub flag: i32,
    /// 0 when the message is the prepared or the rolled back half of a transaction, which is in no queue.
    pub queue_offset: QueueOffset,
    pub log_offset: LogOffset,
    pub sys_flag: SysFlag,
    pub born_timestamp: Timestamp,
    pub born_host: SocketAddr,
    pub store_timestamp: Timestamp,
    pub store_host: SocketAddr,
    pub reconsume_times: i32,
    /// Where the half of a committed transaction lies; else 0.
    pub prepared_offset: LogOffset,
    /// As it was sent: compressed if `sys_flag` says so.
    pub body: &'a [u8],
    pub topic: &'a str,
    pub properties: Properties<'a>,
}

/// Why bytes do not begin with a record that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// What is there may be the beginning of one. A size that was only claimed: bound it before you make room for it.
    #[error("the record is cut off: it has {needed} bytes")]
    Truncated { needed: usize },
    #[error("{0:#010x} is not the magic of a record")]
    BadMagic(i32),
    #[error("the parts of the record do not add up to its size of {0}")]
    BadSize(i32),
    #[error("a host of the record has the port {0}")]
    BadPort(i32),
    #[error("the topic of the record is not UTF-8")]
    TopicNotUtf8,
}

impl<'a> Record<'a> {
    /// Reads the record at the front of `bytes`, and says how many bytes it takes.
    pub fn decode(bytes: &'a [u8]) -> Result<(Self, usize), RecordError> {
        let outline = Outline::cut(bytes)?;
        let flags = outline.sys_flag;
        let record = Self {
            version: outline.version,
            body_crc: outline.i32(BODY_CRC_AT),
            queue_id: QueueId(outline.i32(QUEUE_ID_AT)),
            flag: outline.i32(FLAG_AT),
            queue_offset: QueueOffset(outline.i64(QUEUE_OFFSET_AT)),
            log_offset: LogOffset(outline.i64(LOG_OFFSET_AT)),
            sys_flag: flags,
            born_timestamp: Timestamp(outline.i64(BORN_TIMESTAMP_AT)),
            born_host: host(&outline, BORN_HOST_AT, flags.has(SysFlag::BORN_HOST_V6))?,
            store_timestamp: Timestamp(outline.i64(flags.store_timestamp_at())),
            store_host: host(&outline, flags.store_host_at(), flags.has(SysFlag::STORE_HOST_V6))?,
            reconsume_times: outline.i32(flags.reconsume_times_at()),
            prepared_offset: LogOffset(outline.i64(flags.prepared_offset_at())),
            body: outline.body,
            topic: std::str::from_utf8(outline.topic).map_err(|_| RecordError::TopicNotUtf8)?,
            properties: Properties::new(outline.properties),
        };
        Ok((record, outline.size))
    }

    /// The id that the broker answered when the message was sent.
    pub fn message_id(&self) -> OffsetMessageId {
        OffsetMessageId { store_host: self.store_host, log_offset: self.log_offset }
    }
}

impl From<Misfit> for RecordError {
    fn from(misfit: Misfit) -> Self {
        match misfit {
            Misfit::Truncated { needed } => Self::Truncated { needed },
            Misfit::BadMagic(magic) => Self::BadMagic(magic),
            Misfit::BadSize(size) => Self::BadSize(size),
        }
    }
}

fn host(outline: &Outline<'_>, at: usize, is_v6: bool) -> Result<SocketAddr, RecordError> {
    let (ip, port_at) = if is_v6 {
        (IpAddr::from(outline.bytes::<16>(at)), at + 16)
    } else {
        (IpAddr::from(outline.bytes::<4>(at)), at + 4)
    };
    let port = outline.i32(port_at);
    Ok(SocketAddr::new(ip, u16::try_from(port).map_err(|_| RecordError::BadPort(port))?))
}

/// The records that lie one behind the other, as in the body of a pull. The first error is the last item: nothing tells
/// where the next record would begin.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let decoded = Record::decode(self.rest);
        self.rest = match decoded {
            Ok((_, size)) => self.rest.get(size..).unwrap_or_default(),
            Err(_) => &[],
        };
        Some(decoded.map(|(record, _)| record))
    }
}
