//! The log of the new group, while it is made in the folder of its first node.
//!
//! Records keep their bytes, but for where they lie and what they say of where others lie. They go into frames as they would on
//! a leader of the first term, and what is derived from the log follows it, so that the node starts at once. Now and then all of
//! it is made durable and [noted](Journal): a restart cuts off what is behind that, and goes on there.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use ferrymq_proto::position::{LogOffset, QueueOffset, Timestamp};
use ferrymq_proto::record::{NotARecord, Record, set_prepared_offset, stamp};
use ferrymq_raft::Founding;
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::dispatch::{
    Derived, DerivedSettings, DerivedThreads, DispatchError, NoArrivals, OpenDerivedError, QueueEnd,
};
use ferrymq_storage::frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameKind};
use ferrymq_storage::{
    Broken, FatalHook, FlushMode, FrameAppendError, FramedAppender, Index, Layout, LogThreads, Mark,
    NewFrame, OpenError, ResetError, Settings, TruncateError, recovery,
};

use super::journal::{Journal, Reached};
use super::places::Places;
use super::source::Found;
use crate::replication::raft::state_of;

/// A frame is full with so much, unless one record has more.
const FRAME_BYTES: usize = 256 << 10;
/// After so much, all is made durable.
const NOTED_BYTES: u64 = 64 << 20;
/// For what is derived to reach what is written. Longer means that its disk does not work.
const DISPATCH_WAIT: Duration = Duration::from_secs(600);
/// The system writes by itself what nobody waits for.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{0}")]
    Open(#[from] OpenError),
    #[error("{0}")]
    Derived(#[from] OpenDerivedError),
    #[error("{0}")]
    Dispatch(#[from] DispatchError),
    #[error("{0}")]
    Reset(#[from] ResetError),
    #[error("{0}")]
    Truncate(#[from] TruncateError),
    #[error("{0}")]
    Append(#[from] FrameAppendError),
    #[error("{0}")]
    Broken(#[from] Broken),
    #[error("{0}")]
    Record(#[from] NotARecord),
    #[error("queues and index have not come to offset {0} of the log")]
    Behind(LogOffset),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{topic} {queue} ends at {found} in the new store, and at {expected} in the old one")]
    OtherEnd { topic: String, queue: i32, found: QueueOffset, expected: QueueOffset },
}

/// What the new store is made with.
#[derive(Debug)]
pub struct Plan {
    pub folder: PathBuf,
    pub founding: Founding,
    pub derived: DerivedSettings,
    /// All tables, as a checkpoint has them.
    pub tables: Vec<u8>,
    /// Where each queue begins.
    pub begins: Vec<QueueEnd>,
}

pub struct Target {
    plan: Plan,
    disk: Arc<dyn Disk>,
    appender: FramedAppender,
    derived: Derived,
    threads: (DerivedThreads, LogThreads),
    journal: Journal,
    places: Places,
    /// What the next frame will hold.
    body: BytesMut,
    parts: Vec<Part>,
    /// Behind the last frame.
    reached: Reached,
    /// Since it was noted last.
    unnoted: u64,
    appended_at: Timestamp,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.plan.folder.display())
    }
}

/// A record in the body of the next frame.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: usize,
    bytes: usize,
    /// In the old log.
    offset: LogOffset,
    next: LogOffset,
}

fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> TargetError {
    let path = path.to_owned();
    |source| TargetError::Io { path, source }
}

impl Target {
    /// Begins the new store, or goes on where the journal says. `source_start` is where the source begins.
    pub fn open(plan: Plan, journal: Journal, source_start: LogOffset) -> Result<Self, TargetError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let settings = Settings {
            folder: plan.folder.clone(),
            layout: Layout::Framed,
            segment_bytes: plan.founding.segment_bytes,
            // Nobody waits for a single record.
            mode: FlushMode::Async,
            flush_interval: FLUSH_INTERVAL,
            boot: RealDisk::boot_id().map_err(failed_at(&plan.folder))?,
            on_fatal: FatalHook::abort(),
        };
        let (mut appender, _) = recovery::open(Arc::clone(&disk), settings)?.framed();
        let state = state_of(plan.tables.clone(), plan.begins.clone(), Timestamp(0));
        let base = plan.founding.base(&state);
        let reached = match journal.reached() {
            Some(reached) => {
                appender.truncate(reached.mark)?;
                reached
            }
            None => {
                if appender.log().start() == base.offset {
                    appender.truncate(base)?;
                } else {
                    appender.reset(base)?;
                }
                plan.founding.keep(&disk, &plan.folder, base, state).map_err(failed_at(&plan.folder))?;
                Reached { source: source_start, mark: base }
            }
        };
        let log = appender.log().clone();
        let (derived, mut dispatcher) = Derived::open(&log, plan.derived.clone(), Box::new(NoArrivals))?;
        if log.start() == derived.position() {
            derived.begin_at(&plan.begins, Timestamp(0))?;
        }
        log.confirm(reached.mark);
        while dispatcher.step()? {}
        let places_path = Journal::places_path(&plan.folder);
        let places = Places::open(&places_path, journal.places).map_err(failed_at(&places_path))?;
        let log_threads = LogThreads::start(&log).map_err(failed_at(&plan.folder))?;
        let derived_threads = DerivedThreads::start(&derived, dispatcher).map_err(failed_at(&plan.folder))?;
        Ok(Self {
            disk,
            appender,
            threads: (derived_threads, log_threads),
            appended_at: derived.last_store_time(),
            derived,
            journal,
            places,
            body: BytesMut::new(),
            parts: Vec::new(),
            reached,
            unnoted: 0,
            plan,
        })
    }

    /// From where on in the source there is more to do.
    pub fn reached(&self) -> LogOffset {
        self.reached.source
    }

    /// Takes the next record.
    pub fn add(&mut self, found: &Found<'_>) -> Result<(), TargetError> {
        let max = FRAME_BYTES_MAX as usize - FRAME_HEADER_BYTES;
        if self.body.len() >= FRAME_BYTES || self.body.len() + found.bytes.len() > max {
            self.append()?;
        }
        let Found { offset, next, bytes } = *found;
        self.parts.push(Part { at: self.body.len(), bytes: bytes.len(), offset, next });
        self.body.extend_from_slice(bytes);
        self.journal.records += 1;
        self.journal.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Appends what was taken as one frame.
    fn append(&mut self) -> Result<(), TargetError> {
        let (Some(first), Some(last)) = (self.parts.first().copied(), self.parts.last().copied()) else {
            return Ok(());
        };
        let place = self.appender.place(self.body.len() as u64)?;
        let body_offset = place.body_offset();
        for part in &self.parts {
            let Some(bytes) = self.body.get_mut(part.at..part.at + part.bytes) else { continue };
            let offset = LogOffset(body_offset.0 + part.at as i64);
            let Ok((record, _)) = Record::decode(bytes) else { return Err(NotARecord.into()) };
            let (queue_offset, store_time) = (record.queue_offset, record.store_timestamp);
            self.places.note_record(record.topic, part.offset, offset);
            let (said, moved) = (record.prepared_offset, self.places.moved(&record));
            self.appended_at = self.appended_at.max(store_time);
            stamp(bytes, queue_offset, offset, store_time)?;
            if said != moved {
                set_prepared_offset(bytes, moved)?;
            }
        }
        let frame = NewFrame {
            kind: FrameKind::Messages,
            index: Index(self.reached.mark.chain.index.0 + 1),
            term: Founding::TERM,
            records: self.parts.len() as u32,
            appended_at: self.appended_at,
        };
        let appended = place.write(frame, &self.body)?;
        self.places.note_frame(first.offset, appended.span.start);
        let before =
            std::mem::replace(&mut self.reached, Reached { source: last.next, mark: appended.mark() });
        self.unnoted += appended.span.bytes;
        self.body.clear();
        self.parts.clear();
        if self.segment_of(appended.span.start) > self.segment_of(before.mark.offset) {
            self.begin_segment(before.mark, self.segment_of(appended.span.start))?;
        }
        if self.unnoted >= NOTED_BYTES {
            self.note()?;
        }
        Ok(())
    }

    fn segment_of(&self, offset: LogOffset) -> LogOffset {
        LogOffset(offset.0 - offset.0.rem_euclid(self.plan.founding.segment_bytes as i64))
    }

    /// Keeps the state behind the last frame of a segment, at the beginning of the next one.
    fn begin_segment(&mut self, last: Mark, base: LogOffset) -> Result<(), TargetError> {
        self.note()?;
        self.wait_dispatched(last.offset)?;
        let ends = self.derived.ends_at(last.offset)?;
        let state = state_of(self.plan.tables.clone(), ends, self.derived.last_store_time());
        let mark = Mark { offset: base, chain: last.chain };
        let kept = self.plan.founding.keep(&self.disk, &self.plan.folder, mark, state);
        kept.map_err(failed_at(&self.plan.folder))
    }

    fn wait_dispatched(&self, to: LogOffset) -> Result<(), TargetError> {
        if self.derived.wait_dispatched(to, DISPATCH_WAIT) { Ok(()) } else { Err(TargetError::Behind(to)) }
    }

    /// Makes durable what was appended, notes it, and lets it be dispatched.
    fn note(&mut self) -> Result<(), TargetError> {
        self.appender.log().flush()?;
        self.journal.places =
            self.places.save().map_err(failed_at(&Journal::places_path(&self.plan.folder)))?;
        self.journal.reach(self.reached);
        self.journal.save(&self.plan.folder).map_err(failed_at(&Journal::path(&self.plan.folder)))?;
        self.appender.log().confirm(self.reached.mark);
        self.unnoted = 0;
        Ok(())
    }

    /// Ends the store in order, when all was taken and every queue has come to where it should.
    pub fn finish(mut self, ends: &[QueueEnd]) -> Result<Journal, TargetError> {
        self.append()?;
        self.note()?;
        self.wait_dispatched(self.reached.mark.offset)?;
        for QueueEnd { topic, queue, next } in ends {
            let range = self.derived.queues().range(topic, *queue).map_err(DispatchError::from)?;
            let found = range.map_or(QueueOffset(0), |range| range.max);
            if found != *next {
                let (topic, queue) = (topic.to_string(), queue.0);
                return Err(TargetError::OtherEnd { topic, queue, found, expected: *next });
            }
        }
        let (derived_threads, log_threads) = self.threads;
        drop(derived_threads);
        self.derived.close()?;
        drop(log_threads);
        self.appender.close()?;
        Ok(self.journal)
    }
}
