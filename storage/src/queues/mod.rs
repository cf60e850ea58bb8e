//! Consume queues: where in the log each message of one queue lies.
//!
//! Files are exactly Apache's: `consumequeue/<topic>/<queue>/<20 digits>`, entry n at byte n × 20 of them all.
//!
//! Invariants: entries only exist for confirmed records, and one is in a file only if its record is durable in the log. So no
//! crash leaves an entry that lies; what it may leave behind the checkpoint is holes, and dispatch writes those entries anew.
//!
//! Nothing is read before it is asked for: a restart does not touch the queues. What is damaged is made anew from the log when
//! it is found. New entries gather in memory until [`Derived::flush`](crate::dispatch::Derived::flush) writes them.

pub(crate) mod census;
pub(crate) mod entry;
pub(crate) mod files;
mod opening;
mod queue;
mod time;
mod upkeep;

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};

use crate::log::{Log, ReadError};
use crate::scan::records::RecordsError;
use census::{Census, Known};
use entry::{ENTRY_BYTES, RawEntry, Slot};
use files::{FileDamage, FilesKey, Place, QueueFiles, failed_at};
use queue::{Queue, Topic};

pub use entry::{DelayLevels, QueueEntry, TimerCode};

/// From the first entry whose record is in the log to behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRange {
    pub min: QueueOffset,
    /// The offset of the next message.
    pub max: QueueOffset,
}

/// Which of several entries a search by time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The first one stored at the time or later; behind the last one if there is none.
    Lower,
    /// The last one stored at the time or earlier; the first one if there is none.
    Upper,
}

#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Log(#[from] ReadError),
    /// Even after it was made anew from the log.
    #[error("entry {offset} of the queue in {folder} is damaged")]
    Damaged { folder: PathBuf, offset: QueueOffset },
    #[error("what lies at offset {0} of the log, which is final, is no record")]
    DamagedLog(LogOffset),
}

impl From<RecordsError> for QueueError {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::Read(error) => Self::Log(error),
            RecordsError::Damaged(offset) => Self::DamagedLog(offset),
        }
    }
}

/// All queues of a store. A handle: clones share everything.
///
/// Queues are known as far as dispatch has come. Every call may read from the disk.
#[derive(Clone, Debug)]
pub struct Queues {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    folder: PathBuf,
    files: QueueFiles,
    levels: DelayLevels,
    /// Entries of records before it are in the files, from before this start.
    trusted_to: LogOffset,
    /// Everything is dispatched anew, because the files are missing or nothing is known of them.
    rebuilding: AtomicBool,
    census: Mutex<Census>,
    topics: RwLock<HashMap<TopicName, Arc<Topic>>>,
    /// Queues with entries in memory only.
    dirty: Mutex<Vec<Arc<Queue>>>,
    tail_bytes: AtomicU64,
    keys: AtomicU64,
}

