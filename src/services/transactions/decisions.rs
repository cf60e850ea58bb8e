//! What producers decide, and the marks of what is decided.

use std::pin::pin;

use ferrymq_proto::position::{LogOffset, QueueOffset};
use ferrymq_proto::record::{Record, property};
use tokio::time::{sleep, timeout};

use super::table::{Half, Occupied};
use super::{Lead, NO_LIMITS, Transactions, halves};
use crate::clock;
use crate::refusal::Refusal;
use crate::replication::{Batch, NotStored};

/// A queue offset and what separates it from the next, in most marks.
const MARK_BYTES: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Commit,
    RollBack,
}

/// What a producer says of one of its halves.
#[derive(Clone, Debug)]
pub struct Ending {
    pub half: LogOffset,
    pub queue_offset: QueueOffset,
    pub group: String,
    pub outcome: Outcome,
    /// It was asked.
    pub answers: bool,
}

impl Transactions {
    /// Does what a producer has decided. To say the same once more changes nothing, and to say something else neither.
    pub async fn end(&self, ending: Ending) -> Result<(), Refusal> {
        let not_found = Refusal::NotThisTransaction("Find prepared transaction message failed");
        let Some(bytes) = self.parts.archive.record(ending.half) else { return Err(not_found) };
        let Ok((record, _)) = Record::decode(&bytes) else { return Err(not_found) };
        let Some(half) = halves::half(&record) else { return Err(not_found) };
        self.check(&ending, &record, &half)?;
        let lead = self.lead().await?;
        let Some(half) = self.begin(lead, &half).await? else {
            tracing::debug!(half = %ending.half, "a transaction is ended that was over");
            return Ok(());
        };
        let ended = match ending.outcome {
            Outcome::RollBack => Ok(()),
            Outcome::Commit => self.commit(&record).await,
        };
        let noted = self.with(lead, |table| match ended {
            Ok(()) => table.decide(half.root),
            Err(_) => table.fail(half.root),
        });
        self.settled.notify_waiters();
        noted?;
        self.tell_decided(lead);
        ended
    }

    /// Whether the producer may end this half, and means it.
    fn check(&self, ending: &Ending, record: &Record<'_>, half: &Half) -> Result<(), Refusal> {
        let age = clock::now().0.saturating_sub(half.born.0);
        // Who wants to be left alone that long is expected to have decided by then.
        if let Some(immunity) = half.immunity_ms.filter(|_| !ending.answers)
            && age > immunity.max(self.rules.get().timeout_ms)
        {
            return Err(Refusal::IllegalOperation(format!(
                "the transaction is {age} ms old, and its producer will be asked"
            )));
        }
        let group = record.properties.get(property::PRODUCER_GROUP);
        if group.as_deref() != Some(ending.group.as_str()) {
            return Err(Refusal::NotThisTransaction("The producer group wrong"));
        }
        if record.queue_offset != ending.queue_offset {
            return Err(Refusal::NotThisTransaction("The transaction state table offset wrong"));
        }
        Ok(())
    }

    /// `None`: there is nothing left to do.
    async fn begin(&self, lead: Lead, half: &Half) -> Result<Option<Half>, Refusal> {
        loop {
            let mut settled = pin!(self.settled.notified());
            settled.as_mut().enable();
            let end = self.parts.archive.log().written();
            match self.with(lead, |table| table.begin(half, end))? {
                Ok(half) => return Ok(Some(half)),
                Err(Occupied::Over) => return Ok(None),
                Err(Occupied::OutOfReach) => return Err(Refusal::Overloaded),
                Err(Occupied::Busy) => settled.await,
            }
        }
    }

    async fn commit(&self, record: &Record<'_>) -> Result<(), Refusal> {
        let message = halves::committed(record).map_err(|error| NotStored::Illegal(error.to_string()))?;
        self.parts.posting.store(message).await?;
        Ok(())
    }

    fn tell_decided(&self, lead: Lead) {
        let Ok(unmarked) = self.with(lead, |table| table.unmarked()) else { return };
        self.decided.notify_one();
        if unmarked * MARK_BYTES >= self.rules.get().marks_bytes_max {
            self.much_decided.notify_one();
        }
    }

    pub(super) async fn mark_again_and_again(&self) {
        loop {
            self.decided.notified().await;
            // The first one waits for others, so that they share a record.
            let _ = timeout(self.rules.get().marks_interval, self.much_decided.notified()).await;
            let Some(lead) = self.leads() else { continue };
            if let Err(reason) = self.mark_all(lead).await {
                tracing::warn!(%reason, "decided transactions are not marked as such");
                sleep(self.rules.get().marks_interval).await;
                self.decided.notify_one();
            }
            if let Err(error) = self.read_on(lead).await {
                tracing::warn!(%error, "halves cannot be read");
            }
            self.note_progress(lead);
        }
    }

    /// Writes the marks of all that is decided.
    pub(super) async fn mark_all(&self, lead: Lead) -> Result<(), NotStored> {
        let bytes_max = self.rules.get().marks_bytes_max;
        loop {
            let end = self.parts.archive.log().written();
            let (marking, commits_from) = self.with(lead, |table| {
                let marking = table.take_unmarked(bytes_max);
                let commits_from = table.commits_from(&marking, end);
                (marking, commits_from)
            })?;
            if marking.is_empty() {
                return Ok(());
            }
            match self.write_mark(&marking, commits_from).await {
                Ok(at) => self.with(lead, |table| table.marked(at, &marking))?,
                Err(reason) => {
                    self.with(lead, |table| table.not_marked(marking))?;
                    return Err(reason);
                }
            }
        }
    }

    async fn write_mark(
        &self,
        halves: &[QueueOffset],
        commits_from: LogOffset,
    ) -> Result<QueueOffset, NotStored> {
        let mark = halves::mark(halves, commits_from, self.parts.host, clock::now())?;
        let mut batch = Batch::default();
        mark.encode_into(&mut batch, NO_LIMITS)?;
        let stored = self.parts.posting.writer().store(batch).await?;
        stored.first().map(|stored| stored.queue_offset).ok_or(NotStored::Stopping)
    }
}
