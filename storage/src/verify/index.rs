//! Whether the index agrees with the log: its entries must be those of the records with keys, in their order, and slots and headers
//! must say what the entries do.

use std::io;
use std::path::PathBuf;

use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_proto::record::property::KEY_SEPARATOR;
use ferrymq_proto::record::tag::KeyHash;

use super::finding::{Fault, Finding, IndexProblem};
use crate::disk::{Access, Disk, DiskFile};
use crate::index::format::{ENTRY_BYTES, Entry, HEADER_BYTES, Header, SLOT_BYTES, Sizes};
use crate::index::{self, IndexError, IndexState, is_indexed};
use crate::look::Look;
use crate::position::LogSpan;
use crate::queues::entry::Labels;
use crate::recovery::OpenError;
use crate::scan::records::PlacedRecord;

/// What is read at once.
const CHUNK_ENTRIES: u32 = 32 << 10;
const CHUNK_SLOTS: usize = 256 << 10;

/// What is known of the index from elsewhere.
#[derive(Clone, Debug)]
pub(super) struct IndexRules {
    pub sizes: (u32, u32),
    /// The newest file as a checkpoint knows it. Those behind it will be made again.
    pub newest: IndexState,
    /// Apache's broker may index a record twice, and after a crash not at all.
    pub is_apaches: bool,
}

#[derive(Debug)]
pub(super) struct IndexCheck {
    rules: IndexRules,
    sizes: Sizes,
    /// Oldest first.
    files: Vec<(PathBuf, Header)>,
    /// Of the file that is read.
    open: Option<OpenIndex>,
    /// The files behind it.
    next_file: usize,
    to: LogOffset,
    start: LogOffset,
    /// Parts of the log that could not be read. Entries of records there may be right.
    skipped: Vec<LogSpan>,
    findings: Vec<Finding>,
    /// The entries ended too early, or cannot be told from others. No more is compared.
    is_over: bool,
}

#[derive(Debug)]
struct OpenIndex {
    path: PathBuf,
    header: Header,
    file: Box<dyn DiskFile>,
    /// The number of the next entry.
    next: u32,
    chunk_at: u32,
    chunk: Vec<u8>,
    newest: Vec<u32>,
    slots_used: u32,
    first: Option<(LogOffset, Timestamp)>,
    last: LogOffset,
    has_fault: bool,
}

fn failed(error: IndexError) -> OpenError {
    let IndexError::Io { path, source } = error;
    OpenError::Io { path, source }
}

impl IndexCheck {
    pub fn new(look: &Look, to: LogOffset, start: LogOffset, rules: IndexRules) -> Result<Self, OpenError> {
        let sizes = Sizes { slots: rules.sizes.0, entries: rules.sizes.1 };
        let (mut files, mut findings) = (Vec::new(), Vec::new());
        let headers = index::headers(&*look.disk, &look.index_folder()).map_err(failed)?;
        for (path, found, header) in headers {
            let name = path.file_name().and_then(|name| name.to_str());
            let is_newer = name > rules.newest.name.as_deref();
            if is_newer && !rules.is_apaches {
                continue;
            }
            let expected = sizes.file_bytes();
            if found != expected {
                findings.push(Fault::IndexLength { path, found, expected }.affects());
                continue;
            }
            let is_newest = name == rules.newest.name.as_deref();
            let header = if is_newest { rules.newest.header } else { header };
            files.push((path, header));
        }
        // Without a newest file at the checkpoint there was none.
        let is_over = !findings.is_empty() || files.is_empty();
        Ok(Self {
            rules,
            sizes,
            files,
            open: None,
            next_file: 0,
            to,
            start,
            skipped: Vec::new(),
            findings,
            is_over,
        })
    }

    /// Hears that the records of a part of the log will not be seen.
    pub fn skip(&mut self, span: LogSpan) {
        self.skipped.push(span);
    }

    /// Whether an entry is of a record that was dropped, or could not be read.
    fn is_unseen(&self, offset: LogOffset) -> bool {
        offset < self.start || self.skipped.iter().any(|span| (span.start..span.end()).contains(&offset))
    }

