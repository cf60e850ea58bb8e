//! Checksums beside a classic log.
//!
//! Apache's records have a checksum of their body only: a flipped bit in most of the other fields makes another valid record.
//! So a sidecar in `commitlog.sums`, one for each segment and under its name, holds a checksum of every block of what is final
//! and durable, which never changes again. It is written behind, by a thread of its own, and read by
//! [`verify`](crate::verify()) only. A log of frames needs none.
//!
//! Nothing depends on it. It may be missing, or end early, and what is unreadable in it is summed anew at the next start. Apache's
//! broker neither knows it nor keeps it: once that has had the store, whose lock file then shows its word, all of it is void.

pub(crate) mod entry;

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crc32fast::Hasher;
use ferrymq_proto::position::LogOffset;

use crate::disk::{Access, Disk, DiskFile};
use crate::files::StoreFiles;
use crate::log::Core;
use crate::position::{behind, distance};
use crate::segment::{self, Segment};
use entry::{BLOCK_BYTES, BlockId, ENTRY_BYTES, Entry, Slot};

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);
/// What is read at once.
const WINDOW_BYTES: u64 = 256 << 10;
/// What is summed without a look at anything else. A stop in order waits so long.
const WINDOWS_MAX: usize = 256;

/// The sidecars of a log, and how far they reach.
#[derive(Debug)]
pub(crate) struct Sums {
    /// Everything before it has its checksum, or will never have one.
    summed: LogOffset,
    /// Of the block in which `summed` lies, up to there.
    hasher: Hasher,
    /// The sidecar that was written last.
    open: Option<(LogOffset, Box<dyn DiskFile>)>,
    /// What was read. Kept, because fresh memory costs more than to read into it.
    window: Vec<u8>,
}

impl Sums {
    /// Goes on where the sidecars end. What is older than the last two segments, and has none, stays without.
    pub fn resume(disk: &dyn Disk, files: &StoreFiles, segments: &[Arc<Segment>]) -> io::Result<Self> {
        let mut sums = Self { summed: LogOffset(0), hasher: Hasher::new(), open: None, window: Vec::new() };
        let recent = segments.get(segments.len().saturating_sub(2)..).unwrap_or_default();
        for segment in recent {
            let (summed, hasher) = find_end(disk, files, segment)?;
            sums.summed = summed;
            sums.hasher = hasher;
            if summed < segment.end() {
                break;
            }
        }
        Ok(sums)
    }

    /// Sums what became final and durable, up to a window. Says if there may be more.
    pub fn sum_window(&mut self, core: &Core) -> io::Result<bool> {
        let target = core.confirmed().offset.min(core.durable());
        if self.summed < core.start() {
            self.summed = core.start();
            self.hasher = Hasher::new();
        }
        let Some(segment) = core.segment_at(self.summed).filter(|_| self.summed < target) else {
            return Ok(false);
        };
        let bytes = distance(self.summed, target.min(segment.end())).min(WINDOW_BYTES);
        self.window.resize(bytes as usize, 0);
        segment.read(self.summed, &mut self.window)?;
        let first = segment.position(self.summed) / BLOCK_BYTES;
        let mut entries = Vec::new();
        let (mut rest, mut hasher, mut summed) = (self.window.as_slice(), self.hasher.clone(), self.summed);
        while !rest.is_empty() {
            let position = segment.position(summed);
            let block = BlockId { segment: segment.base(), number: position / BLOCK_BYTES };
            let in_block = (BLOCK_BYTES - position % BLOCK_BYTES) as usize;
            let (part, behind_it) = rest.split_at(in_block.min(rest.len()));
            hasher.update(part);
            summed = behind(summed, part.len() as u64);
            rest = behind_it;
            let covered = segment.position(summed) - block.position();
            entries.extend(Entry { bytes: covered as u32, crc: hasher.clone().finalize() }.encode(block));
            if part.len() == in_block {
                hasher = Hasher::new();
            }
        }
        self.write(core, &segment, first * ENTRY_BYTES as u64, &entries)?;
        // Segments need not be whole blocks.
        self.hasher = if summed == segment.end() { Hasher::new() } else { hasher };
        self.summed = summed;
        Ok(true)
    }

    fn write(&mut self, core: &Core, segment: &Segment, at: u64, entries: &[u8]) -> io::Result<()> {
        let base = segment.base();
        if self.open.as_ref().is_none_or(|(open, _)| *open != base) {
            if let Some((_, complete)) = self.open.take() {
                complete.sync_data()?;
            }
            self.open = Some((base, open_or_create(&*core.disk, &core.files, base)?));
        }
        let Some((_, file)) = &self.open else { return Ok(()) };
        file.write_at(&mut [IoSlice::new(entries)], at)
    }
}

