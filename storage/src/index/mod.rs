//! The key index: which records have a key. Files are exactly Apache's (see [`format`]): `index/<date and time>`.
//!
//! Invariants are those of the queues: only confirmed records are in it, and an entry is in a file only if its record is durable
//! in the log. A checkpoint says how many entries it covers; after a crash those behind it are dispatched once more, to the same
//! places.
//!
//! Keys are found by their hash: who asks must compare the key itself.

pub(crate) mod format;
mod open_file;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_proto::record::property::KEY_SEPARATOR;
use ferrymq_proto::record::tag::KeyHash;
use ferrymq_proto::record::{SysFlag, TransactionState};

use crate::disk::{Access, Disk, DiskFile};
use crate::queues::entry::Labels;
use crate::scan::records::PlacedRecord;
use format::{Entry, HEADER_BYTES, SLOT_BYTES, Sizes};
use open_file::{OpenFile, read_entry, slot_of};

pub(crate) use format::Header;

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("cannot use {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// What a query found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundKeys {
    /// Newest first. Some may have another key with the same hash.
    pub records: Vec<LogOffset>,
    /// Of the record that was indexed last.
    pub last_store_time: Timestamp,
    pub last_offset: LogOffset,
}

/// What a query asks for.
#[derive(Clone, Copy, Debug)]
pub struct KeyQuery<'a> {
    pub topic: &'a TopicName,
    pub key: &'a str,
    pub records_max: usize,
    /// Stored from then on, to the second.
    pub begin: Timestamp,
    pub end: Timestamp,
}

/// How far the files of the index are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexState {
    /// The newest file. `None` when there is none.
    pub name: Option<String>,
    pub header: Header,
    pub slots_written: bool,
}

impl Default for IndexState {
    fn default() -> Self {
        Self { name: None, header: Header::default(), slots_written: true }
    }
}

/// Whether the slots are written with the entries. They are many, and scattered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    AsTheyAre,
    /// So that another program can use the files.
    Written,
}

/// The index of a store. A handle: clones share everything.
#[derive(Clone, Debug)]
pub struct KeyIndex {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    sizes: Sizes,
    files: RwLock<Files>,
}

#[derive(Debug, Default)]
struct Files {
    /// Full, and written whole. Oldest first.
    sealed: Vec<Sealed>,
    /// Those behind them. All but the last one are full.
    open: Vec<OpenFile>,
}

#[derive(Debug)]
struct Sealed {
    name: String,
    path: PathBuf,
    header: Header,
}

fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    let path = path.to_owned();
    |source| IndexError::Io { path, source }
}

