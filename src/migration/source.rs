//! What is moved: the store of a broker that does not run, and its records in their order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::dispatch::QueueEnd;
use ferrymq_storage::look::reading::{Reading, ReadingError, is_in_use};
use ferrymq_storage::look::{Assumed, Look};
use ferrymq_storage::{Layout, LogSpan, OpenError};

use super::ledger::{Entries, Ledger, LedgerError};

/// The folder of the segments.
const LOG: &str = "commitlog";

#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("{0} holds neither a commit log nor that of a DLedger node")]
    NoStore(PathBuf),
    #[error("{0} is in use: a broker runs on it, and what it writes from now on would be missing")]
    InUse(PathBuf),
    #[error("{0} is the folder of a node of a group of ours")]
    OfGroup(PathBuf),
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Reading(#[from] ReadingError),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl SourceError {
    /// Whether it is what a crash may leave at the end of a log.
    fn is_torn_tail(&self) -> bool {
        let Self::Reading(error) = self else { return false };
        matches!(error, ReadingError::Damaged { is_last_file: true, .. } | ReadingError::CutOff { .. })
    }
}

/// How much of the end of a log counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// Of a DLedger node, also what is behind the last entry that is known to be committed.
    pub with_tail: bool,
    /// What cannot be read at the end of the last file is taken for what a crash left there.
    pub cut_torn: bool,
}

#[derive(Debug)]
pub struct Source {
    pub folder: PathBuf,
    ending: Ending,
    /// Of a broker that became a DLedger node, what was there before.
    classic: Option<Look>,
    ledger: Option<Ledger>,
}

/// A record as it lies in its log.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    pub offset: LogOffset,
    /// Where reading goes on behind it.
    pub next: LogOffset,
    pub bytes: &'a [u8],
}

impl Source {
    pub fn open(folder: &Path, segment_bytes: Option<u64>, ending: Ending) -> Result<Self, SourceError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let used = is_in_use(&*disk, folder);
        if used.map_err(|source| SourceError::Io { path: folder.join("lock"), source })? {
            return Err(SourceError::InUse(folder.to_owned()));
        }
        let ledger = Ledger::find(folder, ending.with_tail)?;
        let classic = match has_files(&folder.join(LOG))? {
            true => {
                let assumed = Assumed { segment_bytes, boot: RealDisk::boot_id().ok() };
                Some(Look::open(disk, folder, assumed)?)
            }
            false => None,
        };
        if classic.as_ref().is_some_and(|look| look.layout() == Layout::Framed) {
            return Err(SourceError::OfGroup(folder.to_owned()));
        }
        if classic.is_none() && ledger.is_none() {
            return Err(SourceError::NoStore(folder.to_owned()));
        }
        Ok(Self { folder: folder.to_owned(), ending, classic, ledger })
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match (&self.classic, &self.ledger) {
            (None, Some(_)) => "the store of a DLedger node",
            (Some(_), Some(_)) => "the store of a DLedger node that was a classic broker before",
            _ => "the store of a classic broker",
        }
    }

    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Of a DLedger node, how many entries lie behind the end.
    pub fn entries_behind(&self, end: LogOffset) -> Result<u64, SourceError> {
        Ok(self.ledger.as_ref().map_or(Ok(0), |ledger| ledger.entries_behind(end.max(ledger.start())))?)
    }

    /// Whether a marker says that its broker did not end in order.
    pub fn was_cut_off(&self) -> Result<bool, SourceError> {
        Ok(self.look().was_cut_off()?)
    }

    /// How far the queues have come, as their files say.
    pub fn queue_ends(&self) -> Result<Vec<QueueEnd>, SourceError> {
        Ok(self.look().queue_ends()?)
    }

    fn look(&self) -> Look {
        Look::of_queues(Arc::new(RealDisk), &self.folder)
    }

    pub fn start(&self) -> LogOffset {
        let classic = self.classic.as_ref().map(Look::log_start);
        classic.or(self.ledger.as_ref().map(Ledger::start)).unwrap_or_default()
    }

    /// An upper bound of what there is to read.
    pub fn bytes(&self) -> u64 {
        let classic = self
            .classic
            .as_ref()
            .map_or(0, |look| (look.log_room_end().0 - look.log_start().0).unsigned_abs());
        classic + self.ledger.as_ref().map_or(0, Ledger::bytes)
    }

    /// The records from a place on.
    pub fn records(&self, from: LogOffset) -> Result<Records<'_>, SourceError> {
        let behind_classic = |ledger: &Ledger| self.classic.is_none() || from >= ledger.start();
        let classic = match (&self.classic, &self.ledger) {
            (Some(_), Some(ledger)) if behind_classic(ledger) => None,
            (Some(look), _) => Some(Reading::begin(look, from)?),
            (None, _) => None,
        };
        let entries = self.ledger.as_ref().map(|ledger| ledger.entries(from.max(ledger.start())));
        Ok(Records { ending: self.ending, classic, entries, end: from })
    }

    /// A number that is another one once any file that counts has changed.
    pub fn fingerprint(&self) -> Result<u32, SourceError> {
        let mut text = String::new();
        let folders = [self.folder.join(LOG), self.folder.join("config")];
        for folder in folders.iter().map(PathBuf::as_path).chain(self.ledger.as_ref().map(Ledger::folder)) {
            let failed = |source| SourceError::Io { path: folder.to_owned(), source };
            for entry in list(folder).map_err(failed)? {
                let metadata = entry.metadata().map_err(failed)?;
                let changed = metadata.modified().map_err(failed)?;
                let since = changed.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
                let name = entry.file_name();
                text += &format!("{} {} {since}\n", name.to_string_lossy(), metadata.len());
            }
        }
        Ok(crc32fast::hash(text.as_bytes()))
    }
}