    /// Sees the next record of the log.
    pub fn see(
        &mut self,
        disk: &dyn Disk,
        placed: &PlacedRecord<'_>,
        labels: &Labels<'_>,
    ) -> Result<(), OpenError> {
        if self.is_over || placed.offset >= self.to || !is_indexed(placed.record.sys_flag) {
            return Ok(());
        }
        let keys = labels.keys.as_deref().unwrap_or_default();
        let words = keys.split(KEY_SEPARATOR).filter(|word| !word.is_empty());
        for key in labels.unique_key.as_deref().into_iter().chain(words) {
            let hash = KeyHash::of(placed.record.topic, key).get();
            self.see_key(disk, hash, placed.offset, placed.record.store_timestamp)?;
        }
        Ok(())
    }

    fn see_key(
        &mut self,
        disk: &dyn Disk,
        hash: i32,
        record: LogOffset,
        time: Timestamp,
    ) -> Result<(), OpenError> {
        while !self.is_over {
            let Some(entry) = self.next_entry(disk)? else {
                self.is_over = true;
                if !self.rules.is_apaches {
                    let path = self.files.last().map(|(path, _)| path.clone()).unwrap_or_default();
                    self.findings.push(Fault::IndexShort { path, offset: record }.affects());
                }
                return Ok(());
            };
            if self.is_unseen(entry.offset) || self.rules.is_apaches && entry.offset < record {
                continue;
            }
            let Some(open) = &mut self.open else { return Ok(()) };
            let number = open.next - 1;
            open.first.get_or_insert((record, time));
            // The first one of them all may be of a record that was dropped, and only it knows the time.
            let seconds = open.header.seconds_to(time);
            if entry.hash != hash || entry.offset != record || entry.seconds != seconds {
                let problem = IndexProblem::Entry { number, record };
                let (path, position) = (open.path.clone(), self.sizes.entry_at(number));
                if !std::mem::replace(&mut open.has_fault, true) {
                    self.findings.push(Fault::Index { path, position, problem }.affects());
                }
            }
            return Ok(());
        }
        Ok(())
    }

    /// Takes the next entry, of this file or of those behind it, and checks how it hangs together with those before.
    fn next_entry(&mut self, disk: &dyn Disk) -> Result<Option<Entry>, OpenError> {
        loop {
            let sizes = self.sizes;
            if let Some(open) = &mut self.open {
                if open.next < open.header.next.min(sizes.entries) {
                    let found = open.take(sizes);
                    let found = found.map_err(|source| OpenError::Io { path: open.path.clone(), source })?;
                    if let Err(number) = found.1
                        && !std::mem::replace(&mut open.has_fault, true)
                    {
                        let problem = IndexProblem::Entry { number, record: found.0.offset };
                        let (path, position) = (open.path.clone(), sizes.entry_at(number));
                        self.findings.push(Fault::Index { path, position, problem }.affects());
                    }
                    return Ok(Some(found.0));
                }
                self.close_file()?;
            }
            let Some((path, header)) = self.files.get(self.next_file).cloned() else { return Ok(None) };
            self.next_file += 1;
            let file = disk.open(&path, Access::Read);
            let file = file.map_err(|source| OpenError::Io { path: path.clone(), source })?;
            self.open = Some(OpenIndex::begin(path, header, file, sizes));
        }
    }

    /// Looks at what can only be told at the end of a file.
    fn close_file(&mut self) -> Result<(), OpenError> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let is_last = self.next_file == self.files.len();
        let slots_written = self.rules.newest.slots_written || !is_last;
        if open.has_fault {
            return Ok(());
        }
        let found = open.check_end(self.sizes, slots_written);
        let found = found.map_err(|source| OpenError::Io { path: open.path.clone(), source })?;
        if let Some((position, problem)) = found {
            self.findings.push(Fault::Index { path: open.path, position, problem }.affects());
        }
        Ok(())
    }

    /// What is wrong, once all of the log was seen.
    pub fn finish(mut self, disk: &dyn Disk) -> Result<Vec<Finding>, OpenError> {
        while !self.is_over {
            let Some(entry) = self.next_entry(disk)? else { break };
            let is_unseen = self.is_unseen(entry.offset);
            let Some(open) = &mut self.open else { break };
            // What Apache's broker has indexed behind its last sync may be of records that a crash took.
            if !is_unseen && !self.rules.is_apaches && !std::mem::replace(&mut open.has_fault, true) {
                let number = open.next - 1;
                let (path, position) = (open.path.clone(), self.sizes.entry_at(number));
                let problem = IndexProblem::Stray(number);
                self.findings.push(Fault::Index { path, position, problem }.affects());
            }
        }
        self.close_file()?;
        Ok(self.findings)
    }
}

