//! The end of the log, and the one who writes there.
//!
//! A unit, which is a record or a frame of records, is appended in two steps, because it says within itself where it lies:
//! [`Appender::place`] finds its place, and [`Place::write`] puts it there with one write. A unit never crosses a segment: when it
//! does not leave room for a blank behind it, a blank fills the segment, and the unit goes to the next one, as in Apache.
//!
//! Nothing half written stays: what a failed write may have left is wiped, durably, before the next one. If that fails as well,
//! the log is broken.

use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::BLANK_MAGIC;

use crate::files;
use crate::flush::{self, Broken, FatalError};
use crate::log::{Core, Log};
use crate::position::{LogSpan, Mark, behind, distance};
use crate::room::is_no_room;
use crate::segment::{self, BLANK_BYTES, Segment};

/// What is wiped at once.
const WIPE_BYTES: usize = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    #[error("{bytes} bytes do not fit into a segment of {segment_bytes}")]
    TooLong { bytes: u64, segment_bytes: u64 },
    /// Nothing was written. The same append may succeed when there is room.
    #[error("cannot make the next segment {path}: {source}")]
    NoSegment { path: PathBuf, source: io::Error },
    /// Nothing of it stayed. The same append may succeed later.
    #[error("cannot write to {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl AppendError {
    /// Whether the disk is full. Nothing was written, and the same append succeeds when there is room.
    pub fn is_no_room(&self) -> bool {
        match self {
            Self::NoSegment { source, .. } | Self::Io { source, .. } => is_no_room(source),
            Self::TooLong { .. } | Self::Broken(_) => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    #[error("what lies before {confirmed} is final: the log cannot be cut at {to}")]
    Confirmed { to: LogOffset, confirmed: LogOffset },
    #[error("the log ends at {end}: it cannot be cut at {to}")]
    PastEnd { to: LogOffset, end: LogOffset },
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Why a log cannot begin anew. Nothing was changed, unless the log is broken.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    #[error("segments have {segment_bytes} bytes: a log cannot begin at {base}, where none does")]
    NoBoundary { base: LogOffset, segment_bytes: u64 },
    #[error("what lies before {confirmed} is final: a log that begins at {base} would have less")]
    Confirmed { base: LogOffset, confirmed: LogOffset },
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// The writer of a log. There is one.
#[derive(Debug)]
pub struct Appender {
    log: Log,
    /// The last one of the log. Invariant: what was written ends in it.
    segment: Arc<Segment>,
}

/// Where a unit will lie. Nothing comes in between.
#[derive(Debug)]
pub struct Place<'a> {
    appender: &'a mut Appender,
    span: LogSpan,
}

impl Appender {
    /// The writer of a log that was just opened, whose end lies in `segment`.
    pub(crate) fn new(log: Log, segment: Arc<Segment>) -> Self {
        Self { log, segment }
    }

    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Where a unit of so many bytes would lie. A function of the end of the log only, so that all nodes of a group agree.
    pub fn offset_of(&self, bytes: u64) -> LogOffset {
        let fits = bytes.saturating_add(BLANK_BYTES) <= self.segment.left(self.end());
        if fits { self.end() } else { self.segment.end() }
    }

    /// Finds the place of a unit, and begins the next segment if it must. Nothing else is changed.
    pub fn place(&mut self, bytes: u64) -> Result<Place<'_>, AppendError> {
        self.core().check()?;
        let segment_bytes = self.core().segment_bytes;
        if bytes.saturating_add(BLANK_BYTES) > segment_bytes {
            return Err(AppendError::TooLong { bytes, segment_bytes });
        }
        if self.offset_of(bytes) != self.end() {
            self.roll(self.segment.left(self.end()))?;
        }
        let span = LogSpan { start: self.end(), bytes };
        Ok(Place { appender: self, span })
    }

    fn core(&self) -> &Core {
        &self.log.core
    }

    fn end(&self) -> LogOffset {
        self.core().written()
    }

    /// The one that is written.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Fills the segment with a blank, wherever it ends, and goes on in the next one.
    pub(crate) fn end_segment(&mut self) -> Result<(), AppendError> {
        self.core().check()?;
        self.roll(self.segment.left(self.end()))
    }

    /// Fills the segment with a blank, and goes on in the next one.
    fn roll(&mut self, left: u64) -> Result<(), AppendError> {
        let core = Arc::clone(&self.log.core);
        let base = self.segment.end();
        let next = core.next.take(base, |base| core.create_segment(base)).map_err(|source| {
            core.room.failed(&source);
            let path = core.files.log.join(segment::name(base));
            AppendError::NoSegment { path, source }
        })?;
        // Segments are not longer than what fits.
        let size = (left as i32).to_be_bytes();
        let magic = BLANK_MAGIC.to_be_bytes();
        let blank = LogSpan { start: self.end(), bytes: BLANK_BYTES };
        if let Err(error) = self.write(blank, &mut [IoSlice::new(&size), IoSlice::new(&magic)]) {
            core.next.give_back(next);
            return Err(error);
        }
        self.segment = next;
        core.segments_mut().push_back(Arc::clone(&self.segment));
        core.move_end(blank.start, base);
        Ok(())
    }

    /// Writes at the end of the log, which does not move yet.
    fn write(&self, span: LogSpan, parts: &mut [IoSlice<'_>]) -> Result<(), AppendError> {
        self.core().fill.yield_until(span.end());
        let Err(source) = self.segment.write(span.start, parts) else {
            self.core().room.wrote();
            return Ok(());
        };
        self.core().room.failed(&source);
        let error = AppendError::Io { path: self.segment.path().to_owned(), source };
        self.wipe(span).map_err(FatalError::at(self.segment.path())).map_err(|fatal| {
            tracing::error!(%error, "a write failed");
            self.core().break_with(&fatal)
        })?;
        Err(error)
    }

    /// Makes durable that nothing lies there.
    fn wipe(&self, span: LogSpan) -> io::Result<()> {
        let _order = self.core().meta();
        match self.overwrite(span) {
            // Where files take room only as they are written, even zeros may find none.
            Err(error) if is_no_room(&error) => self.segment.empty(span.start),
            other => other,
        }
    }

    fn overwrite(&self, span: LogSpan) -> io::Result<()> {
        let zeros = [0; WIPE_BYTES];
        let mut at = span.start;
        while at < span.end() {
            let bytes = distance(at, span.end()).min(WIPE_BYTES as u64);
            let part = zeros.get(..bytes as usize).unwrap_or(&zeros);
            self.segment.write(at, &mut [IoSlice::new(part)])?;
            at = behind(at, bytes);
        }
        self.segment.sync()
    }

    /// Moves the end of the log behind a unit.
    fn advance(&self, span: LogSpan) {
        let core = self.core();
        core.move_end(span.start, span.end());
        core.fill.written(span.end());
        let half = core.segment_bytes / 2;
        if self.segment.position(span.start) < half && self.segment.position(span.end()) >= half {
            core.next.want(self.segment.end());
        }
    }

    /// Cuts the log at `to`, where a unit ends, durably: nothing of what lay behind can be read again. Whoever waits for it is
    /// served first.
    pub fn truncate(&mut self, to: LogOffset) -> Result<(), TruncateError> {
        let log = self.log.clone();
        let mut meta = log.core.meta();
        let (confirmed, end) = (log.confirmed().offset, log.written());
        if to < confirmed {
            return Err(TruncateError::Confirmed { to, confirmed });
        }
        if to > end {
            return Err(TruncateError::PastEnd { to, end });
        }
        flush::flush_holding(&log.core, &mut meta)?;
        if to < end {
            // First of all: what is taken back on purpose must not be missed after a crash.
            flush::save_meta(&log.core, &mut meta, |meta| meta.durable = meta.durable.min(to))?;
            let cut = self.cut(to).map_err(FatalError::at(&log.core.files.log));
            cut.map_err(|error| log.core.break_with(&error))?;
        }
        Ok(())
    }

    /// Takes the segments away from the last one on, each durably, and then cuts the one that stays: a crash in between leaves a
    /// log without a gap, which ends where it did or earlier. The caller has the lock of `store.meta`.
    fn cut(&mut self, to: LogOffset) -> io::Result<()> {
        let core = Arc::clone(&self.log.core);
        let pause = core.fill.pause();
        if let Some(prepared) = core.next.discard() {
            remove(&core, &prepared)?;
        }
        // Readers shall not begin what ends under their hands.
        core.set_written(to);
        core.set_durable(core.durable().min(to));
        loop {
            let last = core.segments_mut().pop_back_if(|last| last.base() > to);
            let Some(last) = last else { break };
            remove(&core, &last)?;
        }
        if let Some(last) = core.segments().back() {
            self.segment = Arc::clone(last);
        }
        self.segment.cut(to)?;
        pause.end_at(to);
        Ok(())
    }

    /// Begins anew at a mark behind all that is final: what lies before it is dropped, what lies behind was never final. So a
    /// node goes on from a snapshot of others. Whoever waits for the old log is served first.
    pub fn reset(&mut self, to: Mark) -> Result<(), ResetError> {
        let core = Arc::clone(&self.log.core);
        let (base, segment_bytes) = (to.offset, core.segment_bytes);
        if base.0 < 0 || base.0.unsigned_abs() % segment_bytes != 0 {
            return Err(ResetError::NoBoundary { base, segment_bytes });
        }
        let confirmed = core.confirmed().offset;
        if base < confirmed {
            return Err(ResetError::Confirmed { base, confirmed });
        }
        // What is left lies before the new beginning as a whole: should a crash come, the next start drops it.
        match self.truncate(confirmed) {
            Err(TruncateError::Broken(broken)) => return Err(broken.into()),
            other => assert!(other.is_ok(), "a log cannot be cut at its own mark: {other:?}"),
        }
        let mut meta = core.meta();
        flush::save_meta(&core, &mut meta, |meta| {
            meta.start = base;
            meta.confirmed = to;
            meta.durable = base;
        })?;
        let pause = core.fill.pause();
        let begun = self.begin_at(base).map_err(FatalError::at(&core.files.log));
        begun.map_err(|error| core.break_with(&error))?;
        core.restart_at(to);
        pause.end_at(base);
        Ok(())
    }

    /// Puts one empty segment in the place of all others. Their files go first, so that there is room.
    fn begin_at(&mut self, base: LogOffset) -> io::Result<()> {
        let core = Arc::clone(&self.log.core);
        if let Some(prepared) = core.next.discard() {
            remove(&core, &prepared)?;
        }
        let old: Vec<_> = core.segments().iter().cloned().collect();
        let (kept, old): (Vec<_>, Vec<_>) = old.into_iter().partition(|segment| segment.base() == base);
        for segment in &old {
            remove(&core, segment)?;
        }
        let first = match kept.into_iter().next() {
            Some(empty) => empty,
            None => Arc::new(core.create_segment(base)?),
        };
        let mut segments = core.segments_mut();
        segments.clear();
        segments.push_back(Arc::clone(&first));
        self.segment = first;
        Ok(())
    }

    /// Ends the writing in order: everything becomes durable, and the next start has nothing to repair.
    pub fn close(self) -> Result<(), Broken> {
        let core = self.core();
        let mut meta = core.meta();
        flush::flush_holding(core, &mut meta)?;
        if let Err(error) = self.log.sum_behind() {
            tracing::warn!(path = %core.files.sums.display(), %error, "cannot sum what is final");
        }
        flush::save_meta(core, &mut meta, |meta| meta.clean = true)?;
        let abort = &core.files.abort;
        let removed = files::remove_if_there(&*core.disk, abort);
        if let Err(error) = removed.and_then(|()| core.disk.sync_folder(&core.files.folder)) {
            tracing::warn!(path = %abort.display(), %error, "cannot remove the marker that tells Apache's broker of a crash");
        }
        Ok(())
    }
}

fn remove(core: &Core, segment: &Segment) -> io::Result<()> {
    core.disk.remove(segment.path())?;
    core.disk.sync_folder(&core.files.log)
}

impl Place<'_> {
    /// Where the unit begins.
    pub fn offset(&self) -> LogOffset {
        self.span.start
    }

    /// Appends the unit, with one write.
    ///
    /// # Panics
    /// When the parts are not as long as the place.
    pub fn write(self, parts: &mut [IoSlice<'_>]) -> Result<LogSpan, AppendError> {
        let bytes: u64 = parts.iter().map(|part| part.len() as u64).sum();
        assert_eq!(bytes, self.span.bytes, "the unit at {} is not as long as its place", self.span.start);
        self.appender.write(self.span, parts)?;
        self.appender.advance(self.span);
        Ok(self.span)
    }
}
