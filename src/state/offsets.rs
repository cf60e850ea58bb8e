//! How far every group has consumed every queue: the next offset it will be given.
//!
//! Offsets come and go without their topic or group: a table of either says nothing about the other, as it is with Apache's.

use std::collections::BTreeMap;

use ferrymq_proto::bodies::{ConsumerOffsets, DataVersion};
use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset};

use super::{OffsetChange, QueueLine, Stamp, version};

/// By group, then by topic; no group without a topic, no topic without a queue.
type Table = BTreeMap<GroupName, BTreeMap<TopicName, Queues>>;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offsets {
    committed: Table,
    /// Where a reset wants the consumers of a queue, who do not know it yet. Invariant: `committed` says the same of them.
    resets: Table,
    version: DataVersion,
}

/// Invariant: in order of queues, each once. A sorted list because most topics have few queues and there are many topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Queues(Vec<QueueLine>);

impl Queues {
    pub(super) fn find(&self, queue: QueueId) -> Option<QueueOffset> {
        let at = self.0.binary_search_by_key(&queue, |line| line.queue).ok()?;
        self.0.get(at).map(|line| line.next)
    }

    fn put(&mut self, new: QueueLine) -> bool {
        match self.0.binary_search_by_key(&new.queue, |line| line.queue) {
            Ok(at) => self.0.get_mut(at).is_some_and(|line| std::mem::replace(line, new) != new),
            Err(at) => {
                self.0.insert(at, new);
                true
            }
        }
    }

    fn remove(&mut self, queue: QueueId) -> bool {
        let found = self.0.binary_search_by_key(&queue, |line| line.queue);
        found.is_ok_and(|at| self.0.remove(at).queue == queue)
    }
}

impl Offsets {
    pub fn version(&self) -> &DataVersion {
        &self.version
    }

    /// The next offset of `queue` for `group`.
    pub fn find(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        self.committed.get(group)?.get(topic)?.find(queue)
    }

    /// The offset of a reset that the consumers of `queue` have not been told.
    pub fn pending_reset(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        self.resets.get(group)?.get(topic)?.find(queue)
    }

    /// All that `group` has in `topic`, by queue.
    pub fn queues(&self, group: &str, topic: &str) -> &[QueueLine] {
        self.committed.get(group).and_then(|topics| topics.get(topic)).map_or(&[], |queues| &queues.0)
    }

    /// The topics that `group` has consumed, in order.
    pub fn topics_of(&self, group: &str) -> impl Iterator<Item = &TopicName> {
        self.committed.get(group).into_iter().flat_map(BTreeMap::keys)
    }

    /// The groups that have consumed `topic`, in order.
    pub fn groups_of(&self, topic: &str) -> impl Iterator<Item = &GroupName> {
        self.committed.iter().filter(move |(_, topics)| topics.contains_key(topic)).map(|(group, _)| group)
    }

