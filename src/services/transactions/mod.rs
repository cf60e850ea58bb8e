//! Transactions: messages that wait for their producer's decision.
//!
//! A producer sends a half, does its own work, and says whether the half is to become a message. If it says nothing it is asked,
//! and when it has been asked too often the half is given up. [`table`] holds what is open; it is made from the log when a node
//! begins to lead ([`reading`]), so nothing is forgotten by a restart or a failover. The [`halves`] are Apache's, byte for byte.
//!
//! What is promised: a half becomes at most one message, and the first decision that was stored counts. A commit is stored
//! before it is answered, so it survives whatever comes. A rollback is answered before its mark is stored: a crash in the
//! seconds between makes the broker ask once more.
//!
//! Not promised: that two halves sent for the same work are recognized; what was given up stays so until an administrator
//! resumes it.

mod decisions;
mod halves;
mod questions;
mod reading;
mod table;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrymq_proto::name::BrokerName;
use ferrymq_proto::position::{LogOffset, QueueOffset};
use ferrymq_storage::unsafe_modes::{UnsafeMode, is_on};
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub use decisions::{Ending, Outcome};
pub use halves::prepare;

use self::halves::QUEUE;
use self::table::{OPEN_MAX, Progress, Table};
use super::archive::Archive;
use super::clients::Clients;
use super::message::MessageLimits;
use super::offsets::Offsets;
use super::posting::Posting;
use super::topics::Topics;
use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::NotStored;

/// Who has progress in the queues of halves and marks.
const GROUP: &str = "CID_RMQ_SYS_TRANS";

/// How long the end of this node waits for its log.
const DURABLE_WAIT: Duration = Duration::from_secs(5);

/// What was stored once may be stored again, whatever the limit is now.
const NO_LIMITS: MessageLimits = MessageLimits { body_bytes_max: usize::MAX };

#[derive(Clone, Debug)]
pub struct TransactionRules {
    /// A producer that has not decided by then is asked.
    pub timeout_ms: i64,
    pub check_interval: Duration,
    pub checks_max: u32,
    /// Halves are given up when they are older.
    pub kept_ms: i64,
    pub marks_bytes_max: usize,
    pub marks_interval: Duration,
}

/// Whom transactions need.
#[derive(Debug)]
pub struct Parts {
    pub archive: Archive,
    pub posting: Posting,
    pub offsets: Arc<Offsets>,
    pub clients: Arc<Clients>,
    pub topics: Arc<Topics>,
    pub broker: BrokerName,
    pub host: SocketAddr,
}

#[derive(Debug)]
pub struct Transactions {
    parts: Parts,
    rules: Live<TransactionRules>,
    /// What is open, while this node leads and has read it.
    led: Mutex<Option<Led>>,
    /// Held while what is open is read: by one at a time.
    reading: tokio::sync::Mutex<()>,
    /// Something was begun, and has come to its end.
    settled: Notify,
    /// There is something to mark.
    decided: Notify,
    /// There is enough for a whole record of marks.
    much_decided: Notify,
}

#[derive(Debug)]
struct Led {
    term: i64,
    table: Table,
    /// Progress that may be noted once the log is durable up to there: a power loss must not take what it stands on.
    held: Option<(Progress, LogOffset)>,
}

/// A term in which this node leads and knows what is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lead(i64);

impl Transactions {
    pub fn new(parts: Parts, rules: Live<TransactionRules>) -> Self {
        Self {
            parts,
            rules,
            led: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            settled: Notify::new(),
            decided: Notify::new(),
            much_decided: Notify::new(),
        }
    }

    /// Asks producers and marks what is decided. Runs until it is dropped.
    pub async fn run(&self) {
        if is_on(UnsafeMode::ForgetHalves) {
            return self.mark_again_and_again().await;
        }
        tokio::join!(self.mark_again_and_again(), self.ask_again_and_again());
    }

    /// Marks all that is decided, and notes how far it came: the broker stops, or hands over.
    pub async fn flush(&self) {
        let Some(lead) = self.leads() else { return };
        if let Err(reason) = self.mark_all(lead).await {
            tracing::warn!(%reason, "decided transactions are not marked as such");
        }
        if let Err(error) = self.read_on(lead).await {
            tracing::warn!(%error, "halves cannot be read");
        }
        self.wait_durable().await;
        self.note_progress(lead);
    }

