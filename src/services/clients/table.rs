//! Which client is connected in which group, and what each group has subscribed to. Pure: it is fed heartbeats and times.
//!
//! The rules are Apache's: a member is a connection, not a client id; the subscriptions of a group are those of whoever of its
//! members spoke last, so members that disagree take turns.
//!
//! Invariants: no group without a member; a connection is in `memberships` exactly while it is a member of some group.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use ferrymq_proto::bodies::{ConsumeFromWhere, ConsumeType, MessageModel, SubscriptionData};
use ferrymq_proto::language::Language;
use ferrymq_proto::name::{GroupName, NAME_BYTES_MAX};
use ferrymq_proto::net::ConnectionId;
use ferrymq_proto::position::Timestamp;

use super::subscription::{Subscription, bytes_of};
use crate::state::ClientId;

/// Groups of consumers, and as many of producers, that one connection may be in.
pub const GROUPS_PER_CONNECTION_MAX: usize = 4096;
/// Memberships of all connections together.
pub const MEMBERSHIPS_MAX: usize = 500_000;
/// Topics that one group may subscribe to.
pub const SUBSCRIPTIONS_PER_GROUP_MAX: usize = 16_384;
/// What the subscriptions of all groups may take together.
pub const SUBSCRIPTION_BYTES_MAX: usize = 256 << 20;

/// Why a client was not taken into a group. What it had before stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    #[error("one connection can be in at most {GROUPS_PER_CONNECTION_MAX} groups")]
    GroupsOfConnection,
    #[error("all clients together can be in at most {MEMBERSHIPS_MAX} groups")]
    Memberships,
    #[error("{0} subscriptions are more than the {SUBSCRIPTIONS_PER_GROUP_MAX} a group can have")]
    Subscriptions(usize),
    #[error("the subscriptions of all groups would take more than {SUBSCRIPTION_BYTES_MAX} bytes")]
    SubscriptionBytes,
}

/// Who speaks, over which connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub connection: ConnectionId,
    pub client: ClientId,
    pub address: SocketAddr,
    pub language: Language,
    pub version: i32,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub caller: Caller,
    /// When it was last heard.
    pub seen: Timestamp,
}

/// How a group consumes, as its last speaker says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Manner {
    pub consume_type: ConsumeType,
    pub model: MessageModel,
    pub from_where: ConsumeFromWhere,
}

/// What a consumer says of itself.
#[derive(Clone, Debug)]
pub struct Statement {
    pub manner: Manner,
    /// `None`: as before.
    pub subscriptions: Option<Vec<SubscriptionData>>,
    /// Stands for the subscriptions; 0 from clients that do not leave them out.
    pub fingerprint: i32,
}

/// What came of a statement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The group has a new member, or other topics: its members must share the queues anew.
    pub changed: bool,
    /// The client should state its subscriptions in full.
    pub wants_all: bool,
}

#[derive(Debug, Default)]
pub struct ConsumerGroup {
    members: BTreeMap<ConnectionId, Member>,
    manner: Manner,
    /// By topic.
    subscriptions: BTreeMap<Arc<str>, Arc<Subscription>>,
    fingerprint: Option<i32>,
}

impl ConsumerGroup {
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.values()
    }

    pub fn manner(&self) -> Manner {
        self.manner
    }

    pub fn subscription(&self, topic: &str) -> Option<&Arc<Subscription>> {
        self.subscriptions.get(topic)
    }

    pub fn subscriptions(&self) -> impl ExactSizeIterator<Item = &Arc<Subscription>> {
        self.subscriptions.values()
    }

    fn bytes(&self) -> usize {
        self.subscriptions.values().map(|subscription| subscription.bytes()).sum()
    }

    /// Takes over what is new. Whether topics came or went.
    fn subscribe(&mut self, new: Vec<SubscriptionData>) -> bool {
        let mut changed = false;
        let mut wanted = HashSet::new();
        for data in new {
            let topic: Arc<str> = Arc::from(data.topic.as_str());
            let old = self.subscriptions.get(&topic).map(|old| old.version());
            if old.is_none_or(|old| data.version > old) {
                self.subscriptions.insert(Arc::clone(&topic), Arc::new(Subscription::new(data)));
                changed |= old.is_none();
            }
            wanted.insert(topic);
        }
        let before = self.subscriptions.len();
        self.subscriptions.retain(|topic, _| wanted.contains(topic));
        changed | (self.subscriptions.len() != before)
    }
}

#[derive(Debug, Default)]
struct Memberships {
    producers: BTreeSet<GroupName>,
    consumers: BTreeSet<GroupName>,
    /// What its producers called themselves when they came.
    names: BTreeSet<ClientId>,
}

