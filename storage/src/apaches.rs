//! What Apache's broker leaves beside its log, and what it says about the end of it.
//!
//! `abort` lies there while it runs, so without it the broker ended in order, and no crash has torn anything. `checkpoint` begins with
//! the store time of a message that was on the disk: a log whose newest message is older has lost what it had. It may say too
//! little, and of a slave whose machine was lost too much; both are no reason to cut anything off.
//! The messages of a batch have one time, so it does not tell that the last of them is missing. But after an end in order no queue has
//! more than the log.
//!
//! Apache's broker itself ends its log at the first place that it cannot read, whatever follows.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_proto::record::{self, Found, Record};

use crate::copied::COPIED_UNIT_BYTES_MAX;
use crate::disk::{Access, Disk};
use crate::files::StoreFiles;
use crate::look::{LastEntry, Look, exists, failed_at};
use crate::position::behind;
use crate::recovery::{OpenError, SEGMENT_BYTES_MAX};
use crate::scan::is_record_at;
use crate::segment::{self, Segment};

const CHECKPOINT: &str = "checkpoint";
/// Size and magic of a record.
const HEAD_BYTES: usize = 8;
/// What is read at once when a record is looked for.
const WINDOW_BYTES: usize = 1 << 20;

/// Why the end of a log is none that a crash may have left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Evidence {
    #[error("Apache's broker ended in order, so no crash has left that")]
    EndedInOrder,
    #[error("at offset {0} a whole record follows")]
    RecordFollows(LogOffset),
    #[error("more of the log follows in the next file")]
    FileFollows,
    #[error(
        "its newest message is of {} (milliseconds), but Apache's checkpoint says that one of {flushed} was on the disk",
        .newest.map_or("no time".to_owned(), |newest| newest.0.to_string())
    )]
    MoreWasThere { newest: Option<Timestamp>, flushed: Timestamp },
    #[error("Apache's broker ended in order, and {0}")]
    QueueHasMore(Box<LastEntry>),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ApachesNotes {
    ended_in_order: bool,
    /// Of all queues the entry whose record lies farthest, after an end in order. A crash may leave more in a queue than in the log.
    farthest: Option<LastEntry>,
    /// The store time of a message that was on the disk.
    flushed: Option<Timestamp>,
}

/// Where a log seems to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeemingEnd<'a> {
    pub segment: Option<&'a Arc<Segment>>,
    pub offset: LogOffset,
    pub is_damaged: bool,
    /// The latest store time of all messages before it.
    pub newest: Option<Timestamp>,
}

impl ApachesNotes {
    pub fn read(disk: &Arc<dyn Disk>, files: &StoreFiles) -> Result<Self, OpenError> {
        let ended_in_order = !exists(&**disk, &files.abort).map_err(failed_at(&files.abort))?;
        let farthest = if ended_in_order { farthest(disk, files)? } else { None };
        let path = files.folder.join(CHECKPOINT);
        let flushed = flushed(&**disk, &path).map_err(failed_at(&path))?;
        Ok(Self { ended_in_order, farthest, flushed })
    }

    /// Why a log cannot end there.
    pub fn refute(&self, end: SeemingEnd<'_>) -> io::Result<Option<Evidence>> {
        let SeemingEnd { segment, offset, is_damaged, newest } = end;
        let is_known = newest.is_some() || offset == LogOffset(0);
        if let Some(flushed) = self.flushed.filter(|flushed| is_known && newest < Some(*flushed)) {
            return Ok(Some(Evidence::MoreWasThere { newest, flushed }));
        }
        if !is_damaged {
            let more = self.farthest.as_ref().filter(|entry| entry.record.end() > offset);
            return Ok(more.cloned().map(Box::new).map(Evidence::QueueHasMore));
        }
        if self.ended_in_order {
            return Ok(Some(Evidence::EndedInOrder));
        }
        let Some(segment) = segment else { return Ok(None) };
        Ok(record_behind(segment, offset)?.map(Evidence::RecordFollows))
    }
}

/// The store time of a message that was on the disk.
fn flushed(disk: &dyn Disk, path: &Path) -> io::Result<Option<Timestamp>> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut time = [0; 8];
    let read = file.read_at(&mut time, 0)?;
    let time = Timestamp(i64::from_be_bytes(time));
    Ok((read == size_of::<i64>() && time.0 > 0).then_some(time))
}

/// An entry of a record that can never have been is of a damaged queue, which will be made anew.
fn farthest(disk: &Arc<dyn Disk>, files: &StoreFiles) -> Result<Option<LastEntry>, OpenError> {
    let last = disk.list(&files.log).map_err(failed_at(&files.log))?.pop();
    let room_end = last.and_then(|last| Some(behind(segment::parse_name(&last.name)?, last.bytes)));
    let possible_end = behind(room_end.unwrap_or_default(), SEGMENT_BYTES_MAX);
    let entries = Look::of_queues(Arc::clone(disk), &files.folder).last_entries()?;
    let possible = entries.into_iter().filter(|entry| entry.record.end() <= possible_end);
    Ok(possible.max_by_key(|entry| entry.record.start))
}

/// A whole record behind a place, in the same segment.
pub(crate) fn record_behind(segment: &Segment, offset: LogOffset) -> io::Result<Option<LogOffset>> {
    let mut window = vec![0; WINDOW_BYTES];
    let mut start = behind(offset, 1);
    while start < segment.end() {
        segment.read_padded(start, &mut window)?;
        for (at, head) in window.windows(HEAD_BYTES).enumerate() {
            let candidate = behind(start, at as u64);
            let Some(bytes) = claimed_bytes(head).filter(|bytes| *bytes <= segment.left(candidate)) else {
                continue;
            };
            let mut record = vec![0; usize::try_from(bytes).unwrap_or_default()];
            segment.read_padded(candidate, &mut record)?;
            if is_record_at(&record, candidate, bytes) {
                return Ok(Some(candidate));
            }
        }
        start = behind(start, (WINDOW_BYTES - HEAD_BYTES + 1) as u64);
    }
    Ok(None)
}

/// How long a record would be that begins so, if one may be so long.
fn claimed_bytes(head: &[u8]) -> Option<u64> {
    match record::scan(head) {
        Found::Truncated { needed } if needed > HEAD_BYTES && needed <= COPIED_UNIT_BYTES_MAX => {
            Some(needed as u64)
        }
        _ => None,
    }
}

/// Keeps the latest store time of records.
pub(crate) fn note_time(newest: &mut Option<Timestamp>, record: &[u8]) {
    let time = Record::decode(record).ok().map(|(record, _)| record.store_timestamp);
    *newest = (*newest).max(time);
}
