//! Messages that a consumer could not consume and sends back: they come again later, or are given up.
//!
//! The message is copied into the retry topic of its group, where it is seen when the delay level is over that grows with
//! each attempt; after the last one the copy goes to the group's dead letters instead, which nobody subscribes to by itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use ferrymq_proto::bodies::GroupConfig;
use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId};
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::record::{Record, property};

use super::archive::Archive;
use super::groups::Groups;
use super::message::Message;
use super::posting::Posting;
use super::produce::SAYS_RECONSUME_TIMES_MAX;
use super::topics::{Permission, Topics};
use crate::refusal::Refusal;

/// The level of the first attempt to consume a message again, when nobody chooses another.
const FIRST_RETRY_LEVEL: i32 = 3;

/// What a consumer asks for.
#[derive(Clone, Debug)]
pub struct SentBack {
    pub offset: LogOffset,
    pub group: String,
    /// 0: the one that follows from the number of attempts; negative: give it up.
    pub delay_level: i32,
    pub unit_mode: bool,
    pub reconsume_times_max: Option<i32>,
    pub client_version: i32,
}

#[derive(Debug)]
pub struct Retries {
    groups: Arc<Groups>,
    topics: Arc<Topics>,
    archive: Archive,
    posting: Posting,
    store_host: SocketAddr,
    turn: AtomicU32,
}

impl Retries {
    pub fn new(
        groups: Arc<Groups>,
        topics: Arc<Topics>,
        archive: Archive,
        posting: Posting,
        store_host: SocketAddr,
    ) -> Self {
        Self { groups, topics, archive, posting, store_host, turn: AtomicU32::new(0) }
    }

    pub async fn send_back(&self, wish: SentBack) -> Result<(), Refusal> {
        let config = self.groups.ensure(&wish.group).await?;
        if !self.topics.broker_permission().may_write() {
            let operation = "sending message";
            return Err(Refusal::BrokerForbidden { address: self.topics.broker_ip(), operation });
        }
        // A group without a place for them wants no message twice.
        if config.retry_queue_nums <= 0 {
            return Ok(());
        }
        let group = GroupName::parse(&wish.group)?;
        let retry = self.retry_topic(&group, &config, wish.unit_mode).await?;
        let (archive, offset) = (self.archive.clone(), wish.offset);
        let found = tokio::task::spawn_blocking(move || archive.record(offset)).await;
        let missing = || Refusal::Failed(format!("look message by offset failed, {offset}"));
        let bytes = found.ok().flatten().ok_or_else(missing)?;
        let (record, _) = Record::decode(&bytes).map_err(|_| missing())?;
        let mut message = again(&record, self.store_host)?;
        let said = wish.reconsume_times_max.filter(|_| wish.client_version >= SAYS_RECONSUME_TIMES_MAX);
        let attempts_max = said.unwrap_or(config.retry_max_times);
        if record.reconsume_times >= attempts_max || wish.delay_level < 0 {
            self.topics.ensure_dead_letter(&group).await?;
            message.topic = TopicName::dead_letter(&group)?;
            message.queue_id = QueueId(0);
            message.set(property::DELAY_LEVEL, "0")?;
            tracing::info!(%group, offset = %wish.offset, "a message is given up");
        } else {
            message.topic = retry;
            message.queue_id = self.choose_queue(config.retry_queue_nums);
            let level = match wish.delay_level {
                0 => record.reconsume_times.saturating_add(FIRST_RETRY_LEVEL),
                level => level,
            };
            message.set(property::DELAY_LEVEL, &level.to_string())?;
        }
        self.posting.store(message).await?;
        Ok(())
    }

    /// The retry topic, which is created if there is none, and may be written to.
    async fn retry_topic(
        &self,
        group: &GroupName,
        config: &GroupConfig,
        unit_mode: bool,
    ) -> Result<TopicName, Refusal> {
        let topic = TopicName::retry(group)?;
        let mut found = self.topics.find(topic.as_str());
        if found.is_none() {
            self.topics.ensure_retry(group, config.retry_queue_nums, false, unit_mode).await?;
            found = self.topics.find(topic.as_str());
        }
        match found {
            None => Err(Refusal::Failed(format!("topic[{topic}] not exist"))),
            Some(config) if !Permission(config.perm).may_write() => {
                Err(Refusal::TopicForbidden { topic, operation: "sending message" })
            }
            Some(_) => Ok(topic),
        }
    }

    fn choose_queue(&self, queues: i32) -> QueueId {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let queues = u32::try_from(queues).unwrap_or(1).max(1);
        QueueId((turn % queues) as i32)
    }
}

/// The message once more, with one more attempt, and with the traces of where it was first.
fn again(record: &Record<'_>, store_host: SocketAddr) -> Result<Message, Refusal> {
    let illegal = |error: super::message::NotAMessage| Refusal::MessageIllegal(error.to_string());
    let mut message = Message::from_record(record).map_err(illegal)?;
    if message.properties.get(property::RETRY_TOPIC).is_none() {
        message.set(property::RETRY_TOPIC, record.topic)?;
    }
    if message.properties.get(property::ORIGIN_MESSAGE_ID).is_none() {
        let id = OffsetMessageId { store_host: record.store_host, log_offset: record.log_offset };
        message.set(property::ORIGIN_MESSAGE_ID, &id.to_string())?;
    }
    message.set(property::WAIT, "false")?;
    message.reconsume_times = record.reconsume_times.saturating_add(1);
    message.store_host = store_host;
    message.prepared_offset = LogOffset(0);
    Ok(message)
}
