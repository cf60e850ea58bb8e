//! One file of the log. Its name is the offset of its first byte, in 20 digits, as Apache names it.
//!
//! A segment has its full length from the beginning; what was not written yet is zero. It may be read as long as anybody holds
//! it, also when its name is gone.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use ferrymq_proto::position::LogOffset;

use crate::disk::{Access, Disk, DiskFile};
use crate::position::{LogSpan, behind, distance};

/// Bytes that every unit leaves free behind it: room for a blank.
pub(crate) const BLANK_BYTES: u64 = 8;

const NAME_DIGITS: usize = 20;

#[derive(Debug)]
pub(crate) struct Segment {
    base: LogOffset,
    bytes: u64,
    path: PathBuf,
    file: Box<dyn DiskFile>,
}

pub(crate) fn name(base: LogOffset) -> String {
    format!("{:0NAME_DIGITS$}", base.0)
}

/// The offset that a name says, if it is the name of a segment.
pub(crate) fn parse_name(name: &str) -> Option<LogOffset> {
    let is_number = name.len() == NAME_DIGITS && name.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { name.parse().ok().map(LogOffset) } else { None }
}

impl Segment {
    /// Makes a segment, durably, with its room taken.
    pub fn create(disk: &dyn Disk, folder: &Path, base: LogOffset, bytes: u64) -> io::Result<Self> {
        let path = folder.join(name(base));
        let file = match disk.create(&path) {
            // An earlier try left it, and could not even remove it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.remove(&path)?;
                disk.create(&path)?
            }
            other => other?,
        };
        let segment = Self { base, bytes, path, file };
        if let Err(error) = segment.make_room().and_then(|()| disk.sync_folder(folder)) {
            // A rest of it would stand in the way of the next try.
            let _ = disk.remove(&segment.path);
            return Err(error);
        }
        Ok(segment)
    }

    fn make_room(&self) -> io::Result<()> {
        self.file.allocate(self.bytes)?;
        self.file.sync_all()
    }

    pub fn open(
        disk: &dyn Disk,
        folder: &Path,
        base: LogOffset,
        bytes: u64,
        access: Access,
    ) -> io::Result<Self> {
        let path = folder.join(name(base));
        let file = disk.open(&path, access)?;
        Ok(Self { base, bytes, path, file })
    }

    pub fn base(&self) -> LogOffset {
        self.base
    }

    pub fn end(&self) -> LogOffset {
        behind(self.base, self.bytes)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Behind what is there of the file, which may be too short.
    pub fn file_end(&self) -> io::Result<LogOffset> {
        Ok(behind(self.base, self.file.bytes()?))
    }

    /// Bytes from `offset` to the end.
    pub fn left(&self, offset: LogOffset) -> u64 {
        distance(offset, self.end())
    }

    pub fn position(&self, offset: LogOffset) -> u64 {
        distance(self.base, offset)
    }

    pub fn write(&self, offset: LogOffset, parts: &mut [IoSlice<'_>]) -> io::Result<()> {
        self.file.write_at(parts, self.position(offset))
    }

    /// Fills `buffer` with what lies from `offset` on.
    pub fn read(&self, offset: LogOffset, buffer: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_at(buffer, self.position(offset))?;
        if read == buffer.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// As [`read`](Self::read), but false when that would wait for the disk.
    pub fn read_cached(&self, offset: LogOffset, buffer: &mut [u8]) -> io::Result<bool> {
        match self.file.read_cached_at(buffer, self.position(offset))? {
            None => Ok(false),
            Some(read) if read == buffer.len() => Ok(true),
            Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Lets the disk bring into memory what lies in both, the segment and the span.
    pub fn read_ahead(&self, span: LogSpan) {
        let start = span.start.max(self.base);
        let end = span.end().min(self.end());
        if start < end {
            self.file.read_ahead(self.position(start), distance(start, end));
        }
    }

    /// As [`read`](Self::read), with zeros where the file is too short.
    pub fn read_padded(&self, offset: LogOffset, buffer: &mut [u8]) -> io::Result<()> {
        let read = self.file.read_at(buffer, self.position(offset))?;
        if let Some(rest) = buffer.get_mut(read..) {
            rest.fill(0);
        }
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// As [`cut`](Self::cut), but gives the room back: where there is none, that is all that can be done.
    pub fn empty(&self, offset: LogOffset) -> io::Result<()> {
        self.file.truncate(self.position(offset))?;
        self.file.truncate(self.bytes)?;
        self.file.sync_all()
    }

    /// Makes everything from `offset` on zero, durably. What was there can never be read again.
    pub fn cut(&self, offset: LogOffset) -> io::Result<()> {
        self.file.truncate(self.position(offset))?;
        self.file.allocate(self.bytes)?;
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apaches() {
        assert_eq!(name(LogOffset(0)), "00000000000000000000");
        assert_eq!(name(LogOffset(1_073_741_824)), "00000000001073741824");
        assert_eq!(parse_name("00000000001073741824"), Some(LogOffset(1_073_741_824)));
        for foreign in ["", "0", "0000000000107374182x", "+0000000001073741824", "99999999999999999999"] {
            assert_eq!(parse_name(foreign), None, "{foreign}");
        }
    }
}
