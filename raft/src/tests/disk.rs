//! A real disk that can be told to fail.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferrymq_storage::disk::{Access, Disk, DiskFile, Entry, RealDisk, Space};

const NO_ROOM: i32 = 28;
pub const BROKEN: i32 = 5;

#[derive(Clone, Debug, Default)]
pub struct FailingDisk {
    faults: Arc<Faults>,
}

#[derive(Debug, Default)]
struct Faults {
    is_full: AtomicBool,
    is_broken: AtomicBool,
}

impl Faults {
    fn check_room(&self) -> io::Result<()> {
        match self.is_full.load(Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(NO_ROOM)),
            false => Ok(()),
        }
    }

    fn check_sync(&self) -> io::Result<()> {
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(io::Error::from_raw_os_error(BROKEN)),
            false => Ok(()),
        }
    }
}

impl FailingDisk {
    /// From now on there is no room for new files, or there is again. What was allocated can be written.
    pub fn set_full(&self, is_full: bool) {
        self.faults.is_full.store(is_full, Ordering::Relaxed);
    }

    /// From now on nothing becomes durable.
    pub fn set_broken(&self) {
        self.faults.is_broken.store(true, Ordering::Relaxed);
    }

    fn wrap(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FailingFile { file, faults: Arc::clone(&self.faults) })
    }
}

#[derive(Debug)]
struct FailingFile {
    file: Box<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl Disk for FailingDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.faults.check_room()?;
        Ok(self.wrap(RealDisk.create(path)?))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.wrap(RealDisk.open(path, access)?))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.create_folder(folder)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.make_folder(folder)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.remove_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.faults.check_sync()?;
        RealDisk.sync_folder(folder)
    }

    fn sync_below(&self, folder: &Path) -> io::Result<()> {
        self.faults.check_sync()?;
        RealDisk.sync_below(folder)
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        RealDisk.space(folder)
    }
}

impl DiskFile for FailingFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        self.file.write_at(parts, at)
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file.read_at(buffer, at)
    }

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        self.file.read_cached_at(buffer, at)
    }

    fn read_ahead(&self, at: u64, bytes: u64) {
        self.file.read_ahead(at, bytes);
    }

    fn let_go(&self, at: u64, bytes: u64) {
        self.file.let_go(at, bytes);
    }

    fn bytes(&self) -> io::Result<u64> {
        self.file.bytes()
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.check_sync()?;
        self.file.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.faults.check_sync()?;
        self.file.sync_all()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.file.truncate(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.faults.check_room()?;
        self.file.allocate(bytes)
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.file.is_locked()
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
