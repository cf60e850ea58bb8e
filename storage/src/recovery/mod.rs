//! Opening a store: what of the log is whole, and what is to be done about the rest.
//!
//! A walk begins at the newest safe point: the beginning of the segment in which the confirmed mark lies, or for a classic log that
//! was stopped in order the mark itself. It ends at the first place that is no whole unit. If that was never made durable, it is a torn
//! tail: it is cut off and wiped, durably, so that nothing of it can ever be read again. If it was, it is corruption: the store
//! is left exactly as it is, and the error names file and place. A node that cut it off would vote with less than it has
//! promised to keep. Of a log that nobody votes with, an operator may give it up ([`cut`]).
//!
//! Only `store.meta` tells the two cases apart: it says how far the log was durable. What follows is no evidence, for behind
//! that place a whole unit may well follow a torn one: the disk writes in the order it likes.
//!
//! All the walk has seen is synced before it counts as durable: it may have outlived its process in the page cache only.
//!
//! Of a log that was Apache's until now, `store.meta` says nothing, but what its broker left does (`apaches`): only what a crash of it
//! may have left is cut off.
//!
//! Apache's broker may have had a classic store since we last did, as its lock file then says. What it wrote and deleted is right,
//! but whatever we have noted beside it is void: such a store is opened as one that was always Apache's.

pub mod cut;
mod ending;
mod repair;
pub(crate) mod survey;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::position::LogOffset;

use crate::apaches::ApachesNotes;
use crate::append::Appender;
use crate::checkpoint;
use crate::disk::Disk;
use crate::files::{self, Keeper, StoreFiles, StoreLock};
use crate::flush::{FatalHook, FlushMode};
use crate::framed::FramedAppender;
use crate::log::{Core, CoreParts, Log};
use crate::meta::{BootId, Layout, MetaError, MetaFile, StoreMeta};
use crate::position::Mark;
use crate::scan::Damage;
use crate::segment::Segment;
use crate::sums::{self, Sums};
use ending::Ending;
use repair::{Repair, Repaired};
pub(crate) use survey::Survey;

pub use ending::{ApachesDamage, Corruption};
pub use survey::{SegmentFault, SurveyError};

/// Larger ones cannot be: a blank says its size in 31 bits. Smaller ones would be nothing but blanks.
pub(crate) const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;
const SEGMENT_BYTES_MIN: u64 = 1 << 10;

#[derive(Clone, Debug)]
pub struct Settings {
    pub folder: PathBuf,
    pub layout: Layout,
    /// Part of a group's identity: all its nodes must have the same.
    pub segment_bytes: u64,
    pub mode: FlushMode,
    /// With [`FlushMode::Async`]: how long written bytes may stay in the page cache.
    pub flush_interval: Duration,
    pub boot: BootId,
    pub on_fatal: FatalHook,
}

impl Settings {
    /// As Apache's `mappedFileSizeCommitLog`.
    pub const SEGMENT_BYTES_DEFAULT: u64 = 1 << 30;
    /// As Apache's `flushIntervalCommitLog`.
    pub const FLUSH_INTERVAL_DEFAULT: Duration = Duration::from_millis(500);
}

/// A log that can be used.
#[derive(Debug)]
pub struct OpenLog {
    pub appender: Appender,
    pub report: Report,
}

impl OpenLog {
    pub fn log(&self) -> &Log {
        self.appender.log()
    }

    /// The writer of frames.
    pub fn framed(self) -> (FramedAppender, Report) {
        (FramedAppender::new(self.appender, self.report.end.chain), self.report)
    }
}

/// How the store was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastStop {
    /// It was not there, or only segments of Apache's.
    New,
    InOrder,
    /// The process ended, but the machine did not: nothing that was written is lost.
    Process,
    /// The machine ended with it.
    Machine,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub last_stop: LastStop,
    pub walked_from: LogOffset,
    /// Behind the last whole unit.
    pub end: Mark,
    pub cut: Option<Cut>,
    /// Segments that lay behind the end.
    pub removed: Vec<PathBuf>,
}

