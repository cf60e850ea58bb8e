//! What comes from the master, on its way into the slave's log.
//!
//! A slave asks for a little more than it lacks: the last bytes that it has already. They must be the same at the master, or the
//! two logs are different ones, and nothing of the rest is taken. So a slave that fits into a gap by chance, because all messages
//! are of one size, is found out before anything is written.

use bytes::{Buf, BytesMut};
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::{Appender, CopyError, Log, Mark, ReadError, ResetError};

use super::asking::Extent;
use super::wire::{HEADER_BYTES, Header, NotOurs};

/// What is asked for once more, to be compared.
pub const COMPARED_BYTES: i64 = 64 << 10;

/// Why a slave takes nothing from this master.
#[derive(Debug, thiserror::Error)]
pub enum NotTaken {
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
    #[error("the master sends its log from {found} on, but this slave asked for {expected}")]
    OtherPlace { expected: LogOffset, found: LogOffset },
    #[error(
        "the master's log is another one: byte {0} differs. One of the two has what the other has not; nothing is cut off. \
         Move this store away and let the slave begin anew, or make it the master"
    )]
    OtherLog(LogOffset),
    #[error(
        "the master's log ends at {master}, but this slave has everything up to {own}: the master has lost what this slave has, or \
         is another one. Nothing is cut off. Make this slave the master, or move its store away and let it begin anew"
    )]
    MasterIsShorter { master: LogOffset, own: LogOffset },
    #[error(
        "the master's log begins at {master} now, but this slave ends at {own}: it was away for too long. Move its store away and \
         let it begin anew"
    )]
    TooFarBehind { master: LogOffset, own: LogOffset },
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("the log cannot begin where the master's does: {0}")]
    Reset(#[from] ResetError),
    #[error("this slave's own log cannot be read: {0}")]
    Read(#[from] ReadError),
}

impl NotTaken {
    /// Whether trying again helps by itself.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Copy(CopyError::Append(_)) | Self::NotOurs(_) | Self::OtherPlace { .. })
    }
}

/// Takes the bytes of one connection.
#[derive(Debug)]
pub struct Intake {
    /// Of the next byte. None: the master says it.
    at: Option<LogOffset>,
    /// Of the part that is being read.
    part_left: u32,
    /// From the end of the log on: a unit that is not whole yet.
    unit: BytesMut,
    /// What this slave had before, up to where it is compared.
    had: LogOffset,
}

impl Intake {
    /// Where to begin with a log of this extent, and what to tell the master.
    pub fn begin(log: &Log, master: Option<Extent>) -> Result<(Self, LogOffset), NotTaken> {
        let (start, end) = (log.start(), log.written());
        if end == start {
            return Ok(Self::begin_empty(end, master));
        }
        if let Some(master) = master {
            if end > master.end {
                return Err(NotTaken::MasterIsShorter { master: master.end, own: end });
            }
            if end < master.start {
                return Err(NotTaken::TooFarBehind { master: master.start, own: end });
            }
        }
        let from = LogOffset(end.0.saturating_sub(COMPARED_BYTES));
        let from = from.max(start).max(master.map_or(start, |master| master.start));
        // A report of 0 says that there is nothing.
        let from = from.max(LogOffset(1));
        Ok((Self { at: Some(from), part_left: 0, unit: BytesMut::new(), had: end }, from))
    }

    fn begin_empty(end: LogOffset, master: Option<Extent>) -> (Self, LogOffset) {
        let mut unit = BytesMut::new();
        let from = match master {
            // Also where it began before, and the master has dropped that since.
            Some(master) if master.start < master.end && (end == LogOffset(0) || end < master.start) => {
                if master.start == LogOffset(0) {
                    // Who says 0 to Apache's master gets only its last segment. The first byte of a log is the first one of a length, which
                    // is never so long that this byte is another one.
                    unit.extend_from_slice(&[0]);
                    LogOffset(1)
                } else {
                    master.start
                }
            }
            _ => end,
        };
        let at = (from > LogOffset(0)).then_some(from);
        (Self { at, part_left: 0, unit, had: end }, from)
    }

    /// How far this slave has what the master has, as far as that is known.
    pub fn compared(&self) -> LogOffset {
        self.at.unwrap_or_default().min(self.had)
    }

    /// Whether all that this slave had before is what the master has.
    pub fn has_compared(&self) -> bool {
        self.at.is_some_and(|at| at >= self.had)
    }

    /// Whether more must come at once.
    pub fn is_amid_part(&self) -> bool {
        self.part_left > 0
    }

    /// Takes what has come, and leaves what is only a part of something. Whole units are in the log then.
    pub fn take(&mut self, come: &mut BytesMut, appender: &mut Appender) -> Result<(), NotTaken> {
        let before = self.unit.len();
        while !come.is_empty() {
            if self.part_left > 0 {
                let bytes = come.len().min(self.part_left as usize);
                let part = come.split_to(bytes);
                self.part_left -= bytes as u32;
                self.take_part(&part, come.is_empty(), appender)?;
                continue;
            }
            let Some(header) = come.first_chunk::<HEADER_BYTES>() else { break };
            let header = Header::decode(*header)?;
            come.advance(HEADER_BYTES);
            self.begin_part(header, appender)?;
        }
        if self.unit.len() > before {
            let taken = appender.append_copied(&self.unit)?;
            self.unit.advance(taken);
        }
        Ok(())
    }

    fn begin_part(&mut self, header: Header, appender: &mut Appender) -> Result<(), NotTaken> {
        let at = match self.at {
            Some(at) => at,
            None => {
                self.at = Some(header.offset);
                header.offset
            }
        };
        if header.offset != at {
            return Err(NotTaken::OtherPlace { expected: at, found: header.offset });
        }
        if header.bytes == 0 && at < self.had {
            // It is silent because it has no more.
            return Err(NotTaken::MasterIsShorter { master: at, own: self.had });
        }
        let end = appender.log().written();
        if header.bytes > 0 && at > end && self.unit.is_empty() {
            // An empty log begins where the master's does, or where its last segment does.
            appender.reset(Mark { offset: at, ..Mark::default() })?;
            self.had = at;
        }
        self.part_left = header.bytes;
        Ok(())
    }

    /// Parts that came together are appended together; one alone is not copied for that.
    fn take_part(&mut self, part: &[u8], is_last: bool, appender: &mut Appender) -> Result<(), NotTaken> {
        let at = self.at.unwrap_or_default();
        self.at = Some(LogOffset(at.0 + part.len() as i64));
        let known = usize::try_from(self.had.0.saturating_sub(at.0)).unwrap_or_default().min(part.len());
        let (known, mut new) = part.split_at_checked(known).unwrap_or((part, &[]));
        compare(known, at, appender.log())?;
        if is_last && self.unit.is_empty() && !new.is_empty() {
            let taken = appender.append_copied(new)?;
            new = new.get(taken..).unwrap_or_default();
        }
        self.unit.extend_from_slice(new);
        Ok(())
    }
}

/// What lies in the log from `at` on must be this.
fn compare(mut theirs: &[u8], mut at: LogOffset, log: &Log) -> Result<(), NotTaken> {
    while !theirs.is_empty() {
        let own = log.read(at, theirs.len())?;
        let different = own.iter().zip(theirs).position(|(own, theirs)| own != theirs);
        if let Some(byte) = different {
            return Err(NotTaken::OtherLog(LogOffset(at.0 + byte as i64)));
        }
        at = LogOffset(at.0 + own.len() as i64);
        theirs = theirs.get(own.len()..).unwrap_or_default();
    }
    Ok(())
}