impl OpenIndex {
    fn begin(path: PathBuf, header: Header, file: Box<dyn DiskFile>, sizes: Sizes) -> Self {
        Self {
            path,
            header,
            file,
            next: 1,
            chunk_at: 0,
            chunk: Vec::new(),
            newest: vec![0; sizes.slots as usize],
            slots_used: 0,
            first: None,
            last: LogOffset(0),
            has_fault: false,
        }
    }

    /// The next entry, with its number when it does not follow the one before it in its slot.
    fn take(&mut self, sizes: Sizes) -> io::Result<(Entry, Result<(), u32>)> {
        let number = self.next;
        let entry_bytes = ENTRY_BYTES as usize;
        if number < self.chunk_at || (number - self.chunk_at) as usize * entry_bytes >= self.chunk.len() {
            let count = CHUNK_ENTRIES.min(sizes.entries - number);
            self.chunk = vec![0; count as usize * entry_bytes];
            self.file.read_at(&mut self.chunk, sizes.entry_at(number))?;
            self.chunk_at = number;
        }
        let at = (number - self.chunk_at) as usize * entry_bytes;
        let raw = self.chunk.get(at..).and_then(|rest| rest.first_chunk()).copied();
        let entry = Entry::decode(&raw.unwrap_or([0; ENTRY_BYTES as usize]));
        self.next = number + 1;
        self.last = entry.offset;
        let slot = entry.hash.unsigned_abs() % sizes.slots.max(1);
        let newest = self.newest.get_mut(slot as usize);
        let previous = newest.map(|newest| std::mem::replace(newest, number)).unwrap_or_default();
        self.slots_used += u32::from(previous == 0);
        Ok((entry, if entry.previous == previous { Ok(()) } else { Err(number) }))
    }

    fn check_end(&self, sizes: Sizes, slots_written: bool) -> io::Result<Option<(u64, IndexProblem)>> {
        let mut header = [0; HEADER_BYTES as usize];
        self.file.read_at(&mut header, 0)?;
        let mut expected = Header { slots_used: self.slots_used, end_offset: self.last, ..self.header };
        if let Some((offset, time)) = self.first.filter(|(offset, _)| self.header.begin_offset >= *offset) {
            expected.begin_offset = offset;
            expected.begin_time = time;
        }
        // A file may be ahead of its checkpoint, but not other than it.
        let is_ahead = !slots_written && Header::decode(&header).next > self.header.next;
        if self.header != expected || header != expected.encode() && !is_ahead {
            return Ok(Some((0, IndexProblem::Header)));
        }
        let mut none = [0; ENTRY_BYTES as usize];
        self.file.read_at(&mut none, sizes.entry_at(0))?;
        if none != [0; ENTRY_BYTES as usize] {
            return Ok(Some((sizes.entry_at(0), IndexProblem::Stray(0))));
        }
        if !slots_written {
            return Ok(None);
        }
        let mut buffer = vec![0; CHUNK_SLOTS * SLOT_BYTES as usize];
        for (chunk, slots) in (0..).zip(self.newest.chunks(CHUNK_SLOTS)) {
            let first = chunk * CHUNK_SLOTS as u32;
            let bytes = buffer.get_mut(..slots.len() * SLOT_BYTES as usize).unwrap_or_default();
            bytes.fill(0);
            self.file.read_at(bytes, Sizes::slot_at(first))?;
            let written = bytes.as_chunks().0.iter().map(|slot| u32::from_be_bytes(*slot));
            let wrong =
                (first..).zip(slots.iter().zip(written)).find(|(_, (expected, found))| *expected != found);
            if let Some((slot, _)) = wrong {
                return Ok(Some((Sizes::slot_at(slot), IndexProblem::Slot(slot))));
            }
        }
        Ok(None)
    }
}