/// A torn tail that is gone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    pub path: PathBuf,
    pub offset: LogOffset,
    pub damage: Damage,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{path} is locked: another process uses this store; stop it first, or choose another folder")]
    Locked { path: PathBuf },
    #[error("{folder} cannot be written; give the process the right to, or choose another folder: {source}")]
    ReadOnly { folder: PathBuf, source: io::Error },
    #[error("segments of {found} bytes are not possible: choose {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX}")]
    BadSegmentBytes { found: u64 },
    #[error(transparent)]
    Meta(#[from] MetaError),
    #[error(
        "{path} is missing beside a log of frames; restore it from a copy, or let this node fetch the log anew"
    )]
    MetaMissing { path: PathBuf },
    #[error("{path} says that the log is {found:?}, but the configuration says {configured:?}")]
    OtherLayout { path: PathBuf, found: Layout, configured: Layout },
    #[error("{path} says that segments have {found} bytes, but the configuration says {configured}")]
    OtherSegmentBytes { path: PathBuf, found: u64, configured: u64 },
    #[error(transparent)]
    Survey(#[from] SurveyError),
    #[error(transparent)]
    Corruption(#[from] Corruption),
    #[error(transparent)]
    Apaches(#[from] ApachesDamage),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |source| OpenError::Io { path, source }
}

/// Opens the store in a folder, or makes a new one.
pub fn open(disk: Arc<dyn Disk>, settings: Settings) -> Result<OpenLog, OpenError> {
    open_ending_at(disk, settings, None)
}

/// With an end that was asked for, whatever lies behind it.
fn open_ending_at(
    disk: Arc<dyn Disk>,
    settings: Settings,
    asked_end: Option<LogOffset>,
) -> Result<OpenLog, OpenError> {
    let found = settings.segment_bytes;
    if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&found) {
        return Err(OpenError::BadSegmentBytes { found });
    }
    let files = StoreFiles::within(&settings.folder);
    let lock = lock(&*disk, &files)?;
    // A process may have ended before the names of what it made here could outlive a power loss.
    disk.sync_folder(&files.folder).map_err(failed_at(&files.folder))?;
    let keeper = lock.keeper().map_err(failed_at(&files.lock))?;
    let (mut meta, stored, last_stop) = open_meta(&*disk, &files, &settings, keeper)?;
    let survey = Survey::take(&*disk, &files, &stored, asked_end)?;
    let segments = survey.open(&*disk, &files).map_err(failed_at(&files.log))?;
    let ending = match asked_end {
        Some(at) => {
            let ending = Ending::asked(&segments, at)?;
            let unclean = StoreMeta { clean: false, boot: settings.boot, ..stored };
            forget_behind(
                &*disk,
                &files,
                meta.as_mut(),
                StoreMeta { durable: at, confirmed: ending.end, ..unclean },
            )?;
            ending
        }
        None => find_ending(&disk, &files, &segments, &stored, last_stop)?,
    };
    let Ending { walked_from, end, damage, .. } = ending;
    let repair = Repair { disk: &*disk, files: &files, segment_bytes: stored.segment_bytes };
    let repaired = repair.run(segments, &survey, &ending)?;
    // Only a log that was cut on demand, or is wrong on purpose, ends before what is final.
    let confirmed = if end.offset < stored.confirmed.offset { end } else { stored.confirmed };
    let meta = match meta {
        Some(mut meta) => {
            let in_use =
                StoreMeta { clean: false, boot: settings.boot, durable: end.offset, confirmed, ..stored };
            meta.save_twice(|meta| *meta = in_use).map(|()| meta)
        }
        None => {
            let all = StoreMeta { confirmed: end, durable: end.offset, ..stored };
            MetaFile::create(&*disk, &files, all)
        }
    };
    let meta = meta.map_err(failed_at(&files.meta))?;

    let sums = match stored.layout {
        Layout::Classic => {
            take_over(&*disk, &files, keeper).map_err(failed_at(&files.folder))?;
            Some(open_sums(&*disk, &files, &lock, keeper, &repaired).map_err(failed_at(&files.sums))?)
        }
        Layout::Framed => None,
    };
    let path = repaired.last.path().to_owned();
    let cut = damage.map(|damage| Cut { path, offset: end.offset, damage });
    let report = Report { last_stop, walked_from, end, cut, removed: repaired.removed };
    let core = Core::new(CoreParts {
        disk,
        files,
        mode: settings.mode,
        flush_interval: settings.flush_interval,
        segments: repaired.segments,
        end: end.offset,
        meta,
        sums,
        on_fatal: settings.on_fatal,
        lock,
    });
    Ok(OpenLog { appender: Appender::new(Log { core: Arc::new(core) }, repaired.last), report })
}

/// Before a log ends where it was asked to: whoever starts after a crash must not rely on what was there, and checksums of that must
/// not be found beside what is written then.
fn forget_behind(
    disk: &dyn Disk,
    files: &StoreFiles,
    meta: Option<&mut MetaFile>,
    now: StoreMeta,
) -> Result<(), OpenError> {
    sums::remove_from(disk, files, now.durable, now.segment_bytes).map_err(failed_at(&files.sums))?;
    match meta {
        Some(meta) => meta.save_twice(|meta| *meta = now).map_err(failed_at(&files.meta)),
        None => Ok(()),
    }
}

fn find_ending(
    disk: &Arc<dyn Disk>,
    files: &StoreFiles,
    segments: &VecDeque<Arc<Segment>>,
    stored: &StoreMeta,
    last_stop: LastStop,
) -> Result<Ending, OpenError> {
    let apaches = match last_stop {
        LastStop::New => ApachesNotes::read(disk, files)?,
        _ => ApachesNotes::default(),
    };
    Ending::find(segments, stored, last_stop, &apaches)
}

/// Leaves the marker by which Apache's broker, should it be the next one, knows of a crash. What was derived from the log before
/// Apache's broker had it is forgotten.
fn take_over(disk: &dyn Disk, files: &StoreFiles, keeper: Keeper) -> io::Result<()> {
    if keeper == Keeper::Apache {
        for path in [checkpoint::written_path(&files.folder), checkpoint::synced_path(&files.folder)] {
            files::remove_if_there(disk, &path)?;
        }
    }
    match disk.create(&files.abort) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => drop(other?),
    }
    disk.sync_folder(&files.folder)
}

