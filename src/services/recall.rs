//! Calling a timer message off.
//!
//! Its sender holds a handle: `v1`, topic, broker, a moment and unique key, separated by blanks, in base 64 for URLs. What it
//! hands in becomes a timer of the same tick that names the other one: when the tick comes, neither is delivered.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use ferrymq_proto::name::{BrokerName, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};
use ferrymq_proto::record::{PropertyList, SysFlag, property};

use super::message::Message;
use super::posting::{Posting, TimerRules};
use super::topics::Topics;
use crate::clock;
use crate::config::broker;
use crate::refusal::Refusal;
use crate::replication::NotStored;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const VERSION: &str = "v1";
/// The tag of messages that call another one off, and their body.
const RECALL_TAG: &str = "_RECALL_TAG_";
const RECALL_BODY: &[u8] = b"0";

/// What the sender of a timer message is given. `due` is a moment within its tick.
pub fn handle(topic: &str, broker: &str, due: Timestamp, unique_key: &str) -> String {
    encode(format!("{VERSION} {topic} {broker} {due} {unique_key}").as_bytes())
}

/// What a message that is called off is named by.
pub fn key(topic: &str, unique_key: &str) -> String {
    format!("{topic}+{unique_key}")
}

#[derive(Debug)]
pub struct Recall {
    topics: Arc<Topics>,
    posting: Posting,
    broker: BrokerName,
    store_host: SocketAddr,
    rules: broker::Recall,
    timers: TimerRules,
}

#[derive(Debug, PartialEq, Eq)]
struct Handle {
    topic: String,
    broker: String,
    due: Option<Timestamp>,
    unique_key: String,
}

impl Recall {
    pub fn new(
        topics: Arc<Topics>,
        posting: Posting,
        broker: BrokerName,
        store_host: SocketAddr,
        rules: broker::Recall,
    ) -> Self {
        let timers = posting.timers();
        Self { topics, posting, broker, store_host, rules, timers }
    }

    /// Calls a message off; its unique key.
    pub async fn call_off(
        &self,
        topic: &str,
        handle: &str,
        producers: Option<&str>,
        peer: SocketAddr,
    ) -> Result<String, Refusal> {
        if !self.rules.is_enabled {
            return Err(Refusal::NoPermission("recall failed, operation is forbidden".to_owned()));
        }
        if !self.topics.broker_permission().may_write() && !self.rules.works_without_write_permission {
            return Err(NotStored::Stopping.into());
        }
        if self.topics.find(topic).is_none() {
            return Err(Refusal::NoSuchTopic(topic.to_owned()));
        }
        let now = clock::now();
        let handle = self.check(topic, handle, now)?;
        let unique_key = handle.unique_key.clone();
        self.posting.store(self.message(&handle, producers, peer, now)?).await?;
        Ok(unique_key)
    }

    fn check(&self, topic: &str, handle: &str, now: Timestamp) -> Result<Handle, Refusal> {
        let refused = |reason: &str| Refusal::IllegalOperation(reason.to_owned());
        let handle = read_handle(handle).ok_or_else(|| refused("recall handle is invalid"))?;
        if handle.topic != topic {
            return Err(refused("recall failed, topic not match"));
        }
        if self.broker != *handle.broker {
            return Err(refused("recall failed, broker service not available"));
        }
        let left = handle.due.map_or(-1, |due| due.0.saturating_sub(now.0));
        if left <= 0 || left >= self.timers.delay_ms_max {
            return Err(refused("recall failed, timestamp invalid"));
        }
        Ok(handle)
    }

