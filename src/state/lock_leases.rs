//! How long locks last: the memory of the one node that answers clients.
//!
//! It is not replicated, so after a change of leader every lock counts as just renewed: a queue may stay locked for longer
//! than it should, never for shorter. That holds as long as a deposed leader stops answering before a new one begins, and
//! the times given to one `Leases` do not jump forward.

use std::collections::BTreeMap;

use ferrymq_proto::name::GroupName;
use ferrymq_proto::position::Timestamp;

use super::{ClientId, Command, GrantNumber, Lock, LockGrant, Locks, TopicQueue};

/// A lock that was not renewed for this long may be taken over (Apache's `rocketmq.broker.rebalance.lockMaxLiveTime`).
/// Clients renew every 20 s and stop believing in a lock after 30 s.
pub const LOCK_LIFE_MS: i64 = 60_000;

#[derive(Debug)]
pub struct Leases {
    /// When this node began to answer: older locks count as renewed then.
    since: Timestamp,
    /// What was heard of each grant since then. Entries of former grants are replaced by the next, or tidied away.
    heard: BTreeMap<GroupName, BTreeMap<TopicQueue, Heard>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Heard {
    number: GrantNumber,
    word: Word,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Word {
    Renewed(Timestamp),
    /// The holder wants it no more, and that is on its way to the table.
    Released,
}

/// What a client that asks for queues is told at once, and what has to be replicated before the rest can be told.
#[derive(Debug, Default, PartialEq)]
pub struct Answer {
    /// It holds these already, and has renewed them.
    pub held: Vec<TopicQueue>,
    /// It may have these. Once the command is applied, its reply says which of them it
    /// got, and [`Leases::granted`] must know too.
    pub grant: Option<Command>,
}

impl Leases {
    /// For a node that begins to answer clients.
    pub fn new(since: Timestamp) -> Self {
        Self { since, heard: BTreeMap::new() }
    }

    /// `client` asks for `queues`, or renews them. The others are somebody else's.
    pub fn ask(
        &mut self,
        locks: &Locks,
        group: &GroupName,
        client: &ClientId,
        queues: Vec<TopicQueue>,
        now: Timestamp,
    ) -> Answer {
        let mut answer = Answer::default();
        let mut grants: Vec<LockGrant> = Vec::new();
        for queue in queues {
            let lock = locks.find(group.as_str(), &queue);
            let live = lock.filter(|lock| !self.has_run_out(lock, group.as_str(), &queue, now));
            match live {
                Some(lock) if lock.client == *client => {
                    self.hear(group, queue.clone(), lock.number, Word::Renewed(now));
                    answer.held.push(queue);
                }
                Some(_) => {}
                // Also for a client that comes back to a lock of its own that ran out: another may be about to take it.
                None => grants.push(LockGrant { queue, ends: lock.map(|lock| lock.number) }),
            }
        }
        if !grants.is_empty() {
            let (group, client) = (group.clone(), client.clone());
            answer.grant = Some(Command::GrantLocks { group, client, at: now, grants });
        }
        answer
    }

    /// `client` got these queues from a grant that was applied.
    pub fn granted(
        &mut self,
        locks: &Locks,
        group: &GroupName,
        client: &ClientId,
        queues: &[TopicQueue],
        now: Timestamp,
    ) {
        for queue in queues {
            if let Some(lock) = locks.find(group.as_str(), queue).filter(|lock| lock.client == *client) {
                self.hear(group, queue.clone(), lock.number, Word::Renewed(now));
            }
        }
    }

    /// `client` wants these queues no more. Nothing is to be replicated when it has none of them.
    pub fn release(
        &mut self,
        locks: &Locks,
        group: &GroupName,
        client: &ClientId,
        queues: Vec<TopicQueue>,
    ) -> Option<Command> {
        let mut held = Vec::new();
        for queue in queues {
            if let Some(lock) = locks.find(group.as_str(), &queue).filter(|lock| lock.client == *client) {
                self.hear(group, queue.clone(), lock.number, Word::Released);
                held.push((queue, lock.number));
            }
        }
        (!held.is_empty()).then_some(Command::ReleaseLocks { group: group.clone(), queues: held })
    }

    /// Forgets what was heard of locks that are gone. To be called now and then: it bounds the memory by the locks there are.
    pub fn tidy(&mut self, locks: &Locks) {
        self.heard.retain(|group, queues| {
            queues.retain(|queue, heard| {
                locks.find(group.as_str(), queue).is_some_and(|lock| lock.number == heard.number)
            });
            !queues.is_empty()
        });
    }

    /// Whether a client of the group holds a queue that nobody may take over now.
    pub fn is_any_live(&self, locks: &Locks, group: &str, now: Timestamp) -> bool {
        locks.of_group(group).any(|(queue, lock)| !self.has_run_out(lock, group, queue, now))
    }

    fn has_run_out(&self, lock: &Lock, group: &str, queue: &TopicQueue, now: Timestamp) -> bool {
        let heard = self.heard.get(group).and_then(|queues| queues.get(queue));
        let last = match heard.filter(|heard| heard.number == lock.number).map(|heard| heard.word) {
            Some(Word::Released) => return true,
            Some(Word::Renewed(at)) => at,
            None => lock.granted.max(self.since),
        };
        now.0.saturating_sub(last.0) > LOCK_LIFE_MS
    }

    fn hear(&mut self, group: &GroupName, queue: TopicQueue, number: GrantNumber, word: Word) {
        self.heard.entry(group.clone()).or_default().insert(queue, Heard { number, word });
    }
}
