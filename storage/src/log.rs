//! The log: segments that follow each other without a gap, as one range of bytes.
//!
//! [`Log`] is what many hold: it reads, drops what is old, moves the confirmed mark, and waits for what is durable. Only the one
//! [`Appender`](crate::Appender) writes at its end. Three offsets divide it: `confirmed` ≤ `written` and `durable` ≤ `written`.
//! What lies before `confirmed` never changes; what lies behind may be truncated.
//!
//! Reads copy, with one `pread` into a buffer of their own. A map of the file would save the copy, but with this no page fault
//! stalls a thread of the runtime, an error of the disk is an error and no signal, and nobody holds a view of bytes that a
//! truncation writes anew. A segment that is dropped lives until its last reader is done.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::position::LogOffset;

use crate::cold::Reach;
use crate::disk::Disk;
use crate::files::{StoreFiles, StoreLock};
use crate::fill::{self, Fill};
use crate::flush::{self, Broken, Completion, FatalError, FatalHook, FlushMode, FlushQueue};
use crate::meta::MetaFile;
use crate::near::Near;
use crate::position::{LogSpan, Mark, behind, distance};
use crate::prepare::NextSegment;
use crate::room::{Room, RoomState};
use crate::segment::Segment;
use crate::sums::{self, Sums, SumsBehind};
use crate::unsafe_modes::{UnsafeMode, is_on};

/// Of a log that serves what is not final, on purpose: nobody is woken for that.
const UNCOMMITTED_POLL: Duration = Duration::from_millis(5);

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("offset {offset} was dropped: the log begins at {start}")]
    BeforeStart { offset: LogOffset, start: LogOffset },
    #[error("there is nothing to read at offset {offset}: the log ends at {end}")]
    PastEnd { offset: LogOffset, end: LogOffset },
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum DropError {
    #[error("offset {offset} is not final: only what lies before {confirmed} may be dropped")]
    NotConfirmed { offset: LogOffset, confirmed: LogOffset },
    /// The segment no longer belongs to the log. [`Log::remove_leftovers`] tries again to remove its file, or the next start.
    #[error("cannot remove {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Broken(#[from] Broken),
}

#[derive(Clone, Debug)]
pub struct Log {
    pub(crate) core: Arc<Core>,
}

/// What all handles of a log share.
#[derive(Debug)]
pub(crate) struct Core {
    pub disk: Arc<dyn Disk>,
    pub files: StoreFiles,
    pub segment_bytes: u64,
    pub mode: FlushMode,
    segments: RwLock<VecDeque<Arc<Segment>>>,
    /// Everything before it was written.
    written: AtomicI64,
    /// Everything before it outlives a power loss.
    durable: AtomicI64,
    /// Invariant: never moves back, and never past `written`.
    confirmed: Mutex<Mark>,
    confirmed_moved: Condvar,
    /// Who waits for that. Changes under the lock of `confirmed`, so that nobody is woken in vain, which costs a system call.
    confirmed_waiters: AtomicUsize,
    /// Guards the file, and more: whoever makes anything of the log durable holds it, so that this happens in order.
    meta: Mutex<MetaFile>,
    pub queue: FlushQueue,
    pub next: NextSegment,
    pub fill: Fill,
    /// Of a classic log.
    pub sums: Option<SumsBehind>,
    pub near: Near,
    pub room: RoomState,
    /// Files of dropped segments that are not removed yet.
    leftovers: Mutex<Vec<PathBuf>>,
    /// Something failed that cannot be undone. Nothing is appended or reported durable any more.
    broken: AtomicBool,
    on_fatal: FatalHook,
    _lock: StoreLock,
}

/// What a recovery found, of which a core is made.
pub(crate) struct CoreParts {
    pub disk: Arc<dyn Disk>,
    pub files: StoreFiles,
    pub mode: FlushMode,
    pub flush_interval: Duration,
    pub segments: VecDeque<Arc<Segment>>,
    /// Behind the last whole unit. All before it is durable.
    pub end: LogOffset,
    pub meta: MetaFile,
    pub sums: Option<Sums>,
    pub on_fatal: FatalHook,
    pub lock: StoreLock,
}

