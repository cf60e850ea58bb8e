//! Where the files of a store lie, and the lock that makes them ours.
//!
//! The names are Apache's, but for `store.meta`, which it does not know.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Access, Disk, DiskFile};

#[derive(Clone, Debug)]
pub(crate) struct StoreFiles {
    pub folder: PathBuf,
    /// The folder of the segments.
    pub log: PathBuf,
    pub lock: PathBuf,
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
            meta: folder.join("store.meta"),
            new_meta: folder.join("store.meta.new"),
        }
    }
}

/// Holds the store for this process, until it is dropped.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: Box<dyn DiskFile>,
}

impl StoreLock {
    /// `None` when another process has it.
    pub fn take(disk: &dyn Disk, files: &StoreFiles) -> io::Result<Option<Self>> {
        let file = match disk.create(&files.lock) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                disk.open(&files.lock, Access::Write)?
            }
            other => other?,
        };
        Ok(file.try_lock()?.then_some(Self { _file: file }))
    }
}
