//! The log of a DLedger node: entries of a header and one record each, in files that follow each other.
//!
//! | at | bytes | |
//! |---|---|---|
//! | 0 | 4 | magic: 1 for a record, 2 and 3 for what DLedger itself needs, -1 for the blank at the end of a file |
//! | 4 | 4 | size with the header |
//! | 8 | 8 | index |
//! | 16 | 8 | term |
//! | 24 | 8 | position in the log |
//! | 32 | 12 | not looked at |
//! | 44 | 4 | size of the record |
//!
//! No entry has a checksum, but its record has one of its body. What lies behind the last entry may be of a past that was cut
//! off, so the first thing that does not follow is the end, unless it was known to be committed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::{self, LOG_OFFSET_AT};

use super::source::{Found, list};

const HEADER_BYTES: u64 = 48;
const BLANK: i32 = -1;
const RECORD: i32 = 1;
const OWN: [i32; 2] = [2, 3];
/// What is read at once.
const WINDOW_BYTES: usize = 4 << 20;
/// Of one entry. Whatever claims to be longer is none.
const ENTRY_BYTES_MAX: u64 = 128 << 20;
const NAME_DIGITS: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} has the logs of several DLedger nodes; move all but one elsewhere")]
    Several(PathBuf),
    #[error("{path} is missing or damaged: nobody knows which entries are committed")]
    NoCheckpoint { path: PathBuf },
    #[error("{path} is missing: the log has a gap")]
    Missing { path: PathBuf },
    #[error(
        "{path} is damaged at offset {offset} of the log: {problem}, though entry {committed} behind it was committed"
    )]
    Damaged { path: PathBuf, offset: LogOffset, problem: &'static str, committed: i64 },
}

/// The log of one node.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    files: Vec<DataFile>,
    /// The last entry that its checkpoint says is committed.
    committed: i64,
    with_tail: bool,
}

#[derive(Debug)]
struct DataFile {
    path: PathBuf,
    base: u64,
    bytes: u64,
    file: File,
}

impl Ledger {
    /// `None` when the folder has none.
    pub fn find(store: &Path, with_tail: bool) -> Result<Option<Self>, LedgerError> {
        let failed = |source| LedgerError::Io { path: store.to_owned(), source };
        let is_node = |entry: &fs::DirEntry| {
            entry.file_name().to_string_lossy().starts_with("dledger-") && entry.path().join("data").is_dir()
        };
        let mut nodes: Vec<_> = list(store).map_err(failed)?.into_iter().filter(is_node).collect();
        let Some(node) = nodes.pop() else { return Ok(None) };
        if !nodes.is_empty() {
            return Err(LedgerError::Several(store.to_owned()));
        }
        let folder = node.path();
        let checkpoint = folder.join("checkpoint");
        let committed = match committed(&checkpoint) {
            Some(committed) => committed,
            None if with_tail => -1,
            None => return Err(LedgerError::NoCheckpoint { path: checkpoint }),
        };
        let data = folder.join("data");
        let mut files: Vec<DataFile> = Vec::new();
        for entry in list(&data).map_err(|source| LedgerError::Io { path: data.clone(), source })? {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(base) =
                Some(name).filter(|name| name.len() == NAME_DIGITS).and_then(|name| name.parse().ok())
            else {
                continue;
            };
            let failed = |source| LedgerError::Io { path: path.clone(), source };
            let file = File::open(&path).map_err(failed)?;
            let bytes = file.metadata().map_err(failed)?.len();
            if let Some(last) = files.last().filter(|last| last.base + last.bytes != base) {
                let missing = format!("{:0NAME_DIGITS$}", last.base + last.bytes);
                return Err(LedgerError::Missing { path: data.join(missing) });
            }
            files.push(DataFile { path, base, bytes, file });
        }
        Ok(Some(Self { folder: data, files, committed, with_tail }))
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn committed(&self) -> i64 {
        self.committed
    }

    pub fn start(&self) -> LogOffset {
        LogOffset(self.files.first().map_or(0, |file| file.base as i64))
    }

    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// How many entries lie behind a place, whether they count or not.
    pub fn entries_behind(&self, at: LogOffset) -> Result<u64, LedgerError> {
        let mut entries = Entries { limit: i64::MAX, ..self.entries(at) };
        let mut count = 0;
        loop {
            match entries.step() {
                Ok(Some(_)) => count += 1,
                // Nobody has promised that they are whole.
                Ok(None) | Err(LedgerError::Damaged { .. }) => return Ok(count),
                Err(error) => return Err(error),
            }
        }
    }

    /// Term and index of the last entry, whether it counts or not: of several nodes, the one with the last would lead.
    pub fn last(&self) -> Result<(i64, i64), LedgerError> {
        let mut entries = Entries { limit: i64::MAX, ..self.entries(self.start()) };
        while entries.step()?.is_some() {}
        Ok(entries.last.map_or((0, -1), |(index, term)| (term, index)))
    }

    pub fn entries(&self, from: LogOffset) -> Entries<'_> {
        let limit = if self.with_tail { i64::MAX } else { self.committed };
        Entries {
            ledger: self,
            from,
            at: from.0.unsigned_abs(),
            limit,
            last: None,
            start: 0,
            window: Vec::new(),
        }
    }
}

