//! Reads that may have to wait for the disk, without holding up those that need not.
//!
//! A [`LogReader`] answers at once from what is in memory. What is not is read by [`ColdReads`], a few threads with a bounded
//! queue before them, and comes as a call. Who reads one piece after the other, as consumers do that catch up, has the next ones
//! brought into memory ahead ([`ReadAhead`]), more of them the longer it lasts. So the threads of the runtime and the writer of
//! the log never wait for a reader's disk.
//!
//! The parts are for other files as well: [`DiskFile::read_cached_at`](crate::disk::DiskFile::read_cached_at) to try,
//! [`ColdReads::submit`] to wait, [`ReadAhead`] to foresee.

mod ahead;
mod pool;

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;

use crate::log::{Log, ReadError};
use crate::position::{LogSpan, behind};

pub use ahead::ReadAhead;
pub use pool::{Busy, ColdReads};

/// Up to where a reader may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// What is final: what consumers may see.
    Confirmed,
    /// What was written: what followers fetch.
    Written,
}

/// Reads the log for one consumer of it, hot or cold.
#[derive(Debug)]
pub struct LogReader {
    log: Log,
    reads: ColdReads,
    reach: Reach,
    ahead: ReadAhead,
}

#[derive(Debug)]
pub enum Attempt {
    Ready(Bytes),
    /// It has to wait for the disk.
    Cold(ColdRead),
}

/// A read that has to wait for the disk, and was not begun yet.
#[derive(Debug)]
pub struct ColdRead {
    log: Log,
    reads: ColdReads,
    reach: Reach,
    offset: LogOffset,
    bytes_max: usize,
    ahead: Option<LogSpan>,
}

impl LogReader {
    pub fn new(log: Log, reads: ColdReads, reach: Reach) -> Self {
        Self { log, reads, reach, ahead: ReadAhead::default() }
    }

    /// Reads as [`Log::read`] does, unless it would wait.
    pub fn try_read(&mut self, offset: LogOffset, bytes_max: usize) -> Result<Attempt, ReadError> {
        let read = self.log.read_cached(self.reach, offset, bytes_max)?;
        let bytes = read.as_ref().map_or(bytes_max, Bytes::len) as u64;
        let ahead = self.ahead.read(offset.0.unsigned_abs(), bytes, read.is_none());
        let ahead = ahead.map(|(at, bytes)| LogSpan { start: behind(LogOffset(0), at), bytes });
        if let Some(bytes) = read {
            if let Some(span) = ahead {
                let log = self.log.clone();
                // When the threads are busy, it will be cold, and be read then.
                let _ = self.reads.submit(move || log.read_ahead(span));
            }
            return Ok(Attempt::Ready(bytes));
        }
        let (log, reads, reach) = (self.log.clone(), self.reads.clone(), self.reach);
        Ok(Attempt::Cold(ColdRead { log, reads, reach, offset, bytes_max, ahead }))
    }
}

impl ColdRead {
    /// Begins the read. `done` is called with what it brings, on one of the threads for it, and must not wait for anything. It is
    /// dropped uncalled when the threads end before that.
    pub fn begin(self, done: impl FnOnce(Result<Bytes, ReadError>) + Send + 'static) -> Result<(), Busy> {
        let Self { log, reads, reach, offset, bytes_max, ahead } = self;
        reads.submit(move || {
            if let Some(span) = ahead {
                log.read_ahead(span);
            }
            done(log.read_within(reach, offset, bytes_max));
        })
    }

    /// Reads on this thread, however long it takes.
    pub fn wait(self) -> Result<Bytes, ReadError> {
        self.log.read_within(self.reach, self.offset, self.bytes_max)
    }
}

#[cfg(test)]
mod tests;