    /// The term of what is known, if it still is.
    fn leads(&self) -> Option<Lead> {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        let writer = self.parts.posting.writer();
        if !writer.is_leader() || led.as_ref().is_some_and(|led| led.term != writer.term()) {
            *led = None;
            // Whoever waits for something of it waits in vain.
            self.settled.notify_waiters();
        }
        led.as_ref().map(|led| Lead(led.term))
    }

    /// Waits until this node knows what is open.
    async fn lead(&self) -> Result<Lead, Refusal> {
        if let Some(lead) = self.leads() {
            return Ok(lead);
        }
        let _reading = self.reading.lock().await;
        if let Some(lead) = self.leads() {
            return Ok(lead);
        }
        let writer = self.parts.posting.writer();
        let term = writer.term();
        if !writer.is_leader() {
            return Err(NotStored::NotLeader.into());
        }
        let (archive, stored) = (self.parts.archive.clone(), self.stored_progress());
        let table = spawn_blocking(move || reading::load(&archive, stored, OPEN_MAX)).await;
        let table = table.map_err(|error| Refusal::Failed(format!("transactions: {error}")))??;
        tracing::info!(open = table.open(), undone = table.unmarked(), "open transactions were read");
        if table.unmarked() > 0 {
            self.decided.notify_one();
        }
        *self.led.lock().unwrap_or_else(PoisonError::into_inner) = Some(Led { term, table, held: None });
        Ok(Lead(term))
    }

    /// Does something with what is open. What is not known any more is of no concern.
    fn with<T>(&self, lead: Lead, work: impl FnOnce(&mut Table) -> T) -> Result<T, NotStored> {
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        let led = led.as_mut().filter(|led| led.term == lead.0);
        led.map(|led| work(&mut led.table)).ok_or(NotStored::NotLeader)
    }

    /// Takes in the halves that have arrived.
    async fn read_on(&self, lead: Lead) -> Result<(), Refusal> {
        let end = {
            let span = reading::halves_span(&self.parts.archive)?;
            self.with(lead, |table| table.skip_to(span.min))?;
            span.max
        };
        loop {
            let wanted = self.with(lead, |table| table.wanted(end))?;
            if wanted.is_empty() {
                return Ok(());
            }
            let archive = self.parts.archive.clone();
            let read = spawn_blocking(move || reading::read_halves(&archive, &wanted)).await;
            let read = read.map_err(|error| Refusal::Failed(format!("transactions: {error}")))??;
            if read.is_empty() || !self.with(lead, |table| table.pass(read))? {
                return Ok(());
            }
        }
    }

    fn stored_progress(&self) -> Progress {
        let find = |topic: &str| self.parts.offsets.find(GROUP, topic, QUEUE).unwrap_or(QueueOffset(0));
        Progress { halves: find(reading::half_topic().as_str()), marks: find(reading::mark_topic().as_str()) }
    }

    /// Says from where on the next leader has to read.
    fn note_progress(&self, lead: Lead) {
        let Some(progress) = self.durable_progress(lead) else { return };
        // Marks that were passed mean nothing without the halves that were passed before.
        let places = [(reading::half_topic(), progress.halves), (reading::mark_topic(), progress.marks)];
        for (topic, next) in places {
            if self.parts.offsets.find(GROUP, topic.as_str(), QUEUE) != Some(next) {
                self.parts.offsets.commit(GROUP, &topic, QUEUE, next);
            }
        }
    }

    /// The newest progress that is known to stand on what is durable.
    fn durable_progress(&self, lead: Lead) -> Option<Progress> {
        let log = self.parts.archive.log();
        let mut led = self.led.lock().unwrap_or_else(PoisonError::into_inner);
        let led = led.as_mut().filter(|led| led.term == lead.0)?;
        let newest = (led.table.progress(), log.written());
        let durable = log.durable();
        if durable >= newest.1 {
            led.held = None;
            return Some(newest.0);
        }
        match led.held {
            Some((_, at)) if durable < at => None,
            held => {
                led.held = Some(newest);
                held.map(|(progress, _)| progress)
            }
        }
    }

    /// Waits until all that is written now is durable, but not for ever.
    async fn wait_durable(&self) {
        let (done, durable) = oneshot::channel();
        let log = self.parts.archive.log();
        let tell = move |_| {
            // Nobody waits any more.
            let _ = done.send(());
        };
        log.when_durable(log.written(), Box::new(tell));
        if timeout(DURABLE_WAIT, durable).await.is_err() {
            tracing::warn!("the log is not durable yet: decided transactions will be read again");
        }
    }
}

#[cfg(test)]
mod tests;
