//! `store.meta`: what a start must know before it reads the log.
//!
//! Two slots of 4 KiB, each with a sequence number and a checksum; the higher valid one counts. A slot is only overwritten while
//! the other one is durable, so that one always holds. The marks in it lag: between two syncs they are only in the page cache,
//! which the end of a process does not harm. They are never ahead of what is durable in the log.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use ferrymq_proto::position::LogOffset;

use crate::disk::{Access, Disk, DiskFile};
use crate::files::StoreFiles;
use crate::position::{Chain, Index, Mark, Term};

/// Of the files of this crate. A store of a newer one is refused.
pub(crate) const STORE_VERSION: u32 = 1;

const MAGIC: [u8; 4] = *b"FMQS";
const SLOT_BYTES: usize = 4096;
/// What of a slot is used. It lies within one sector.
const CONTENT_BYTES: usize = 128;
const CRC_AT: usize = CONTENT_BYTES - 4;

/// What the log is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Records, exactly as Apache writes them.
    Classic,
    /// Frames of records.
    Framed,
}

/// One life of the machine: page caches outlive processes, but not the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    /// 32 hexadecimal digits, with dashes between them anywhere, as Linux writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|digit| *digit != '-').collect();
        let is_id = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let id = if is_id { u128::from_str_radix(&digits, 16).ok()? } else { return None };
        Some(Self(id.to_be_bytes()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreMeta {
    pub layout: Layout,
    pub segment_bytes: u64,
    /// Whether the store was closed in order.
    pub clean: bool,
    pub boot: BootId,
    /// The first segment that belongs to the log. What is older was dropped, even if its file is still there.
    pub start: LogOffset,
    /// Everything before it is final and durable.
    pub confirmed: Mark,
    /// Everything before it was made durable, and perhaps reported so. Never before `confirmed`.
    pub durable: LogOffset,
}

impl StoreMeta {
    /// Of a log about which nothing is known but where it begins.
    pub fn new(layout: Layout, segment_bytes: u64, start: LogOffset) -> Self {
        let confirmed = Mark { offset: start, chain: Chain::default() };
        let boot = BootId::default();
        Self { layout, segment_bytes, clean: false, boot, start, confirmed, durable: start }
    }
}

/// Why `store.meta` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    #[error(
        "{path} is damaged in both of its slots; restore it from a copy, or let this node fetch the log anew"
    )]
    Damaged { path: PathBuf },
    #[error(
        "{path} was written by a newer version: its store version is {found}, this program knows {STORE_VERSION}; \
         start the newer program"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// The file, and what it says.
#[derive(Debug)]
pub(crate) struct MetaFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    current: StoreMeta,
    sequence: u64,
    /// The slot that was synced last. Only the other one may be written.
    durable_slot: usize,
}

impl MetaFile {
    /// Makes the file complete before it has its name.
    pub fn create(disk: &dyn Disk, files: &StoreFiles, meta: StoreMeta) -> io::Result<Self> {
        // What an earlier try left must not come back under the final name.
        match disk.remove(&files.new_meta) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.and_then(|()| disk.sync_folder(&files.folder))?,
        }
        let file = disk.create(&files.new_meta)?;
        file.allocate(2 * SLOT_BYTES as u64)?;
        let path = files.meta.clone();
        let mut created = Self { file, path, current: meta, sequence: 0, durable_slot: 1 };
        created.save_twice(|_| ())?;
        disk.rename(&files.new_meta, &files.meta)?;
        disk.sync_folder(&files.folder)?;
        Ok(created)
    }

    /// `None` when there is none.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, MetaError> {
        let failed = |source| MetaError::Io { path: path.to_owned(), source };
        let file = match disk.open(path, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let Newest { sequence, slot: durable_slot, meta: current } = newest(&*file, path)?;
        // What was read may still be in the page cache only, and the other slot is written next.
        file.sync_data().map_err(failed)?;
        Ok(Some(Self { file, path: path.to_owned(), current, sequence, durable_slot }))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn current(&self) -> &StoreMeta {
        &self.current
    }

    /// Writes what has changed, but leaves it to the next [`save`](Self::save) to make it durable.
    pub fn note(&mut self, change: impl FnOnce(&mut StoreMeta)) -> io::Result<()> {
        change(&mut self.current);
        self.sequence += 1;
        let content = encode(self.sequence, &self.current);
        let slot = 1 - self.durable_slot;
        self.file.write_at(&mut [IoSlice::new(&content)], (slot * SLOT_BYTES) as u64)
    }

    /// Writes what has changed, durably.
    pub fn save(&mut self, change: impl FnOnce(&mut StoreMeta)) -> io::Result<()> {
        self.note(change)?;
        self.file.sync_data()?;
        self.durable_slot = 1 - self.durable_slot;
        Ok(())
    }

    /// Writes what has changed to both slots, durably: not even the loss of one brings back what was true before.
    pub fn save_twice(&mut self, change: impl FnOnce(&mut StoreMeta)) -> io::Result<()> {
        self.save(change)?;
        self.save(|_| ())
    }
}

