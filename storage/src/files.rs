//! Where the files of a store lie, and the lock that makes them ours.
//!
//! The names are Apache's, but for `store.meta` and `commitlog.sums`, which it does not know.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use crate::disk::{Access, Disk, DiskFile};

#[derive(Clone, Debug)]
pub(crate) struct StoreFiles {
    pub folder: PathBuf,
    /// The folder of the segments.
    pub log: PathBuf,
    pub lock: PathBuf,
    /// The folder of the checksums beside a classic log.
    pub sums: PathBuf,
    pub meta: PathBuf,
    /// What `meta` is called until it is complete.
    pub new_meta: PathBuf,
    /// Is there while a broker uses a classic log: whoever finds it at a start knows that the last end was none in order.
    pub abort: PathBuf,
}

impl StoreFiles {
    pub fn within(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            log: folder.join("commitlog"),
            lock: folder.join("lock"),
            sums: folder.join("commitlog.sums"),
            meta: folder.join("store.meta"),
            new_meta: folder.join("store.meta.new"),
            abort: folder.join("abort"),
        }
    }
}

/// Holds the store for this process, until it is dropped.
#[derive(Debug)]
pub(crate) struct StoreLock {
    file: Box<dyn DiskFile>,
}

/// What Apache's broker writes into the file whenever it starts, and what stands there after us.
const APACHES_WORD: [u8; 4] = *b"lock";
const OUR_WORD: [u8; 8] = *b"ferrymq\n";

impl StoreLock {
    /// `None` when another process has it.
    pub fn take(disk: &dyn Disk, files: &StoreFiles) -> io::Result<Option<Self>> {
        let file = match disk.create(&files.lock) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.open(&files.lock, Access::Write)?
            }
            other => other?,
        };
        Ok(file.try_lock()?.then_some(Self { file }))
    }

    /// Who has had the store before.
    pub fn keeper(&self) -> io::Result<Keeper> {
        read_word(&*self.file).map(Keeper::of)
    }

    /// Leaves a sign for the next start.
    pub fn make_ours(&self) -> io::Result<()> {
        self.file.write_at(&mut [IoSlice::new(&OUR_WORD)], 0)
    }
}

/// Who has had a store last, as its lock file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    Ferrymq,
    Apache,
    /// Nobody yet, or the file was not copied with the others.
    Unknown,
    /// The file holds what nobody writes there.
    Damaged,
}

impl Keeper {
    fn of(word: [u8; 8]) -> Self {
        match word {
            OUR_WORD => Self::Ferrymq,
            word if word.starts_with(&APACHES_WORD) => Self::Apache,
            [0, 0, 0, 0, 0, 0, 0, 0] => Self::Unknown,
            _ => Self::Damaged,
        }
    }
}

pub(crate) fn keeper(disk: &dyn Disk, files: &StoreFiles) -> io::Result<Keeper> {
    match disk.open(&files.lock, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Keeper::Unknown),
        other => Ok(Keeper::of(read_word(&*other?)?)),
    }
}

/// Whether a process has the store. It must be another one: to ask would unlock a store of our own.
pub(crate) fn is_in_use(disk: &dyn Disk, files: &StoreFiles) -> io::Result<bool> {
    match disk.open(&files.lock, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other?.is_locked(),
    }
}

pub(crate) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn read_word(file: &dyn DiskFile) -> io::Result<[u8; 8]> {
    let mut word = [0; 8];
    file.read_at(&mut word, 0).map(|_| word)
}
