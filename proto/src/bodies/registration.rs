//! What a broker registers: its topics, as JSON or in a compressed form of its own.
//!
//! The compressed form is one deflate stream of parts, each with its length in 4 bytes: the data version, a count of topics,
//! each topic as a line of text, the filter servers and, from 5.0 on, a count of queue mappings and each of them. The line
//! has no place for a topic's order and system flags: they are lost.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use bytes::{Buf, BufMut, Bytes};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::mapping::QueueMappingInfo;
use super::topics::{DataVersion, TopicConfig, TopicFilter, TopicTable};
use crate::json::{self, Dialect, FromJson, JsonError, Reader, ToJson};
use crate::version;

/// A compressed registration may not grow past this. A broker with 100 000 topics needs about 4 MiB.
pub const INFLATED_BYTES_MAX: usize = 64 << 20;

/// Nor past this multiple of its size. Lines of topics shrink by a factor of 10 to 30; only a bomb shrinks by more than 200.
pub const INFLATION_MAX: usize = 200;

family! {
    /// The body of `RegisterBroker` (RocketMQ: RegisterBrokerBody).
    pub struct Registration {
        filter_server_list: Vec<String> = "filterServerList",
        topics: TopicTable = "topicConfigSerializeWrapper",
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RegistrationError {
    #[error("the body does not inflate: {0}")]
    Deflate(#[from] io::Error),
    #[error("the body inflates to more than {0} bytes")]
    TooLarge(usize),
    #[error("{0} is cut off")]
    CutOff(&'static str),
    #[error("a topic's line is no topic: {0:?}")]
    NoTopic(String),
    #[error("the body is no registration: {0}")]
    Json(#[from] JsonError),
}

impl Registration {
    /// Reads the body of a broker of `version`. No body at all registers no topics.
    pub fn decode(body: &[u8], compressed: bool, version: i32) -> Result<Self, RegistrationError> {
        if body.is_empty() {
            Ok(Self::default())
        } else if version < version::V3_0_11 {
            Ok(Self { topics: json::from_slice(body)?, ..Self::default() })
        } else if compressed {
            Self::inflate(body, version)
        } else {
            Ok(json::from_slice(body)?)
        }
    }

    /// Reads the compressed form.
    pub fn inflate(body: &[u8], version: i32) -> Result<Self, RegistrationError> {
        let limit = body.len().saturating_mul(INFLATION_MAX).min(INFLATED_BYTES_MAX);
        let mut inflated = Vec::new();
        let limit_and_one = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
        ZlibDecoder::new(body).take(limit_and_one).read_to_end(&mut inflated)?;
        if inflated.len() > limit {
            return Err(RegistrationError::TooLarge(limit));
        }
        read_parts(Bytes::from(inflated), version)
    }

    /// Writes the compressed form, as a broker of 5.0 or later does.
    pub fn deflate(&self) -> io::Result<Vec<u8>> {
        let mut parts = Vec::new();
        put_json(&mut parts, &self.topics.data_version);
        put_count(&mut parts, self.topics.topic_config_table.len());
        for topic in self.topics.topic_config_table.values() {
            put_part(&mut parts, &topic.to_line());
        }
        put_json(&mut parts, &self.filter_server_list);
        put_count(&mut parts, self.topics.topic_queue_mapping_info_map.len());
        for mapping in self.topics.topic_queue_mapping_info_map.values() {
            put_json(&mut parts, mapping);
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&parts)?;
        encoder.finish()
    }
}

fn read_parts(mut rest: Bytes, version: i32) -> Result<Registration, RegistrationError> {
    let mut topics = TopicTable {
        data_version: DataVersion::read(&mut Reader::from_utf8(&take_part(&mut rest, "the data version")?)?)?,
        ..TopicTable::default()
    };
    for _ in 0..take_count(&mut rest, "the count of topics")? {
        let topic = TopicConfig::from_line(&take_part(&mut rest, "a topic")?)?;
        topics.topic_config_table.insert(topic.topic_name.clone(), topic);
    }
    // Java registers the topics of a broker whose filter servers it cannot read, and so do we.
    let filter_servers = take_part(&mut rest, "the filter servers")?;
    let filter_server_list = json::from_slice(&filter_servers).unwrap_or_default();
    if version >= version::V5_0_0 {
        for _ in 0..take_count(&mut rest, "the count of mappings")? {
            let mapping: QueueMappingInfo = json::from_slice(&take_part(&mut rest, "a mapping")?)?;
            let topic = mapping.topic.clone().unwrap_or_default();
            topics.topic_queue_mapping_info_map.insert(topic, mapping);
        }
    }
    Ok(Registration { filter_server_list, topics })
}

fn take_count(rest: &mut Bytes, what: &'static str) -> Result<i32, RegistrationError> {
    rest.try_get_i32().map_err(|_| RegistrationError::CutOff(what))
}

fn take_part(rest: &mut Bytes, what: &'static str) -> Result<Bytes, RegistrationError> {
    match usize::try_from(take_count(rest, what)?) {
        Ok(length) if length <= rest.len() => Ok(rest.split_to(length)),
        _ => Err(RegistrationError::CutOff(what)),
    }
}

/// A broker's tables are far from 2³¹ bytes; one that is not would be cut off, which its reader notices.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

fn put_part(out: &mut Vec<u8>, part: &str) {
    put_count(out, part.len());
    out.extend_from_slice(part.as_bytes());
}

fn put_json(out: &mut Vec<u8>, value: &impl ToJson) {
    put_part(out, &json::to_string(value, Dialect::Fastjson));
}

impl TopicConfig {
    /// `name readNums writeNums perm filterType {attributes}`.
    fn to_line(&self) -> String {
        let Self { topic_name, read_queue_nums, write_queue_nums, perm, topic_filter_type, .. } = self;
        let attributes = json::to_string(&self.attributes, Dialect::Fastjson);
        format!("{topic_name} {read_queue_nums} {write_queue_nums} {perm} {topic_filter_type} {attributes}")
    }

    /// Attributes may be missing. Java drops those it cannot read, and so do we.
    fn from_line(line: &[u8]) -> Result<Self, RegistrationError> {
        let line = String::from_utf8_lossy(line);
        Self::parse_line(&line).ok_or_else(|| RegistrationError::NoTopic(line.into_owned()))
    }

    fn parse_line(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        Some(Self {
            topic_name: words.next()?.to_owned(),
            read_queue_nums: words.next()?.parse().ok()?,
            write_queue_nums: words.next()?.parse().ok()?,
            perm: words.next()?.parse().ok()?,
            topic_filter_type: TopicFilter::from_word(words.next()?)?,
            attributes: words
                .next()
                .and_then(|attributes| BTreeMap::read(&mut Reader::new(attributes)).ok())
                .unwrap_or_default(),
            ..Self::default()
        })
    }
}

#[cfg(test)]
mod tests;
