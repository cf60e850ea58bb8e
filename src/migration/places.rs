//! Where in the new log lies what the old one had at an offset.
//!
//! Few records name others by their offset: what commits a transaction names its half, a mark says from where on to look, a copy
//! of a delayed message says what it is a copy of. So places are known of what waits, of each record, and of all else of each
//! frame. They are kept in a file beside the journal, for whoever goes on after a crash.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use ferrymq_proto::name::{SystemTopic, TIMER_TOPIC};
use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::Record;

/// Of each kind in memory. What waits longer than so many others have come is no longer waited for.
const KNOWN_MAX: usize = 4 << 20;
const LINE_BYTES: usize = 17;
/// Says that the first half lies at offset 0.
const FIRST_OF_ALL: LogOffset = LogOffset(-1);
/// Says nothing.
const NOWHERE: LogOffset = LogOffset(0);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Waiting,
    Frame,
}

#[derive(Debug)]
pub struct Places {
    /// In the order of the log, as are the others.
    waiting: VecDeque<(LogOffset, LogOffset)>,
    frames: VecDeque<(LogOffset, LogOffset)>,
    file: File,
    unwritten: Vec<u8>,
    lines: u64,
}

impl Places {
    /// With what the file had when so many lines were noted in the journal.
    pub fn open(path: &Path, lines: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        if file.metadata()?.len() < lines * LINE_BYTES as u64 {
            return Err(io::Error::other("it is shorter than the journal says"));
        }
        file.set_len(lines * LINE_BYTES as u64)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let (waiting, frames) = (VecDeque::new(), VecDeque::new());
        let mut places = Self { waiting, frames, file, unwritten: Vec::new(), lines };
        for line in bytes.chunks_exact(LINE_BYTES) {
            if let Some((kind, old, new)) = read_line(line) {
                places.know(kind, old, new);
            }
        }
        Ok(places)
    }

    fn know(&mut self, kind: Kind, old: LogOffset, new: LogOffset) {
        let known = match kind {
            Kind::Waiting => &mut self.waiting,
            Kind::Frame => &mut self.frames,
        };
        if known.len() >= KNOWN_MAX {
            known.pop_front();
        }
        known.push_back((old, new));
    }

    fn note(&mut self, kind: Kind, old: LogOffset, new: LogOffset) {
        self.know(kind, old, new);
        self.unwritten.push(u8::from(kind == Kind::Frame));
        self.unwritten.extend(old.0.to_be_bytes());
        self.unwritten.extend(new.0.to_be_bytes());
        self.lines += 1;
    }

    /// A frame that begins with the record that lay at `old`.
    pub fn note_frame(&mut self, old: LogOffset, new: LogOffset) {
        self.note(Kind::Frame, old, new);
    }

    /// A record, if others may name it.
    pub fn note_record(&mut self, topic: &str, old: LogOffset, new: LogOffset) {
        let waits = topic == TIMER_TOPIC
            || [SystemTopic::TransactionHalf, SystemTopic::Schedule]
                .iter()
                .any(|system| topic == system.as_str());
        if waits {
            self.note(Kind::Waiting, old, new);
        }
    }

    /// What a record says of another, in the new log.
    pub fn moved(&self, record: &Record<'_>) -> LogOffset {
        let said = record.prepared_offset;
        if said == NOWHERE {
            return NOWHERE;
        }
        let known = if record.topic == SystemTopic::TransactionOperation.as_str() {
            self.floor(said)
        } else if said == FIRST_OF_ALL {
            self.waiting_at(LogOffset(0))
        } else {
            // The copy of a delayed message says the offset behind.
            let behind = |new: LogOffset| LogOffset(new.0 + 1);
            self.waiting_at(said).or_else(|| self.waiting_at(LogOffset(said.0 - 1)).map(behind))
        };
        known.unwrap_or(NOWHERE)
    }

    fn waiting_at(&self, old: LogOffset) -> Option<LogOffset> {
        let index = self.waiting.binary_search_by_key(&old, |(old, _)| *old).ok()?;
        self.waiting.get(index).map(|(_, new)| *new)
    }

    /// The frame with what lay there, or before.
    fn floor(&self, old: LogOffset) -> Option<LogOffset> {
        let behind = self.frames.partition_point(|(start, _)| *start <= old);
        self.frames.get(behind.checked_sub(1)?).map(|(_, new)| *new)
    }

    /// Writes what is new, durably, and says how many lines there are.
    pub fn save(&mut self) -> io::Result<u64> {
        self.file.write_all(&self.unwritten)?;
        self.unwritten.clear();
        self.file.sync_data()?;
        Ok(self.lines)
    }
}

fn read_line(line: &[u8]) -> Option<(Kind, LogOffset, LogOffset)> {
    let (kind, rest) = line.split_first()?;
    let (old, rest) = rest.split_first_chunk()?;
    let new = rest.first_chunk()?;
    let kind = if *kind == 0 { Kind::Waiting } else { Kind::Frame };
    Some((kind, LogOffset(i64::from_be_bytes(*old)), LogOffset(i64::from_be_bytes(*new))))
}
