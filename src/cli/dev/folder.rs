//! Where a development group keeps its files: in memory, unless a folder is named.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, getuid, test_kill_process};

use crate::cli::remote::Failure;

const PREFIX: &str = "ferrymq-dev-";

#[derive(Debug)]
pub struct Folder {
    pub path: PathBuf,
    /// Locked as long as we live. None: somebody wants to keep what is in it.
    own: Option<File>,
}

impl Folder {
    pub fn named(path: &Path) -> Result<Self, Failure> {
        let made = fs::create_dir_all(path).and_then(|()| fs::canonicalize(path));
        let path = made.map_err(|error| failed(path, &error))?;
        Ok(Self { path, own: None })
    }

    /// One of our own, in a file system in memory where there is one.
    pub fn passing() -> Result<Self, Failure> {
        let memory = PathBuf::from("/dev/shm");
        let above = if memory.is_dir() { memory } else { std::env::temp_dir() };
        remove_abandoned(&above);
        let path = above.join(format!("{PREFIX}{}", std::process::id()));
        let made = fs::create_dir(&path).and_then(|()| locked(&path));
        let own = made.map_err(|error| failed(&path, &error))?;
        Ok(Self { path, own: Some(own) })
    }

    pub fn is_kept(&self) -> bool {
        self.own.is_none()
    }

    pub fn clean_up(&self) {
        if !self.is_kept() {
            // What is left goes with the next group that is started.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

fn failed(folder: &Path, error: &io::Error) -> Failure {
    Failure::operation(format!("the folder {} cannot be made: {error}", folder.display()))
}

fn locked(folder: &Path) -> io::Result<File> {
    let file = File::open(folder)?;
    file.try_lock()?;
    Ok(file)
}

/// A group that was killed could not remove its folder, which may hold hundreds of megabytes of memory.
fn remove_abandoned(above: &Path) {
    let Ok(entries) = fs::read_dir(above) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_abandoned(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_abandoned(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let process = name.strip_prefix(PREFIX).and_then(|number| number.parse().ok()).and_then(Pid::from_raw);
    let is_gone = process.is_some_and(|process| test_kill_process(process) == Err(Errno::SRCH));
    let is_ours = |metadata: fs::Metadata| metadata.is_dir() && metadata.uid() == getuid().as_raw();
    // Who shares the memory with us but not the numbers of processes still holds the lock.
    is_gone && fs::symlink_metadata(path).is_ok_and(is_ours) && locked(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_ended_groups_are_removed() {
        let above = tempfile::tempdir().unwrap();
        let made = |name: String| {
            let path = above.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::write(path.join("log"), "kept").unwrap();
            path
        };
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        let gone = ended.id();
        ended.wait().unwrap();
        let abandoned = made(format!("{PREFIX}{gone}"));
        let other = [
            made(format!("{PREFIX}{}", std::process::id())),
            made(format!("{PREFIX}notes")),
            made("else".to_owned()),
        ];
        let held = locked(&abandoned).unwrap();
        remove_abandoned(above.path());
        assert!(abandoned.exists(), "its lock is held");
        drop(held);
        remove_abandoned(above.path());
        assert!(!abandoned.exists());
        assert!(other.iter().all(|folder| folder.join("log").exists()));
    }
}
