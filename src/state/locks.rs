//! Who may consume a queue in order: at most one client of a group at a time.
//!
//! Only changes of hands are replicated. Renewals, twenty seconds apart for every queue of every client, stay in the memory of
//! the node that answers them ([`super::Leases`]); it decides when a lock has run out, and a grant says which earlier grant it
//! puts an end to. So applying it asks no clock, and of two grants that were decided at once only the first has an effect.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::{QueueId, Timestamp};

use super::LockGrant;

/// What a client calls itself: `address@process#…`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(Arc<str>);

impl ClientId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ClientId {
    fn from(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl Borrow<str> for ClientId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicQueue {
    pub topic: TopicName,
    pub queue: QueueId,
}

impl fmt::Display for TopicQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.queue)
    }
}

/// Which grant of all that were ever applied; the next one of the same queue must name it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantNumber(pub u64);

#[derive(Clone, Debug, PartialEq)]
pub struct Lock {
    pub client: ClientId,
    pub granted: Timestamp,
    pub number: GrantNumber,
}

/// By group, then by queue; no group without a queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Locks {
    held: BTreeMap<GroupName, BTreeMap<TopicQueue, Lock>>,
    /// The number of the last grant.
    last: GrantNumber,
}

impl Locks {
    pub(super) fn last(&self) -> GrantNumber {
        self.last
    }

    pub fn find(&self, group: &str, queue: &TopicQueue) -> Option<&Lock> {
        self.held.get(group)?.get(queue)
    }

    /// All locks of a group, by queue.
    pub fn of_group(&self, group: &str) -> impl Iterator<Item = (&TopicQueue, &Lock)> {
        self.held.get(group).into_iter().flatten()
    }

    /// All locks, by group and queue.
    pub fn iter(&self) -> impl Iterator<Item = (&GroupName, &TopicQueue, &Lock)> {
        self.held
            .iter()
            .flat_map(|(group, locks)| locks.iter().map(move |(queue, lock)| (group, queue, lock)))
    }

    /// The queues that `client` holds after it.
    pub(super) fn grant(
        &mut self,
        group: &GroupName,
        client: &ClientId,
        at: Timestamp,
        grants: Vec<LockGrant>,
    ) -> Vec<TopicQueue> {
        let mut granted = Vec::new();
        for LockGrant { queue, ends } in grants {
            let present = self.find(group.as_str(), &queue);
            if present.map(|lock| lock.number) == ends || present.is_some_and(|lock| lock.client == *client) {
                self.last.0 += 1;
                let lock = Lock { client: client.clone(), granted: at, number: self.last };
                self.held.entry(group.clone()).or_default().insert(queue.clone(), lock);
                granted.push(queue);
            }
        }
        granted
    }

    pub(super) fn release(&mut self, group: &str, queues: &[(TopicQueue, GrantNumber)]) -> bool {
        let Some(locks) = self.held.get_mut(group) else { return false };
        let before = locks.len();
        for (queue, number) in queues {
            if locks.get(queue).is_some_and(|lock| lock.number == *number) {
                locks.remove(queue);
            }
        }
        let changed = locks.len() != before;
        if locks.is_empty() {
            self.held.remove(group);
        }
        changed
    }

    pub(super) fn remove_group(&mut self, group: &GroupName) {
        self.held.remove(group);
    }

    pub(super) fn remove_topic(&mut self, topic: &TopicName) {
        self.held.retain(|_, locks| {
            locks.retain(|queue, _| queue.topic != *topic);
            !locks.is_empty()
        });
    }

    /// Takes what was stored.
    pub(super) fn load(&mut self, group: GroupName, queue: TopicQueue, lock: Lock) {
        self.held.entry(group).or_default().insert(queue, lock);
    }

    pub(super) fn load_last(&mut self, last: GrantNumber) {
        self.last = last;
    }
}
