//! Messages on their way into the log.
//!
//! Whoever brings one sees to it that all that waits is written soon, by a task of the runtime. That comes next on the thread
//! which has just served the sender, and then the sender is answered there: a message goes its way without a change of threads,
//! and what came in the meantime is written together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use bytes::BytesMut;
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::together;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::stamp::{StampError, Stamped, Stamper};
use ferrymq_storage::{AppendError, Appender, Broken, Chain, FlushMode, Log, Mark};
use tokio::runtime::Handle;

use super::tables::{Change, Changes};
use crate::clock;
use crate::replication::pair::{Copied, Followers};
use crate::replication::queue::{NotTaken, WaitingQueue};
use crate::replication::{Batch, Done, NotStored, Stored, Wait};

/// What may wait to be written. Past this senders hear that the broker is busy.
const WAITING_BYTES_MAX: usize = 64 << 20;
/// What is written at once.
const WRITE_BYTES_MAX: usize = 1 << 20;
const WRITE_BATCHES_MAX: usize = 1024;
/// Writes of one task. Then others come first on its thread.
const WRITES_MAX: usize = 8;

/// Where messages are handed in.
#[derive(Clone)]
pub(super) struct Messages(Arc<Shared>);

struct Shared {
    queue: WaitingQueue<Work>,
    /// `None` when it is closed.
    writer: Mutex<Option<LogWriter>>,
    /// There is a task that has not looked into the queue yet.
    is_scheduled: AtomicBool,
    runtime: Handle,
}

impl Messages {
    /// They are written by tasks of this runtime.
    pub fn new(writer: LogWriter, runtime: Handle) -> Self {
        Self(Arc::new(Shared {
            queue: WaitingQueue::new(WAITING_BYTES_MAX),
            writer: Mutex::new(Some(writer)),
            is_scheduled: AtomicBool::new(false),
            runtime,
        }))
    }

    pub fn put(&self, work: Work, bytes: usize) -> Result<(), Box<(Work, NotTaken)>> {
        self.0.queue.put(work, bytes).map_err(Box::new)?;
        self.schedule();
        Ok(())
    }

    /// Takes nothing more, and writes what was taken.
    pub fn stop(&self) {
        self.0.queue.close();
        let writer = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut writer) = writer else { return };
        while let Some(taken) = self.0.queue.take(WRITE_BYTES_MAX, WRITE_BATCHES_MAX) {
            writer.work(taken);
        }
        writer.close();
    }

    fn schedule(&self) {
        if !self.0.is_scheduled.swap(true, Ordering::AcqRel) {
            let messages = self.clone();
            self.0.runtime.spawn(async move { messages.write() });
        }
    }

    /// Writes what waits. Who finds somebody else writing leaves it to him: he looks once more when he is done.
    fn write(&self) {
        // What is put in from now on schedules another task.
        self.0.is_scheduled.store(false, Ordering::Release);
        for _ in 0..WRITES_MAX {
            {
                let mut writer = match self.0.writer.try_lock() {
                    Ok(writer) => writer,
                    Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                    Err(TryLockError::WouldBlock) => return,
                };
                let Some(writer) = writer.as_mut() else { return };
                writer.work(self.0.queue.take_now(WRITE_BYTES_MAX, WRITE_BATCHES_MAX));
            }
            if self.0.queue.is_empty() {
                return;
            }
        }
        self.schedule();
    }
}

/// What is done to the log, in order.
pub(super) enum Work {
    Write(Sent),
    Forget(Forgotten),
}

/// Topics that are deleted: their queues begin at 0 again.
pub(super) struct Forgotten {
    pub topics: Vec<TopicName>,
    /// Told where the log ends before which there are records of them.
    pub done: SyncSender<LogOffset>,
}

pub(super) struct Sent {
    pub batch: Batch,
    pub wait: Wait,
    pub done: Done,
}

/// Writes messages.
pub(super) struct LogWriter {
    appender: Appender,
    stamper: Stamper,
    finish: Finish,
    changes: Changes,
    joined: BytesMut,
}

/// What is told once it is safe.
struct Written {
    stored: Vec<Stored>,
    done: Done,
}

impl LogWriter {
    pub fn new(appender: Appender, stamper: Stamper, finish: Finish, changes: Changes) -> Self {
        Self { appender, stamper, finish, changes, joined: BytesMut::new() }
    }

    fn work(&mut self, taken: Vec<Work>) {
        let mut sent = Vec::with_capacity(taken.len());
        for work in taken {
            match work {
                Work::Write(one) => sent.push(one),
                Work::Forget(forgotten) => {
                    self.write(std::mem::take(&mut sent));
                    self.forget(&forgotten);
                }
            }
        }
        self.write(sent);
    }