fn unpoisoned<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    pub fn new(parts: CoreParts) -> Self {
        let CoreParts { disk, files, mode, flush_interval, segments, end, meta, sums, on_fatal, lock } =
            parts;
        let stored = *meta.current();
        Self {
            disk,
            files,
            segment_bytes: stored.segment_bytes,
            mode,
            segments: RwLock::new(segments),
            written: AtomicI64::new(end.0),
            durable: AtomicI64::new(end.0),
            confirmed: Mutex::new(stored.confirmed),
            confirmed_moved: Condvar::new(),
            confirmed_waiters: AtomicUsize::new(0),
            meta: Mutex::new(meta),
            queue: FlushQueue::new(flush_interval),
            next: NextSegment::default(),
            fill: Fill::new(mode, end),
            sums: sums.map(SumsBehind::new),
            near: Near::default(),
            room: RoomState::default(),
            leftovers: Mutex::default(),
            broken: AtomicBool::new(false),
            on_fatal,
            _lock: lock,
        }
    }

    pub fn segments(&self) -> RwLockReadGuard<'_, VecDeque<Arc<Segment>>> {
        unpoisoned(self.segments.read())
    }

    pub fn segments_mut(&self) -> RwLockWriteGuard<'_, VecDeque<Arc<Segment>>> {
        unpoisoned(self.segments.write())
    }

    pub fn meta(&self) -> MutexGuard<'_, MetaFile> {
        unpoisoned(self.meta.lock())
    }

    pub fn start(&self) -> LogOffset {
        self.segments().front().map(|segment| segment.base()).unwrap_or_default()
    }

    pub fn segment_at(&self, offset: LogOffset) -> Option<Arc<Segment>> {
        let segments = self.segments();
        let first = segments.front()?.base();
        let index = distance(first, offset) / self.segment_bytes;
        let segment = segments.get(usize::try_from(index).ok()?)?;
        // What was dropped is not there.
        (segment.base() <= offset).then(|| Arc::clone(segment))
    }

    // The order of the two marks counts: after one is moved, the other is read, in `move_end` and by the thread that flushes. At
    // least one of the two sees what the other has done.

    pub fn written(&self) -> LogOffset {
        LogOffset(self.written.load(Ordering::SeqCst))
    }

    pub fn set_written(&self, offset: LogOffset) {
        self.written.store(offset.0, Ordering::SeqCst);
    }

    pub fn durable(&self) -> LogOffset {
        LogOffset(self.durable.load(Ordering::SeqCst))
    }

    pub fn set_durable(&self, offset: LogOffset) {
        self.durable.store(offset.0, Ordering::SeqCst);
    }

    /// What was written and is not durable.
    pub fn unsynced(&self) -> u64 {
        distance(self.durable(), self.written())
    }

    /// Moves the end of the log, and sees to it that what was written becomes durable if nobody waits for it.
    pub fn move_end(&self, from: LogOffset, to: LogOffset) {
        self.set_written(to);
        if self.mode == FlushMode::Async {
            self.queue.written(self.durable() >= from, self.unsynced());
        }
    }

    pub fn confirmed(&self) -> Mark {
        *unpoisoned(self.confirmed.lock())
    }

    /// Says that nothing is there but what lies before the mark, all of it final.
    pub fn restart_at(&self, mark: Mark) {
        // In this order: no mark may be seen ahead of the one that bounds it.
        self.set_written(mark.offset);
        self.set_durable(mark.offset);
        *unpoisoned(self.confirmed.lock()) = mark;
        // Whoever dispatches goes on there.
        self.confirmed_moved.notify_all();
    }

    /// Makes the next segment, as the appender will need it.
    pub fn create_segment(&self, base: LogOffset) -> io::Result<Segment> {
        Segment::create(&*self.disk, &self.files.log, base, self.segment_bytes)
    }

    pub fn check(&self) -> Result<(), Broken> {
        if self.broken.load(Ordering::Acquire) { Err(Broken) } else { Ok(()) }
    }

    /// Ends the process, unless a test has other plans.
    pub fn break_with(&self, error: &FatalError) -> Broken {
        self.broken.store(true, Ordering::Release);
        self.on_fatal.tell(error);
        Broken
    }
}

impl Log {
    /// The first offset of the oldest segment.
    pub fn start(&self) -> LogOffset {
        self.core.start()
    }

    /// Behind the last byte that was written.
    pub fn written(&self) -> LogOffset {
        self.core.written()
    }

    /// Behind the last byte that outlives a power loss.
    pub fn durable(&self) -> LogOffset {
        self.core.durable()
    }

    /// Behind the last byte that is final.
    pub fn confirmed(&self) -> Mark {
        self.core.confirmed()
    }

    /// Up to where readers may see it: what is confirmed.
    pub(crate) fn readable_end(&self) -> LogOffset {
        if is_on(UnsafeMode::ServeUncommitted) { self.written() } else { self.confirmed().offset }
    }

    pub fn segment_bytes(&self) -> u64 {
        self.core.segment_bytes
    }

