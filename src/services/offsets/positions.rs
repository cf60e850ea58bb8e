//! Where a queue begins and ends, and what lies at a time; and with it, where a reset leads.

use std::collections::BTreeMap;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_storage::queues::{Boundary, QueueError};

use super::Offsets;
use crate::refusal::Refusal;
use crate::services::archive::Span;
use crate::state::QueueLine;

/// Where a reset shall lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Offset(QueueOffset),
    /// The first message stored then or later.
    Time(Timestamp),
    End,
}

impl Target {
    /// As requests say it: an offset wins, and a negative time means the end.
    pub fn new(offset: Option<QueueOffset>, time: Timestamp) -> Self {
        match offset {
            Some(offset) if offset != QueueOffset(-1) => Self::Offset(offset),
            _ if time.0 < 0 => Self::End,
            _ => Self::Time(time),
        }
    }
}

impl Offsets {
    /// From the oldest message of a queue to the next one; nothing but 0 for a queue that never had a message.
    pub fn span(&self, topic: &str, queue: QueueId) -> Result<Span, Refusal> {
        let topic = TopicName::parse(topic)?;
        Ok(self.archive.span(&topic, queue)?.unwrap_or_default())
    }

    /// The offset of the message stored at a time, within the span of its queue.
    pub fn at_time(
        &self,
        topic: &str,
        queue: QueueId,
        time: Timestamp,
        boundary: Boundary,
    ) -> Result<QueueOffset, Refusal> {
        let topic = TopicName::parse(topic)?;
        let found = self.archive.queues().search_time(&topic, queue, time, boundary);
        Ok(found.map_err(|error| unreadable(&error))?.unwrap_or_default())
    }

    /// When the oldest message of a queue was stored.
    pub fn earliest_time(&self, topic: &str, queue: QueueId) -> Result<Option<Timestamp>, Refusal> {
        let topic = TopicName::parse(topic)?;
        self.archive.queues().earliest_time(&topic, queue).map_err(|error| unreadable(&error))
    }

    /// The smallest offsets that groups have in a topic, but for some groups. Those that point before the oldest message do
    /// not count.
    pub fn smallest(
        &self,
        topic: &str,
        left_out: &[&str],
    ) -> Result<BTreeMap<QueueId, QueueOffset>, Refusal> {
        let mut smallest: BTreeMap<QueueId, QueueOffset> = BTreeMap::new();
        for group in self.groups_of(topic).iter().filter(|group| !left_out.contains(&group.as_str())) {
            for (queue, offset) in self.queues(group.as_str(), topic) {
                if offset >= self.span(topic, queue)?.min {
                    smallest.entry(queue).and_modify(|least| *least = offset.min(*least)).or_insert(offset);
                }
            }
        }
        Ok(smallest)
    }

    /// Where a reset leads in each of these queues.
    pub fn targets(
        &self,
        topic: &str,
        queues: impl IntoIterator<Item = QueueId>,
        target: Target,
    ) -> Result<Vec<QueueLine>, Refusal> {
        let line = |queue| Ok(QueueLine { queue, next: self.target(topic, queue, target)? });
        queues.into_iter().map(line).collect()
    }

    fn target(&self, topic: &str, queue: QueueId, target: Target) -> Result<QueueOffset, Refusal> {
        match target {
            Target::Time(time) => self.at_time(topic, queue, time, Boundary::Lower),
            Target::End => Ok(self.span(topic, queue)?.max),
            Target::Offset(offset) => {
                let Span { min, max } = self.span(topic, queue)?;
                if offset < min || offset.0 > max.0.saturating_add(1) {
                    return Err(Refusal::Failed(format!(
                        "Target offset {offset} not in consume queue range [{min}-{max}]"
                    )));
                }
                Ok(offset)
            }
        }
    }
}

fn unreadable(error: &QueueError) -> Refusal {
    tracing::error!(%error, "a queue cannot be read");
    Refusal::Failed(format!("the queue cannot be read: {error}"))
}
