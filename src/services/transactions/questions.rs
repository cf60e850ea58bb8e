//! What became of your half? Asked of producers that have not said.
//!
//! Before a producer is asked its half is written again, with the number of questions, and the one before is marked as finished:
//! both in one batch, so a crash leaves one of them open. A classic log can end within a batch; then both are open, and the
//! table takes them for one.

use ferrymq_proto::headers::CheckTransaction;
use ferrymq_proto::name::SystemTopic;
use ferrymq_proto::position::{QueueOffset, Timestamp};
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::record::{Record, property};
use ferrymq_proto::text::Text;
use tokio::time::sleep;

use super::halves::{self, BadHalf};
use super::reading::half_topic;
use super::table::{Half, Root};
use super::{Lead, NO_LIMITS, TransactionRules, Transactions};
use crate::clock;
use crate::refusal::Refusal;
use crate::replication::{Batch, NotStored, Stored};
use crate::services::clients::request;
use crate::services::message::Message;

/// Halves that are written again together, and their bytes.
const HALVES_AT_ONCE: usize = 64;
const BYTES_AT_ONCE: usize = 1 << 20;
/// A half that may not be asked for is written again when it keeps so many later ones from being forgotten.
const HELD_UP_MAX: i64 = 10_000;
/// Members of a group that are tried, when connections take no more.
const PRODUCERS_TRIED_MAX: usize = 3;

/// What is due for an open half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Ask,
    /// Others wait for it, and it is too early to ask.
    Move,
    GiveUp,
}

/// A half that is being written again.
struct Rewritten {
    half: Half,
    step: Step,
    checks: u32,
    message: Message,
}

/// What is due for a half that keeps `later` others from being forgotten.
pub(super) fn step(rules: &TransactionRules, half: &Half, now: Timestamp, later: i64) -> Option<Step> {
    let age = now.0.saturating_sub(half.born.0);
    if half.checks >= rules.checks_max || age > rules.kept_ms {
        return Some(Step::GiveUp);
    }
    // Of one that was born in the future nobody knows how old it is.
    if age < 0 || age > half.immunity_ms.unwrap_or(rules.timeout_ms) {
        return Some(Step::Ask);
    }
    (later > HELD_UP_MAX).then_some(Step::Move)
}

/// Why a half was not written again.
#[derive(Debug, thiserror::Error)]
enum Fate {
    #[error("it cannot be read")]
    Unreadable,
    #[error("{0}")]
    Bad(BadHalf),
}

impl Transactions {
    pub(super) async fn ask_again_and_again(&self) {
        // Producers need time to come back before they can be asked.
        if let Err(error) = self.lead().await {
            tracing::debug!(%error, "open transactions are not read");
        }
        loop {
            sleep(self.rules.get().check_interval).await;
            if let Err(error) = self.ask_all(clock::now()).await {
                tracing::debug!(%error, "producers are not asked");
            }
        }
    }

    /// Asks for all halves that are due at `now`.
    pub(super) async fn ask_all(&self, now: Timestamp) -> Result<(), Refusal> {
        let lead = self.lead().await?;
        self.read_on(lead).await?;
        let rules = self.rules.get();
        let due: Vec<_> = self.with(lead, |table| {
            let later = |half: &Half| table.next().0 - half.queue_offset.0;
            table.waiting().filter_map(|half| Some((*half, step(&rules, half, now, later(half))?))).collect()
        })?;
        if due.iter().any(|(_, step)| *step == Step::GiveUp) {
            self.parts.topics.ensure_given_up().await?;
        }
        let mut due = due.into_iter();
        while self.rewrite_some(lead, &mut due).await? > 0 {}
        self.mark_all(lead).await?;
        self.note_progress(lead);
        Ok(())
    }

    /// Writes again what fits into one batch, and asks. Returns how many halves were looked at.
    async fn rewrite_some(
        &self,
        lead: Lead,
        due: &mut impl Iterator<Item = (Half, Step)>,
    ) -> Result<usize, NotStored> {
        let (mut batch, mut rewritten, mut count) = (Batch::default(), Vec::new(), 0);
        while rewritten.len() < HALVES_AT_ONCE
            && batch.records.len() < BYTES_AT_ONCE
            && let Some((half, step)) = due.next()
        {
            count += 1;
            let end = self.parts.archive.log().written();
            // It may be ended in this moment, or be over.
            let Ok(half) = self.with(lead, |table| table.begin(&half, end))? else { continue };
            match self.rewrite(half, step, &mut batch) {
                Ok(one) => rewritten.push(one),
                Err(fate) => self.cannot_rewrite(lead, &half, fate)?,
            }
        }
        if !rewritten.is_empty() {
            self.write_again(lead, batch, rewritten).await?;
        }
        Ok(count)
    }

    /// Puts what becomes of a half into the batch.
    fn rewrite(&self, half: Half, step: Step, batch: &mut Batch) -> Result<Rewritten, Fate> {
        let bytes = self.parts.archive.record(half.log_offset).ok_or(Fate::Unreadable)?;
        let (record, _) = Record::decode(&bytes).map_err(|_| Fate::Unreadable)?;
        let checks = half.checks.saturating_add(u32::from(step == Step::Ask));
        let (step, made) = match step {
            Step::GiveUp => (step, halves::given_up(&record)),
            Step::Ask | Step::Move => match halves::copy(&record, &half, checks) {
                // Where the number of questions finds no room nobody could stop asking.
                Err(BadHalf::NoRoom(_)) => (Step::GiveUp, halves::given_up(&record)),
                made => (step, made),
            },
        };
        let message = made.map_err(Fate::Bad)?;
        message.clone().encode_into(batch, NO_LIMITS).map_err(|error| Fate::Bad(error.into()))?;
        Ok(Rewritten { half, step, checks, message })
    }