/// What the file says, without a change to anything. `None` when there is none.
pub(crate) fn read(disk: &dyn Disk, path: &Path) -> Result<Option<StoreMeta>, MetaError> {
    match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(MetaError::Io { path: path.to_owned(), source }),
        Ok(file) => newest(&*file, path).map(|newest| Some(newest.meta)),
    }
}

/// The slots that do not hold what they should, with zeros behind it.
pub(crate) fn damaged_slots(disk: &dyn Disk, path: &Path) -> Result<Vec<usize>, MetaError> {
    let failed = |source| MetaError::Io { path: path.to_owned(), source };
    let file = disk.open(path, Access::Read).map_err(failed)?;
    let mut damaged = Vec::new();
    for slot in 0..2 {
        let mut bytes = [0; SLOT_BYTES];
        let read = file.read_at(&mut bytes, (slot * SLOT_BYTES) as u64).map_err(failed)?;
        let (content, rest) = bytes.split_first_chunk().unwrap_or((&[0; CONTENT_BYTES], &[]));
        if read < SLOT_BYTES || decode(content).is_err() || rest.iter().any(|byte| *byte != 0) {
            damaged.push(slot);
        }
    }
    Ok(damaged)
}

/// The slot that counts.
struct Newest {
    sequence: u64,
    slot: usize,
    meta: StoreMeta,
}

fn newest(file: &dyn DiskFile, path: &Path) -> Result<Newest, MetaError> {
    let failed = |source| MetaError::Io { path: path.to_owned(), source };
    let mut slots = Vec::new();
    for slot in 0..2 {
        let mut content = [0; CONTENT_BYTES];
        file.read_at(&mut content, (slot * SLOT_BYTES) as u64).map_err(failed)?;
        match decode(&content) {
            Ok((sequence, meta)) => slots.push(Newest { sequence, slot, meta }),
            Err(SlotError::Newer(found)) => {
                return Err(MetaError::Newer { path: path.to_owned(), found });
            }
            Err(SlotError::Damaged) => {}
        }
    }
    let newest = slots.into_iter().max_by_key(|newest| newest.sequence);
    newest.ok_or_else(|| MetaError::Damaged { path: path.to_owned() })
}

fn encode(sequence: u64, meta: &StoreMeta) -> [u8; CONTENT_BYTES] {
    let Mark { offset, chain } = meta.confirmed;
    let mut out = Vec::with_capacity(CONTENT_BYTES);
    out.extend(MAGIC);
    out.extend(STORE_VERSION.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend(meta.segment_bytes.to_be_bytes());
    out.extend([u8::from(meta.layout == Layout::Framed), u8::from(meta.clean)]);
    out.extend(meta.boot.0);
    out.extend(meta.start.0.to_be_bytes());
    out.extend(offset.0.to_be_bytes());
    out.extend(chain.index.0.to_be_bytes());
    out.extend(chain.term.0.to_be_bytes());
    out.extend(chain.header_crc.to_be_bytes());
    out.extend(meta.durable.0.to_be_bytes());
    out.resize(CRC_AT, 0);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    let mut content = [0; CONTENT_BYTES];
    content.copy_from_slice(&out);
    content
}

#[derive(Debug)]
enum SlotError {
    Damaged,
    Newer(u32),
}

fn decode(content: &[u8; CONTENT_BYTES]) -> Result<(u64, StoreMeta), SlotError> {
    let (fields, crc) = content.split_at(CRC_AT);
    if fields.get(..4) != Some(&MAGIC) || crc != crc32fast::hash(fields).to_be_bytes() {
        return Err(SlotError::Damaged);
    }
    let mut rest = fields.get(4..).unwrap_or_default();
    let version = u32::from_be_bytes(take(&mut rest)?);
    if version > STORE_VERSION {
        return Err(SlotError::Newer(version));
    }
    let sequence = u64::from_be_bytes(take(&mut rest)?);
    let segment_bytes = u64::from_be_bytes(take(&mut rest)?);
    let [framed, clean] = take(&mut rest)?;
    let meta = StoreMeta {
        layout: if framed == 1 { Layout::Framed } else { Layout::Classic },
        segment_bytes,
        clean: clean == 1,
        boot: BootId(take(&mut rest)?),
        start: LogOffset(i64::from_be_bytes(take(&mut rest)?)),
        confirmed: Mark {
            offset: LogOffset(i64::from_be_bytes(take(&mut rest)?)),
            chain: Chain {
                index: Index(u64::from_be_bytes(take(&mut rest)?)),
                term: Term(u64::from_be_bytes(take(&mut rest)?)),
                header_crc: u32::from_be_bytes(take(&mut rest)?),
            },
        },
        durable: LogOffset(i64::from_be_bytes(take(&mut rest)?)),
    };
    Ok((sequence, meta))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SlotError> {
    let (field, behind) = rest.split_first_chunk().ok_or(SlotError::Damaged)?;
    *rest = behind;
    Ok(*field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_ids() {
        let id = BootId::parse("00112233-4455-6677-8899-aabbccddeeff").unwrap();
        assert_eq!(
            id.0.map(usize::from),
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(|n| n * 17)
        );
        for bad in ["", "00112233-4455-6677-8899-aabbccddeef", "+0112233-4455-6677-8899-aabbccddeeff"] {
            assert_eq!(BootId::parse(bad), None, "{bad}");
        }
    }
}
