//! The checkpoint: how far the files of what is derived are good, so that a start goes on there.
//!
//! Two files, because two things may happen to the page cache:
//!
//! * `derived.written` says what was written. It is overwritten in place and never synced: it only counts on the same boot, where
//!   the page cache has lost nothing.
//! * `derived.synced` says what outlives a power loss, with the [`Census`]. It is replaced as a whole.
//!
//! Either may be missing, and nothing is lost: everything is dispatched anew from the log. For Apache's broker stands beside them
//! its own `checkpoint`, with the times of the last records.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_proto::position::{LogOffset, Timestamp};

use crate::disk::{Access, Disk, DiskFile};
use crate::files::remove_if_there;
use crate::index::{Header, IndexState};
use crate::meta::BootId;
use crate::queues::census::{Census, take};

const VERSION: u32 = 1;
const WRITTEN_MAGIC: [u8; 4] = *b"FMQW";
const SYNCED_MAGIC: [u8; 4] = *b"FMQY";
const CRC_BYTES: usize = 4;
/// Of `derived.written`. It lies within one sector.
const WRITTEN_BYTES: usize = 128;
/// Of Apache's file: one page.
const APACHES_BYTES: usize = 4096;
const INDEX_NAME_BYTES: usize = 17;

/// How far the files are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Good {
    /// Everything before it was dispatched to them.
    pub position: LogOffset,
    /// The newest store time before it.
    pub last_store_time: Timestamp,
    pub index: IndexState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Synced {
    pub good: Good,
    /// What is being made anew, from the beginning of the log. It is not good before that is done.
    pub rebuilds: Rebuilds,
    pub census: Census,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rebuilds {
    pub queues: bool,
    pub index: bool,
}

impl Rebuilds {
    pub fn any(self) -> bool {
        self.queues || self.index
    }
}

#[derive(Debug)]
pub(crate) struct Checkpoint {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    written: Option<Box<dyn DiskFile>>,
}

/// What `derived.synced` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SyncedFile {
    Missing,
    Damaged,
    Found(Synced),
}

/// What `derived.written` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WrittenFile {
    Missing,
    Damaged,
    Found(BootId, Good),
}

pub(crate) type PathError = (PathBuf, io::Error);

pub(crate) fn written_path(folder: &Path) -> PathBuf {
    folder.join("derived.written")
}

pub(crate) fn synced_path(folder: &Path) -> PathBuf {
    folder.join("derived.synced")
}

/// Where Apache's broker keeps its own.
pub(crate) fn apaches_path(folder: &Path) -> PathBuf {
    folder.join("checkpoint")
}

pub(crate) fn read_synced(disk: &dyn Disk, folder: &Path) -> Result<SyncedFile, PathError> {
    let Some(bytes) = read(disk, &synced_path(folder))? else { return Ok(SyncedFile::Missing) };
    let synced = unsealed(&bytes, SYNCED_MAGIC).and_then(|mut fields| {
        let good = decode_good(&mut fields)?;
        let [queues, index] = take(&mut fields)?.map(|flag: u8| flag != 0);
        let census = Census::decode(&mut fields)?;
        Some(Synced { good, rebuilds: Rebuilds { queues, index }, census })
    });
    Ok(synced.map_or(SyncedFile::Damaged, SyncedFile::Found))
}

pub(crate) fn read_written(disk: &dyn Disk, folder: &Path) -> Result<WrittenFile, PathError> {
    let bytes = read(disk, &written_path(folder))?.unwrap_or_default();
    // It is never synced, so that a power loss may leave its name alone.
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(WrittenFile::Missing);
    }
    let written =
        bytes.get(..WRITTEN_BYTES).and_then(|bytes| unsealed(bytes, WRITTEN_MAGIC)).and_then(|mut fields| {
            let boot = BootId(take(&mut fields)?);
            Some((boot, decode_good(&mut fields)?))
        });
    Ok(written.map_or(WrittenFile::Damaged, |(boot, good)| WrittenFile::Found(boot, good)))
}

/// The times that Apache's broker finds: of the newest record in the log, in the queues and in the index. `None` when there are
/// none.
pub(crate) fn read_apaches(disk: &dyn Disk, folder: &Path) -> Result<Option<[Timestamp; 3]>, PathError> {
    let Some(bytes) = read(disk, &apaches_path(folder))? else { return Ok(None) };
    let time =
        |number: usize| bytes.as_chunks().0.get(number).map(|time| Timestamp(i64::from_be_bytes(*time)));
    Ok([time(0), time(1), time(2)]
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .and_then(|times| times.try_into().ok()))
}

/// What Apache's checkpoint says of ours: up to when records were stored that are in the log, in the queues and in the index.
pub(crate) fn apaches_content(good: &Good) -> Vec<u8> {
    let (stored, header) = (good.last_store_time, &good.index.header);
    // After a crash Apache's broker makes all files of the index anew that are newer than that. One without its slots must be.
    let indexed = if good.index.slots_written { header.end_time } else { Timestamp(header.begin_time.0 - 1) };
    let mut content: Vec<u8> =
        [stored, stored, indexed].into_iter().flat_map(|time| time.0.to_be_bytes()).collect();
    // What follows is of a slave, and of a group that elects its master: there is none.
    content.resize(APACHES_BYTES, 0);
    content
}

