//! Locks of queues for consumers that keep the order: at most one client of a group consumes a locked queue.
//!
//! A lock that changes hands is replicated before its new holder hears of it; renewals stay in memory. So a failover takes no
//! lock away from its holder, and never gives one queue to two.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrymq_proto::name::GroupName;
use ferrymq_proto::position::Timestamp;
use ferrymq_storage::unsafe_modes::{UnsafeMode, is_on};
use tokio::time::sleep;

use crate::clock;
use crate::refusal::Refusal;
use crate::replication::{SharedTables, Writer};
use crate::state::{ClientId, Leases, Reply, Tables, TopicQueue};

/// Queues that one request may name. More than any client holds.
pub const QUEUES_AT_ONCE_MAX: usize = 65_536;
/// How often renewals of locks that are gone are forgotten.
const TIDY_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct OrderLocks {
    tables: SharedTables,
    writer: Writer,
    /// When each lock was last renewed.
    leases: Mutex<Leases>,
}

impl OrderLocks {
    pub fn new(tables: SharedTables, writer: Writer) -> Self {
        Self { tables, writer, leases: Mutex::new(Leases::new(clock::now())) }
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This node begins to lead: no lock runs out that was renewed by another until now.
    pub fn begin(&self, now: Timestamp) {
        *self.leases() = Leases::new(now);
    }

    /// Locks queues for a client, or renews its locks. The queues that it holds now.
    pub async fn lock(
        &self,
        group: &GroupName,
        client: &ClientId,
        queues: Vec<TopicQueue>,
    ) -> Result<BTreeSet<TopicQueue>, Refusal> {
        let answer = {
            let tables = self.tables.read();
            let queues: Vec<_> = queues.into_iter().filter(|queue| exists(&tables, group, queue)).collect();
            if is_on(UnsafeMode::IgnoreLeases) {
                return Ok(queues.into_iter().collect());
            }
            self.leases().ask(tables.locks(), group, client, queues, clock::now())
        };
        let mut held: BTreeSet<_> = answer.held.into_iter().collect();
        if let Some(grant) = answer.grant
            && let Reply::Granted(granted) = self.writer.change(grant).await?
        {
            tracing::info!(%group, %client, queues = granted.len(), "queues are locked");
            let tables = self.tables.read();
            self.leases().granted(tables.locks(), group, client, &granted, clock::now());
            held.extend(granted);
        }
        Ok(held)
    }

    /// Frees those of the queues that the client holds.
    pub async fn unlock(
        &self,
        group: &GroupName,
        client: &ClientId,
        queues: Vec<TopicQueue>,
    ) -> Result<(), Refusal> {
        let release = {
            let tables = self.tables.read();
            self.leases().release(tables.locks(), group, client, queues)
        };
        if let Some(release) = release {
            self.writer.change(release).await?;
        }
        Ok(())
    }

    /// Whether a member of the group consumes in order now.
    pub fn is_any_held(&self, group: &str) -> bool {
        let tables = self.tables.read();
        self.leases().is_any_live(tables.locks(), group, clock::now())
    }

    /// Forgets the renewals of locks that are gone, again and again. Runs until it is dropped.
    pub async fn run(&self) {
        loop {
            sleep(TIDY_INTERVAL).await;
            let tables = self.tables.read();
            self.leases().tidy(tables.locks());
        }
    }
}

/// Locks of what does not exist would only fill the tables: they are not granted.
fn exists(tables: &Tables, group: &GroupName, queue: &TopicQueue) -> bool {
    let topic = tables.topics().find(queue.topic.as_str());
    let queues = topic.map_or(0, |topic| topic.read_queue_nums.max(topic.write_queue_nums));
    (0..queues).contains(&queue.queue.0) && tables.groups().find(group.as_str()).is_some()
}

#[cfg(test)]
mod tests;
