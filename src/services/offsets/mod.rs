//! How far groups have consumed: the next offset of each queue for each group.
//!
//! Commits are taken in memory and replicated once a second, so what was committed in the last second before a crash or a
//! failover is consumed again. Before this node hands over or stops, all of it is replicated. A group answers a commit, where its
//! sender wants an answer, when no failover forgets it any more. A reset is replicated before it is answered; from then on commits of its queues are ignored until the next pull of each has told its consumer where to go on.
//!
//! How far consumers have pulled is kept as well, for statistics only: in memory, of this node.

mod pending;
mod positions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::time::sleep;

use self::pending::Pending;
pub use self::positions::Target;
use super::archive::Archive;
use crate::clock;
use crate::config::broker as config;
use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::{NotStored, SharedTables, Writer};
use crate::state::{Command, OffsetChange, QueueLine, Stamp, Tables};

/// How often what was committed is replicated.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Lines of one command.
const LINES_AT_ONCE_MAX: usize = 10_000;

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commit {
    Taken,
    /// A reset waits to be told to the consumer of the queue: its old offset no longer counts.
    Ignored,
}

type ByTopic<T> = BTreeMap<TopicName, BTreeMap<QueueId, T>>;
type Place = (GroupName, TopicName, QueueId);

#[derive(Debug)]
pub struct Offsets {
    tables: SharedTables,
    writer: Writer,
    archive: Archive,
    settings: Live<config::Offsets>,
    /// This much at the end of the log counts as being in memory.
    recent_bytes: i64,
    pending: Mutex<Pending>,
    /// The next offset that each group has pulled up to.
    pulled: Mutex<HashMap<GroupName, ByTopic<QueueOffset>>>,
    /// Resets that consumers were told, while the tables do not know it yet.
    told: Arc<Mutex<BTreeSet<Place>>>,
    /// Held while commits are being replicated: one after the other.
    flushing: tokio::sync::Mutex<()>,
}

impl Offsets {
    pub fn new(
        tables: SharedTables,
        writer: Writer,
        archive: Archive,
        settings: Live<config::Offsets>,
        recent_bytes: i64,
    ) -> Self {
        Self {
            tables,
            writer,
            archive,
            settings,
            recent_bytes,
            pending: Mutex::default(),
            pulled: Mutex::default(),
            told: Arc::default(),
            flushing: tokio::sync::Mutex::default(),
        }
    }

    /// Whether a reset takes effect here, and not in the consumers.
    pub fn resets_here(&self) -> bool {
        self.settings.get().resets_here
    }

    /// The next offset of a queue for a group, if it has one.
    pub fn find(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        // The tables are held meanwhile: what leaves `pending` is in them.
        let tables = self.tables.read();
        if let Some(reset) = self.waiting_reset(&tables, group, topic, queue) {
            return Some(reset);
        }
        let pending = lock(&self.pending).find(group, topic, queue);
        pending.or_else(|| tables.offsets().find(group, topic, queue)).filter(|offset| offset.0 >= 0)
    }

    /// Where a consumer starts that asks for its group's offset. A group without one starts from 0 while the first message is
    /// recent, unless the consumer wants to decide itself.
    pub fn start(
        &self,
        group: &str,
        topic: &str,
        queue: QueueId,
        may_be_zero: bool,
    ) -> Result<QueueOffset, Refusal> {
        if let Some(offset) = self.find(group, topic, queue) {
            return Ok(offset);
        }
        let name = TopicName::parse(topic)?;
        if may_be_zero && self.has_recent_start(&name, queue)? {
            return Ok(QueueOffset(0));
        }
        Err(Refusal::NoOffset(format!("group {group} has none of {topic}/{queue}")))
    }

    fn has_recent_start(&self, topic: &TopicName, queue: QueueId) -> Result<bool, Refusal> {
        let span = self.archive.span(topic, queue)?.unwrap_or_default();
        if span.min.0 > 0 || span.max.0 == 0 {
            return Ok(false);
        }
        let first = self.archive.entries(topic, queue, QueueOffset(0), 1)?;
        let end = self.archive.log().confirmed().offset;
        Ok(first.first().is_some_and(|entry| end.0.saturating_sub(entry.log_offset.0) <= self.recent_bytes))
    }

