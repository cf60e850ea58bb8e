//! The files of queues. Each has its full length from the beginning, and takes the room of what was written.
//!
//! There are far more queues than files may be open, so files are opened for each use; those that were read stay open for a
//! while.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrymq_proto::position::{LogOffset, QueueOffset};

use super::QueueError;
use super::entry::{ENTRY_BYTES, RawEntry, blank};
use crate::disk::{Access, Disk, DiskFile};
use crate::segment;

/// Which queue a file belongs to, while it is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FilesKey(pub u64);

/// Where the files of one queue lie.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub key: FilesKey,
    pub folder: PathBuf,
}

#[derive(Debug)]
pub(crate) struct QueueFiles {
    disk: Arc<dyn Disk>,
    access: Access,
    entries: u64,
    open: Mutex<OpenFiles>,
}

/// The ones that stay open, by queue and first entry, with the time of their last use.
#[derive(Debug, Default)]
struct OpenFiles {
    files: HashMap<(FilesKey, u64), (Arc<dyn DiskFile>, u64)>,
    uses: u64,
    files_max: usize,
}

/// What is wrong with the files of a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileDamage {
    #[error("{0} has the name of no file of a queue")]
    BadName(PathBuf),
    #[error("{0} is missing")]
    Missing(PathBuf),
    #[error("{path} has {found} bytes, more than the {expected} that files of queues have")]
    BadLength { path: PathBuf, found: u64, expected: u64 },
    #[error("its entries end at {found}, but it had them up to {expected}")]
    Lost { found: QueueOffset, expected: QueueOffset },
    #[error("entry {0} is none")]
    BadEntry(QueueOffset),
    #[error("the entries before {0} are missing")]
    Gap(QueueOffset),
}

pub(crate) fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> QueueError {
    let path = path.to_owned();
    |source| QueueError::Io { path, source }
}

fn is_missing<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::NotFound)
}

impl QueueFiles {
    pub fn new(disk: Arc<dyn Disk>, entries: u64, files_max: usize) -> Self {
        Self::with(disk, entries, files_max, Access::Write)
    }

    /// Of a store that is only looked at.
    pub fn to_read(disk: Arc<dyn Disk>, entries: u64, files_max: usize) -> Self {
        Self::with(disk, entries, files_max, Access::Read)
    }