    fn cannot_rewrite(&self, lead: Lead, half: &Half, fate: Fate) -> Result<(), NotStored> {
        let offset = half.log_offset;
        let is_gone = offset < self.parts.archive.log().start();
        self.with(lead, |table| match fate {
            Fate::Unreadable if !is_gone => {
                tracing::error!(%offset, "the half of a transaction cannot be read");
                table.fail(half.root);
            }
            fate => {
                tracing::error!(%offset, %fate, "the half of a transaction is lost");
                table.lose(half.root);
            }
        })?;
        self.settled.notify_waiters();
        Ok(())
    }

    async fn write_again(
        &self,
        lead: Lead,
        mut batch: Batch,
        rewritten: Vec<Rewritten>,
    ) -> Result<(), NotStored> {
        let before: Vec<QueueOffset> = rewritten.iter().map(|one| one.half.queue_offset).collect();
        let stored = self.store_with_mark(lead, &mut batch, &before).await;
        let outcome = self.with(lead, |table| match &stored {
            Ok((stored, mark)) => {
                for (one, stored) in rewritten.iter().zip(stored).filter(|(one, _)| one.step != Step::GiveUp)
                {
                    let (queue_offset, log_offset) = (stored.queue_offset, stored.log_offset);
                    table.moved(Half { queue_offset, log_offset, checks: one.checks, ..one.half });
                }
                table.marked(mark.queue_offset, &before);
            }
            Err(_) => rewritten.iter().for_each(|one| table.fail(one.half.root)),
        });
        self.settled.notify_waiters();
        outcome?;
        let (stored, _) = stored?;
        for (one, stored) in rewritten.into_iter().zip(&stored) {
            match one.step {
                Step::Ask => self.ask(one, stored),
                Step::Move => {}
                Step::GiveUp => tracing::warn!(
                    offset = %one.half.log_offset, checks = one.half.checks,
                    "a transaction is given up: nobody says what became of it"
                ),
            }
        }
        Ok(())
    }

    /// Stores the batch, and with it the mark of the halves that it stands for.
    async fn store_with_mark(
        &self,
        lead: Lead,
        batch: &mut Batch,
        before: &[QueueOffset],
    ) -> Result<(Vec<Stored>, Stored), NotStored> {
        let end = self.parts.archive.log().written();
        let commits_from = self.with(lead, |table| table.commits_from(before, end))?;
        let mark = halves::mark(before, commits_from, self.parts.host, clock::now())?;
        mark.encode_into(batch, NO_LIMITS)?;
        let mut stored = self.parts.posting.writer().store(std::mem::take(batch)).await?;
        let mark = stored.pop().ok_or(NotStored::Stopping)?;
        Ok((stored, mark))
    }

    /// Asks one member of the group that sent the half.
    fn ask(&self, one: Rewritten, stored: &Stored) {
        let group = one.message.property(property::PRODUCER_GROUP).unwrap_or_default();
        let key = one.message.property(property::UNIQUE_KEY).map(Text::from);
        let store_host = one.message.store_host;
        let id = OffsetMessageId { store_host, log_offset: stored.log_offset }.to_string();
        let body = match halves::shown(one.message, stored) {
            Ok(body) => body,
            Err(error) => {
                tracing::warn!(half = %stored.log_offset, %error, "nobody can be asked for a transaction");
                return;
            }
        };
        let header = CheckTransaction {
            topic: Some(half_topic().as_str().into()),
            transaction_table_offset: stored.queue_offset,
            commit_log_offset: stored.log_offset,
            message_id: key.clone(),
            transaction_id: key,
            offset_message_id: Some(id.into()),
            broker_name: Some(self.parts.broker.as_str().into()),
        };
        let question = request(&header, body);
        let asked = (0..PRODUCERS_TRIED_MAX)
            .map_while(|_| self.parts.clients.producer_of(&group))
            .any(|producer| producer.push(question.clone()));
        if !asked {
            tracing::warn!(%group, half = %stored.log_offset, "no producer can be asked for its transaction");
        }
    }

    /// Opens a transaction again that had been given up: the message with this id.
    pub async fn resume(&self, id: &str) -> Result<(), Refusal> {
        let failed = || Refusal::NotThisTransaction("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.");
        let place = OffsetMessageId::parse(id).map_err(|_| failed())?;
        let bytes = self.parts.archive.record(place.log_offset).ok_or_else(failed)?;
        let (record, _) = Record::decode(&bytes).map_err(|_| failed())?;
        if record.topic != SystemTopic::TransactionGivenUp.as_str() {
            return Err(failed());
        }
        let lead = self.lead().await?;
        let root = Root(record.log_offset);
        if self.with(lead, |table| table.knows(root))? {
            return Ok(());
        }
        let message = halves::resumed(&record).map_err(|error| NotStored::Illegal(error.to_string()))?;
        let mut batch = Batch::default();
        message.encode_into(&mut batch, NO_LIMITS)?;
        let stored = self.parts.posting.writer().store(batch).await?;
        let stored = stored.first().ok_or(NotStored::Stopping)?;
        let bytes = self.parts.archive.record(stored.log_offset).ok_or_else(failed)?;
        let (record, _) = Record::decode(&bytes).map_err(|_| failed())?;
        let half = halves::half(&record).ok_or_else(failed)?;
        self.with(lead, |table| table.resume(half))?;
        Ok(())
    }
}
