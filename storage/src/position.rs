//! Where things lie in the log, and how its frames hang together.

use std::fmt;

use ferrymq_proto::position::LogOffset;

/// A range of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogSpan {
    pub start: LogOffset,
    pub bytes: u64,
}

impl LogSpan {
    pub fn end(self) -> LogOffset {
        behind(self.start, self.bytes)
    }
}

/// The place `bytes` behind another. A log never gets as long as the numbers do, but a damaged number may say so.
pub(crate) fn behind(offset: LogOffset, bytes: u64) -> LogOffset {
    LogOffset(offset.0.saturating_add_unsigned(bytes))
}

/// How many bytes lie between two places; none if the second one comes first.
pub(crate) fn distance(from: LogOffset, to: LogOffset) -> u64 {
    to.0.checked_sub(from.0).and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default()
}

/// Which entry of a Raft log, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Index(pub u64);

/// Which reign of a leader, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the next frame must follow. The default is the beginning of a log; a log without frames stays there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub index: Index,
    pub term: Term,
    /// Of the header of the last frame. It covers that frame's body and the frame before it, and so all of the log.
    pub header_crc: u32,
}

/// A place between two units of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub offset: LogOffset,
    /// Of the last frame before it.
    pub chain: Chain,
}