    /// A consumer has consumed everything before `next`.
    pub fn commit(&self, group: &str, topic: &TopicName, queue: QueueId, next: QueueOffset) -> Commit {
        // The tables are held until it is pending: a reset that is applied later finds it there, and voids it.
        let tables = self.tables.read();
        if tables.offsets().pending_reset(group, topic.as_str(), queue).is_some() {
            return Commit::Ignored;
        }
        lock(&self.pending).commit(group, topic, QueueLine { queue, next });
        Commit::Taken
    }

    /// As [`commit`](Self::commit), and returns when it is in the tables. Those that come while others are being replicated go
    /// together.
    pub async fn commit_safely(
        &self,
        group: &str,
        topic: &TopicName,
        queue: QueueId,
        next: QueueOffset,
    ) -> Result<Commit, NotStored> {
        let reign = lock(&self.pending).reign();
        let commit = self.commit(group, topic, queue, next);
        if commit == Commit::Taken {
            self.replicate().await?;
            if lock(&self.pending).reign() != reign {
                return Err(NotStored::LeaderChanged);
            }
        }
        Ok(commit)
    }

    /// A consumer has pulled up to `next`.
    pub fn pulled(&self, group: &str, topic: &TopicName, queue: QueueId, next: QueueOffset) {
        let mut pulled = lock(&self.pulled);
        let Some(topics) = pulled.get_mut(group) else {
            if let Ok(group) = GroupName::parse(group) {
                pulled.insert(group, BTreeMap::from([(topic.clone(), BTreeMap::from([(queue, next)]))]));
            }
            return;
        };
        match topics.get_mut(topic) {
            Some(queues) => drop(queues.insert(queue, next)),
            None => drop(topics.insert(topic.clone(), BTreeMap::from([(queue, next)]))),
        }
    }

    /// How far a group has pulled a queue from this node.
    pub fn find_pulled(&self, group: &str, topic: &str, queue: QueueId) -> Option<QueueOffset> {
        lock(&self.pulled).get(group)?.get(topic)?.get(&queue).copied()
    }

    /// The offset of a reset that the consumer of this queue must be told now. It is told once.
    pub fn take_reset(&self, group: &str, topic: &TopicName, queue: QueueId) -> Option<QueueOffset> {
        let offset = {
            let tables = self.tables.read();
            if !self.settings.get().resets_here {
                return None;
            }
            self.waiting_reset(&tables, group, topic.as_str(), queue)?
        };
        let group = GroupName::parse(group).ok()?;
        let place = (group.clone(), topic.clone(), queue);
        if !lock(&self.told).insert(place.clone()) {
            return None;
        }
        let told = Arc::clone(&self.told);
        let command = Command::ForgetResets { group, topic: topic.clone(), queues: vec![queue] };
        // If it fails the consumer is told once more, and nothing is lost.
        let done = move |_| {
            lock(&told).remove(&place);
        };
        self.writer.0.change(command, Box::new(done));
        Some(offset)
    }

    fn waiting_reset(
        &self,
        tables: &Tables,
        group: &str,
        topic: &str,
        queue: QueueId,
    ) -> Option<QueueOffset> {
        let offset = tables.offsets().pending_reset(group, topic, queue)?;
        let is_told = lock(&self.told).iter().any(|(told_group, told_topic, told_queue)| {
            *told_group == group && *told_topic == topic && *told_queue == queue
        });
        (!is_told).then_some(offset)
    }

    /// Moves a group to other offsets of a topic.
    pub async fn reset(
        &self,
        group: &GroupName,
        topic: &TopicName,
        queues: Vec<QueueLine>,
    ) -> Result<(), Refusal> {
        // Between the reset and the look at what is pending nothing of it may be replicated.
        let _flushing = self.flushing.lock().await;
        let queue_ids: BTreeSet<_> = queues.iter().map(|line| line.queue).collect();
        let changes = vec![OffsetChange { group: group.clone(), topic: topic.clone(), queues }];
        self.writer.change(Command::ResetOffsets { changes, stamp: self.stamp() }).await?;
        // From here on commits are ignored. Those that came before would be replicated after the reset.
        lock(&self.pending).forget(|of_group, of_topic, queue| {
            of_group == group && of_topic == topic && queue_ids.contains(&queue)
        });
        if let Some(topics) = lock(&self.pulled).get_mut(group) {
            topics.remove(topic);
        }
        Ok(())
    }