impl Memberships {
    fn is_empty(&self) -> bool {
        self.producers.is_empty() && self.consumers.is_empty()
    }
}

#[derive(Debug, Default)]
pub struct Table {
    producers: BTreeMap<GroupName, BTreeMap<ConnectionId, Member>>,
    consumers: BTreeMap<GroupName, ConsumerGroup>,
    /// Where producers can be reached, by what they call themselves: whoever came last under a name.
    reachable: HashMap<ClientId, ConnectionId>,
    memberships: HashMap<ConnectionId, Memberships>,
    membership_count: usize,
    /// Invariant: the sum over all groups.
    subscription_bytes: usize,
}

/// What a look for silent clients found: they are out of their groups already.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Silent {
    pub connections: BTreeSet<ConnectionId>,
    /// The groups of consumers that lost a member.
    pub groups: BTreeSet<GroupName>,
}

impl Table {
    /// A consumer speaks for itself.
    pub fn consume(
        &mut self,
        caller: &Caller,
        group: &GroupName,
        statement: Statement,
        now: Timestamp,
    ) -> Result<Heard, TooMuch> {
        let subscriptions = statement.subscriptions.map(presentable);
        if let Some(subscriptions) =
            subscriptions.as_ref().filter(|new| new.len() > SUBSCRIPTIONS_PER_GROUP_MAX)
        {
            return Err(TooMuch::Subscriptions(subscriptions.len()));
        }
        let is_member =
            self.consumers.get(group).is_some_and(|found| found.members.contains_key(&caller.connection));
        self.check_room(caller, is_member, |memberships| memberships.consumers.len())?;
        let before = self.consumers.get(group).map_or(0, ConsumerGroup::bytes);
        if let Some(subscriptions) = &subscriptions {
            let after: usize = subscriptions.iter().map(bytes_of).sum();
            // When there is no room left, a group may still state what it stated before, or less.
            if after > before && self.subscription_bytes - before + after > SUBSCRIPTION_BYTES_MAX {
                return Err(TooMuch::SubscriptionBytes);
            }
        }
        let found = self.consumers.entry(group.clone()).or_default();
        found.manner = statement.manner;
        found.members.insert(caller.connection, Member { caller: caller.clone(), seen: now });
        let is_known = found.fingerprint.is_some();
        let differs = found.fingerprint.replace(statement.fingerprint) != Some(statement.fingerprint);
        let mut changed = !is_member;
        let mut lacks_all = false;
        match subscriptions {
            Some(subscriptions) => {
                changed |= found.subscribe(subscriptions);
                self.subscription_bytes = self.subscription_bytes - before + found.bytes();
            }
            // The group was gone meanwhile, and with it what its members had stated.
            None => lacks_all = found.subscriptions.is_empty(),
        }
        if !is_member {
            self.memberships.entry(caller.connection).or_default().consumers.insert(group.clone());
            self.membership_count += 1;
        }
        Ok(Heard { changed, wants_all: lacks_all || (is_known && differs) })
    }

    /// A producer says that it is there.
    pub fn produce(&mut self, caller: &Caller, group: &GroupName, now: Timestamp) -> Result<(), TooMuch> {
        if let Some(member) =
            self.producers.get_mut(group).and_then(|members| members.get_mut(&caller.connection))
        {
            member.seen = now;
            return Ok(());
        }
        self.check_room(caller, false, |memberships| memberships.producers.len())?;
        let members = self.producers.entry(group.clone()).or_default();
        members.insert(caller.connection, Member { caller: caller.clone(), seen: now });
        self.reachable.insert(caller.client.clone(), caller.connection);
        let memberships = self.memberships.entry(caller.connection).or_default();
        memberships.producers.insert(group.clone());
        memberships.names.insert(caller.client.clone());
        self.membership_count += 1;
        Ok(())
    }

    fn check_room(
        &self,
        caller: &Caller,
        is_member: bool,
        count: impl FnOnce(&Memberships) -> usize,
    ) -> Result<(), TooMuch> {
        if is_member {
            return Ok(());
        }
        if self.memberships.get(&caller.connection).map_or(0, count) >= GROUPS_PER_CONNECTION_MAX {
            return Err(TooMuch::GroupsOfConnection);
        }
        if self.membership_count >= MEMBERSHIPS_MAX {
            return Err(TooMuch::Memberships);
        }
        Ok(())
    }