    fn forget(&mut self, forgotten: &Forgotten) {
        forgotten.topics.iter().for_each(|topic| self.stamper.forget(topic));
        // Whoever asked may have gone.
        let _ = forgotten.done.send(self.appender.log().written());
    }

    fn write(&mut self, sent: Vec<Sent>) {
        if sent.is_empty() {
            return;
        }
        let now = clock::now();
        let mut waiting = Vec::with_capacity(sent.len());
        let mut counts = Vec::with_capacity(sent.len());
        self.joined.clear();
        let outcome = match <[Sent; 1]>::try_from(sent) {
            // The buffer of one alone needs no copy.
            Ok([mut only]) => {
                let outcome = self.stamper.append(&mut self.appender, &mut only.batch.records, now);
                counts.push(only);
                outcome
            }
            Err(sent) => {
                sent.iter().for_each(|sent| self.joined.extend_from_slice(&sent.batch.records));
                counts.extend(sent);
                self.stamper.append(&mut self.appender, &mut self.joined, now)
            }
        };
        let failed = outcome.error.map(|error| not_stored(&error));
        let mut stamped = outcome.stamped.into_iter();
        for sent in counts {
            let stored: Vec<_> = stamped.by_ref().take(sent.batch.count).map(stored).collect();
            match &failed {
                Some(reason) if stored.len() < sent.batch.count => (sent.done)(Err(reason.clone())),
                _ if sent.wait == Wait::Written => (sent.done)(Ok(stored)),
                _ => waiting.push(Written { stored, done: self.with_change(sent) }),
            }
        }
        self.settle(waiting);
    }

    /// What tells the sender, and before that makes the change that belongs to its records.
    fn with_change(&self, sent: Sent) -> Done {
        let Sent { batch, done, .. } = sent;
        let Some(command) = batch.change else { return done };
        let changes = self.changes.clone();
        Box::new(move |result| {
            if result.is_ok() && !changes.put(Change::unasked(command)) {
                tracing::warn!("progress was not noted: the tables take no more changes");
            }
            done(result);
        })
    }

    /// Makes final what was written, and tells those who wait for it.
    fn settle(&self, waiting: Vec<Written>) {
        let log = self.appender.log();
        let end = log.written();
        self.finish.followers.written();
        match self.finish.mode {
            FlushMode::Async => self.finish.confirm(end, waiting),
            FlushMode::Sync => {
                let finish = self.finish.clone();
                log.when_durable(
                    end,
                    Box::new(move |result| match result {
                        Ok(()) => finish.confirm(end, waiting),
                        Err(Broken) => refuse(waiting),
                    }),
                );
            }
        }
    }

    fn close(self) {
        // What is written is final once it is safe; the threads of the log may be gone already.
        let log = self.appender.log().clone();
        match self.appender.close() {
            Ok(()) => log.confirm(mark(log.written())),
            Err(Broken) => tracing::error!("the log could not be closed in order"),
        }
    }
}

fn mark(offset: LogOffset) -> Mark {
    Mark { offset, chain: Chain::default() }
}

/// What is done when something is as safe here as the settings say.
#[derive(Clone)]
pub(super) struct Finish {
    pub log: Log,
    pub mode: FlushMode,
    pub followers: Arc<Followers>,
}

impl Finish {
    fn confirm(&self, end: LogOffset, waiting: Vec<Written>) {
        self.log.confirm(mark(end));
        self.followers.confirmed();
        if self.followers.are_awaited() && !waiting.is_empty() {
            self.followers.wait(end, Box::new(move |copied| tell(waiting, copied)));
        } else {
            tell(waiting, Copied::Enough);
        }
    }
}

fn tell(waiting: Vec<Written>, copied: Copied) {
    together(|| {
        for Written { mut stored, done } in waiting {
            stored.iter_mut().for_each(|stored| stored.copied = copied);
            done(Ok(stored));
        }
    });
}

fn refuse(waiting: Vec<Written>) {
    waiting.into_iter().for_each(|written| (written.done)(Err(NotStored::Stopping)));
}

fn stored(stamped: Stamped) -> Stored {
    Stored {
        queue_offset: stamped.queue_offset,
        log_offset: stamped.span.start,
        // A record is far shorter.
        bytes: stamped.span.bytes as u32,
        store_timestamp: stamped.store_time,
        copied: Copied::Enough,
    }
}

fn not_stored(error: &StampError) -> NotStored {
    tracing::warn!(%error, "messages were not stored");
    match error {
        StampError::Append(AppendError::TooLong { .. }) | StampError::NotARecord { .. } => {
            NotStored::Illegal(error.to_string())
        }
        StampError::Append(AppendError::Broken(_)) => NotStored::Stopping,
        _ => NotStored::Disk(error.to_string()),
    }
}
