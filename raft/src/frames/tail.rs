//! The newest frames, in memory: those that are being replicated and applied.

use std::collections::VecDeque;
use std::ops::Range;

use ferrymq_storage::Index;

use crate::entry::Frame;

/// Enough for what is in flight to a follower and a little slowness. Who lags more reads from the disk, which has it cached.
const TAIL_BYTES_MAX: usize = 32 << 20;

#[derive(Debug, Default)]
pub(super) struct Tail {
    /// Invariant: their indexes follow each other.
    frames: VecDeque<Frame>,
    bytes: usize,
}

impl Tail {
    pub fn push(&mut self, frame: Frame) {
        self.bytes += frame.bytes().len();
        self.frames.push_back(frame);
        while self.bytes > TAIL_BYTES_MAX && self.frames.len() > 1 {
            let Some(oldest) = self.frames.pop_front() else { return };
            self.bytes -= oldest.bytes().len();
        }
    }

    pub fn truncate(&mut self, last: Index) {
        while let Some(newest) = self.frames.pop_back_if(|frame| frame.header().index > last) {
            self.bytes -= newest.bytes().len();
        }
    }

    fn place(&self, index: Index) -> Option<usize> {
        let first = self.frames.front()?.header().index;
        usize::try_from(index.0.checked_sub(first.0)?).ok()
    }

    pub fn get(&self, index: Index) -> Option<&Frame> {
        self.frames.get(self.place(index)?)
    }

    /// See `Frames::recent_run`.
    pub fn run(&self, range: Range<Index>, bytes_max: usize) -> Vec<Frame> {
        let Some(place) = self.place(range.start) else { return Vec::new() };
        let wanted = usize::try_from(range.end.0.saturating_sub(range.start.0)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut fits = |frame: &&Frame| {
            let fits = bytes < bytes_max;
            bytes += frame.bytes().len();
            fits
        };
        self.frames.iter().skip(place).take(wanted).take_while(&mut fits).cloned().collect()
    }
}
