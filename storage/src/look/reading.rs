//! Reading a classic log from one record to the next, as bytes: for whoever takes it elsewhere.
//!
//! Every checksum is looked at. Nothing is repaired or passed over: the first place that is wrong ends it.

use std::io;
use std::path::{Path, PathBuf};

use ferrymq_proto::position::{LogOffset, Timestamp};

use super::Look;
use crate::apaches::{ApachesNotes, Evidence, SeemingEnd, note_time};
use crate::disk::Disk;
use crate::files::{self, StoreFiles};
use crate::meta::Layout;
use crate::position::LogSpan;
use crate::recovery::OpenError;
use crate::scan::{Damage, Step, Unit, Walk};
use crate::segment::{BLANK_BYTES, Segment};

#[derive(Debug, thiserror::Error)]
pub enum ReadingError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// In the last file that is written to, it may be what a crash left.
    #[error("{path} is damaged at offset {offset} of the log: {damage}")]
    Damaged { path: PathBuf, offset: LogOffset, damage: Damage, is_last_file: bool },
    /// All that is there is whole.
    #[error("{path}: the log ends at offset {offset}, but {evidence}")]
    CutOff { path: PathBuf, offset: LogOffset, evidence: Evidence },
    #[error(transparent)]
    Notes(#[from] OpenError),
    #[error("the log has frames: it is of a node of a group")]
    Framed,
}

/// Goes through a log.
#[derive(Debug)]
pub struct Reading<'a> {
    look: &'a Look,
    walk: Walk<'a>,
    /// What Apache's broker says of the end, where it had the store last.
    apaches: Option<ApachesNotes>,
    /// The latest store time of what was read.
    newest: Option<Timestamp>,
}

impl Look {
    /// Where the log begins.
    pub fn log_start(&self) -> LogOffset {
        self.beginning().0
    }

    /// Behind the last file of the log, which may be empty at its end.
    pub fn log_room_end(&self) -> LogOffset {
        self.segments.back().map_or(self.log_start(), |last| last.end())
    }
}

impl<'a> Reading<'a> {
    /// From a place on where a record begins.
    pub fn begin(look: &'a Look, from: LogOffset) -> Result<Self, ReadingError> {
        match look.stored.layout {
            Layout::Classic => Ok(Self {
                look,
                walk: Walk::new(&look.segments, Layout::Classic, from, None),
                apaches: look.apaches_notes()?,
                newest: None,
            }),
            Layout::Framed => Err(ReadingError::Framed),
        }
    }

    /// Where the next record begins, or would.
    pub fn position(&self) -> LogOffset {
        self.walk.position().offset
    }

    /// Where the next record lies; `None` at the end of the log.
    pub fn next_record(&mut self) -> Result<Option<LogSpan>, ReadingError> {
        loop {
            let step = self.walk.step().map_err(|source| ReadingError::Io { path: self.path(), source })?;
            match step {
                Step::Unit { unit: Unit::Record, span, .. } => {
                    if self.apaches.is_some() {
                        note_time(&mut self.newest, self.walk.unit_bytes(span));
                    }
                    return Ok(Some(span));
                }
                Step::Unit { .. } => {}
                Step::Damaged(damage) => return Err(self.damaged(damage)?),
                Step::Nothing if self.is_missed()? => return Err(self.damaged(Damage::NothingWritten)?),
                Step::Nothing | Step::NoSegment => return self.end().map(|()| None),
            }
        }
    }

    /// The end, if it may be here.
    fn end(&self) -> Result<(), ReadingError> {
        let Some(apaches) = &self.apaches else { return Ok(()) };
        let (segment, offset) = (self.walk.segment(), self.position());
        let end = SeemingEnd { segment, offset, is_damaged: false, newest: self.newest };
        let path = self.path();
        match apaches.refute(end) {
            Ok(None) => Ok(()),
            Ok(Some(evidence)) => Err(ReadingError::CutOff { path, offset, evidence }),
            Err(source) => Err(ReadingError::Io { path, source }),
        }
    }

    /// The bytes of the record that was read last.
    pub fn bytes(&self, last: LogSpan) -> &[u8] {
        self.walk.unit_bytes(last)
    }

    fn path(&self) -> PathBuf {
        let segment = self.walk.segment().or(self.look.segments.back());
        segment.map_or_else(|| self.look.files.log.clone(), |segment| segment.path().to_owned())
    }

    fn damaged(&self, damage: Damage) -> Result<ReadingError, ReadingError> {
        let offset = self.position();
        let is_last_file = !self.is_missed()?;
        Ok(ReadingError::Damaged { path: self.path(), offset, damage, is_last_file })
    }

    /// Whether there is more of the log behind this place.
    fn is_missed(&self) -> Result<bool, ReadingError> {
        let at = self.position();
        if at < self.look.durable() {
            return Ok(true);
        }
        for segment in self.look.segments.iter().filter(|segment| segment.base() > at) {
            if has_beginning(segment)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Apache's broker makes files before it needs them.
fn has_beginning(segment: &Segment) -> Result<bool, ReadingError> {
    let mut head = [0; BLANK_BYTES as usize];
    let read = segment.read_padded(segment.base(), &mut head);
    read.map_err(|source| ReadingError::Io { path: segment.path().to_owned(), source })?;
    Ok(head != [0; BLANK_BYTES as usize])
}

/// Whether a process has the store in a folder open. It must be another one.
pub fn is_in_use(disk: &dyn Disk, folder: &Path) -> io::Result<bool> {
    files::is_in_use(disk, &StoreFiles::within(folder))
}