/// What queues are opened with.
#[derive(Debug)]
pub(crate) struct QueuesStart {
    pub log: Log,
    pub folder: PathBuf,
    pub file_entries: u64,
    pub open_files_max: usize,
    pub levels: DelayLevels,
    pub trusted_to: LogOffset,
    pub rebuilding: bool,
    pub census: Census,
}

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn census(&self) -> MutexGuard<'_, Census> {
        unpoisoned(self.census.lock())
    }

    fn dirty(&self) -> MutexGuard<'_, Vec<Arc<Queue>>> {
        unpoisoned(self.dirty.lock())
    }

    fn is_rebuilding(&self) -> bool {
        self.rebuilding.load(Ordering::Acquire)
    }

    fn count_tail(&self, entries: usize) {
        self.tail_bytes.fetch_add(entries as u64 * ENTRY_BYTES, Ordering::Relaxed);
    }

    fn uncount_tail(&self, entries: usize) {
        self.tail_bytes.fetch_sub(entries as u64 * ENTRY_BYTES, Ordering::Relaxed);
    }

    /// A topic with the queues that have files, or had them at the checkpoint. `None` when it has none.
    fn topic(&self, name: &str) -> Result<Option<Arc<Topic>>, QueueError> {
        if let Some(topic) = unpoisoned(self.topics.read()).get(name) {
            return Ok(Some(Arc::clone(topic)));
        }
        // A name that cannot be a topic's is none, and must not become a path.
        let Ok(name) = TopicName::parse(name) else { return Ok(None) };
        let mut topics = unpoisoned(self.topics.write());
        if let Some(topic) = topics.get(&name) {
            return Ok(Some(Arc::clone(topic)));
        }
        let ids = self.queue_ids(&name)?;
        // Names that anybody may ask for are not kept.
        if ids.is_empty() {
            return Ok(None);
        }
        let topic = Arc::new(Topic::default());
        let queues = ids.into_iter().map(|id| (id, self.new_queue(&name, id)));
        topic.lock().queues.extend(queues);
        topics.insert(name, Arc::clone(&topic));
        Ok(Some(topic))
    }

    fn queue_ids(&self, topic: &TopicName) -> Result<BTreeSet<QueueId>, QueueError> {
        let folder = self.folder.join(topic.as_str());
        let mut ids: BTreeSet<_> = self.census().queues_of(topic.as_str()).collect();
        let names = self.folders_in(&folder)?;
        // As written, without a sign or zeros before it: the folder is found by the number.
        let numbers = names.iter().filter_map(|name| Some((name, name.parse::<i32>().ok()?)));
        ids.extend(numbers.filter(|(name, id)| id.to_string() == **name).map(|(_, id)| QueueId(id)));
        Ok(ids)
    }

    fn folders_in(&self, folder: &Path) -> Result<Vec<String>, QueueError> {
        match self.files.disk().list(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            listed => {
                let entries = listed.map_err(failed_at(folder))?;
                Ok(entries.into_iter().filter(|entry| entry.is_folder).map(|entry| entry.name).collect())
            }
        }
    }

    fn new_queue(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        let key = FilesKey(self.keys.fetch_add(1, Ordering::Relaxed));
        let folder = self.folder.join(topic.as_str()).join(id.0.to_string());
        Arc::new(Queue::new(topic.clone(), id, Place { key, folder }))
    }

    fn find(&self, topic: &TopicName, id: QueueId) -> Result<Option<Arc<Queue>>, QueueError> {
        let Some(topic) = self.topic(topic.as_str())? else { return Ok(None) };
        let queue = topic.lock().queues.get(&id).map(Arc::clone);
        Ok(queue)
    }

    /// The queue, new if there is none. `None` when a topic cannot have that name.
    fn find_or_make(&self, name: &str, id: QueueId) -> Result<Option<Arc<Queue>>, QueueError> {
        loop {
            let topic = match self.topic(name)? {
                Some(topic) => topic,
                None => {
                    let Ok(name) = TopicName::parse(name) else { return Ok(None) };
                    Arc::clone(unpoisoned(self.topics.write()).entry(name).or_default())
                }
            };
            let mut topic = topic.lock();
            if let Some(queue) = topic.queues.get(&id) {
                return Ok(Some(Arc::clone(queue)));
            }
            let Ok(name) = TopicName::parse(name) else { return Ok(None) };
            if !topic.removed {
                let queue = self.new_queue(&name, id);
                topic.queues.insert(id, Arc::clone(&queue));
                return Ok(Some(queue));
            }
        }
    }

    fn all_open(&self) -> Vec<Arc<Queue>> {
        let topics: Vec<_> = unpoisoned(self.topics.read()).values().map(Arc::clone).collect();
        let queues_of =
            |topic: &Arc<Topic>| -> Vec<_> { topic.lock().queues.values().map(Arc::clone).collect() };
        topics.iter().flat_map(queues_of).collect()
    }
}

