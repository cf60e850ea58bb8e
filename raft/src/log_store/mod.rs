//! The log as openraft sees it.
//!
//! The leader's entries get their place here, inside `append`: by then openraft has decided on their term and index, and nothing
//! can refuse them any more, so that no offset is ever given in vain. A follower's entries come with their place, which must be
//! exactly where the log ends. Either way it is one write per entry, and whoever waits for the disk is told by the thread that
//! flushes.

mod reader;
mod writer;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use ferrymq_storage::clock::Clock;
use ferrymq_storage::{FlushMode, FramedAppender, Mark};
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::mpsc;

use crate::entry::Entry;
use crate::frames::{FrameReadError, Frames};
use crate::mending::Injury;
use crate::meta::{MetaFile, change_meta};
use crate::stamps::Stamps;
use crate::types::{LogId, Types, Vote, entry_index, frame_index, index_of, last_entry, term_of};

pub(crate) use reader::LogReader;
pub(crate) use writer::{NotAppended, Writer};

/// Knows where the log goes on behind an entry that it does not have: behind an installed checkpoint.
pub(crate) trait Bases: Send + Sync + std::fmt::Debug {
    fn base_behind(&self, entry: LogId) -> Option<Mark>;
}

/// A handle: clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub frames: Frames,
    /// Guards the end of the log. RaftCore holds it to append, and a thread that may wait to cut.
    writer: Mutex<Writer>,
    meta: Arc<MetaFile>,
    mode: FlushMode,
    bases: Arc<dyn Bases>,
    is_waiting_for_room: AtomicBool,
    /// Who finds damage tells it there. Not there before the node takes part in its group.
    injuries: OnceLock<mpsc::Sender<Injury>>,
}

/// Between two tries to append to a full disk.
const ROOM_WAIT: Duration = Duration::from_millis(100);

impl LogStore {
    /// Of a log that was just opened.
    pub fn open(
        appender: FramedAppender,
        meta: Arc<MetaFile>,
        bases: Arc<dyn Bases>,
        mode: FlushMode,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let log = appender.log().clone();
        let purged = meta.current().purged;
        let end = appender.end();
        let start = start_of(&log, purged, end);
        let frames = Frames::open(log, start, end)?;
        let writer = Mutex::new(Writer::new(appender, clock));
        Ok(Self {
            inner: Arc::new(Inner {
                frames,
                writer,
                meta,
                mode,
                bases,
                is_waiting_for_room: AtomicBool::new(false),
                injuries: OnceLock::new(),
            }),
        })
    }

    pub fn frames(&self) -> &Frames {
        &self.inner.frames
    }

    /// A full disk is a slow one: Raft waits for room as it waits for the disk, and the group goes on without this node. A
    /// leader that waits is silent, and another takes its place.
    async fn append_one(&self, entry: Entry) -> io::Result<()> {
        let mut entry = entry;
        loop {
            let appended = self.inner.append(entry);
            entry = match appended {
                Ok(()) => {
                    self.inner.is_waiting_for_room.store(false, Ordering::Relaxed);
                    return Ok(());
                }
                Err(NotAppended::Failed(error)) => return Err(error),
                Err(NotAppended::NoRoom(entry)) => entry,
            };
            if !self.inner.is_waiting_for_room.swap(true, Ordering::Relaxed) {
                tracing::error!("the disk is full: this node waits for room");
            }
            tokio::time::sleep(ROOM_WAIT).await;
        }
    }

    /// Whether an entry waits for room on the disk.
    pub fn is_waiting_for_room(&self) -> bool {
        self.inner.is_waiting_for_room.load(Ordering::Relaxed)
    }

    /// From now on this leader's records are stamped by `stamps`.
    pub fn lead(&self, term: u64, stamps: Box<dyn Stamps>) {
        self.inner.writer().lead(term, stamps);
    }

    /// The last entry that is gone.
    pub fn purged(&self) -> Option<LogId> {
        self.inner.purged()
    }

    /// From now on somebody mends what is damaged.
    pub fn tell_injuries(&self, to: mpsc::Sender<Injury>) {
        // Only a start does this.
        let _ = self.inner.injuries.set(to);
    }

    pub fn reader(&self) -> LogReader {
        LogReader::new(Arc::clone(&self.inner))
    }

    /// Whether the log has this very entry, or had it.
    pub fn contains(&self, entry: LogId) -> bool {
        let frames = self.frames();
        let last = last_entry(frames.end().chain);
        let purged = self.inner.purged();
        if purged.is_some_and(|purged| entry <= purged) {
            return true;
        }
        last.is_some_and(|last| entry.index <= last.index)
            && frames
                .mark_behind(frame_index(entry.index))
                .is_ok_and(|mark| mark.chain.term == term_of(entry))
    }

    /// Throws the log away, and begins anew behind a mark. This waits for the disk.
    pub fn restart_at(&self, mark: Mark) -> io::Result<()> {
        self.inner.restart_at(mark)
    }

    /// Ends the log in order, unless somebody still holds it.
    pub fn downgrade(&self) -> Weak<Inner> {
        Arc::downgrade(&self.inner)
    }

