//! Who is connected: producers and consumers by their groups, and what the groups have subscribed to.
//!
//! Clients say so in heartbeats, to every node that they use; nothing of it is replicated or survives a restart. A client is
//! forgotten when its connection ends, when it says good-bye, and when it was silent for too long. [`table`] holds the rules;
//! here are the connections behind it, and the notices to groups whose members changed.

mod calls;
mod notices;
mod subscription;
pub mod table;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use ferrymq_proto::bodies::MessageModel;
use ferrymq_proto::headers::ConsumersChanged;
use ferrymq_proto::name::GroupName;
use ferrymq_proto::net::{Connection, ConnectionId};
use ferrymq_proto::position::Timestamp;
use ferrymq_proto::text::Text;
use tokio::sync::Semaphore;
use tokio::time::sleep;

pub use calls::{ask_over, request};
pub use subscription::Subscription;
pub use table::{Caller, ConsumerGroup, Heard, Manner, Member, Statement, Table, TooMuch};

use crate::clock;
use crate::config::broker as config;
use crate::config::live::Live;
use crate::replication::SharedTables;
use notices::Notices;

/// How often silent clients are looked for.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Clients {
    tables: SharedTables,
    rules: Live<config::Clients>,
    known: RwLock<Known>,
    notices: Notices,
    questions: Semaphore,
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct Known {
    table: Table,
    /// Invariant: those that are in the table, and no others.
    connections: HashMap<ConnectionId, Connection>,
}

impl Known {
    /// Brings the connections in line with the table.
    fn forget_if_gone(&mut self, connection: ConnectionId) {
        if !self.table.is_member_anywhere(connection) {
            self.connections.remove(&connection);
        }
    }
}

impl Clients {
    pub fn new(tables: SharedTables, rules: Live<config::Clients>) -> Self {
        Self {
            tables,
            rules,
            known: RwLock::default(),
            notices: Notices::default(),
            questions: Semaphore::new(calls::QUESTIONS_MAX),
            turn: AtomicUsize::new(0),
        }
    }

    fn known(&self) -> RwLockReadGuard<'_, Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A consumer speaks for itself in a heartbeat.
    pub fn consume(
        &self,
        connection: &Connection,
        caller: &Caller,
        group: &GroupName,
        statement: Statement,
    ) -> Result<Heard, TooMuch> {
        let mut known = self.known_mut();
        // Its end may have been seen already; nobody would take the client out again.
        if connection.is_closed() {
            return Ok(Heard::default());
        }
        let heard = known.table.consume(caller, group, statement, clock::now())?;
        known.connections.entry(connection.id()).or_insert_with(|| connection.clone());
        drop(known);
        if heard.changed {
            tracing::info!(%group, client = %caller.client, peer = %caller.address, "consumers changed");
            self.notices.add([group.clone()]);
        }
        Ok(heard)
    }

    /// A producer says in a heartbeat that it is there.
    pub fn produce(
        &self,
        connection: &Connection,
        caller: &Caller,
        group: &GroupName,
    ) -> Result<(), TooMuch> {
        let mut known = self.known_mut();
        if connection.is_closed() || !self.rules.get().producers_are_registered {
            return Ok(());
        }
        known.table.produce(caller, group, clock::now())?;
        known.connections.entry(connection.id()).or_insert_with(|| connection.clone());
        Ok(())
    }

    /// A client leaves groups.
    pub fn leave(&self, connection: &Connection, producers: Option<&str>, consumers: Option<&str>) {
        let mut known = self.known_mut();
        if let Some(group) = producers {
            known.table.leave_producers(connection.id(), group);
        }
        let left = consumers.filter(|group| known.table.leave_consumers(connection.id(), group));
        known.forget_if_gone(connection.id());
        drop(known);
        self.notices.add(left.and_then(|group| GroupName::parse(group).ok()));
    }

    /// A connection is gone, and its client with it.
    pub fn connection_closed(&self, connection: &Connection) {
        let mut known = self.known_mut();
        if known.connections.remove(&connection.id()).is_none() {
            return;
        }
        let groups = known.table.close(connection.id());
        drop(known);
        self.notices.add(groups);
    }