/// Whether Apache's checkpoint is that.
pub(crate) fn is_apaches_content(disk: &dyn Disk, folder: &Path, content: &[u8]) -> Result<bool, PathError> {
    let bytes = read(disk, &apaches_path(folder))?.unwrap_or_default();
    Ok(bytes == content)
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>, PathError> {
    let read = || -> io::Result<Vec<u8>> {
        let file = disk.open(path, Access::Read)?;
        let mut bytes = vec![0; usize::try_from(file.bytes()?).unwrap_or(usize::MAX)];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    };
    match read() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some).map_err(at(path)),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> PathError {
    let path = path.to_owned();
    |source| (path, source)
}

impl Checkpoint {
    pub fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Self {
        Self { disk, folder, written: None }
    }

    fn written_path(&self) -> PathBuf {
        written_path(&self.folder)
    }

    fn synced_path(&self) -> PathBuf {
        synced_path(&self.folder)
    }

    /// What outlives a power loss. `None` when nothing is known.
    pub fn load_synced(&self) -> Result<Option<Synced>, PathError> {
        match read_synced(&*self.disk, &self.folder)? {
            SyncedFile::Found(synced) => Ok(Some(synced)),
            SyncedFile::Missing => Ok(None),
            SyncedFile::Damaged => {
                let path = self.synced_path();
                tracing::warn!(path = %path.display(), "the checkpoint is damaged, or of another version");
                Ok(None)
            }
        }
    }

    /// What was written in this boot. `None` when nothing is known.
    pub fn load_written(&self, boot: BootId) -> Result<Option<Good>, PathError> {
        match read_written(&*self.disk, &self.folder)? {
            WrittenFile::Found(of, good) if of == boot => Ok(Some(good)),
            _ => Ok(None),
        }
    }

    /// Removes the note of what was written, which is of files that will be others.
    pub fn forget_written(&self) -> Result<(), PathError> {
        let path = self.written_path();
        remove_if_there(&*self.disk, &path).map_err(at(&path))
    }

    /// Notes what was written.
    pub fn note(&mut self, boot: BootId, good: &Good) -> Result<(), PathError> {
        let mut fields = boot.0.to_vec();
        encode_good(good, &mut fields);
        let bytes = sealed(WRITTEN_MAGIC, &fields, WRITTEN_BYTES);
        let path = self.written_path();
        let file = match self.written.take() {
            Some(file) => file,
            None => open_or_create(&*self.disk, &path).map_err(at(&path))?,
        };
        let written = file.write_at(&mut [IoSlice::new(&bytes)], 0);
        self.written = Some(file);
        written.map_err(at(&path))
    }

    /// Says durably what is durable.
    pub fn save(&self, synced: &Synced) -> Result<(), PathError> {
        let mut fields = Vec::new();
        encode_good(&synced.good, &mut fields);
        fields.extend([u8::from(synced.rebuilds.queues), u8::from(synced.rebuilds.index)]);
        synced.census.encode(&mut fields);
        let bytes = sealed(SYNCED_MAGIC, &fields, 0);
        let (path, new) = (self.synced_path(), self.folder.join("derived.synced.new"));
        let replace = || {
            match self.disk.remove(&new) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
            let file = self.disk.create(&new)?;
            file.write_at(&mut [IoSlice::new(&bytes)], 0)?;
            file.sync_data()?;
            self.disk.rename(&new, &path)?;
            self.disk.sync_folder(&self.folder)
        };
        replace().map_err(at(&path))
    }

    /// Tells Apache's broker up to when records were stored that are in the log, in the queues and in the index.
    pub fn save_apaches(&self, good: &Good) -> Result<(), PathError> {
        let path = apaches_path(&self.folder);
        let times = apaches_content(good);
        let write = || {
            let file = open_or_create(&*self.disk, &path)?;
            file.write_at(&mut [IoSlice::new(&times)], 0)?;
            file.sync_data()
        };
        write().map_err(at(&path))
    }
}

fn open_or_create(disk: &dyn Disk, path: &Path) -> io::Result<Box<dyn DiskFile>> {
    match disk.open(path, Access::Write) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(path),
        other => other,
    }
}

/// Magic, version, fields, zeros up to a length, checksum.
fn sealed(magic: [u8; 4], fields: &[u8], bytes: usize) -> Vec<u8> {
    let mut out = magic.to_vec();
    out.extend(VERSION.to_be_bytes());
    out.extend(fields);
    out.resize(out.len().max(bytes.saturating_sub(CRC_BYTES)), 0);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

fn unsealed(bytes: &[u8], magic: [u8; 4]) -> Option<&[u8]> {
    let (content, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let mut fields = content;
    let is_ours = take(&mut fields)? == magic && u32::from_be_bytes(take(&mut fields)?) == VERSION;
    (is_ours && *crc == crc32fast::hash(content).to_be_bytes()).then_some(fields)
}

fn encode_good(good: &Good, out: &mut Vec<u8>) {
    out.extend(good.position.0.to_be_bytes());
    out.extend(good.last_store_time.0.to_be_bytes());
    let mut name = [0; INDEX_NAME_BYTES];
    let text = good.index.name.as_deref().unwrap_or_default();
    name.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    out.extend(name);
    out.extend(good.index.header.encode());
    out.push(u8::from(good.index.slots_written));
}

fn decode_good(rest: &mut &[u8]) -> Option<Good> {
    let position = LogOffset(i64::from_be_bytes(take(rest)?));
    let last_store_time = Timestamp(i64::from_be_bytes(take(rest)?));
    let name: [u8; INDEX_NAME_BYTES] = take(rest)?;
    let name =
        if name == [0; INDEX_NAME_BYTES] { None } else { Some(String::from_utf8(name.to_vec()).ok()?) };
    let header = Header::decode(&take(rest)?);
    let [slots_written] = take::<1>(rest)?;
    let index = IndexState { name, header, slots_written: slots_written == 1 };
    Some(Good { position, last_store_time, index })
}
