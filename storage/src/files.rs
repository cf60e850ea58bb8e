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

    /// Whether nobody but us has had the store since we last did.
    pub fn is_ours(&self) -> io::Result<bool> {
        Ok(read_word(&*self.file)? == OUR_WORD)
    }

    /// Leaves a sign for the next start.
    pub fn make_ours(&self) -> io::Result<()> {
        self.file.write_at(&mut [IoSlice::new(&OUR_WORD)], 0)
    }
}

/// Whether Apache's broker has had the store since we last did.
pub(crate) fn is_apaches(disk: &dyn Disk, files: &StoreFiles) -> io::Result<bool> {
    match disk.open(&files.lock, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => Ok(read_word(&*other?)?.starts_with(&APACHES_WORD)),
    }
}

fn read_word(file: &dyn DiskFile) -> io::Result<[u8; 8]> {
    let mut word = [0; 8];
    file.read_at(&mut word, 0).map(|_| word)
}