    /// What `group` wants of `topic`, if a member of it has said so.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<Arc<Subscription>> {
        self.known().table.group(group)?.subscription(topic).cloned()
    }

    /// How a group consumes; `None`: it has no member here.
    pub fn manner(&self, group: &str) -> Option<Manner> {
        self.known().table.group(group).map(ConsumerGroup::manner)
    }

    pub fn model(&self, group: &str) -> Option<MessageModel> {
        self.manner(group).map(|manner| manner.model)
    }

    /// Looks at all that is known.
    pub fn look<T>(&self, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.known().table)
    }

    /// The members of a group of consumers.
    pub fn consumers(&self, group: &str) -> Vec<Member> {
        self.look(|table| {
            table.group(group).map_or_else(Vec::new, |group| group.members().cloned().collect())
        })
    }

    /// The member of a group of consumers that calls itself so.
    pub fn consumer(&self, group: &str, client: &str) -> Option<Member> {
        self.look(|table| table.find(group, client).cloned())
    }

    /// The groups of which a member has subscribed to `topic`.
    pub fn subscribers(&self, topic: &str) -> Vec<GroupName> {
        self.look(|table| {
            let subscribers = table.groups().filter(|(_, group)| group.subscription(topic).is_some());
            subscribers.map(|(name, _)| name.clone()).collect()
        })
    }

    /// A producer of this group, each in turn.
    pub fn producer_of(&self, group: &str) -> Option<Connection> {
        let known = self.known();
        let members = known.table.producers(group)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % members.len().max(1);
        let members: Vec<_> =
            members.filter_map(|member| known.connections.get(&member.caller.connection)).collect();
        let (later, sooner) = members.split_at_checked(turn).unwrap_or((&[], &members));
        sooner
            .iter()
            .chain(later)
            .find(|connection| !connection.is_closed())
            .map(|connection| (*connection).clone())
    }

    /// The producer that calls itself so.
    pub fn producer(&self, client: &str) -> Option<Connection> {
        let known = self.known();
        known.connections.get(&known.table.reach(client)?).cloned()
    }

    fn connection(&self, connection: ConnectionId) -> Option<Connection> {
        self.known().connections.get(&connection).filter(|connection| !connection.is_closed()).cloned()
    }

    /// Tells groups of their changes, and forgets silent clients. Runs until it is dropped.
    pub async fn run(&self) {
        tokio::join!(self.tell_of_changes(), self.scan());
    }

    async fn tell_of_changes(&self) {
        loop {
            for group in self.notices.take().await {
                self.tell_members(&group);
            }
            sleep(notices::ROUND_PAUSE).await;
        }
    }

    fn tell_members(&self, group: &GroupName) {
        let config = self.tables.read().groups().find(group.as_str()).cloned();
        let wants = config.is_none_or(|config| config.notify_consumer_ids_changed_enable);
        if !self.rules.get().are_told_of_changes
            || !wants
            || self.model(group.as_str()) == Some(MessageModel::Broadcasting)
        {
            return;
        }
        let notice = request(&ConsumersChanged { consumer_group: Text::from(group.as_str()) }, "");
        for member in self.consumers(group.as_str()) {
            if !self.tell(&member, notice.clone()) {
                tracing::debug!(%group, client = %member.caller.client, "a consumer could not be told of a change");
            }
        }
    }

    async fn scan(&self) {
        loop {
            sleep(SCAN_INTERVAL).await;
            self.expire(clock::now());
        }
    }

    fn expire(&self, now: Timestamp) {
        let silence_ms_max = i64::try_from(self.rules.get().silence_max.as_millis()).unwrap_or(i64::MAX);
        let mut known = self.known_mut();
        let silent = known.table.expire(now, silence_ms_max);
        let mut closing = Vec::new();
        for connection in &silent.connections {
            // A client that is heard in other groups only forgot to say good-bye in this one.
            if !known.table.is_member_anywhere(*connection) {
                closing.extend(known.connections.remove(connection));
            }
        }
        drop(known);
        for connection in closing {
            tracing::warn!(peer = %connection.peer(), "a client sends no heartbeats: closed");
            connection.close();
        }
        self.notices.add(silent.groups);
    }
}

#[cfg(test)]
mod tests;
