//! The one who delivers what is due, one batch after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::Log;

use super::alarm::Alarm;
use super::{Portion, Progress, Trouble, Waiting};
use crate::clock;
use crate::replication::{NotStored, SharedTables, Writer};
use crate::services::archive::Archive;
use crate::state::{Command, Register};

/// How often somebody who does not lead looks whether it does now.
const LEADING_INTERVAL: Duration = Duration::from_millis(100);
/// After a failure.
const PAUSE: Duration = Duration::from_millis(500);
/// What it sleeps when nothing waits. The clock may have jumped meanwhile.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// How long dispatch may take to catch up before it is tried again.
const CATCHING_UP: Duration = Duration::from_secs(5);
/// Whoever begins reads no more of the log than this, and what came since progress was last noted.
const UNREAD_BYTES_MAX: i64 = 64 << 20;

/// When progress is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saving {
    /// With each batch, as one.
    WithEach,
    /// So often.
    Every(Duration),
}

pub struct Deliverer<W> {
    waiting: Arc<Mutex<W>>,
    archive: Archive,
    tables: SharedTables,
    writer: Writer,
    alarm: Arc<Alarm>,
    saving: Saving,
    /// Progress that is not noted yet, though all of it is delivered.
    unsaved: Mutex<Option<Command>>,
}

impl<W> std::fmt::Debug for Deliverer<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deliverer").field("saving", &self.saving).finish_non_exhaustive()
    }
}

/// What was noted last, and what will be.
struct Notes {
    progress: Progress,
    /// From there on may be copies that the progress does not know of.
    mark: LogOffset,
    noted_mark: LogOffset,
    noted_at: Instant,
    /// To be noted once the log is on disk so far.
    ripening: Option<(Progress, LogOffset, LogOffset)>,
}

impl<W: Waiting> Deliverer<W> {
    pub fn new(
        waiting: W,
        archive: Archive,
        tables: SharedTables,
        writer: Writer,
        alarm: Arc<Alarm>,
        saving: Saving,
    ) -> Self {
        let waiting = Arc::new(Mutex::new(waiting));
        Self { waiting, archive, tables, writer, alarm, saving, unsaved: Mutex::default() }
    }

    pub async fn run(&self) {
        let mut portion = Portion::USUAL;
        loop {
            while !self.writer.is_leader() {
                tokio::time::sleep(LEADING_INTERVAL).await;
            }
            if let Err(trouble) = self.lead(&mut portion).await {
                tracing::warn!(%trouble, "{} are not delivered; it is tried again", W::NAME);
                tokio::time::sleep(PAUSE).await;
            }
            *lock(&self.unsaved) = None;
        }
    }

    /// Notes what is delivered, at the end. Nothing runs any more.
    pub async fn flush(&self) {
        let Some(command) = lock(&self.unsaved).take() else { return };
        let log = self.archive.log().clone();
        let flushed = tokio::task::spawn_blocking(move || log.flush()).await;
        if matches!(flushed, Ok(Ok(())))
            && let Err(error) = self.writer.change(command).await
        {
            tracing::warn!(%error, "how many {} were delivered is not noted, and will be found in the log", W::NAME);
        }
    }

    /// Delivers as long as this node leads.
    async fn lead(&self, portion: &mut Portion) -> Result<(), Trouble> {
        let term = self.writer.term();
        let mut notes = self.begin().await?;
        while self.writer.is_leader() && self.writer.term() == term {
            self.alarm.listen();
            let wanted = *portion;
            let mut gathered = self.blocking(move |waiting| waiting.gather(clock::now(), wanted)).await?;
            let is_idle = gathered.batch.count == 0;
            if !is_idle {
                if self.saving == Saving::WithEach {
                    let progress = lock(&self.waiting).progress();
                    gathered.batch.change = Some(command::<W>(progress, notes.mark));
                }
                self.store(gathered.batch, portion).await?;
            }
            self.note(&mut notes).await?;
            if is_idle {
                let now = clock::now();
                let left = gathered.next.map_or(i64::MAX, |next| next.0.saturating_sub(now.0)).max(0);
                let longest = if notes.ripening.is_some() { PAUSE } else { SLEEP_MAX };
                self.alarm.wait(now, Duration::from_millis(left.unsigned_abs()).min(longest)).await;
            }
        }
        Ok(())
    }