    /// Says that everything before the mark is final. It counts for a restart once it is durable here as well. A mark that
    /// lies before the present one changes nothing.
    ///
    /// # Panics
    /// When the mark lies behind what was written.
    pub fn confirm(&self, mark: Mark) {
        let written = self.written();
        assert!(mark.offset <= written, "confirmed {} ran past {written}, the end of the log", mark.offset);
        let mut confirmed = unpoisoned(self.core.confirmed.lock());
        if mark.offset > confirmed.offset {
            *confirmed = mark;
            let is_awaited = self.core.confirmed_waiters.load(Ordering::Relaxed) > 0;
            drop(confirmed);
            if is_awaited {
                self.core.confirmed_moved.notify_all();
            }
        }
    }

    /// Waits until more is confirmed than what lies before `offset`, or `is_over` says so to somebody who was
    /// [woken](Self::wake_confirmed).
    pub(crate) fn wait_confirmed(&self, offset: LogOffset, is_over: impl Fn() -> bool) {
        let confirmed = unpoisoned(self.core.confirmed.lock());
        let is_idle = |confirmed: &mut Mark| confirmed.offset <= offset && !is_over();
        if is_on(UnsafeMode::ServeUncommitted) {
            drop(self.core.confirmed_moved.wait_timeout(confirmed, UNCOMMITTED_POLL));
            return;
        }
        self.core.confirmed_waiters.fetch_add(1, Ordering::Relaxed);
        let confirmed = unpoisoned(self.core.confirmed_moved.wait_while(confirmed, is_idle));
        self.core.confirmed_waiters.fetch_sub(1, Ordering::Relaxed);
        drop(confirmed);
    }

    /// Lets those who wait look again.
    pub(crate) fn wake_confirmed(&self) {
        // Whoever has looked and does not wait yet holds the lock.
        drop(unpoisoned(self.core.confirmed.lock()));
        self.core.confirmed_moved.notify_all();
    }

    /// What lies at `offset`: as many bytes as were asked for, or up to the end of the segment or of what was written. It may
    /// be truncated later, unless it is confirmed.
    pub fn read(&self, offset: LogOffset, bytes_max: usize) -> Result<Bytes, ReadError> {
        self.read_before(self.written(), offset, bytes_max)
    }

    /// As [`read`](Self::read), but of what is final.
    pub fn read_confirmed(&self, offset: LogOffset, bytes_max: usize) -> Result<Bytes, ReadError> {
        self.read_before(self.readable_end(), offset, bytes_max)
    }

    /// As [`read`](Self::read) or [`read_confirmed`](Self::read_confirmed).
    pub(crate) fn read_within(
        &self,
        reach: Reach,
        offset: LogOffset,
        bytes_max: usize,
    ) -> Result<Bytes, ReadError> {
        self.read_before(self.end_within(reach), offset, bytes_max)
    }

    /// As [`read_within`](Self::read_within), but `None` when that would wait for the disk.
    pub(crate) fn read_cached(
        &self,
        reach: Reach,
        offset: LogOffset,
        bytes_max: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        let (segment, mut buffer) = self.begin_read(self.end_within(reach), offset, bytes_max)?;
        match segment.read_cached(offset, &mut buffer) {
            Ok(is_hot) => Ok(is_hot.then(|| buffer.freeze())),
            Err(source) => Err(ReadError::Io { path: segment.path().to_owned(), source }),
        }
    }

    /// Lets the disk bring into memory what there is of a span. It may wait for the disk.
    pub(crate) fn read_ahead(&self, span: LogSpan) {
        let end = span.end().min(self.written());
        let span = LogSpan { start: span.start, bytes: distance(span.start, end) };
        let mut offset = span.start;
        while let Some(segment) = self.core.segment_at(offset).filter(|_| offset < end) {
            segment.read_ahead(span);
            offset = segment.end();
        }
    }

    fn end_within(&self, reach: Reach) -> LogOffset {
        match reach {
            Reach::Confirmed => self.confirmed().offset,
            Reach::Written => self.written(),
        }
    }

    fn read_before(&self, end: LogOffset, offset: LogOffset, bytes_max: usize) -> Result<Bytes, ReadError> {
        let (segment, mut buffer) = self.begin_read(end, offset, bytes_max)?;
        match segment.read(offset, &mut buffer) {
            Ok(()) => Ok(buffer.freeze()),
            Err(source) => Err(ReadError::Io { path: segment.path().to_owned(), source }),
        }
    }

    /// Where to read, and a buffer for all that there is to read.
    fn begin_read(
        &self,
        end: LogOffset,
        offset: LogOffset,
        bytes_max: usize,
    ) -> Result<(Arc<Segment>, BytesMut), ReadError> {
        let segment = self.readable_segment(end, offset)?;
        let present = distance(offset, end.min(segment.end()));
        let buffer = BytesMut::zeroed(usize::try_from(present).unwrap_or(usize::MAX).min(bytes_max));
        Ok((segment, buffer))
    }

