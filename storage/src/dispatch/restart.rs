//! How far every queue has come at a place of the log, and queues that begin anew there.
//!
//! A node whose log begins anew at a checkpoint cannot derive from it how many messages its queues had before: the checkpoint
//! says so.

use std::collections::BTreeMap;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};

use super::{Derived, DispatchError};
use crate::queues::QueueError;

/// The offset that the next message of a queue gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEnd {
    pub topic: TopicName,
    pub queue: QueueId,
    pub next: QueueOffset,
}

impl Derived {
    /// Where every queue stood when everything before `at` was dispatched, and nothing else: in the order of their names. All of
    /// it was dispatched by now.
    pub fn ends_at(&self, at: LogOffset) -> Result<Vec<QueueEnd>, DispatchError> {
        let queues = self.queues();
        let mut topics = queues.topics()?;
        topics.sort_unstable();
        let mut ends = Vec::new();
        for topic in topics {
            for queue in queues.queues_of(&topic)? {
                let next = self.end_at(&topic, queue, at)?;
                ends.push(QueueEnd { topic: topic.clone(), queue, next });
            }
        }
        Ok(ends)
    }

    fn end_at(&self, topic: &TopicName, queue: QueueId, at: LogOffset) -> Result<QueueOffset, QueueError> {
        let range = self.queues().range(topic, queue)?;
        let (mut low, mut high) = range.map_or((0, 0), |range| (range.min.0, range.max.0));
        // Usually nothing is dispatched behind the place.
        if self.position() <= at {
            return Ok(QueueOffset(high));
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let entries = self.queues().read(topic, queue, QueueOffset(middle), 1)?;
            match entries.first().is_some_and(|entry| entry.log_offset < at) {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(QueueOffset(low))
    }

    /// Sets all queues to where they stand at the beginning of the log, before anything behind it is dispatched. Those that stand
    /// there already stay as they are, and what is not named is gone.
    pub fn begin_at(&self, ends: &[QueueEnd], last_store_time: Timestamp) -> Result<(), DispatchError> {
        let mut named: BTreeMap<&TopicName, BTreeMap<QueueId, QueueOffset>> = BTreeMap::new();
        for end in ends {
            named.entry(&end.topic).or_default().insert(end.queue, end.next);
        }
        let queues = self.queues();
        for topic in queues.topics()? {
            let Some(expected) = named.get(&topic) else {
                self.remove_topic(&topic)?;
                continue;
            };
            for queue in queues.queues_of(&topic)?.into_iter().filter(|queue| !expected.contains_key(queue)) {
                queues.reset(&topic, queue, QueueOffset(0))?;
            }
        }
        for end in ends {
            let present = queues.range(&end.topic, end.queue)?.map(|range| range.max);
            if present != Some(end.next) {
                queues.reset(&end.topic, end.queue, end.next)?;
            }
        }
        self.shared.progress.saw(last_store_time);
        let mut writing = self.writing();
        let good = self.flush_holding(&mut writing)?;
        if writing.rebuild.is_none() { self.sync_holding(&mut writing, good) } else { Ok(()) }
    }
}
