//! The seam to the disk: every byte that this crate keeps goes through [`Disk`] and [`DiskFile`].
//!
//! Two stand behind it, [`RealDisk`] and [`SimulatedDisk`], which loses, tears and damages what a real one may. What both
//! promise is what a careful reader of POSIX may hope for, no more: a write is there for readers at once, but outlives a power
//! loss only once its file is synced; a new, renamed or removed name only once its folder is; a sync that failed says nothing
//! about what it left behind, and neither does a later one that succeeds.
//!
//! Both are used as trait objects. One virtual call stands beside a system call here, a batch costs one write, and the types
//! above stay free of a parameter that only tests would ever vary.

mod real;
pub mod simulated;
mod space;

use std::fmt;
use std::io::{self, IoSlice};
use std::path::Path;

pub use real::RealDisk;
pub use simulated::SimulatedDisk;
pub use space::{Percent, Space};

/// What the opener of a file means to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
    pub is_folder: bool,
}

pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a file for reading and writing that did not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;

    /// What a folder holds, in the order of names.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;

    /// Makes a folder and those above it, durably. Nothing happens if it is there.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// As [`create_folder`](Self::create_folder), but a power loss may take the folders away until [`sync_below`] was called.
    ///
    /// [`sync_below`]: Self::sync_below
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Removes a folder that is empty.
    fn remove_folder(&self, folder: &Path) -> io::Result<()>;

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes the name of a file. Whoever has it open keeps it.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes names that were created, renamed or removed in the folder outlive a power loss.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes all that was written to files in the folder and in those below it outlive a power loss, with their names: the way
    /// to sync more files than can be open. It may sync far more than that. After an error there is no second try.
    fn sync_below(&self, folder: &Path) -> io::Result<()>;

    /// Of the file system in which a folder lies.
    fn space(&self, folder: &Path) -> io::Result<Space>;
}

pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Writes all parts, one behind the other, from `at` on. After an error, any part of the range may have changed.
    fn write_at(&self, parts: &mut [IoSlice<'_>], at: u64) -> io::Result<()>;

    /// Fills `buffer` from `at` on, with less only where the file ends, and says with how much.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// As [`read_at`](Self::read_at), but only what is in memory: `None` when it would have to wait for the disk. Then the
    /// content of `buffer` is unknown.
    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> io::Result<Option<usize>>;

    /// Lets the disk bring a range into memory. A hint, which may fail unheard, and may itself wait for the disk.
    fn read_ahead(&self, at: u64, bytes: u64);

    /// Lets the memory go that a range takes, as far as it is durable. A hint as well.
    fn let_go(&self, at: u64, bytes: u64);

    fn bytes(&self) -> io::Result<u64>;

    /// Makes what was written outlive a power loss, and the length with it. After an error nobody knows what is on the disk:
    /// there is no second try.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`sync_data`](Self::sync_data), with times and rights.
    fn sync_all(&self) -> io::Result<()>;

    /// Cuts the file to `bytes`, or lengthens it with zeros that take no room.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Lengthens the file to `bytes` with zeros, and takes the room for them now.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Whether another handle, of any process, has locked the file. It may have been opened to read only.
    fn is_locked(&self) -> io::Result<bool>;

    /// Locks the file for this handle, until it is dropped. `false` when another one, of any process, has it.
    fn try_lock(&self) -> io::Result<bool>;
}

#[cfg(test)]
mod tests;