/// Sums behind the writer, now and then.
#[derive(Debug)]
pub(crate) struct SumsBehind {
    sums: Mutex<Sums>,
    stop: Mutex<bool>,
    changed: Condvar,
}

impl SumsBehind {
    pub fn new(sums: Sums) -> Self {
        Self { sums: Mutex::new(sums), stop: Mutex::default(), changed: Condvar::new() }
    }

    /// Sums what there is, or a part of it that takes no long time. Says if that was all.
    pub fn sum(&self, core: &Core) -> io::Result<bool> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..WINDOWS_MAX {
            if !sums.sum_window(core)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Waits for the next round, if the last one is done. False when it is time to end.
    fn next(&self, is_done: bool) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = if is_done { INTERVAL } else { Duration::ZERO };
        let waited = self.changed.wait_timeout_while(stop, pause, |stop| !*stop);
        !*waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// The life of the thread that sums.
pub(crate) fn run(core: &Core) {
    let Some(behind) = &core.sums else { return };
    let mut is_done = true;
    while behind.next(is_done) {
        is_done = behind.sum(core).unwrap_or_else(|error| {
            // The next round goes on at the same place.
            tracing::warn!(path = %core.files.sums.display(), %error, "cannot sum what is final");
            true
        });
    }
}

pub(crate) fn path(files: &StoreFiles, base: LogOffset) -> PathBuf {
    files.sums.join(segment::name(base))
}

fn open_or_create(disk: &dyn Disk, files: &StoreFiles, base: LogOffset) -> io::Result<Box<dyn DiskFile>> {
    disk.create_folder(&files.sums)?;
    let path = path(files, base);
    match disk.create(&path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => disk.open(&path, Access::Write),
        other => other,
    }
}

/// The entries of a sidecar, by block. Empty when there is none.
pub(crate) fn read(disk: &dyn Disk, path: &Path, base: LogOffset) -> io::Result<Vec<(BlockId, Slot)>> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut bytes = vec![0; usize::try_from(file.bytes()?).unwrap_or(0)];
    let present = file.read_at(&mut bytes, 0)?;
    bytes.truncate(present);
    let entries = bytes.chunks(ENTRY_BYTES).zip(0..).map(|(entry, number)| {
        let block = BlockId { segment: base, number };
        let slot = entry.first_chunk().map_or(Slot::Damaged, |entry| Slot::decode(entry, block));
        (block, slot)
    });
    Ok(entries.collect())
}

/// How far a sidecar reaches from the beginning without a gap, and the checksum of the block that is cut there.
fn find_end(disk: &dyn Disk, files: &StoreFiles, segment: &Segment) -> io::Result<(LogOffset, Hasher)> {
    let base = segment.base();
    let mut end = base;
    for (block, slot) in read(disk, &path(files, base), base)? {
        let Slot::Entry(Entry { bytes, crc }) = slot else { break };
        end = behind(base, block.position() + u64::from(bytes));
        if u64::from(bytes) < BLOCK_BYTES && end < segment.end() {
            return Ok((end, Hasher::new_with_initial_len(crc, bytes.into())));
        }
    }
    Ok((end.min(segment.end()), Hasher::new()))
}

/// Removes the sidecars that are void: all of them, or those of segments before `start`.
pub(crate) fn clean(disk: &dyn Disk, files: &StoreFiles, all: bool, start: LogOffset) -> io::Result<()> {
    remove(disk, files, |base| all || base < start)
}

/// Removes the sidecars of all that lies behind a place, and that of the segment in which it lies.
pub(crate) fn remove_from(
    disk: &dyn Disk,
    files: &StoreFiles,
    at: LogOffset,
    segment_bytes: u64,
) -> io::Result<()> {
    remove(disk, files, |base| behind(base, segment_bytes) > at)
}

fn remove(disk: &dyn Disk, files: &StoreFiles, is_void: impl Fn(LogOffset) -> bool) -> io::Result<()> {
    let entries = match disk.list(&files.sums) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries.iter().filter(|entry| !entry.is_folder) {
        if segment::parse_name(&entry.name).is_some_and(&is_void) {
            disk.remove(&files.sums.join(&entry.name))?;
        }
    }
    disk.sync_folder(&files.sums)
}

#[cfg(test)]
mod tests;