/// Goes on with the checksums beside the log, unless somebody else has had the store meanwhile.
fn open_sums(
    disk: &dyn Disk,
    files: &StoreFiles,
    lock: &StoreLock,
    keeper: Keeper,
    repaired: &Repaired,
) -> io::Result<Sums> {
    let is_ours = keeper == Keeper::Ferrymq;
    let start = repaired.segments.front().map(|first| first.base()).unwrap_or_default();
    sums::clean(disk, files, !is_ours, start)?;
    if !is_ours {
        lock.make_ours()?;
    }
    let segments: Vec<_> = repaired.segments.iter().cloned().collect();
    Sums::resume(disk, files, &segments)
}

fn lock(disk: &dyn Disk, files: &StoreFiles) -> Result<StoreLock, OpenError> {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    let folders = disk.create_folder(&files.folder).and_then(|()| disk.create_folder(&files.log));
    match folders.and_then(|()| StoreLock::take(disk, files)) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(OpenError::Locked { path: files.lock.clone() }),
        Err(source) if matches!(source.kind(), PermissionDenied | ReadOnlyFilesystem) => {
            Err(OpenError::ReadOnly { folder: files.folder.clone(), source })
        }
        Err(source) => Err(OpenError::Io { path: files.lock.clone(), source }),
    }
}

/// The file is not made yet for a folder that Apache's broker has filled.
fn open_meta(
    disk: &dyn Disk,
    files: &StoreFiles,
    settings: &Settings,
    keeper: Keeper,
) -> Result<(Option<MetaFile>, StoreMeta, LastStop), OpenError> {
    let Some(meta) = MetaFile::open(disk, &files.meta)? else {
        let (meta, stored) = found_store(disk, files, settings)?;
        return Ok((meta, stored, LastStop::New));
    };
    let stored = *meta.current();
    let StoreMeta { layout, segment_bytes, clean, boot, .. } = stored;
    let path = files.meta.clone();
    if layout != settings.layout {
        return Err(OpenError::OtherLayout { path, found: layout, configured: settings.layout });
    }
    if segment_bytes != settings.segment_bytes {
        let configured = settings.segment_bytes;
        return Err(OpenError::OtherSegmentBytes { path, found: segment_bytes, configured });
    }
    if keeper == Keeper::Apache && layout == Layout::Classic {
        tracing::info!(path = %files.folder.display(), "Apache's broker has had the store: all of its log is looked over");
        let (_, stored) = found_store(disk, files, settings)?;
        return Ok((None, stored, LastStop::New));
    }
    let last_stop = match clean {
        true => LastStop::InOrder,
        false if boot == settings.boot => LastStop::Process,
        false => LastStop::Machine,
    };
    Ok((Some(meta), stored, last_stop))
}

/// What `store.meta` says of a new store. In an empty folder it is made at once, so that a crash leaves no segment without it.
/// In one that Apache's broker has filled, it must wait: all that is found there is final.
fn found_store(
    disk: &dyn Disk,
    files: &StoreFiles,
    settings: &Settings,
) -> Result<(Option<MetaFile>, StoreMeta), OpenError> {
    let first = Survey::first_segment(disk, files).map_err(failed_at(&files.log))?;
    let start = first.map(|(base, _)| base);
    if start.is_some() && settings.layout == Layout::Framed {
        return Err(OpenError::MetaMissing { path: files.meta.clone() });
    }
    let offset = start.unwrap_or_default();
    let stored = StoreMeta::new(settings.layout, settings.segment_bytes, offset);
    let stored = StoreMeta { boot: settings.boot, ..stored };
    let create = || MetaFile::create(disk, files, stored).map_err(failed_at(&files.meta));
    let meta = if start.is_none() { Some(create()?) } else { None };
    Ok((meta, stored))
}