    fn with(disk: Arc<dyn Disk>, entries: u64, files_max: usize, access: Access) -> Self {
        let open = OpenFiles { files_max, ..OpenFiles::default() };
        Self { disk, access, entries, open: Mutex::new(open) }
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    fn open_files(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file_bytes(&self) -> u64 {
        self.entries * ENTRY_BYTES
    }

    /// The first entry of the file in which one lies.
    pub fn base(&self, at: QueueOffset) -> QueueOffset {
        QueueOffset(at.0 - at.0.rem_euclid(self.entries as i64))
    }

    /// Of the file behind the one with this base.
    pub fn next_base(&self, base: QueueOffset) -> QueueOffset {
        QueueOffset(base.0.saturating_add_unsigned(self.entries))
    }

    pub fn path(&self, place: &Place, base: QueueOffset) -> PathBuf {
        place.folder.join(segment::name(LogOffset(base.0.saturating_mul(ENTRY_BYTES as i64))))
    }

    /// The bases of the files that a queue has. They follow each other without a gap.
    pub fn list(&self, place: &Place) -> Result<Result<Vec<QueueOffset>, FileDamage>, QueueError> {
        let listed = self.disk.list(&place.folder);
        if is_missing(&listed) {
            return Ok(Ok(Vec::new()));
        }
        let mut bases: Vec<QueueOffset> = Vec::new();
        for entry in listed.map_err(failed_at(&place.folder))? {
            let path = place.folder.join(&entry.name);
            let Some(offset) = segment::parse_name(&entry.name).filter(|_| !entry.is_folder) else {
                tracing::warn!(path = %path.display(), "this does not belong to the queue; it is left alone");
                continue;
            };
            let (expected, found) = (self.file_bytes(), entry.bytes);
            if offset.0.unsigned_abs() % expected != 0 {
                return Ok(Err(FileDamage::BadName(path)));
            }
            if found > expected {
                return Ok(Err(FileDamage::BadLength { path, found, expected }));
            }
            let base = QueueOffset(offset.0 / ENTRY_BYTES as i64);
            if let Some(last) = bases.last().filter(|last| self.next_base(**last) != base) {
                return Ok(Err(FileDamage::Missing(self.path(place, self.next_base(*last)))));
            }
            bases.push(base);
        }
        Ok(Ok(bases))
    }

    /// A file to read, if there is one.
    fn file(&self, place: &Place, base: QueueOffset) -> Result<Option<Arc<dyn DiskFile>>, QueueError> {
        let key = (place.key, base.0.unsigned_abs());
        if let Some(file) = self.open_files().get(key) {
            return Ok(Some(file));
        }
        let path = self.path(place, base);
        let opened = self.disk.open(&path, self.access);
        if is_missing(&opened) {
            return Ok(None);
        }
        let file: Arc<dyn DiskFile> = Arc::from(opened.map_err(failed_at(&path))?);
        self.open_files().keep(key, &file);
        Ok(Some(file))
    }

    /// Up to `count` entries from `at` on, raw. Where nothing was written they are zero.
    pub fn read(&self, place: &Place, at: QueueOffset, count: usize) -> Result<Vec<RawEntry>, QueueError> {
        let mut entries = vec![RawEntry::default(); count];
        let mut rest = entries.as_mut_slice();
        let mut at = at;
        while !rest.is_empty() {
            let base = self.base(at);
            let in_file = usize::try_from(self.next_base(base).0 - at.0).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at_mut(in_file.min(rest.len()));
            if let Some(file) = self.file(place, base)? {
                let position = (at.0 - base.0).unsigned_abs() * ENTRY_BYTES;
                let read = file.read_at(part.as_flattened_mut(), position);
                read.map_err(failed_at(&self.path(place, base)))?;
            }
            at = QueueOffset(at.0.saturating_add(part.len() as i64));
            rest = behind;
        }
        Ok(entries)
    }

    /// Writes entries from `at` on. A file that is begun in its midst has blanks before them.
    pub fn write(&self, place: &Place, at: QueueOffset, entries: &[RawEntry]) -> Result<(), QueueError> {
        let (mut at, mut rest) = (at, entries);
        while !rest.is_empty() {
            let base = self.base(at);
            let in_file = usize::try_from(self.next_base(base).0 - at.0).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at(in_file.min(rest.len()));
            let written = self.write_file(place, base, at, part);
            written.map_err(failed_at(&self.path(place, base)))?;
            at = QueueOffset(at.0.saturating_add(part.len() as i64));
            rest = behind;
        }
        Ok(())
    }

    fn write_file(
        &self,
        place: &Place,
        base: QueueOffset,
        at: QueueOffset,
        entries: &[RawEntry],
    ) -> io::Result<()> {
        let cached = self.open_files().get((place.key, base.0.unsigned_abs()));
        let file = match cached {
            Some(file) => file,
            None => self.open_to_write(place, base, at)?,
        };
        // A crash may have left it short.
        if file.bytes()? < self.file_bytes() {
            file.truncate(self.file_bytes())?;
        }
        let position = (at.0 - base.0).unsigned_abs() * ENTRY_BYTES;
        file.write_at(&mut [IoSlice::new(entries.as_flattened())], position)
    }

    fn open_to_write(
        &self,
        place: &Place,
        base: QueueOffset,
        at: QueueOffset,
    ) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.path(place, base);
        let opened = self.disk.open(&path, Access::Write);
        if !is_missing(&opened) {
            return Ok(Arc::from(opened?));
        }
        let mut created = self.disk.create(&path);
        if is_missing(&created) {
            self.disk.make_folder(&place.folder)?;
            created = self.disk.create(&path);
        }
        let file = created?;
        file.truncate(self.file_bytes())?;
        let blanks = usize::try_from(at.0 - base.0).unwrap_or_default();
        if blanks > 0 {
            let blanks = vec![blank(); blanks];
            file.write_at(&mut [IoSlice::new(blanks.as_flattened())], 0)?;
        }
        Ok(Arc::from(file))
    }

    /// Makes nothing of what lies from `at` on in the last of some files.
    pub fn cut(&self, place: &Place, base: QueueOffset, at: QueueOffset) -> Result<(), QueueError> {
        let Some(file) = self.file(place, base)? else { return Ok(()) };
        let cut = file.truncate((at.0 - base.0).unsigned_abs() * ENTRY_BYTES);
        cut.and_then(|()| file.truncate(self.file_bytes())).map_err(failed_at(&self.path(place, base)))
    }

    pub fn remove(&self, place: &Place, base: QueueOffset) -> Result<(), QueueError> {
        self.open_files().files.remove(&(place.key, base.0.unsigned_abs()));
        let path = self.path(place, base);
        let removed = self.disk.remove(&path);
        if is_missing(&removed) { Ok(()) } else { removed.map_err(failed_at(&path)) }
    }

    /// Removes all files that may be of the queue, however damaged their names are.
    pub fn remove_all(&self, place: &Place) -> Result<(), QueueError> {
        self.open_files().files.retain(|(key, _), _| *key != place.key);
        let listed = self.disk.list(&place.folder);
        if is_missing(&listed) {
            return Ok(());
        }
        for entry in listed.map_err(failed_at(&place.folder))? {
            if !entry.is_folder && segment::parse_name(&entry.name).is_some() {
                let path = place.folder.join(&entry.name);
                self.disk.remove(&path).map_err(failed_at(&path))?;
            }
        }
        Ok(())
    }
}

impl OpenFiles {
    fn get(&mut self, key: (FilesKey, u64)) -> Option<Arc<dyn DiskFile>> {
        self.uses += 1;
        let (file, last_use) = self.files.get_mut(&key)?;
        *last_use = self.uses;
        Some(Arc::clone(file))
    }

    fn keep(&mut self, key: (FilesKey, u64), file: &Arc<dyn DiskFile>) {
        if self.files.len() >= self.files_max {
            self.forget_some();
        }
        self.uses += 1;
        self.files.insert(key, (Arc::clone(file), self.uses));
    }

    /// Closes the quarter that was not used for the longest time: sorting for each single one would cost more than opening it.
    fn forget_some(&mut self) {
        let mut uses: Vec<u64> = self.files.values().map(|(_, last_use)| *last_use).collect();
        uses.sort_unstable();
        let limit = uses.get(uses.len() / 4).copied().unwrap_or_default();
        self.files.retain(|_, (_, last_use)| *last_use > limit);
    }
}
