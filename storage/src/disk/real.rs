//! The disk of this machine.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, FlockOperation, fadvise, fallocate, fcntl_lock, statvfs, syncfs};
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use super::{Access, Disk, DiskFile, Entry, Space};
use crate::meta::BootId;
use crate::unsafe_modes::{UnsafeMode, is_on};

/// Parts the kernel takes in one call.
const PARTS_MAX: usize = 1024;
/// Of one write. For a longer one the page cache takes larger pages, which cost up to ten times as much on a virtual machine whose
/// host gives memory only when it is used.
const WRITE_BYTES_MAX: usize = 256 << 10;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl RealDisk {
    /// Which life of this machine it is.
    pub fn boot_id() -> io::Result<BootId> {
        let text = fs::read_to_string(BOOT_ID)?;
        BootId::parse(text.trim()).ok_or_else(|| io::Error::other(format!("{BOOT_ID} does not hold an id")))
    }
}

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(access == Access::Write).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            entries.push(Entry { name, bytes: metadata.len(), is_folder: metadata.is_dir() });
        }
        entries.sort();
        Ok(entries)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(Path::new(""));
        self.create_folder(above)?;
        fs::create_dir(folder)?;
        self.sync_folder(above)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        fs::remove_dir(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()
    }

    /// The file system as a whole: one call, where a call for each of 50,000 files would take minutes.
    fn sync_below(&self, folder: &Path) -> io::Result<()> {
        Ok(syncfs(File::open(folder)?)?)
    }

    fn space(&self, folder: &Path) -> io::Result<Space> {
        let system = statvfs(folder)?;
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        Ok(Space {
            total: bytes(system.f_blocks),
            free: bytes(system.f_bfree),
            available: bytes(system.f_bavail),
        })
    }
}

/// Writes as many parts as may go together, or the begin of the first one if that is too long.
fn write_some(file: &File, parts: &[IoSlice<'_>], at: u64) -> rustix::io::Result<usize> {
    let mut bytes = 0;
    let fits = |part: &&IoSlice<'_>| {
        bytes += part.len();
        bytes <= WRITE_BYTES_MAX
    };
    let together = parts.iter().take(PARTS_MAX).take_while(fits).count();
    match (parts.get(..together), parts.first().and_then(|first| first.get(..WRITE_BYTES_MAX))) {
        (Some(some), _) if together > 0 => rustix::io::pwritev(file, some, at),
        (_, begin) => rustix::io::pwrite(file, begin.unwrap_or_default(), at),
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        let mut rest = parts;
        let mut at = at;
        // Parts without bytes must go first: the kernel writes none of them and seems to be stuck.
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let written = match write_some(&self.0, rest, at) {
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => written,
            };
            IoSlice::advance_slices(&mut rest, written);
            at += written as u64;
        }
        Ok(())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let place = at + filled as u64;
            match preadv2(&self.0, &mut [IoSliceMut::new(rest)], place, ReadWriteFlags::NOWAIT) {
                Ok(0) => break,
                // What is not here comes as an error only when nothing of the range is.
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                // Some file systems cannot tell. Then all that they hold counts as cold: slower, but nobody is held up.
                Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(filled))
    }

    fn read_ahead(&self, at: u64, bytes: u64) {
        let _ = fadvise(&self.0, at, NonZeroU64::new(bytes), Advice::WillNeed);
    }

    fn let_go(&self, at: u64, bytes: u64) {
        let _ = fadvise(&self.0, at, NonZeroU64::new(bytes), Advice::DontNeed);
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        if is_on(UnsafeMode::SkipFsync) {
            return Ok(());
        }
        self.0.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        if is_on(UnsafeMode::SkipFsync) {
            return Ok(());
        }
        self.0.sync_all()
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let present = self.bytes()?;
        if bytes <= present {
            return Ok(());
        }
        loop {
            match fallocate(&self.0, FallocateFlags::empty(), present, bytes - present) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                // Some file systems cannot. Then the room is taken when it is written.
                Err(Errno::OPNOTSUPP) => return self.0.set_len(bytes),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_locked(&self) -> io::Result<bool> {
        match self.0.try_lock_shared() {
            Ok(()) => self.0.unlock()?,
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match fcntl_lock(&self.0, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(fcntl_lock(&self.0, FlockOperation::Unlock).map(|()| false)?),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Two kinds of lock, because neither is enough: Java takes the second one, which does not hold within one process.
    fn try_lock(&self) -> io::Result<bool> {
        match self.0.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match fcntl_lock(&self.0, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