    /// Finds out what was delivered. Before anything else is, it stands somewhere from where on the log has to be read.
    async fn begin(&self) -> Result<Notes, Trouble> {
        let log = self.archive.log();
        let derived = self.archive.derived().clone();
        // A batch that failed may have come into the log in part.
        let dispatched = move || derived.wait_dispatched(derived.log().written(), CATCHING_UP);
        if !tokio::task::spawn_blocking(dispatched).await.unwrap_or_default() {
            return Err(Trouble::NotCaughtUp);
        }
        let end = log.confirmed().offset;
        let noted = self.tables.read().progress().number(&register::<W>()).map(LogOffset);
        let mark = noted.unwrap_or(end).min(end);
        self.blocking(move |waiting| waiting.begin(mark, end)).await?;
        let progress = lock(&self.waiting).progress();
        if noted.is_none() {
            self.writer.change(command::<W>(progress.clone(), mark)).await?;
        }
        Ok(Notes { progress, mark, noted_mark: mark, noted_at: Instant::now(), ripening: None })
    }

    async fn store(&self, batch: crate::replication::Batch, portion: &mut Portion) -> Result<(), Trouble> {
        let count = batch.count;
        match self.writer.store(batch).await {
            Ok(_) => *portion = Portion::USUAL,
            Err(error @ NotStored::Illegal(_)) if count == 1 => {
                tracing::error!(%error, "one of the {} cannot be stored, and is left out", W::NAME);
                *portion = Portion::USUAL;
            }
            Err(error) => {
                if matches!(error, NotStored::Illegal(_)) {
                    *portion = Portion::ONE;
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Notes progress if it is time to. Nothing is on its way now: all that was gathered is delivered.
    async fn note(&self, notes: &mut Notes) -> Result<(), Trouble> {
        let log: &Log = self.archive.log();
        let (progress, is_settled) = {
            let waiting = lock(&self.waiting);
            (waiting.progress(), waiting.is_settled())
        };
        let end = log.confirmed().offset;
        if is_settled {
            notes.mark = end;
        }
        let has_moved = progress != notes.progress;
        let is_far = notes.mark.0 - notes.noted_mark.0 > UNREAD_BYTES_MAX;
        match self.saving {
            // It went with the batch, but for what was passed over.
            Saving::WithEach if !is_far => notes.progress = progress,
            Saving::WithEach => {
                self.writer.change(command::<W>(progress, notes.mark)).await?;
                notes.noted_mark = notes.mark;
            }
            Saving::Every(interval) => {
                if has_moved {
                    *lock(&self.unsaved) = Some(command::<W>(progress.clone(), notes.mark));
                }
                let is_time = has_moved && notes.noted_at.elapsed() >= interval;
                if notes.ripening.is_none() && (is_time || is_far) {
                    notes.ripening = Some((progress, notes.mark, end));
                }
                // What a power loss may take is not noted as delivered.
                if let Some((progress, mark, _)) = notes.ripening.take_if(|(_, _, end)| *end <= log.durable())
                {
                    self.writer.change(command::<W>(progress.clone(), mark)).await?;
                    (notes.progress, notes.noted_mark, notes.noted_at) = (progress, mark, Instant::now());
                }
            }
        }
        Ok(())
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut W) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let waiting = Arc::clone(&self.waiting);
        let done = tokio::task::spawn_blocking(move || work(&mut lock(&waiting))).await;
        done.unwrap_or(Err(Trouble::Lost))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn register<W: Waiting>() -> String {
    format!("{}.log", W::NAME)
}

pub(super) fn command<W: Waiting>(progress: Progress, mark: LogOffset) -> Command {
    let mut registers = progress.registers;
    registers.push((register::<W>().into(), Some(Register::Number(mark.0))));
    Command::Advance { delay: progress.levels, registers }
}
