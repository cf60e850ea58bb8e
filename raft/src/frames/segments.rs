//! Tables of where frames begin, one per segment.

use std::collections::VecDeque;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::Index;

/// Tables of old segments that are kept. A catch-up reads one after the other; more than a few at once are rare.
const OLD_TABLES_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Segments {
    segment_bytes: u64,
    /// In the order of the log, without a gap.
    segments: VecDeque<Segment>,
    /// Whose tables were made for a reader, the oldest first.
    filled: VecDeque<LogOffset>,
}

#[derive(Debug)]
struct Segment {
    base: LogOffset,
    /// The first frame that begins in it.
    first: Index,
    /// From the base. Complete, or empty. Those of the last one are always there.
    positions: Vec<u32>,
}

pub(super) fn behind(offset: LogOffset, bytes: u64) -> LogOffset {
    LogOffset(offset.0.saturating_add_unsigned(bytes))
}

pub(super) fn distance(from: LogOffset, to: LogOffset) -> usize {
    to.0.checked_sub(from.0).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default()
}

impl Segments {
    pub fn new(segment_bytes: u64) -> Self {
        Self { segment_bytes, segments: VecDeque::new(), filled: VecDeque::new() }
    }

    /// The next segment begins, with this frame.
    pub fn begin(&mut self, base: LogOffset, first: Index) {
        self.segments.push_back(Segment { base, first, positions: Vec::new() });
    }

    /// Takes the table of an old segment that was walked for a reader. One that does not fit was walked during a change.
    pub fn fill(&mut self, base: LogOffset, positions: Vec<u32>) {
        let Some(place) = self.segments.iter().position(|segment| segment.base == base) else { return };
        let next = self.segments.get(place + 1).map(|next| next.first);
        let (Some(next), Some(segment)) = (next, self.segments.get_mut(place)) else { return };
        if segment.first.0 + positions.len() as u64 == next.0 {
            segment.positions = positions;
            self.keep(base);
        }
    }

    /// Takes the table of the last segment, in which nothing changes meanwhile.
    pub fn fill_last(&mut self, positions: Vec<u32>) {
        if let Some(last) = self.segments.back_mut() {
            last.positions = positions;
        }
    }

    /// The last segment, if its table does not reach up to the frame with which it ends.
    pub fn unknown_last(&self, end: Index) -> Option<LogOffset> {
        let last = self.segments.back()?;
        (last.first.0 + last.positions.len() as u64 != end.0 + 1).then_some(last.base)
    }

    /// Remembers that an old segment has its table, and forgets the one that has it longest.
    fn keep(&mut self, base: LogOffset) {
        self.filled.retain(|filled| *filled != base);
        self.filled.push_back(base);
        let oldest = if self.filled.len() > OLD_TABLES_MAX { self.filled.pop_front() } else { None };
        if let Some(oldest) = oldest.and_then(|old| self.segments.iter_mut().find(|one| one.base == old)) {
            oldest.positions = Vec::new();
        }
    }

    pub fn push(&mut self, offset: LogOffset, index: Index) {
        let base = match self.segments.back() {
            Some(last) if offset < behind(last.base, self.segment_bytes) => last.base,
            last => {
                let left = last.map(|last| last.base);
                let base = offset.0 - offset.0.rem_euclid(self.segment_bytes as i64);
                self.begin(LogOffset(base), index);
                if let Some(left) = left {
                    self.keep(left);
                }
                LogOffset(base)
            }
        };
        if let Some(last) = self.segments.back_mut() {
            last.positions.push(distance(base, offset) as u32);
        }
    }

    /// Forgets the frames behind this one.
    pub fn truncate(&mut self, last: Index) {
        while self.segments.pop_back_if(|segment| segment.first > last).is_some() {}
        if let Some(segment) = self.segments.back_mut() {
            let kept = last.0.saturating_sub(segment.first.0).saturating_add(1);
            self.filled.retain(|filled| *filled != segment.base);
            segment.positions.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
        }
    }

    pub fn drop_before(&mut self, start: LogOffset) {
        while self.segments.pop_front_if(|segment| segment.base < start).is_some() {}
    }

    fn find(&self, index: Index) -> Option<&Segment> {
        let behind = self.segments.partition_point(|segment| segment.first <= index);
        self.segments.get(behind.checked_sub(1)?)
    }

    pub fn base_of(&self, index: Index) -> Option<LogOffset> {
        self.find(index).map(|segment| segment.base)
    }

    /// `None` also when the table of its segment is not there.
    pub fn locate(&self, index: Index) -> Option<LogOffset> {
        let segment = self.find(index)?;
        let position = segment.positions.get(usize::try_from(index.0 - segment.first.0).ok()?)?;
        Some(behind(segment.base, u64::from(*position)))
    }
}