    /// Everything committed, by group and topic.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupName, &TopicName, &[QueueLine])> {
        entries(&self.committed)
    }

    /// Every reset that waits, by group and topic.
    pub fn resets(&self) -> impl Iterator<Item = (&GroupName, &TopicName, &[QueueLine])> {
        entries(&self.resets)
    }

    /// The table as tools and slaves get it.
    pub fn body(&self) -> ConsumerOffsets {
        let lines = |lines: &[QueueLine]| lines.iter().map(|line| (line.queue, line.next)).collect();
        ConsumerOffsets {
            data_version: Some(self.version.clone()),
            offsets: self
                .iter()
                .map(|(group, topic, queues)| (format!("{topic}@{group}"), lines(queues)))
                .collect(),
        }
    }

    pub(super) fn commit(&mut self, changes: Vec<OffsetChange>, stamp: Stamp) -> bool {
        let mut changed = false;
        for change in changes {
            let waits = self.resets.get(&change.group).and_then(|topics| topics.get(&change.topic));
            let lines = change
                .queues
                .into_iter()
                .filter(|line| waits.is_none_or(|waits| waits.find(line.queue).is_none()));
            changed |= put(&mut self.committed, &change.group, &change.topic, lines);
        }
        self.bump(changed, stamp)
    }

    pub(super) fn reset(&mut self, changes: &[OffsetChange], stamp: Stamp) -> bool {
        let mut changed = false;
        for OffsetChange { group, topic, queues } in changes {
            changed |= put(&mut self.committed, group, topic, queues.iter().copied());
            changed |= put(&mut self.resets, group, topic, queues.iter().copied());
        }
        self.bump(changed, stamp)
    }

    pub(super) fn forget_resets(&mut self, group: &str, topic: &str, queues: &[QueueId]) -> bool {
        let Some(topics) = self.resets.get_mut(group) else { return false };
        let Some(waits) = topics.get_mut(topic) else { return false };
        let mut changed = false;
        for queue in queues {
            changed |= waits.remove(*queue);
        }
        if waits.0.is_empty() {
            topics.remove(topic);
        }
        if topics.is_empty() {
            self.resets.remove(group);
        }
        changed
    }

    pub(super) fn clone_group(
        &mut self,
        from: &str,
        to: &GroupName,
        topics: &[TopicName],
        stamp: Stamp,
    ) -> bool {
        let mut changed = false;
        for topic in topics {
            let Some(source) = self.committed.get(from).and_then(|offsets| offsets.get(topic)).cloned()
            else {
                continue;
            };
            remove_topic(&mut self.resets, to, topic.as_str());
            let target = self.committed.entry(to.clone()).or_default();
            changed |= target.insert(topic.clone(), source.clone()) != Some(source);
        }
        self.bump(changed, stamp)
    }

    pub(super) fn remove(
        &mut self,
        group: Option<&GroupName>,
        topic: Option<&TopicName>,
        stamp: Stamp,
    ) -> bool {
        let mut changed = false;
        for table in [&mut self.committed, &mut self.resets] {
            changed |= match (group, topic) {
                (Some(group), Some(topic)) => remove_topic(table, group, topic.as_str()),
                (Some(group), None) => table.remove(group).is_some(),
                (None, Some(topic)) => remove_topic_everywhere(table, topic.as_str()),
                (None, None) => false,
            };
        }
        self.bump(changed, stamp)
    }

    /// Takes what was stored, without asking what it was before.
    pub(super) fn load(
        &mut self,
        group: &GroupName,
        topic: &TopicName,
        lines: impl Iterator<Item = QueueLine>,
    ) {
        put(&mut self.committed, group, topic, lines);
    }

    pub(super) fn load_reset(
        &mut self,
        group: &GroupName,
        topic: &TopicName,
        lines: impl Iterator<Item = QueueLine>,
    ) {
        put(&mut self.resets, group, topic, lines);
    }

    /// What was committed there takes the place of what is here, topic by topic. What only this table has stays.
    pub(super) fn lay_over(&mut self, other: Self, stamp: Stamp) {
        let mut changed = false;
        for (group, topics) in other.committed {
            let own = self.committed.entry(group).or_default();
            for (topic, queues) in topics {
                if own.get(&topic) != Some(&queues) {
                    own.insert(topic, queues);
                    changed = true;
                }
            }
        }
        self.bump(changed, stamp);
    }

    pub(super) fn replace_resets(&mut self, other: &Self) {
        self.resets.clone_from(&other.resets);
    }

    pub(super) fn load_version(&mut self, version: DataVersion) {
        self.version = version;
    }

    fn bump(&mut self, changed: bool, stamp: Stamp) -> bool {
        if changed {
            version::advance(&mut self.version, stamp);
        }
        changed
    }
}

fn entries(table: &Table) -> impl Iterator<Item = (&GroupName, &TopicName, &[QueueLine])> {
    table.iter().flat_map(|(group, topics)| {
        topics.iter().map(move |(topic, queues)| (group, topic, queues.0.as_slice()))
    })
}

fn put(
    table: &mut Table,
    group: &GroupName,
    topic: &TopicName,
    lines: impl Iterator<Item = QueueLine>,
) -> bool {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return false;
    }
    let queues = table.entry(group.clone()).or_default().entry(topic.clone()).or_default();
    lines.fold(false, |changed, line| queues.put(line) | changed)
}

fn remove_topic(table: &mut Table, group: &GroupName, topic: &str) -> bool {
    let Some(topics) = table.get_mut(group) else { return false };
    let removed = topics.remove(topic).is_some();
    if topics.is_empty() {
        table.remove(group);
    }
    removed
}

fn remove_topic_everywhere(table: &mut Table, topic: &str) -> bool {
    let mut changed = false;
    table.retain(|_, topics| {
        changed |= topics.remove(topic).is_some();
        !topics.is_empty()
    });
    changed
}