impl Queues {
    pub(crate) fn new(start: QueuesStart) -> Self {
        let disk = Arc::clone(&start.log.core.disk);
        let shared = Shared {
            log: start.log,
            folder: start.folder,
            files: QueueFiles::new(disk, start.file_entries, start.open_files_max),
            levels: start.levels,
            trusted_to: start.trusted_to,
            rebuilding: AtomicBool::new(start.rebuilding),
            census: Mutex::new(start.census),
            topics: RwLock::default(),
            dirty: Mutex::default(),
            tail_bytes: AtomicU64::new(0),
            keys: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// `None` for a queue that never had a message.
    pub fn range(&self, topic: &TopicName, queue: QueueId) -> Result<Option<QueueRange>, QueueError> {
        let Some(queue) = self.shared.find(topic, queue)? else { return Ok(None) };
        let range = queue.with(&self.shared, |contents| self.shared.range_of(&queue, contents))?;
        Ok(range.ok())
    }

    /// Up to `entries_max` entries from `from` on: none before the range, or behind it.
    pub fn read(
        &self,
        topic: &TopicName,
        queue: QueueId,
        from: QueueOffset,
        entries_max: usize,
    ) -> Result<Vec<QueueEntry>, QueueError> {
        let Some(queue) = self.shared.find(topic, queue)? else { return Ok(Vec::new()) };
        match self.read_once(&queue, from, entries_max)? {
            Ok(entries) => Ok(entries),
            Err(offset) => {
                self.rebuild_queue(&queue, &FileDamage::BadEntry(offset))?;
                let again = self.read_once(&queue, from, entries_max)?;
                let folder = queue.place.folder.clone();
                again.map_err(|offset| QueueError::Damaged { folder, offset })
            }
        }
    }

    /// Reads entries, or says which one is damaged.
    fn read_once(
        &self,
        queue: &Arc<Queue>,
        from: QueueOffset,
        entries_max: usize,
    ) -> Result<Result<Vec<QueueEntry>, QueueOffset>, QueueError> {
        // Memory first, and the files without the lock: entries in a file do not change.
        let found = queue.with(&self.shared, |contents| {
            let range = self.shared.range_of(queue, contents)?;
            // Behind a floor, and before the range, there are no entries.
            if from < range.min || from >= contents.next() {
                return Ok((0, Vec::new()));
            }
            let count = usize::try_from(contents.next().0 - from.0).unwrap_or_default().min(entries_max);
            let in_files = usize::try_from(contents.written.0 - from.0).unwrap_or_default().min(count);
            let skip = usize::try_from(from.0 - contents.written.0).unwrap_or_default();
            let in_memory: Vec<RawEntry> =
                contents.tail.iter().skip(skip).take(count - in_files).copied().collect();
            Ok((in_files, in_memory))
        })?;
        let Ok((in_files, in_memory)) = found else { return Ok(Ok(Vec::new())) };
        let mut raw = self.shared.files.read(&queue.place, from, in_files)?;
        raw.extend(in_memory);
        let mut entries: Vec<QueueEntry> = Vec::with_capacity(raw.len());
        for (offset, raw) in (from.0..).map(QueueOffset).zip(&raw) {
            let follows =
                |entry: &QueueEntry| entries.last().is_none_or(|last| last.end() <= entry.log_offset);
            match Slot::decode(raw) {
                Slot::Entry(entry) if follows(&entry) && entry.end() <= self.shared.log.written() => {
                    entries.push(entry);
                }
                _ => return Ok(Err(offset)),
            }
        }
        Ok(Ok(entries))
    }

    /// The offset of the message stored at a time. `None` for a queue that never had a message.
    pub fn search_time(
        &self,
        topic: &TopicName,
        queue: QueueId,
        time: Timestamp,
        boundary: Boundary,
    ) -> Result<Option<QueueOffset>, QueueError> {
        let Some(range) = self.range(topic, queue)? else { return Ok(None) };
        let time_of = |at| self.store_time(topic, queue, at);
        time::search(range, time, boundary, time_of).map(Some)
    }

    /// When the first message that is still there was stored.
    pub fn earliest_time(&self, topic: &TopicName, queue: QueueId) -> Result<Option<Timestamp>, QueueError> {
        let Some(range) = self.range(topic, queue)? else { return Ok(None) };
        self.store_time(topic, queue, range.min)
    }

    /// When a message was stored. `None` when it is not there.
    pub fn store_time(
        &self,
        topic: &TopicName,
        queue: QueueId,
        at: QueueOffset,
    ) -> Result<Option<Timestamp>, QueueError> {
        match self.read(topic, queue, at, 1)?.first() {
            Some(entry) => time::store_time(&self.shared.log, entry),
            None => Ok(None),
        }
    }

    /// All that have queues, in order.
    pub fn topics(&self) -> Result<Vec<TopicName>, QueueError> {
        let shared = &self.shared;
        let mut names: BTreeSet<TopicName> = shared.census().0.keys().cloned().collect();
        let folders = shared.folders_in(&shared.folder)?;
        names.extend(folders.iter().filter_map(|name| TopicName::parse(name).ok()));
        names.extend(unpoisoned(shared.topics.read()).keys().cloned());
        let mut topics = Vec::new();
        for name in names {
            if shared.topic(name.as_str())?.is_some_and(|topic| !topic.lock().queues.is_empty()) {
                topics.push(name);
            }
        }
        Ok(topics)
    }

    /// In order.
    pub fn queues_of(&self, topic: &TopicName) -> Result<Vec<QueueId>, QueueError> {
        let Some(topic) = self.shared.topic(topic.as_str())? else { return Ok(Vec::new()) };
        let mut ids: Vec<QueueId> = topic.lock().queues.keys().copied().collect();
        ids.sort_unstable();
        Ok(ids)
    }

    /// Empties a queue, whose next message has the offset `next`: what a snapshot says of it. Entries that were dispatched to
    /// it before are gone.
    pub fn reset(&self, topic: &TopicName, queue: QueueId, next: QueueOffset) -> Result<(), QueueError> {
        loop {
            let Some(queue) = self.shared.find_or_make(topic.as_str(), queue)? else { return Ok(()) };
            let reset =
                queue.with(&self.shared, |contents| self.shared.empty_contents(&queue, contents, next))?;
            if reset.is_ok() {
                self.shared.census().set(topic, queue.id, Known { begin: next, next });
                return Ok(());
            }
        }
    }

    /// Makes the entries of a queue anew from the log: a reader found that they lie.
    pub fn rebuild(&self, topic: &TopicName, queue: QueueId) -> Result<(), QueueError> {
        let Some(queue) = self.shared.find(topic, queue)? else { return Ok(()) };
        self.rebuild_queue(&queue, &FileDamage::BadEntry(QueueOffset(0)))
    }

    fn rebuild_queue(&self, queue: &Arc<Queue>, damage: &FileDamage) -> Result<(), QueueError> {
        let shared = &self.shared;
        // A queue that was removed needs no entries.
        let _ = queue.with(shared, |contents| {
            let to = contents.end.unwrap_or(shared.trusted_to);
            shared.rebuild_contents(queue, contents, damage, to)
        })?;
        Ok(())
    }
}
