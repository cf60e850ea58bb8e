//! Writing records.

use std::net::{IpAddr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};

use super::layout::{
    LOG_OFFSET_AT, MAGIC_AT, QUEUE_OFFSET_AT, SYS_FLAG_AT, SysFlag, Version, checksum, i32_at,
};
use super::properties::PROPERTIES_BYTES_MAX;
use crate::name::TopicName;
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};

/// A message that is to become a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    pub topic: TopicName,
    pub queue_id: QueueId,
    pub flag: i32,
    /// Its bits for the hosts are ignored: the hosts themselves know.
    pub sys_flag: SysFlag,
    pub born_timestamp: Timestamp,
    pub born_host: SocketAddr,
    pub store_host: SocketAddr,
    pub reconsume_times: i32,
    pub prepared_offset: LogOffset,
    /// In their form of the wire: see [`super::PropertyList`].
    pub properties: Bytes,
    pub body: Bytes,
}

/// Why a message cannot become a record: its sender must shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("a body of {bytes} bytes is longer than the {max} allowed")]
    BodyTooLong { bytes: usize, max: usize },
    #[error("properties of {0} bytes are longer than the {PROPERTIES_BYTES_MAX} allowed")]
    PropertiesTooLong(usize),
}

impl NewRecord {
    /// Appends the record to `out` and says how many bytes it takes. Its queue offset, its log offset and its store
    /// timestamp are left zero for [`stamp`]. On an error `out` is as before.
    pub fn encode(&self, body_bytes_max: usize, out: &mut BytesMut) -> Result<usize, EncodeError> {
        if self.body.len() > body_bytes_max {
            return Err(EncodeError::BodyTooLong { bytes: self.body.len(), max: body_bytes_max });
        }
        let properties_length = properties_length(&self.properties)?;
        // An IPv4 peer of a socket that also takes IPv6 has a mapped address; Java knows it by its IPv4 one.
        let born_ip = self.born_host.ip().to_canonical();
        let store_ip = self.store_host.ip().to_canonical();
        let sys_flag = with_hosts(self.sys_flag, born_ip, store_ip);
        let topic = self.topic.as_str();
        let version = Version::for_topic(topic.len());
        let lengths = size_of::<i32>() + version.topic_prefix() + size_of::<i16>();
        let parts = self.body.len() + topic.len() + self.properties.len();
        let size = sys_flag.body_length_at() + lengths + parts;
        let too_long = EncodeError::BodyTooLong { bytes: self.body.len(), max: body_bytes_max };
        let total_size = i32::try_from(size).map_err(|_| too_long)?;

        out.reserve(size);
        out.put_i32(total_size);
        out.put_i32(version.magic());
        out.put_i32(checksum(&self.body));
        out.put_i32(self.queue_id.0);
        out.put_i32(self.flag);
        out.put_i64(0);
        out.put_i64(0);
        out.put_i32(sys_flag.0);
        out.put_i64(self.born_timestamp.0);
        put_host(out, born_ip, self.born_host.port());
        out.put_i64(0);
        put_host(out, store_ip, self.store_host.port());
        out.put_i32(self.reconsume_times);
        out.put_i64(self.prepared_offset.0);
        // Less than the total size, so it fits as well. The same holds for a name and the length of a version that was
        // chosen for it.
        out.put_i32(self.body.len() as i32);
        out.put_slice(&self.body);
        match version {
            Version::V1 => out.put_i8(topic.len() as i8),
            Version::V2 => out.put_i16(topic.len() as i16),
        }
        out.put_slice(topic.as_bytes());
        out.put_i16(properties_length);
        out.put_slice(&self.properties);
        Ok(size)
    }
}

pub(super) fn properties_length(properties: &[u8]) -> Result<i16, EncodeError> {
    i16::try_from(properties.len()).map_err(|_| EncodeError::PropertiesTooLong(properties.len()))
}

fn with_hosts(sys_flag: SysFlag, born: IpAddr, store: IpAddr) -> SysFlag {
    let mut flags = sys_flag.without(SysFlag::BORN_HOST_V6 | SysFlag::STORE_HOST_V6);
    if born.is_ipv6() {
        flags = flags | SysFlag::BORN_HOST_V6;
    }
    if store.is_ipv6() {
        flags = flags | SysFlag::STORE_HOST_V6;
    }
    flags
}

fn put_host(out: &mut BytesMut, ip: IpAddr, port: u16) {
    match ip {
        IpAddr::V4(ip) => out.put_slice(&ip.octets()),
        IpAddr::V6(ip) => out.put_slice(&ip.octets()),
    }
    out.put_i32(port.into());
}

/// There is nothing to stamp: the bytes do not begin with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no record to stamp")]
pub struct NotARecord;

/// Writes into the record at the front of `bytes` what is known only when it is given its place in the log. The offset in
/// the queue of a prepared or a rolled back half is 0, by convention of all readers.
pub fn stamp(
    bytes: &mut [u8],
    queue_offset: QueueOffset,
    log_offset: LogOffset,
    store_timestamp: Timestamp,
) -> Result<(), NotARecord> {
    i32_at(bytes, MAGIC_AT).and_then(Version::from_magic).ok_or(NotARecord)?;
    let sys_flag = SysFlag(i32_at(bytes, SYS_FLAG_AT).ok_or(NotARecord)?);
    // The last hole first: when it is there, the others are, and nothing is written by halves.
    put_i64_at(bytes, sys_flag.store_timestamp_at(), store_timestamp.0)?;
    put_i64_at(bytes, QUEUE_OFFSET_AT, queue_offset.0)?;
    put_i64_at(bytes, LOG_OFFSET_AT, log_offset.0)
}

/// Writes into the record at the front of `bytes` where its half lies: the record was moved to another log.
pub fn set_prepared_offset(bytes: &mut [u8], prepared: LogOffset) -> Result<(), NotARecord> {
    i32_at(bytes, MAGIC_AT).and_then(Version::from_magic).ok_or(NotARecord)?;
    let sys_flag = SysFlag(i32_at(bytes, SYS_FLAG_AT).ok_or(NotARecord)?);
    put_i64_at(bytes, sys_flag.prepared_offset_at(), prepared.0)
}

fn put_i64_at(bytes: &mut [u8], at: usize, value: i64) -> Result<(), NotARecord> {
    let hole = bytes.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(NotARecord)?;
    *hole = value.to_be_bytes();
    Ok(())
}