    fn message(
        &self,
        handle: &Handle,
        producers: Option<&str>,
        peer: SocketAddr,
        now: Timestamp,
    ) -> Result<Message, Refusal> {
        let mut message = Message {
            topic: TopicName::parse(&handle.topic)?,
            queue_id: QueueId(0),
            flag: 0,
            sys_flag: SysFlag(0),
            born_timestamp: now,
            born_host: peer,
            store_host: self.store_host,
            reconsume_times: 0,
            prepared_offset: LogOffset(0),
            properties: PropertyList::new(),
            body: Bytes::from_static(RECALL_BODY),
        };
        message.set(property::TAGS, RECALL_TAG)?;
        message.set(property::TIMER_DELETE_UNIQUE_KEY, &key(&handle.topic, &handle.unique_key))?;
        message.set(property::UNIQUE_KEY, &handle.unique_key)?;
        message.set(property::TIMER_DELIVER_MS, &handle.due.unwrap_or_default().to_string())?;
        message.set(property::BORN_TIMESTAMP, &now.to_string())?;
        if let Some(producers) = producers.filter(|producers| !producers.is_empty()) {
            message.set(property::PRODUCER_GROUP, producers)?;
        }
        Ok(message)
    }
}

fn read_handle(text: &str) -> Option<Handle> {
    let text = String::from_utf8(decode(text)?).ok()?;
    let mut items = text.split(' ');
    if items.next() != Some(VERSION) {
        return None;
    }
    let mut item = || items.next().map(str::to_owned);
    let (topic, broker, due, unique_key) = (item()?, item()?, item()?, item()?);
    // Nothing could be found by an empty key.
    let due = due.parse().ok().map(Timestamp);
    (!unique_key.is_empty()).then_some(Handle { topic, broker, due, unique_key })
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) as usize & 0x3F;
            let letter = ALPHABET.get(index).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

/// As Java, with padding or without.
fn decode(text: &str) -> Option<Vec<u8>> {
    let letters = text.trim_end_matches('=').as_bytes();
    let padding = text.len() - letters.len();
    if letters.len() % 4 == 1 || padding > 0 && (padding > 2 || !text.len().is_multiple_of(4)) {
        return None;
    }
    let mut bytes = Vec::with_capacity(letters.len() / 4 * 3 + 2);
    for chunk in letters.chunks(4) {
        let mut bits = 0_u32;
        for letter in chunk {
            bits = bits << 6 | ALPHABET.iter().position(|known| known == letter)? as u32;
        }
        let [_, decoded @ ..] = (bits << (6 * (4 - chunk.len()))).to_be_bytes();
        bytes.extend(decoded.into_iter().take(chunk.len() - 1));
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_what_java_makes() {
        assert_eq!(
            handle("topic", "broker", Timestamp(1_700_000_000_000), "7F0000010001"),
            "djEgdG9waWMgYnJva2VyIDE3MDAwMDAwMDAwMDAgN0YwMDAwMDEwMDAx"
        );
        assert_eq!(encode(b"ab"), "YWI=");
        assert_eq!(encode(b"a"), "YQ==");
        assert_eq!(encode(&[0xFB, 0xFF, 0xFE]), "-__-");
    }

    #[test]
    fn what_was_encoded_is_decoded() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37).wrapping_sub(3)).collect();
            let text = encode(&bytes);
            assert_eq!(decode(&text), Some(bytes.clone()), "{text}");
            assert_eq!(decode(text.trim_end_matches('=')), Some(bytes), "{text} without padding");
        }
        for bad in ["A", "AAAAA", "A===", "YQ=", "Y Q=", "+/+/", "=", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    #[test]
    fn handles_that_are_none() {
        let good = handle("topic", "broker", Timestamp(5), "KEY");
        let expected = Handle {
            topic: "topic".to_owned(),
            broker: "broker".to_owned(),
            due: Some(Timestamp(5)),
            unique_key: "KEY".to_owned(),
        };
        assert_eq!(read_handle(&good), Some(expected));
        for bad in ["v2 topic broker 5 KEY", "v1 topic broker 5", "v1 topic broker 5 ", "", "v1"] {
            assert_eq!(read_handle(&encode(bad.as_bytes())), None, "{bad}");
        }
        let timeless = read_handle(&encode(b"v1 topic broker soon KEY"));
        assert_eq!(timeless.map(|handle| handle.due), Some(None));
    }
}