    /// Takes a connection out of a group of consumers. Whether it was in it.
    pub fn leave_consumers(&mut self, connection: ConnectionId, group: &str) -> bool {
        let Some(found) = self.consumers.get_mut(group) else { return false };
        let was_member = found.members.remove(&connection).is_some();
        if found.members.is_empty() {
            self.subscription_bytes -= found.bytes();
            self.consumers.remove(group);
        }
        if was_member {
            self.end_membership(connection, |memberships| memberships.consumers.remove(group));
        }
        was_member
    }

    /// Takes a connection out of a group of producers. Whether it was in it.
    pub fn leave_producers(&mut self, connection: ConnectionId, group: &str) -> bool {
        let Some(members) = self.producers.get_mut(group) else { return false };
        let left = members.remove(&connection);
        if members.is_empty() {
            self.producers.remove(group);
        }
        if left.is_none() {
            return false;
        }
        let mut names = BTreeSet::new();
        self.end_membership(connection, |memberships| {
            let ended = memberships.producers.remove(group);
            if memberships.producers.is_empty() {
                names = std::mem::take(&mut memberships.names);
            }
            ended
        });
        // What a client calls itself proves nothing: only the connection that is reached by a name may take it away.
        for name in names {
            if self.reachable.get(&name) == Some(&connection) {
                self.reachable.remove(&name);
            }
        }
        true
    }

    fn end_membership(&mut self, connection: ConnectionId, remove: impl FnOnce(&mut Memberships) -> bool) {
        let Some(memberships) = self.memberships.get_mut(&connection) else { return };
        if remove(memberships) {
            self.membership_count -= 1;
        }
        if memberships.is_empty() {
            self.memberships.remove(&connection);
        }
    }

    /// A connection is gone. The groups of consumers that lost a member.
    pub fn close(&mut self, connection: ConnectionId) -> BTreeSet<GroupName> {
        let Some(memberships) = self.memberships.get(&connection) else { return BTreeSet::new() };
        let (producers, consumers) = (memberships.producers.clone(), memberships.consumers.clone());
        for group in &producers {
            self.leave_producers(connection, group.as_str());
        }
        for group in &consumers {
            self.leave_consumers(connection, group.as_str());
        }
        consumers
    }

    /// Takes out whoever was not heard for longer than `silence_ms_max`.
    pub fn expire(&mut self, now: Timestamp, silence_ms_max: i64) -> Silent {
        let is_silent = |member: &&Member| now.0.saturating_sub(member.seen.0) > silence_ms_max;
        let of = |group: &GroupName, member: &Member| (group.clone(), member.caller.connection);
        let consumers: Vec<_> = self
            .consumers
            .iter()
            .flat_map(|(group, found)| found.members().filter(is_silent).map(move |member| of(group, member)))
            .collect();
        let producers: Vec<_> = self
            .producers
            .iter()
            .flat_map(|(group, members)| {
                members.values().filter(is_silent).map(move |member| of(group, member))
            })
            .collect();
        let mut silent = Silent::default();
        for (group, connection) in producers {
            self.leave_producers(connection, group.as_str());
            silent.connections.insert(connection);
        }
        for (group, connection) in consumers {
            self.leave_consumers(connection, group.as_str());
            silent.connections.insert(connection);
            silent.groups.insert(group);
        }
        silent
    }

    pub fn group(&self, group: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(group)
    }

    /// The groups of consumers, by name.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&GroupName, &ConsumerGroup)> {
        self.consumers.iter()
    }

    /// The member of a group that calls itself so.
    pub fn find(&self, group: &str, client: &str) -> Option<&Member> {
        self.consumers.get(group)?.members().find(|member| member.caller.client.as_str() == client)
    }

    /// The members of a group of producers; `None` for a group without any.
    pub fn producers(&self, group: &str) -> Option<impl ExactSizeIterator<Item = &Member>> {
        self.producers.get(group).map(BTreeMap::values)
    }

    /// The groups of producers, by name.
    pub fn producer_groups(
        &self,
    ) -> impl ExactSizeIterator<Item = (&GroupName, impl Iterator<Item = &Member>)> {
        self.producers.iter().map(|(group, members)| (group, members.values()))
    }

    /// Where the producer that calls itself so can be reached.
    pub fn reach(&self, client: &str) -> Option<ConnectionId> {
        self.reachable.get(client).copied()
    }

    pub fn is_member_anywhere(&self, connection: ConnectionId) -> bool {
        self.memberships.contains_key(&connection)
    }
}

/// Leaves out what can be no topic, before it costs memory.
fn presentable(subscriptions: Vec<SubscriptionData>) -> Vec<SubscriptionData> {
    let fits = |data: &SubscriptionData| !data.topic.is_empty() && data.topic.len() <= NAME_BYTES_MAX;
    subscriptions.into_iter().filter(fits).collect()
}