    pub fn close(self) -> io::Result<()> {
        match Arc::into_inner(self.inner) {
            Some(inner) => {
                let writer = inner.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
                writer.close()
            }
            None => Err(io::Error::other("the log is still in use")),
        }
    }
}

/// Where the log begins, and what its first frame follows.
fn start_of(log: &ferrymq_storage::Log, purged: Option<LogId>, end: Mark) -> Mark {
    let offset = log.start();
    match crate::frames::first_header(log, offset) {
        Some(first) if end.offset > offset => {
            // Only the entry before it knows its term, and it may be gone. Nobody asks for the term of an older one.
            let term = purged.filter(|purged| frame_index(purged.index).0 + 1 == first.index.0).map(term_of);
            Mark { offset, chain: crate::frames::chain_before(&first, term.unwrap_or_default()) }
        }
        _ => Mark { offset, chain: end.chain },
    }
}

impl Inner {
    pub fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn purged(&self) -> Option<LogId> {
        self.meta.current().purged
    }

    pub fn vote(&self) -> Option<Vote> {
        self.meta.current().vote
    }

    fn append(&self, entry: Entry) -> Result<(), NotAppended> {
        // Under the lock, so that both know the same.
        let mut writer = self.writer();
        let frame = writer.append(entry)?;
        self.frames.push(frame);
        Ok(())
    }

    fn truncate_after(&self, last: Option<LogId>) -> io::Result<()> {
        let to = self.frames.mark_behind(index_of(last))?;
        if let Some(last) = last.filter(|last| term_of(*last) != to.chain.term) {
            return Err(io::Error::other(format!("there is no entry {last} behind which to cut the log")));
        }
        let mut writer = self.writer();
        writer.truncate(to)?;
        Ok(self.frames.truncate(to)?)
    }

    /// Says that everything up to the entry is gone. Whole segments of it are, at once or when they are final.
    fn purge(&self, upto: LogId) -> io::Result<()> {
        if index_of(Some(upto)) > self.frames.end().chain.index {
            let base = self.bases.base_behind(upto);
            let base =
                base.ok_or_else(|| io::Error::other(format!("there is no checkpoint of entry {upto}")))?;
            return self.restart_at(base);
        }
        self.meta.change(|meta| meta.purged = meta.purged.max(Some(upto)))?;
        self.drop_purged()
    }

    /// Removes the segments that hold nothing but what is purged.
    fn drop_purged(&self) -> io::Result<()> {
        let Some(purged) = self.purged() else { return Ok(()) };
        let log = self.frames.log();
        let before = self.frames.mark_behind(frame_index(purged.index)).map(|mark| mark.offset);
        let before = match before {
            Ok(before) => before,
            // They are gone already.
            Err(FrameReadError::Absent(_)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let next = self.frames.locate(frame_index(purged.index + 1)).unwrap_or(before);
        let dropped = log.drop_before(next.min(log.confirmed().offset)).map_err(io::Error::other)?;
        if dropped > 0 {
            let end = self.frames.end();
            self.frames.drop_before(start_of(log, Some(purged), end));
        }
        Ok(())
    }

    fn restart_at(&self, mark: Mark) -> io::Result<()> {
        let purged = last_entry(mark.chain);
        let mut writer = self.writer();
        writer.restart_at(mark)?;
        self.frames.reset(mark);
        self.meta.change(|meta| meta.purged = purged)
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let last = last_entry(self.frames().end().chain);
        let purged = self.inner.purged();
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.max(purged) })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader()
    }

    /// Durable before it returns, and behind every entry that was appended before.
    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let vote = *vote;
        change_meta(&self.inner.meta, move |meta| meta.vote = Some(vote)).await
    }

    /// The confirmed mark of the log is the hint, and it moves when an entry is applied.
    async fn save_committed(&mut self, _: Option<LogId>) -> Result<(), io::Error> {
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(last_entry(self.frames().log().confirmed().chain))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        if !self.inner.meta.current().has_log {
            change_meta(&self.inner.meta, |meta| meta.has_log = true).await?;
        }
        let mut has_members = false;
        for entry in entries {
            has_members |= openraft::entry::RaftEntry::get_membership(&entry).is_some();
            self.append_one(entry).await?;
        }
        let end = self.frames().end().offset;
        let done = Box::new(move |result: Result<(), ferrymq_storage::Broken>| {
            callback.io_completed(result.map_err(io::Error::other));
        });
        match self.inner.mode {
            // Who the members are is never left to the page cache.
            FlushMode::Async if has_members => self.frames().log().when_durable(end, done),
            _ => self.frames().log().acknowledge(end, done),
        }
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let end = self.frames().end().chain.index;
        if index_of(last) >= end {
            return Ok(());
        }
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.truncate_after(last)).await.map_err(io::Error::other)?
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.purge(upto)).await.map_err(io::Error::other)?
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: std::ops::RangeBounds<u64> + Clone + std::fmt::Debug + OptionalSend,
    {
        self.reader().try_get_log_entries(range).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.inner.vote())
    }
}

/// The index from which entries can be read.
pub(crate) fn first_readable(frames: &Frames, purged: Option<LogId>) -> u64 {
    let start = frames.start().chain.index;
    let first = entry_index(start).map_or(0, |before| before + 1);
    purged.map_or(first, |purged| first.max(purged.index + 1))
}
