//! The file to which keys are added. Its slots are in memory, and so are the entries that are not written yet: adding a key
//! touches no file.
//!
//! Entries may be in the file before its header tells of them: they are many, and need not wait in memory until the checkpoint
//! does. After a crash the same entries come to the same places once more.
//!
//! The slots are only written when the file is full, or the index is closed in order. After anything else they are made anew
//! from the entries, which lie one behind the other.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::path::PathBuf;

use ferrymq_proto::position::{LogOffset, Timestamp};
use ferrymq_proto::record::tag::KeyHash;

use super::format::{ENTRY_BYTES, Entry, Header, SLOT_BYTES, Sizes};
use crate::disk::{Access, Disk, DiskFile};

/// What is read or written at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The unit in which it is remembered what of the slots has changed.
const PAGE_SLOTS: usize = 1024;

#[derive(Debug)]
pub(super) struct OpenFile {
    sizes: Sizes,
    pub name: String,
    pub path: PathBuf,
    /// `None` until something is written.
    file: Option<Box<dyn DiskFile>>,
    /// With the entries that are in memory.
    pub header: Header,
    /// Without them: with all that are in the file.
    stored: Header,
    /// What the file says of itself. Invariant: it has no entries that `stored` has not.
    pub written: Header,
    /// `None` until they are needed.
    slots: Option<Slots>,
    /// The slots in the file are those of `written`.
    slots_written: bool,
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Slots {
    newest: Vec<u32>,
    /// The pages of it that differ from the file.
    changed: Vec<bool>,
}

/// An entry that is to be written, and when its record was stored.
#[derive(Clone, Copy, Debug)]
struct Pending {
    entry: Entry,
    time: Timestamp,
}

impl Slots {
    fn empty(count: u32) -> Self {
        let count = count as usize;
        Self { newest: vec![0; count], changed: vec![false; count.div_ceil(PAGE_SLOTS)] }
    }

    fn get(&self, slot: u32) -> u32 {
        self.newest.get(slot as usize).copied().unwrap_or_default()
    }

    fn set(&mut self, slot: u32, number: u32) {
        let slot = slot as usize;
        if let (Some(newest), Some(changed)) =
            (self.newest.get_mut(slot), self.changed.get_mut(slot / PAGE_SLOTS))
        {
            *newest = number;
            *changed = true;
        }
    }
}

pub(super) fn slot_of(hash: i32, sizes: Sizes) -> u32 {
    hash.unsigned_abs() % sizes.slots.max(1)
}

impl OpenFile {
    pub fn new(sizes: Sizes, name: String, path: PathBuf) -> Self {
        Self {
            sizes,
            name,
            path,
            file: None,
            header: Header::default(),
            stored: Header::default(),
            written: Header::default(),
            slots: Some(Slots::empty(sizes.slots)),
            slots_written: false,
            pending: VecDeque::new(),
        }
    }

    /// A file that has entries, as a checkpoint knows it.
    pub fn reopen(sizes: Sizes, name: String, path: PathBuf, header: Header, slots_written: bool) -> Self {
        let new = Self::new(sizes, name, path);
        Self { header, stored: header, written: header, slots: None, slots_written, ..new }
    }

    pub fn is_full(&self) -> bool {
        self.header.next >= self.sizes.entries
    }

    /// It is full, and all of it is in the file.
    pub fn is_complete(&self) -> bool {
        self.is_full() && self.written == self.header && self.slots_written
    }

    pub fn pending_bytes(&self) -> u64 {
        self.pending.len() as u64 * size_of::<Pending>() as u64
    }

    pub fn is_loaded(&self) -> bool {
        self.slots.is_some()
    }

    /// Brings the slots into memory.
    pub fn load(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.slots.is_some() {
            return Ok(());
        }
        let file = self.open(disk)?;
        let mut slots = Slots::empty(self.sizes.slots);
        if self.slots_written {
            read_slots(&*file, &mut slots)?;
        }
        // Later ones may have been written over them before a crash: of entries that are not there now.
        if !self.slots_written || slots.newest.iter().any(|newest| *newest >= self.header.next) {
            slots = Slots::empty(self.sizes.slots);
            count_slots(&*file, self.sizes, self.header.next, &mut slots)?;
            self.slots_written = false;
        }
        self.file = Some(file);
        self.slots = Some(slots);
        Ok(())
    }

    fn open(&self, disk: &dyn Disk) -> io::Result<Box<dyn DiskFile>> {
        let file = match disk.open(&self.path, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(&self.path)?,
            other => other?,
        };
        if file.bytes()? < self.sizes.file_bytes() {
            file.truncate(self.sizes.file_bytes())?;
        }
        Ok(file)
    }

    /// Adds a key. The slots were loaded, and the file is not full.
    pub fn add(&mut self, hash: KeyHash, offset: LogOffset, time: Timestamp) {
        let (slot, number) = (slot_of(hash.get(), self.sizes), self.header.next);
        let Some(slots) = &mut self.slots else { return };
        let previous = slots.get(slot);
        slots.set(slot, number);
        let first = Header { begin_time: time, begin_offset: offset, ..self.header };
        let of = if number == 1 { first } else { self.header };
        let entry = Entry { hash: hash.get(), offset, seconds: of.seconds_to(time), previous };
        self.header = self.header.with(&entry, time);
        self.pending.push_back(Pending { entry, time });
    }