    /// The segment in which an offset before the end lies.
    pub(crate) fn readable_segment(
        &self,
        end: LogOffset,
        offset: LogOffset,
    ) -> Result<Arc<Segment>, ReadError> {
        let segments = self.core.segments();
        let start = segments.front().map(|segment| segment.base()).unwrap_or_default();
        if offset < start {
            return Err(ReadError::BeforeStart { offset, start });
        }
        let index = usize::try_from(distance(start, offset) / self.core.segment_bytes).ok();
        let segment = index.and_then(|index| segments.get(index)).filter(|_| offset < end).cloned();
        drop(segments);
        segment.ok_or(ReadError::PastEnd { offset, end })
    }

    /// Drops the segments that lie before `offset` as a whole, and says how many. The one that is written always stays.
    pub fn drop_before(&self, offset: LogOffset) -> Result<usize, DropError> {
        let mut meta = self.core.meta();
        let confirmed = self.confirmed().offset;
        if offset > confirmed {
            return Err(DropError::NotConfirmed { offset, confirmed });
        }
        // The marks that are stored must not lie before the new start.
        flush::flush_holding(&self.core, &mut meta)?;
        let count = {
            let segments = self.core.segments();
            let but_last = segments.len().saturating_sub(1);
            segments.iter().take(but_last).take_while(|segment| segment.end() <= offset).count()
        };
        if count == 0 {
            return Ok(0);
        }
        let start = behind(self.start(), count as u64 * self.core.segment_bytes);
        // First of all the new start: a crash may leave any of the files, and they must not be missed or found again.
        flush::save_meta(&self.core, &mut meta, |meta| meta.start = start)?;
        let dropped: Vec<_> = self.core.segments_mut().drain(..count).collect();
        let core = &self.core;
        let paths = dropped.iter().map(|segment| segment.path().to_owned());
        let sidecars = dropped.iter().map(|segment| sums::path(&core.files, segment.base()));
        unpoisoned(core.leftovers.lock()).extend(paths.chain(sidecars.filter(|_| core.sums.is_some())));
        // To remove a large file takes long, and flushes must not wait for it.
        drop(meta);
        self.remove_leftovers().map(|()| count)
    }

    /// Removes files of dropped segments that could not be removed when it was their time.
    pub fn remove_leftovers(&self) -> Result<(), DropError> {
        let mut leftovers = unpoisoned(self.core.leftovers.lock());
        if leftovers.is_empty() {
            return Ok(());
        }
        let mut failed = None;
        leftovers.retain(|path| match self.core.disk.remove(path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                failed = Some(DropError::Io { path: path.clone(), source });
                true
            }
            _ => false,
        });
        let synced = self.core.disk.sync_folder(&self.core.files.log);
        synced.map_err(|source| DropError::Io { path: self.core.files.log.clone(), source })?;
        failed.map_or(Ok(()), Err)
    }

    /// Whether there is room for more.
    pub fn room(&self) -> Room {
        self.core.room.get()
    }

    /// Calls `done` as the settings acknowledge: at once, or when everything before `end` is durable.
    pub fn acknowledge(&self, end: LogOffset, done: Completion) {
        match self.core.mode {
            FlushMode::Sync => self.when_durable(end, done),
            FlushMode::Async => done(self.core.check()),
        }
    }

    /// Calls `done` when everything before `end` is durable: on the thread that flushes, in the order of the calls. It must
    /// neither block nor truncate.
    ///
    /// # Panics
    /// When that was not written yet.
    pub fn when_durable(&self, end: LogOffset, done: Completion) {
        let written = self.written();
        assert!(end <= written, "nothing was written up to {end} yet, only to {written}");
        match self.core.check() {
            Ok(()) => self.core.queue.wait(end, done),
            Err(broken) => done(Err(broken)),
        }
    }

    /// Makes durable what was written so far, on this thread.
    pub fn flush(&self) -> Result<(), Broken> {
        flush::flush_holding(&self.core, &mut self.core.meta())
    }

    /// Makes the next segment, if it is time, on this thread.
    pub fn prepare_segment(&self) {
        self.core.next.prepare(|base| self.core.create_segment(base));
    }

    /// Sums what became final and durable, or a part of it, on this thread, and says if that was all. Only a classic log has
    /// something to sum.
    pub fn sum_behind(&self) -> io::Result<bool> {
        self.core.sums.as_ref().map_or(Ok(true), |sums| sums.sum(&self.core))
    }

    /// Writes zeros ahead of the end, if it is time, on this thread.
    pub fn fill_ahead(&self) -> Result<(), Broken> {
        while fill::fill_chunk(&self.core)? {}
        Ok(())
    }
}
