//! Which segments there are, and whether they can be a log at all.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;

use crate::disk::{Access, Disk, Entry};
use crate::files::StoreFiles;
use crate::meta::StoreMeta;
use crate::position::behind;
use crate::segment::{self, Segment};

/// What of the files in the folder of a log does not belong into one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentFault {
    #[error("{path} does not belong to the log; move it elsewhere")]
    Foreign { path: PathBuf },
    #[error("{path} is missing; restore it from a copy, or let this node fetch the log anew")]
    Missing { path: PathBuf },
    #[error(
        "{path} has {found} bytes, but segments have {expected}: it was cut, or the store was made with another \
         segment size; restore the file, or configure the size of the store"
    )]
    BadLength { path: PathBuf, found: u64, expected: u64 },
}

impl SegmentFault {
    pub fn path(&self) -> &Path {
        match self {
            Self::Foreign { path } | Self::Missing { path } | Self::BadLength { path, .. } => path,
        }
    }

    /// Whether something is not there that should be.
    pub(crate) fn is_lack(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::BadLength { found, expected, .. } => found < expected,
            Self::Foreign { .. } => false,
        }
    }
}

/// Why the files in the folder of the log cannot be a log.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error(transparent)]
    Segment(#[from] SegmentFault),
    #[error("cannot list {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// Of segments that are missing one behind the other, so many are named.
const MISSING_NAMED_MAX: usize = 100;

impl SurveyError {
    /// The segment at an offset is missing, behind those that are there.
    pub(super) fn missing(segments: &VecDeque<Arc<Segment>>, base: LogOffset) -> Self {
        let name = segment::name(base);
        let sibling = segments.back().map(|last| last.path().with_file_name(&name));
        SegmentFault::Missing { path: sibling.unwrap_or_else(|| name.into()) }.into()
    }
}

#[derive(Debug)]
pub(crate) struct Survey {
    segment_bytes: u64,
    /// The log, from its start on. Without a fault there is no gap.
    pub bases: Vec<LogOffset>,
    /// Segments that were dropped, but whose files came back or stayed.
    pub dropped: Vec<LogOffset>,
    /// Segments behind the end that was asked for.
    pub behind: Vec<LogOffset>,
    pub faults: Vec<SegmentFault>,
}

impl Survey {
    /// Of a log that is to be opened: with any fault there is none. If it is to end somewhere, what lacks behind that does not count.
    pub fn take(
        disk: &dyn Disk,
        files: &StoreFiles,
        stored: &StoreMeta,
        asked_end: Option<LogOffset>,
    ) -> Result<Self, SurveyError> {
        let survey = Self::look(disk, files, stored)?;
        let counts = |fault: &SegmentFault| asked_end.is_none() || !fault.is_lack();
        if let Some(fault) = survey.faults.into_iter().find(counts) {
            return Err(fault.into());
        }
        let (bases, behind) = match asked_end {
            Some(end) => survey.bases.into_iter().partition(|base| *base <= end),
            None => (survey.bases, Vec::new()),
        };
        Ok(Self { bases, behind, faults: Vec::new(), ..survey })
    }

    /// What there is, whatever is wrong with it.
    pub fn look(disk: &dyn Disk, files: &StoreFiles, stored: &StoreMeta) -> Result<Self, SurveyError> {
        let expected = stored.segment_bytes;
        let listed = disk.list(&files.log);
        let entries = listed.map_err(|source| SurveyError::Io { path: files.log.clone(), source })?;
        let mut survey = Self {
            segment_bytes: expected,
            bases: Vec::new(),
            dropped: Vec::new(),
            behind: Vec::new(),
            faults: Vec::new(),
        };
        // A crash may leave the last one short: it was just made, or just cut. Any other one is wrong.
        let mut short = None;
        for entry in entries {
            let path = files.log.join(&entry.name);
            let found = entry.bytes;
            let Some(base) = parse(&entry) else {
                survey.faults.push(SegmentFault::Foreign { path });
                continue;
            };
            if base < stored.start {
                survey.dropped.push(base);
                continue;
            }
            survey.faults.extend(short.take());
            let fault = SegmentFault::BadLength { path, found, expected };
            if base.0.unsigned_abs() % expected != 0 {
                survey.faults.push(fault);
                continue;
            }
            if found > expected {
                survey.faults.push(fault.clone());
            }
            let next = survey.bases.last().map_or(stored.start, |last| behind(*last, expected));
            survey.faults.extend(missing_between(files, expected, next, base));
            short = (found < expected).then_some(fault);
            survey.bases.push(base);
        }
        if survey.bases.is_empty() && stored.confirmed.offset > stored.start {
            survey.faults.push(missing(files, stored.start));
        }
        Ok(survey)
    }

    /// The oldest segment of a folder about which nothing is known, and its length.
    pub fn first_segment(disk: &dyn Disk, files: &StoreFiles) -> io::Result<Option<(LogOffset, u64)>> {
        let entries = disk.list(&files.log)?;
        Ok(entries.iter().find_map(|entry| Some((parse(entry)?, entry.bytes))))
    }

    pub fn open(&self, disk: &dyn Disk, files: &StoreFiles) -> io::Result<VecDeque<Arc<Segment>>> {
        self.open_for(disk, files, Access::Write)
    }

    pub fn open_to_read(&self, disk: &dyn Disk, files: &StoreFiles) -> io::Result<VecDeque<Arc<Segment>>> {
        self.open_for(disk, files, Access::Read)
    }

    fn open_for(
        &self,
        disk: &dyn Disk,
        files: &StoreFiles,
        access: Access,
    ) -> io::Result<VecDeque<Arc<Segment>>> {
        let open = |base: &LogOffset| Segment::open(disk, &files.log, *base, self.segment_bytes, access);
        self.bases.iter().map(|base| open(base).map(Arc::new)).collect()
    }
}

/// The segments that should lie between two places, as far as they are named.
pub(crate) fn missing_between(
    files: &StoreFiles,
    segment_bytes: u64,
    from: LogOffset,
    to: LogOffset,
) -> impl Iterator<Item = SegmentFault> {
    let bases = std::iter::successors(Some(from), move |base| Some(behind(*base, segment_bytes)));
    bases.take_while(move |base| *base < to).take(MISSING_NAMED_MAX).map(|base| missing(files, base))
}

fn missing(files: &StoreFiles, base: LogOffset) -> SegmentFault {
    SegmentFault::Missing { path: files.log.join(segment::name(base)) }
}

fn parse(entry: &Entry) -> Option<LogOffset> {
    segment::parse_name(&entry.name).filter(|_| !entry.is_folder)
}