    /// Gives one group the offsets that another has in these topics.
    pub async fn copy(&self, from: &str, to: &str, topics: Vec<TopicName>) -> Result<(), Refusal> {
        let (from, to) = (GroupName::parse(from)?, GroupName::parse(to)?);
        self.replicate().await?;
        lock(&self.pending).forget(|group, topic, _| *group == to && topics.contains(topic));
        self.writer.change(Command::CloneOffsets { from, to, topics, stamp: self.stamp() }).await?;
        Ok(())
    }

    /// Forgets all that was committed and is not replicated: another node leads now, and consumers commit there.
    pub fn forget_pending(&self) {
        lock(&self.pending).clear();
    }

    /// Nothing that was committed is replicated while this is held. Whoever deletes offsets holds it until what is pending of
    /// them is forgotten too, or they would come back.
    pub async fn hold_back(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.flushing.lock().await
    }

    /// Forgets what a deleted group had committed.
    pub fn forget_group(&self, group: &str) {
        lock(&self.pending).forget(|of_group, _, _| *of_group == group);
        lock(&self.pulled).remove(group);
    }

    /// Forgets what all groups had committed of a deleted topic.
    pub fn forget_topic(&self, topic: &str) {
        lock(&self.pending).forget(|_, of_topic, _| *of_topic == topic);
        lock(&self.pulled).retain(|_, topics| {
            topics.remove(topic);
            !topics.is_empty()
        });
    }

    /// All that a group has committed of a topic.
    pub fn queues(&self, group: &str, topic: &str) -> BTreeMap<QueueId, QueueOffset> {
        let tables = self.tables.read();
        let stored = tables.offsets().queues(group, topic).iter().map(|line| (line.queue, line.next));
        let mut queues: BTreeMap<_, _> = stored.collect();
        for (_, newer) in lock(&self.pending).of_group(group).filter(|(of_topic, _)| **of_topic == *topic) {
            queues.extend(newer);
        }
        queues
    }

    /// The topics that a group has consumed.
    pub fn topics_of(&self, group: &str) -> BTreeSet<TopicName> {
        let tables = self.tables.read();
        let mut topics: BTreeSet<_> = tables.offsets().topics_of(group).cloned().collect();
        topics.extend(lock(&self.pending).of_group(group).map(|(topic, _)| topic.clone()));
        topics
    }

    /// The groups that have consumed a topic.
    pub fn groups_of(&self, topic: &str) -> BTreeSet<GroupName> {
        let tables = self.tables.read();
        let mut groups: BTreeSet<_> = tables.offsets().groups_of(topic).cloned().collect();
        groups.extend(lock(&self.pending).groups_of(topic).cloned());
        groups
    }

    /// Replicates what was committed, again and again. Runs until it is dropped.
    pub async fn run(&self) {
        loop {
            sleep(COMMIT_INTERVAL).await;
            self.flush().await;
        }
    }

    /// Replicates all that was committed until now. What cannot be replicated stays for the next time.
    pub async fn flush(&self) {
        if let Err(reason) = self.replicate().await {
            tracing::warn!(%reason, "committed offsets are not replicated");
        }
    }

    async fn replicate(&self) -> Result<(), NotStored> {
        let _flushing = self.flushing.lock().await;
        loop {
            let changes = {
                let mut pending = lock(&self.pending);
                // Whoever was interrupted leaves what it had proposed.
                pending.failed();
                if pending.is_empty() {
                    return Ok(());
                }
                pending.propose(LINES_AT_ONCE_MAX)
            };
            let outcome = self.writer.change(Command::CommitOffsets { changes, stamp: self.stamp() }).await;
            let mut pending = lock(&self.pending);
            match outcome {
                Ok(_) => pending.applied(),
                // Who leads no more is told to forget all of it. A leader that could not lead for a moment keeps it.
                Err(reason) => {
                    pending.failed();
                    return Err(reason);
                }
            }
        }
    }

    fn stamp(&self) -> Stamp {
        Stamp { at: clock::now(), term: self.writer.term() }
    }
}

/// Guards small tables that no holder leaves half-changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
