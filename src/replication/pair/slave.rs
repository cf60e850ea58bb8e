//! A slave, as its services see it: it takes no messages, and of changes only what its consumers need.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_storage::{Appender, Broken, Chain, Log, Mark};
use tokio::sync::{Notify, watch};

use super::Pair;
use super::asking::Copies;
use crate::clock;
use crate::replication::classic::tables::TablesThread;
use crate::replication::{Batch, Changed, Done, NotStored, Replicator, Wait};
use crate::state;

/// Where a master is. Each part is known or not by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Master {
    /// Where it sends its log.
    pub ha_address: Option<String>,
    /// Where it serves requests.
    pub address: Option<String>,
    /// No name server has said so: it is where a master of these settings would be.
    pub is_guess: bool,
}

/// How a slave follows its master: written by the one who follows, read by all.
#[derive(Debug)]
pub struct Following {
    master: watch::Sender<Master>,
    is_fixed: bool,
    /// Everything before it is as safe here as the settings say.
    acknowledged: AtomicI64,
    advanced: Notify,
    is_following: AtomicBool,
    /// Guards what is only looked at.
    facts: Mutex<Facts>,
}

#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub heard_at: Timestamp,
    pub said_at: Timestamp,
    pub bytes: u64,
    /// What the master last said of itself.
    pub master_end: Option<LogOffset>,
    /// Whom it waits for before it acknowledges a message.
    pub master_copies: Option<Copies>,
    /// Another slave that has, or had before a move, the id of this one.
    pub rival: Option<String>,
    /// Why it does not follow.
    pub trouble: Option<String>,
}

impl Following {
    /// With `is_fixed` the address of its log is said by the settings, whatever name servers say.
    pub fn new(log: &Log, master: Master, is_fixed: bool) -> Self {
        Self {
            is_fixed,
            master: watch::Sender::new(master),
            acknowledged: AtomicI64::new(log.confirmed().offset.0),
            advanced: Notify::new(),
            is_following: AtomicBool::new(false),
            facts: Mutex::default(),
        }
    }

    fn facts_mut(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn facts(&self) -> Facts {
        self.facts_mut().clone()
    }

    /// The master as it is known now, and what will be known of it.
    pub fn masters(&self) -> watch::Receiver<Master> {
        self.master.subscribe()
    }

    /// A name server says where the master is. What it does not know stays as it was.
    pub fn found(&self, ha_address: Option<String>, address: Option<String>) {
        let ha_address = ha_address.filter(|_| !self.is_fixed);
        self.master.send_if_modified(|master| {
            let new = Master {
                ha_address: ha_address.or_else(|| master.ha_address.clone()),
                is_guess: master.is_guess && address.is_none(),
                address: address.or_else(|| master.address.clone()),
            };
            let is_news = *master != new;
            if is_news {
                tracing::info!(?new, "the master was found");
            }
            *master = new;
            is_news
        });
    }

    /// Whether it follows its master right now.
    pub fn is_following(&self) -> bool {
        self.is_following.load(Ordering::Relaxed)
    }

    pub fn acknowledged(&self) -> LogOffset {
        LogOffset(self.acknowledged.load(Ordering::Acquire))
    }

    /// Everything before `end` is safe here.
    pub(super) fn acknowledge(&self, end: LogOffset) {
        self.acknowledged.fetch_max(end.0, Ordering::AcqRel);
        self.advanced.notify_one();
    }

    pub(super) async fn advanced(&self) {
        self.advanced.notified().await;
    }

    /// A name server has another node under the id of this one.
    pub fn has_rival(&self, rival: Option<String>, id: i64) {
        let known = std::mem::replace(&mut self.facts_mut().rival, rival.clone());
        if let Some(rival) = rival.filter(|rival| known.as_ref() != Some(rival)) {
            tracing::error!(
                rival,
                id,
                "another slave of this group has the same brokerId, unless this one has moved; give each slave its own"
            );
        }
    }

    pub(super) fn learned_end(&self, end: LogOffset) {
        self.facts_mut().master_end = Some(end);
    }

    pub(super) fn learned_copies(&self, copies: Copies) {
        self.facts_mut().master_copies = Some(copies);
    }

    pub(super) fn heard(&self, bytes: usize) {
        let mut facts = self.facts_mut();
        facts.heard_at = clock::now();
        facts.bytes += bytes as u64;
    }

    pub(super) fn said(&self) {
        self.facts_mut().said_at = clock::now();
    }

    pub(super) fn follows(&self, address: &str) {
        self.is_following.store(true, Ordering::Relaxed);
        self.facts_mut().trouble = None;
        tracing::info!(master = address, end = %self.acknowledged(), "this slave follows its master");
    }

    pub(super) fn ended(&self, reason: &str) {
        let followed = self.is_following.swap(false, Ordering::Relaxed);
        let known = self.facts_mut().trouble.replace(reason.to_owned());
        if followed || known.as_deref() != Some(reason) {
            tracing::warn!(reason, "this slave does not follow its master; trying again");
        }
    }
}

/// Where the appender lies until the node stops.
#[derive(Debug)]
pub struct Shelf(Mutex<Option<Appender>>);

impl Shelf {
    pub fn new(appender: Appender) -> Self {
        Self(Mutex::new(Some(appender)))
    }

    /// Works with the appender. None once it is closed.
    pub fn with<T>(&self, work: impl FnOnce(&mut Appender) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(work)
    }

    fn close(&self) {
        let Some(appender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let log = appender.log().clone();
        match appender.close() {
            Ok(()) => log.confirm(Mark { offset: log.written(), chain: Chain::default() }),
            Err(Broken) => tracing::error!("the log could not be closed in order"),
        }
    }
}

/// The replicator of a slave.
#[derive(Debug)]
pub struct Slave {
    pub shelf: Arc<Shelf>,
    pub tables: TablesThread,
    pub following: Arc<Following>,
}

impl Slave {
    /// Takes over what the master's tables say.
    pub fn copy(&self, copy: state::Copy, changed: Changed) {
        self.tables.copy(copy, changed);
    }
}

impl Replicator for Slave {
    fn append(&self, _batch: Batch, _wait: Wait, done: Done) {
        done(Err(NotStored::NotLeader));
    }

    fn change(&self, command: state::Command, changed: Changed) {
        // What consumers need here while the master is away. The master's word counts as soon as it is back.
        match command {
            state::Command::CommitOffsets { .. }
            | state::Command::CreateGroups { .. }
            | state::Command::GrantLocks { .. }
            | state::Command::ReleaseLocks { .. } => {
                self.tables.change(command, changed);
            }
            _ => changed(Err(NotStored::NotLeader)),
        }
    }

    fn is_leader(&self) -> bool {
        false
    }

    /// Consumers may go on here when the master is away.
    fn is_current(&self) -> bool {
        true
    }

    fn may_be_behind(&self) -> bool {
        true
    }

    fn term(&self) -> i64 {
        0
    }

    fn pair(&self) -> Pair<'_> {
        Pair::Slave(&self.following)
    }

    fn stop(&self) {
        self.shelf.close();
        self.tables.stop();
    }
}