    /// Writes the entries of records before `to`, and says so in the file; when it is full by then, the slots too.
    pub fn write(&mut self, disk: &dyn Disk, to: LogOffset) -> io::Result<()> {
        self.write_entries(disk, to)?;
        if let Some(file) = self.file.as_deref().filter(|_| self.stored != self.written) {
            file.write_at(&mut [IoSlice::new(&self.stored.encode())], 0)?;
            self.written = self.stored;
            self.slots_written = false;
        }
        if self.is_full() && self.pending.is_empty() && !self.slots_written {
            self.load(disk)?;
            self.write_slots()?;
        }
        Ok(())
    }

    /// Writes the entries of records before `to`.
    pub fn write_entries(&mut self, disk: &dyn Disk, to: LogOffset) -> io::Result<()> {
        let count = self.pending.partition_point(|pending| pending.entry.offset < to);
        if count == 0 {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(self.open(disk)?);
        }
        let Some(file) = &self.file else { return Ok(()) };
        let (mut header, mut bytes) = (self.stored, Vec::with_capacity(count * ENTRY_BYTES as usize));
        for pending in self.pending.iter().take(count) {
            header = header.with(&pending.entry, pending.time);
            bytes.extend(pending.entry.encode());
        }
        file.write_at(&mut [IoSlice::new(&bytes)], self.sizes.entry_at(self.stored.next))?;
        self.pending.drain(..count);
        self.stored = header;
        Ok(())
    }

    /// Writes the slots, so that the file can be used as it is: those of the entries that were written. What is said of them
    /// counts once it is noted.
    pub fn write_slots(&mut self) -> io::Result<()> {
        let (Some(file), Some(slots)) = (&self.file, &mut self.slots) else { return Ok(()) };
        let written = |mut number: u32| {
            while let Some(pending) = number.checked_sub(self.written.next) {
                let entry = self.pending.get(pending as usize).map(|pending| pending.entry);
                number = entry.map(|entry| entry.previous).unwrap_or_default();
            }
            number
        };
        let pages = slots.newest.chunks(PAGE_SLOTS).zip(&mut slots.changed);
        for (number, (page, changed)) in pages.enumerate().filter(|(_, (_, changed))| **changed) {
            let bytes: Vec<u8> = page.iter().flat_map(|newest| written(*newest).to_be_bytes()).collect();
            let at = Sizes::slot_at((number * PAGE_SLOTS) as u32);
            file.write_at(&mut [IoSlice::new(&bytes)], at)?;
            *changed = page.iter().any(|newest| *newest >= self.written.next);
        }
        self.slots_written = true;
        Ok(())
    }

    /// Whether the slots in the file are those of what was written.
    pub fn are_slots_written(&self) -> bool {
        self.slots_written
    }

    /// The newest entry of a slot. The slots were loaded.
    pub fn newest(&self, slot: u32) -> u32 {
        self.slots.as_ref().map_or(0, |slots| slots.get(slot))
    }

    pub fn entry(&self, number: u32) -> io::Result<Entry> {
        if let Some(index) = number.checked_sub(self.stored.next) {
            let pending = self.pending.get(index as usize);
            return pending.map(|pending| pending.entry).ok_or(io::ErrorKind::UnexpectedEof.into());
        }
        let file = self.file.as_deref().ok_or(io::ErrorKind::UnexpectedEof)?;
        read_entry(file, self.sizes, number)
    }
}

pub(super) fn read_entry(file: &dyn DiskFile, sizes: Sizes, number: u32) -> io::Result<Entry> {
    let mut bytes = [0; ENTRY_BYTES as usize];
    file.read_at(&mut bytes, sizes.entry_at(number))?;
    Ok(Entry::decode(&bytes))
}

fn read_slots(file: &dyn DiskFile, slots: &mut Slots) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let chunk_slots = CHUNK_BYTES / SLOT_BYTES as usize;
    for (number, chunk) in slots.newest.chunks_mut(chunk_slots).enumerate() {
        let bytes = buffer.get_mut(..chunk.len() * SLOT_BYTES as usize).unwrap_or_default();
        bytes.fill(0);
        file.read_at(bytes, Sizes::slot_at((number * chunk_slots) as u32))?;
        let pages = chunk.chunks_mut(PAGE_SLOTS).zip(bytes.chunks(PAGE_SLOTS * SLOT_BYTES as usize));
        // Memory that is zero is not touched: it takes none.
        for (page, bytes) in pages.filter(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)) {
            for (slot, bytes) in page.iter_mut().zip(bytes.as_chunks().0) {
                *slot = u32::from_be_bytes(*bytes);
            }
        }
    }
    Ok(())
}

/// Makes the slots anew from the entries before `next`.
fn count_slots(file: &dyn DiskFile, sizes: Sizes, next: u32, slots: &mut Slots) -> io::Result<()> {
    let mut number = 1;
    let chunk_entries = (CHUNK_BYTES / ENTRY_BYTES as usize) as u32;
    let mut buffer = vec![0; chunk_entries as usize * ENTRY_BYTES as usize];
    while number < next {
        let count = chunk_entries.min(next - number);
        let bytes = buffer.get_mut(..count as usize * ENTRY_BYTES as usize).unwrap_or_default();
        bytes.fill(0);
        file.read_at(bytes, sizes.entry_at(number))?;
        for (number, bytes) in (number..).zip(bytes.as_chunks().0) {
            slots.set(slot_of(Entry::decode(bytes).hash, sizes), number);
        }
        number += count;
    }
    Ok(())
}