impl KeyIndex {
    /// Opens the index as a checkpoint knows it. `None` when its files are not those.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        folder: PathBuf,
        (slots, entries): (u32, u32),
        state: &IndexState,
    ) -> Result<Option<Self>, IndexError> {
        let sizes = Sizes { slots, entries };
        let mut files = Files::default();
        for name in names(&**disk, &folder)? {
            let path = folder.join(&name);
            match &state.name {
                Some(newest) if name < *newest => {
                    let Some(header) = read_header(&**disk, &path, sizes)? else { return Ok(None) };
                    files.sealed.push(Sealed { name, path, header });
                }
                Some(newest) if name == *newest => {
                    let found = read_header(&**disk, &path, sizes)?;
                    if !found.is_some_and(|found| continues(&found, &state.header)) {
                        return Ok(None);
                    }
                    let reopened = OpenFile::reopen(sizes, name, path, state.header, state.slots_written);
                    files.open.push(reopened);
                }
                // Begun after the checkpoint: it will be made again.
                _ => disk.remove(&path).map_err(failed_at(&path))?,
            }
        }
        let is_missing = state.name.is_some() && files.open.is_empty();
        if is_missing || !follow_each_other(&files) {
            return Ok(None);
        }
        let shared = Shared { disk: Arc::clone(disk), folder, sizes, files: RwLock::new(files) };
        Ok(Some(Self { shared: Arc::new(shared) }))
    }

    /// An index without any file. Those that are there are removed.
    pub(crate) fn begin(
        disk: &Arc<dyn Disk>,
        folder: PathBuf,
        (slots, entries): (u32, u32),
    ) -> Result<Self, IndexError> {
        for name in names(&**disk, &folder)? {
            let path = folder.join(name);
            disk.remove(&path).map_err(failed_at(&path))?;
        }
        let sizes = Sizes { slots, entries };
        let shared = Shared { disk: Arc::clone(disk), folder, sizes, files: RwLock::default() };
        Ok(Self { shared: Arc::new(shared) })
    }

    fn files(&self) -> RwLockReadGuard<'_, Files> {
        self.shared.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn files_mut(&self) -> RwLockWriteGuard<'_, Files> {
        self.shared.files.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds records by a key, newest first.
    pub fn query(&self, query: KeyQuery<'_>) -> Result<FoundKeys, IndexError> {
        self.load()?;
        let files = self.files();
        let hash = KeyHash::of(query.topic.as_str(), query.key).get();
        let mut found = FoundKeys::default();
        let newest = files.open.last().map(|file| &file.header);
        if let Some(header) = newest.or(files.sealed.last().map(|file| &file.header)) {
            found.last_store_time = header.end_time;
            found.last_offset = header.end_offset;
        }
        for file in files.open.iter().rev() {
            let newest = file.newest(slot_of(hash, self.shared.sizes));
            let chain = Chain { header: file.header, newest, hash };
            chain
                .follow(&query, &mut found.records, |number| file.entry(number))
                .map_err(failed_at(&file.path))?;
            if found.records.len() >= query.records_max || file.header.begin_time < query.begin {
                return Ok(found);
            }
        }
        for file in files.sealed.iter().rev() {
            self.query_sealed(file, hash, &query, &mut found.records).map_err(failed_at(&file.path))?;
            if found.records.len() >= query.records_max || file.header.begin_time < query.begin {
                break;
            }
        }
        Ok(found)
    }

    fn query_sealed(
        &self,
        sealed: &Sealed,
        hash: i32,
        query: &KeyQuery<'_>,
        records: &mut Vec<LogOffset>,
    ) -> io::Result<()> {
        let sizes = self.shared.sizes;
        let file = self.shared.disk.open(&sealed.path, Access::Read)?;
        let mut slot = [0; SLOT_BYTES as usize];
        file.read_at(&mut slot, Sizes::slot_at(slot_of(hash, sizes)))?;
        let chain = Chain { header: sealed.header, newest: u32::from_be_bytes(slot), hash };
        chain.follow(query, records, |number| read_entry(&*file, sizes, number))
    }

    /// Brings what is needed to add keys into memory.
    pub(crate) fn load(&self) -> Result<(), IndexError> {
        let is_loaded = |files: &Files| files.open.last().is_none_or(OpenFile::is_loaded);
        if is_loaded(&self.files()) {
            return Ok(());
        }
        for file in &mut self.files_mut().open {
            file.load(&*self.shared.disk).map_err(failed_at(&file.path))?;
        }
        Ok(())
    }

    /// Adds the keys of a record. [`load`](Self::load) was called before.
    pub(crate) fn add(&self, placed: &PlacedRecord<'_>, labels: &Labels<'_>) {
        if !is_indexed(placed.record.sys_flag) {
            return;
        }
        let keys = labels.keys.as_deref().unwrap_or_default();
        let words = keys.split(KEY_SEPARATOR).filter(|word| !word.is_empty());
        let mut all = labels.unique_key.as_deref().into_iter().chain(words).peekable();
        if all.peek().is_none() {
            return;
        }
        let mut files = self.files_mut();
        for key in all {
            let hash = KeyHash::of(placed.record.topic, key);
            let time = placed.record.store_timestamp;
            if files.open.last().is_none_or(OpenFile::is_full) {
                let next = self.next_file(&files, time);
                files.open.push(next);
            }
            if let Some(file) = files.open.last_mut() {
                file.add(hash, placed.offset, time);
            }
        }
    }

    /// What a full newest file is followed by.
    fn next_file(&self, files: &Files, time: Timestamp) -> OpenFile {
        let last = files.open.last().map(|file| &file.name);
        let last = last.or(files.sealed.last().map(|file| &file.name));
        let name = format::name(time, last.map(String::as_str));
        let path = self.shared.folder.join(&name);
        OpenFile::new(self.shared.sizes, name, path)
    }

    /// The bytes that are in memory only.
    pub(crate) fn pending_bytes(&self) -> u64 {
        self.files().open.iter().map(OpenFile::pending_bytes).sum()
    }

    /// Writes the entries of records before `to`, so that they need no memory. Nobody counts on them before the next flush.
    pub(crate) fn write_entries(&self, to: LogOffset) -> Result<(), IndexError> {
        for file in &mut self.files_mut().open {
            file.write_entries(&*self.shared.disk, to).map_err(failed_at(&file.path))?;
        }
        Ok(())
    }

    /// Writes the entries of records before `to`, and says how far the files are good then.
    pub(crate) fn flush(&self, to: LogOffset, slots: Slots) -> Result<IndexState, IndexError> {
        let mut files = self.files_mut();
        for file in &mut files.open {
            let written = file.write(&*self.shared.disk, to).and_then(|()| match slots {
                Slots::Written => file.write_slots(),
                Slots::AsTheyAre => Ok(()),
            });
            written.map_err(failed_at(&file.path))?;
        }
        while files.open.first().is_some_and(OpenFile::is_complete) {
            let file = files.open.remove(0);
            files.sealed.push(Sealed { name: file.name, path: file.path, header: file.header });
        }
        let open = files.open.iter().rfind(|file| file.written.next > 1);
        Ok(match (open, files.sealed.last()) {
            (Some(file), _) => IndexState {
                name: Some(file.name.clone()),
                header: file.written,
                slots_written: file.are_slots_written(),
            },
            (None, Some(file)) => {
                IndexState { name: Some(file.name.clone()), header: file.header, slots_written: true }
            }
            (None, None) => IndexState::default(),
        })
    }

    /// Removes the files that only have records before `start`. The last one stays, as in Apache.
    pub(crate) fn drop_before(&self, start: LogOffset) -> Result<(), IndexError> {
        let mut files = self.files_mut();
        let keeps_last = usize::from(files.open.is_empty());
        let but_last = files.sealed.len().saturating_sub(keeps_last);
        let is_old = |file: &&Sealed| file.header.end_offset < start;
        let count = files.sealed.iter().take(but_last).take_while(is_old).count();
        for _ in 0..count {
            let Some(path) = files.sealed.first().map(|file| file.path.clone()) else { break };
            self.shared.disk.remove(&path).map_err(failed_at(&path))?;
            files.sealed.remove(0);
        }
        Ok(())
    }
}

