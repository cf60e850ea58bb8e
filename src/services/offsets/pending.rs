//! Offsets that were committed and are not in the tables yet. Pure.
//!
//! Consumers commit the same few queues again and again; only the last offset of each in a second is worth a command. Until the
//! command is applied, whoever asks is answered from here.

use std::collections::BTreeMap;

use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset};

use crate::state::{OffsetChange, QueueLine};

type Queues = BTreeMap<QueueId, QueueOffset>;
type Lines = BTreeMap<GroupName, BTreeMap<TopicName, Queues>>;

#[derive(Debug, Default)]
pub struct Pending {
    /// Not proposed yet.
    dirty: Lines,
    /// Proposed, and not applied. Older than `dirty`.
    proposed: Lines,
    /// How often everything was forgotten.
    reigns: u64,
}

impl Pending {
    pub fn commit(&mut self, group: &str, topic: &TopicName, line: QueueLine) {
        if let Some(topics) = self.dirty.get_mut(group) {
            match topics.get_mut(topic) {
                Some(queues) => drop(queues.insert(line.queue, line.next)),
                None => drop(topics.insert(topic.clone(), Queues::from([(line.queue, line.next)]))),
            }
        } else if let Ok(group) = GroupName::parse(group) {
            // A text that is no name is no group that could be in the tables.
            let queues = Queues::from([(line.queue, line.next)]);
            self.dirty.insert(group, BTreeMap::from([(topic.clone(), queues)]));
        }
    }

    pub fn find(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        let find = |lines: &Lines| lines.get(group)?.get(topic)?.get(&queue).copied();
        find(&self.dirty).or_else(|| find(&self.proposed))
    }

    /// All that is pending of a group, by topic: older commits first.
    pub fn of_group<'p>(&'p self, group: &str) -> impl Iterator<Item = (&'p TopicName, &'p Queues)> {
        [self.proposed.get(group), self.dirty.get(group)].into_iter().flatten().flatten()
    }

    /// The groups that have something pending in a topic.
    pub fn groups_of<'p>(&'p self, topic: &str) -> impl Iterator<Item = &'p GroupName> {
        let lines = self.proposed.iter().chain(&self.dirty);
        lines.filter(move |(_, topics)| topics.contains_key(topic)).map(|(group, _)| group)
    }

    /// Takes up to about `lines_max` lines to be proposed. What was taken before must be settled.
    pub fn propose(&mut self, lines_max: usize) -> Vec<OffsetChange> {
        assert!(self.proposed.is_empty(), "offsets are proposed while others are");
        let mut lines = 0;
        let mut changes = Vec::new();
        while lines < lines_max
            && let Some((group, topics)) = self.dirty.pop_first()
        {
            for (topic, queues) in &topics {
                lines += queues.len();
                let queues =
                    queues.iter().map(|(queue, next)| QueueLine { queue: *queue, next: *next }).collect();
                changes.push(OffsetChange { group: group.clone(), topic: topic.clone(), queues });
            }
            self.proposed.insert(group, topics);
        }
        changes
    }

    /// What was proposed is applied.
    pub fn applied(&mut self) {
        self.proposed.clear();
    }

    /// What was proposed has to be proposed again, where nothing newer was committed.
    pub fn failed(&mut self) {
        for (group, topics) in std::mem::take(&mut self.proposed) {
            let dirty = self.dirty.entry(group).or_default();
            for (topic, queues) in topics {
                let dirty = dirty.entry(topic).or_default();
                for (queue, next) in queues {
                    dirty.entry(queue).or_insert(next);
                }
            }
        }
    }

    /// Forgets commits that no longer count, and are not proposed yet.
    pub fn forget(&mut self, is_void: impl Fn(&GroupName, &TopicName, QueueId) -> bool) {
        self.dirty.retain(|group, topics| {
            topics.retain(|topic, queues| {
                queues.retain(|queue, _| !is_void(group, topic, *queue));
                !queues.is_empty()
            });
            !topics.is_empty()
        });
    }

    /// Forgets everything: this node does not lead any more.
    pub fn clear(&mut self) {
        self.dirty.clear();
        self.proposed.clear();
        self.reigns += 1;
    }

    /// Another one when everything was forgotten in between.
    pub fn reign(&self) -> u64 {
        self.reigns
    }

    pub fn is_empty(&self) -> bool {
        self.dirty.is_empty()
    }
}