fn has_files(folder: &Path) -> Result<bool, SourceError> {
    let listed = list(folder).map_err(|source| SourceError::Io { path: folder.to_owned(), source })?;
    Ok(!listed.is_empty())
}

/// Where a folder is, however it is named, and also while it is not there.
pub fn place(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let found = absolute.ancestors().find_map(|there| Some((there, there.canonicalize().ok()?)));
    let rest = found.as_ref().and_then(|(there, _)| absolute.strip_prefix(there).ok());
    match (&found, rest) {
        // An empty rest would end in a slash.
        (Some((_, place)), Some(rest)) if rest != Path::new("") => place.join(rest),
        (Some((_, place)), _) => place.clone(),
        (None, _) => absolute.clone(),
    }
}

/// In the order of names; none where there is no folder.
pub(super) fn list(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        listed => listed?.collect::<io::Result<Vec<_>>>()?,
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// Goes through a source.
#[derive(Debug)]
pub struct Records<'a> {
    ending: Ending,
    classic: Option<Reading<'a>>,
    entries: Option<Entries<'a>>,
    end: LogOffset,
}

impl Records<'_> {
    /// Behind the last record that was read.
    pub fn position(&self) -> LogOffset {
        self.end
    }

    /// The next record; `None` at the end.
    pub fn next_record(&mut self) -> Result<Option<Found<'_>>, SourceError> {
        if let Some(span) = self.next_classic()? {
            self.end = span.end();
            let bytes = self.classic.as_ref().map(|reading| reading.bytes(span));
            return Ok(bytes.map(|bytes| Found { offset: span.start, next: span.end(), bytes }));
        }
        let Some(entries) = &mut self.entries else { return Ok(None) };
        let found = entries.next_record()?;
        self.end = found.map_or(self.end, |found| found.next);
        Ok(found)
    }

    fn next_classic(&mut self) -> Result<Option<LogSpan>, SourceError> {
        let Some(reading) = &mut self.classic else { return Ok(None) };
        match reading.next_record().map_err(SourceError::from) {
            Ok(Some(span)) => return Ok(Some(span)),
            // What its broker noted is of the entries that follow.
            Err(SourceError::Reading(ReadingError::CutOff { .. })) if self.entries.is_some() => {
                self.classic = None;
            }
            Err(error) if !(error.is_torn_tail() && self.ending.cut_torn) => return Err(error),
            _ => self.classic = None,
        }
        Ok(None)
    }
}