/// Whether the header of a file says all that a checkpoint knows of it, or more. If not, it is a file of another store.
fn continues(found: &Header, known: &Header) -> bool {
    found.begin_offset == known.begin_offset
        && found.begin_time == known.begin_time
        && found.next >= known.next
}

/// Whether each file begins where the one before it ends: with the same record, or a later one.
fn follow_each_other(files: &Files) -> bool {
    let sealed = files.sealed.iter().map(|file| &file.header);
    let headers: Vec<&Header> = sealed.chain(files.open.iter().map(|file| &file.header)).collect();
    headers.windows(2).all(|pair| match pair {
        [one, next] => one.begin_offset <= one.end_offset && one.end_offset <= next.begin_offset,
        _ => true,
    })
}

/// The halves that were rolled back cannot be found.
pub(crate) fn is_indexed(flags: SysFlag) -> bool {
    flags.transaction() != TransactionState::RolledBack
}

/// The entries of one slot of one file, newest first.
struct Chain {
    header: Header,
    newest: u32,
    hash: i32,
}

impl Chain {
    /// Takes what is asked for, and ends where Apache ends.
    fn follow(
        &self,
        query: &KeyQuery<'_>,
        records: &mut Vec<LogOffset>,
        entry: impl Fn(u32) -> io::Result<Entry>,
    ) -> io::Result<()> {
        if !self.header.may_have(query.begin, query.end) {
            return Ok(());
        }
        let mut number = self.newest;
        while number > 0 && number < self.header.next && records.len() < query.records_max {
            let entry = entry(number)?;
            let time = self.header.time_after(entry.seconds);
            if entry.hash == self.hash && time >= query.begin && time <= query.end {
                records.push(entry.offset);
            }
            // Damage could let the chain run in a circle.
            if entry.seconds < 0 || time < query.begin || entry.previous >= number {
                break;
            }
            number = entry.previous;
        }
        Ok(())
    }
}

fn names(disk: &dyn Disk, folder: &Path) -> Result<Vec<String>, IndexError> {
    disk.create_folder(folder).map_err(failed_at(folder))?;
    let entries = disk.list(folder).map_err(failed_at(folder))?;
    let names = entries.into_iter().filter(|entry| !entry.is_folder).map(|entry| entry.name);
    let (ours, foreign): (Vec<_>, Vec<_>) = names.partition(|name| format::is_name(name));
    for name in foreign {
        tracing::warn!(path = %folder.join(name).display(), "this does not belong to the index; it is left alone");
    }
    Ok(ours)
}

/// The files of an index that is only looked at, with their lengths and what their headers say. Oldest first.
pub(crate) fn headers(disk: &dyn Disk, folder: &Path) -> Result<Vec<(PathBuf, u64, Header)>, IndexError> {
    let entries = match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(failed_at(folder))?,
    };
    let ours = entries.into_iter().filter(|entry| !entry.is_folder && format::is_name(&entry.name));
    ours.map(|entry| {
        let path = folder.join(&entry.name);
        let mut header = [0; HEADER_BYTES as usize];
        let read = disk.open(&path, Access::Read).and_then(|file| file.read_at(&mut header, 0));
        read.map_err(failed_at(&path))?;
        Ok((path, entry.bytes, Header::decode(&header)))
    })
    .collect()
}

/// `None` when the file has another length than ours.
fn read_header(disk: &dyn Disk, path: &Path, sizes: Sizes) -> Result<Option<Header>, IndexError> {
    let read = || {
        let file: Box<dyn DiskFile> = disk.open(path, Access::Read)?;
        let mut header = [0; HEADER_BYTES as usize];
        file.read_at(&mut header, 0)?;
        Ok((file.bytes()? == sizes.file_bytes()).then(|| Header::decode(&header)))
    };
    read().map_err(failed_at(path))
}
