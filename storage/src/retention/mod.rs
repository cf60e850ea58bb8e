//! Retention: what is old enough, or must go because the disk is full, is dropped, segment by segment.
//!
//! [`RetentionSettings::decide`] holds the rules, which are those of Apache's broker. [`Retention`] sees to them in a classic
//! log: its owner calls [`step`](Retention::step) now and then, on a thread that may wait for the disk, and is told when to
//! call next. In a Raft log the group decides what goes, and only [`decide`](Retention::decide) is of use.
//!
//! What is being written never goes, nor what is not final, nor what the caller wants to keep. A message is as old as the log
//! says, not the file system: a copy of a store is as old as the store. A clock that is set back makes everything younger for a
//! while; one that runs ahead makes it older, and retention believes it.

mod policy;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_proto::record;

use crate::disk::Percent;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::log::{DropError, Log, ReadError};

pub use policy::{Cause, Decision, Hours, RetentionSettings, SegmentAge, Situation};

/// So many runs the request of an operator counts, as in Apache.
const REQUESTED_RUNS: u32 = 20;
/// Of a segment, enough to tell when its first unit was stored.
const HEAD_BYTES: usize = 128;

#[derive(Debug)]
pub struct Retention {
    log: Log,
    settings: RetentionSettings,
    /// When the first unit of a segment was stored, by the beginning of the segment.
    first_times: BTreeMap<LogOffset, Timestamp>,
    request: RetentionRequest,
    run: Option<Run>,
    was_stuck: bool,
}

/// A run that is under way.
#[derive(Clone, Copy, Debug)]
struct Run {
    segments_left: usize,
    is_requested: bool,
}

/// Lets the operator ask for a run at any hour.
#[derive(Clone, Debug, Default)]
pub struct RetentionRequest(Arc<AtomicU32>);

impl RetentionRequest {
    pub fn make(&self) {
        self.0.store(REQUESTED_RUNS, Ordering::Relaxed);
    }

    /// Whether a run was asked for that was not taken yet.
    pub fn is_waiting(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Takes one run off what was asked for. False when nothing was.
    pub fn take_run(&self) -> bool {
        let less = |runs: u32| runs.checked_sub(1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// What a step has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stepped {
    /// The log begins here now, because of this.
    pub dropped: Option<(LogOffset, Cause)>,
    /// When to take the next step.
    pub next_in: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Drop(#[from] DropError),
}

impl Retention {
    pub fn new(log: Log, settings: RetentionSettings) -> Self {
        let request = RetentionRequest::default();
        Self { log, settings, first_times: BTreeMap::new(), request, run: None, was_stuck: false }
    }

    pub fn request(&self) -> RetentionRequest {
        self.request.clone()
    }

    /// From now on these rules hold.
    pub fn follow(&mut self, settings: RetentionSettings) {
        self.settings = settings;
    }

    /// Drops a segment, if one is to go, and says whether there is room for new messages. After an error, take the next step
    /// after [`RetentionSettings::interval`] or later.
    pub fn step(
        &mut self,
        now: Timestamp,
        hour: u8,
        keep_from: LogOffset,
    ) -> Result<Stepped, RetentionError> {
        let run = match self.run.take() {
            Some(run) => run,
            None => self.begin_run()?,
        };
        let decision = self.decide(now, hour, keep_from, run.is_requested, 1)?;
        self.warn_if_stuck(decision);
        let Some((offset, cause)) = decision.drop_before.filter(|_| run.segments_left > 0) else {
            return Ok(Stepped { dropped: None, next_in: self.settings.run_interval });
        };
        self.run = Some(Run { segments_left: run.segments_left - 1, ..run });
        self.log.drop_before(offset)?;
        tracing::info!(%offset, ?cause, "dropped a segment: the log begins here now");
        Ok(Stepped { dropped: Some((offset, cause)), next_in: self.settings.interval })
    }

    fn begin_run(&self) -> Result<Run, DropError> {
        self.log.remove_leftovers()?;
        let is_requested = self.request.take_run();
        Ok(Run { segments_left: self.settings.segments_per_run, is_requested })
    }

    fn warn_if_stuck(&mut self, decision: Decision) {
        if decision.is_stuck && !self.was_stuck {
            tracing::warn!("the disk will be full soon, but no segment may be dropped yet");
        }
        self.was_stuck = decision.is_stuck;
    }

    /// Decides as [`step`](Self::step) would, about up to `segments_max` segments, and drops nothing. Whether there is room for
    /// new messages is noted in the log's [`Room`](crate::Room).
    pub fn decide(
        &mut self,
        now: Timestamp,
        hour: u8,
        keep_from: LogOffset,
        is_requested: bool,
        segments_max: usize,
    ) -> Result<Decision, ReadError> {
        let segments = self.ages()?;
        let keep_from = keep_from.min(self.log.confirmed().offset);
        let segments = segments.as_slice();
        let used = self.used();
        let situation = Situation { now, hour, segments, used, is_requested, keep_from, segments_max };
        let decision = self.settings.decide(&situation);
        self.log.core.room.set_short(decision.refuse);
        Ok(decision)
    }

    /// Of the fuller one of the two disks, which are mostly the same.
    fn used(&self) -> Option<Percent> {
        let files = &self.log.core.files;
        let used = [&files.log, &files.folder].into_iter().filter_map(|folder| {
            let space = self.log.core.disk.space(folder);
            let warn =
                |error| tracing::warn!(path = %folder.display(), %error, "cannot tell how full the disk is");
            space.map_err(warn).ok().map(|space| space.used())
        });
        used.max()
    }

    /// The age of each segment but the last. Nothing in one is newer than the beginning of the next.
    fn ages(&mut self) -> Result<Vec<SegmentAge>, ReadError> {
        let bounds: Vec<_> = self.log.core.segments().iter().map(|segment| segment.base()).collect();
        let start = bounds.first().copied().unwrap_or_default();
        self.first_times = self.first_times.split_off(&start);
        let mut ages = Vec::with_capacity(bounds.len());
        for end in bounds.into_iter().skip(1) {
            ages.push(SegmentAge { end, newest: self.first_time(end)? });
        }
        Ok(ages)
    }

    fn first_time(&mut self, base: LogOffset) -> Result<Option<Timestamp>, ReadError> {
        if let Some(time) = self.first_times.get(&base) {
            return Ok(Some(*time));
        }
        let head = match self.log.read_confirmed(base, HEAD_BYTES) {
            Ok(head) => head,
            // Nothing there is final yet, or it was dropped meanwhile.
            Err(ReadError::PastEnd { .. } | ReadError::BeforeStart { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let header = head.first_chunk::<FRAME_HEADER_BYTES>().and_then(|head| FrameHeader::decode(head).ok());
        let time = header.map(|header| header.appended_at).or_else(|| record::stored_at(&head));
        if let Some(time) = time {
            self.first_times.insert(base, time);
        }
        Ok(time)
    }
}

#[cfg(test)]
mod tests;
