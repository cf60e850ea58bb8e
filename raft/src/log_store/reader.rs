//! Reading entries: from memory at once, from the disk on a thread that may wait for it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::Index;
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::{Inner, first_readable};
use crate::entry::{Entry, Frame};
use crate::frames::FrameReadError;
use crate::mending::Injury;
use crate::types::{Types, Vote, entry_index, frame_index};

/// What one request to a follower carries at most, unless one frame is longer.
const REQUEST_BYTES_MAX: usize = 1 << 20;

#[derive(Clone, Debug)]
pub(crate) struct LogReader {
    inner: Arc<Inner>,
}

impl LogReader {
    pub fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    /// The part of a range of entries that the log has.
    fn clip(&self, range: &impl RangeBounds<u64>) -> std::ops::Range<Index> {
        let frames = &self.inner.frames;
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let first = first_readable(frames, self.inner.purged());
        let behind_last = entry_index(frames.end().chain.index).map_or(0, |last| last + 1);
        frame_index(start.max(first))..frame_index(end.min(behind_last))
    }

    async fn frames(&self, range: std::ops::Range<Index>, bytes_max: usize) -> io::Result<Vec<Frame>> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let recent = self.inner.frames.recent_run(range.clone(), bytes_max);
        if !recent.is_empty() {
            return Ok(recent);
        }
        let mut last_mended = None;
        loop {
            let (inner, range) = (Arc::clone(&self.inner), range.clone());
            let read = move || inner.frames.read_run(range, bytes_max);
            match tokio::task::spawn_blocking(read).await.map_err(io::Error::other)? {
                Err(FrameReadError::Damaged { offset, .. })
                    if last_mended != Some(offset) && self.mend(offset).await =>
                {
                    last_mended = Some(offset);
                }
                other => return Ok(other?),
            }
        }
    }

    /// Waits until what is damaged at an offset is mended. False if nobody can do that.
    async fn mend(&self, offset: LogOffset) -> bool {
        let is_final = offset < self.inner.frames.log().confirmed().offset;
        let Some(injuries) = self.inner.injuries.get().filter(|_| is_final) else { return false };
        let (mended, is_mended) = oneshot::channel();
        injuries.send(Injury { offset, mended }).await.is_ok() && is_mended.await.is_ok()
    }
}

impl RaftLogReader<Types> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let mut range = self.clip(&range);
        let mut entries = Vec::new();
        while !range.is_empty() {
            let frames = self.frames(range.clone(), usize::MAX).await?;
            if frames.is_empty() {
                return Err(io::Error::other(format!("frame {} is missing", range.start)));
            }
            range.start = Index(range.start.0 + frames.len() as u64);
            entries.extend(frames.into_iter().map(Entry::from));
        }
        Ok(entries)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<Entry>, io::Error> {
        let range = self.clip(&(start..end));
        let frames = self.frames(range, REQUEST_BYTES_MAX).await?;
        Ok(frames.into_iter().map(Entry::from).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.inner.vote())
    }
}
