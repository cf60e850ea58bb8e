//! How far groups have come, beside how far their topics have.

use std::collections::BTreeSet;
use std::sync::Arc;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};

use super::archive::{Archive, Span};
use super::clients::Clients;
use super::offsets::Offsets;
use crate::refusal::Refusal;
use crate::replication::SharedTables;

/// One queue, as it is and as a group sees it.
#[derive(Clone, Debug)]
pub struct QueueStand {
    pub topic: TopicName,
    pub queue: QueueId,
    pub span: Span,
    /// The next offset to consume, if the group has one.
    pub consumed: Option<QueueOffset>,
    pub pulled: QueueOffset,
    /// When the last message that was consumed was stored.
    pub consumed_time: Option<Timestamp>,
}

/// A queue by itself.
#[derive(Clone, Debug)]
pub struct QueueState {
    pub queue: QueueId,
    pub span: Span,
    /// When its last message was stored.
    pub last_time: Option<Timestamp>,
}

/// The times of a queue, and of a group in it.
#[derive(Clone, Debug)]
pub struct QueueTimes {
    pub queue: QueueId,
    pub earliest: Option<Timestamp>,
    pub latest: Option<Timestamp>,
    pub consumed: Option<Timestamp>,
    /// When the next message to consume was stored, if there is one.
    pub next: Option<Timestamp>,
}

#[derive(Debug)]
pub struct Consumption {
    tables: SharedTables,
    archive: Archive,
    offsets: Arc<Offsets>,
    clients: Arc<Clients>,
}

impl Consumption {
    pub fn new(tables: SharedTables, archive: Archive, offsets: Arc<Offsets>, clients: Arc<Clients>) -> Self {
        Self { tables, archive, offsets, clients }
    }

    /// The queues of a topic: as many as may be read or written.
    pub async fn queues(&self, topic: &str) -> Result<Vec<QueueState>, Refusal> {
        let missing = || Refusal::NoSuchTopic(topic.to_owned());
        let (name, queues) = self.sizes(topic, i32::max).ok_or_else(missing)?;
        let look = move |archive: &Archive| {
            let state = |queue| {
                let span = archive.span(&name, queue)?.unwrap_or_default();
                let last_time = archive.store_time(&name, queue, QueueOffset(span.max.0 - 1))?;
                Ok(QueueState { queue, span, last_time })
            };
            (0..queues).map(QueueId).map(state).collect()
        };
        self.archive.patiently(look).await
    }

    /// The topics that a group consumes, or those of `given` that it does not leave out: a group that is connected says itself
    /// what it subscribes to.
    pub fn topics_of(&self, group: &str, given: Option<&str>) -> BTreeSet<TopicName> {
        let mut topics = match given {
            None => self.offsets.topics_of(group),
            Some(topic) => TopicName::parse(topic).into_iter().collect(),
        };
        if self.clients.look(|table| table.group(group).is_some_and(|group| group.subscriptions().len() > 0))
        {
            topics.retain(|topic| self.clients.subscription(group, topic.as_str()).is_some());
        }
        topics
    }

    /// How far a group has come in all queues of these topics that may be read. Topics that do not exist are left out.
    pub async fn stands(
        &self,
        group: &str,
        topics: impl IntoIterator<Item = TopicName>,
    ) -> Result<Vec<QueueStand>, Refusal> {
        let mut stands = Vec::new();
        for topic in topics {
            let Some((name, queues)) = self.sizes(topic.as_str(), |read, _| read) else { continue };
            let consumed = self.offsets.queues(group, name.as_str());
            for queue in (0..queues).map(QueueId) {
                let pulled = self.offsets.find_pulled(group, name.as_str(), queue).unwrap_or_default();
                stands.push(QueueStand {
                    topic: name.clone(),
                    queue,
                    span: Span::default(),
                    consumed: consumed.get(&queue).copied().filter(|offset| offset.0 >= 0),
                    pulled,
                    consumed_time: None,
                });
            }
        }
        let look = move |archive: &Archive| {
            for stand in &mut stands {
                stand.span = archive.span(&stand.topic, stand.queue)?.unwrap_or_default();
                let last = QueueOffset(stand.consumed.unwrap_or_default().0 - 1);
                stand.consumed_time = archive.store_time(&stand.topic, stand.queue, last)?;
            }
            Ok(stands)
        };
        self.archive.patiently(look).await
    }

    /// The times of the queues of a topic that may be written.
    pub async fn times(&self, group: &str, topic: &str) -> Result<Vec<QueueTimes>, Refusal> {
        let missing = || Refusal::NoSuchTopic(topic.to_owned());
        let (name, queues) = self.sizes(topic, |_, write| write).ok_or_else(missing)?;
        let consumed = self.offsets.queues(group, topic);
        let look = move |archive: &Archive| {
            let times = |queue| {
                let span = archive.span(&name, queue)?.unwrap_or_default();
                let time = |offset| archive.store_time(&name, queue, QueueOffset(offset));
                let next = consumed.get(&queue).map_or(0, |offset| offset.0);
                let earliest = time(span.min.0)?;
                let last_consumed = if next > 0 { time(next - 1)? } else { earliest };
                Ok(QueueTimes {
                    queue,
                    earliest,
                    latest: time(span.max.0 - 1)?,
                    consumed: last_consumed,
                    next: if next < span.max.0 { time(next)? } else { None },
                })
            };
            (0..queues).map(QueueId).map(times).collect()
        };
        self.archive.patiently(look).await
    }

    /// The topic's name, and a number made of its queues to read and to write.
    fn sizes(&self, topic: &str, size: impl Fn(i32, i32) -> i32) -> Option<(TopicName, i32)> {
        let tables = self.tables.read();
        let (name, config) = tables.topics().find_named(topic)?;
        Some((name.clone(), size(config.read_queue_nums, config.write_queue_nums)))
    }
}