/// What `checkpoint` says of the last committed entry.
fn committed(path: &Path) -> Option<i64> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix("committedIndex=")?.trim().parse().ok())
    };
    read(path).or_else(|| read(&path.with_extension("bak")))
}

/// Goes through the entries.
#[derive(Debug)]
pub struct Entries<'a> {
    ledger: &'a Ledger,
    /// Where this began.
    from: LogOffset,
    at: u64,
    /// The last entry that counts.
    limit: i64,
    /// Index and term of the entry before.
    last: Option<(i64, i64)>,
    /// Where the window begins.
    start: u64,
    window: Vec<u8>,
}

/// An entry, and where it lies in the log.
#[derive(Clone, Copy, Debug)]
struct Entry {
    at: u64,
    bytes: u64,
    index: i64,
    is_record: bool,
}

impl Entries<'_> {
    /// The next record, if it counts.
    pub fn next_record(&mut self) -> Result<Option<Found<'_>>, LedgerError> {
        let entry = loop {
            match self.step()? {
                None => return Ok(None),
                Some(entry) if entry.is_record => break entry,
                Some(_) => {}
            }
        };
        let (offset, next) = (entry.at + HEADER_BYTES, entry.at + entry.bytes);
        let from = (offset - self.start) as usize;
        let bytes = self.window.get(from..(next - self.start) as usize).unwrap_or_default();
        Ok(Some(Found { offset: LogOffset(offset as i64), next: LogOffset(next as i64), bytes }))
    }

    fn file(&self) -> Option<&DataFile> {
        let covers = |file: &&DataFile| file.base <= self.at && self.at < file.base + file.bytes;
        self.ledger.files.iter().rev().find(covers)
    }

    /// Reads so many bytes, all of one file, into the window. False when the file ends before that.
    fn fill(&mut self, bytes: u64) -> Result<bool, LedgerError> {
        let present = (self.start + self.window.len() as u64).saturating_sub(self.at);
        if self.start <= self.at && present >= bytes {
            return Ok(true);
        }
        let mut window = std::mem::take(&mut self.window);
        let Some(file) = self.file() else { return Ok(false) };
        let left = file.base + file.bytes - self.at;
        if bytes > left {
            return Ok(false);
        }
        let wanted = bytes.max(WINDOW_BYTES as u64).min(left);
        window.resize(usize::try_from(wanted).unwrap_or(WINDOW_BYTES), 0);
        let read = file.file.read_exact_at(&mut window, self.at - file.base);
        read.map_err(|source| LedgerError::Io { path: file.path.clone(), source })?;
        (self.start, self.window) = (self.at, window);
        Ok(true)
    }

    fn i32(&self, at: u64) -> i32 {
        self.field(at).map_or(0, i32::from_be_bytes)
    }

    fn i64(&self, at: u64) -> i64 {
        self.field(at).map_or(0, i64::from_be_bytes)
    }

    /// A field of what begins here.
    fn field<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let from = usize::try_from(self.at + at - self.start).ok()?;
        self.window.get(from..)?.first_chunk().copied()
    }

    /// The next entry; `None` at the end.
    fn step(&mut self) -> Result<Option<Entry>, LedgerError> {
        loop {
            if self.last.is_some_and(|(index, _)| index >= self.limit) || self.file().is_none() {
                return self.ended("the log ends");
            }
            if !self.fill(8)? {
                return self.ended("a header is cut off");
            }
            let (magic, size) = (self.i32(0), self.i32(4));
            let Ok(bytes) = u64::try_from(size) else { return self.ended("a size is negative") };
            if magic == BLANK && bytes >= 8 {
                self.at += bytes;
                continue;
            }
            let problem = match self.entry(magic, bytes)? {
                Ok(entry) if entry.index > self.limit => return Ok(None),
                Ok(entry) => return Ok(Some(entry)),
                Err(problem) => problem,
            };
            return self.ended(problem);
        }
    }

    /// What begins here, or why it is no entry. Behind an entry goes on what comes next.
    fn entry(&mut self, magic: i32, bytes: u64) -> Result<Result<Entry, &'static str>, LedgerError> {
        if magic != RECORD && !OWN.contains(&magic) {
            return Ok(Err("no entry has such a magic"));
        }
        if !(HEADER_BYTES..=ENTRY_BYTES_MAX).contains(&bytes) || !self.fill(bytes)? {
            return Ok(Err("no entry has such a size"));
        }
        let (index, term) = (self.i64(8), self.i64(16));
        if self.i64(24) != self.at as i64 || u64::try_from(self.i32(44)).ok() != Some(bytes - HEADER_BYTES) {
            return Ok(Err("an entry says that it belongs elsewhere"));
        }
        if self.last.is_some_and(|(last, last_term)| index != last + 1 || term < last_term) {
            return Ok(Err("an entry does not follow the one before it"));
        }
        let is_record = magic == RECORD;
        if is_record && !self.is_sound(bytes) {
            return Ok(Err("a record is damaged"));
        }
        let entry = Entry { at: self.at, bytes, index, is_record };
        if index <= self.limit {
            self.last = Some((index, term));
            self.at += bytes;
        }
        Ok(Ok(entry))
    }

    fn is_sound(&self, bytes: u64) -> bool {
        let from = (self.at + HEADER_BYTES - self.start) as usize;
        let record = self.window.get(from..(self.at + bytes - self.start) as usize).unwrap_or_default();
        let says =
            record.get(LOG_OFFSET_AT..).and_then(|rest| rest.first_chunk().copied()).map(i64::from_be_bytes);
        let is_whole = matches!(record::scan(record), record::Found::Record { size } if size == record.len());
        is_whole && says == Some((self.at + HEADER_BYTES) as i64)
    }

    /// The end, if it may be here.
    fn ended(&self, problem: &'static str) -> Result<Option<Entry>, LedgerError> {
        let committed = self.ledger.committed;
        let last = self.last.map_or(-1, |(index, _)| index);
        // Whoever goes on in the midst has been at the end before.
        let is_over = committed < 0 || self.last.is_none() && self.from > self.ledger.start();
        if is_over || last >= committed.min(self.limit) {
            return Ok(None);
        }
        let path = self.file().or(self.ledger.files.last()).map(|file| file.path.clone());
        let path = path.unwrap_or_else(|| self.ledger.folder.clone());
        Err(LedgerError::Damaged { path, offset: LogOffset(self.at as i64), problem, committed })
    }
}
