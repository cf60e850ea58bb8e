//! Where the nodes keep their data: plain folders, or file systems whose power can be cut.
//!
//! Power is cut without special devices. Each node's folder is an ext4 image, which is a file on a small ext4 of its own, the
//! lower one. To cut: freeze the lower file system, copy the image, thaw. What the copy holds is what had reached the disk; the
//! rest was in the memory of the file system above and is lost. The node then goes on with the copy.
//!
//! All mounts live in a mount namespace of the harness's own: they vanish with its last process, even after SIGKILL.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::history::NodeId;

/// Size of a node's file system. Sparse: what is not written takes no room.
const IMAGE_BYTES: u64 = 1 << 30;
/// With room for an image of each node and its copy.
const LOWER_BYTES: u64 = 12 << 30;
/// Set in the harness that runs in a mount namespace of its own.
const PRIVATE: &str = "JEPSEN_PRIVATE_MOUNTS";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StorageKind {
    #[default]
    Plain,
    /// Images: power cuts and full disks are possible.
    Image,
}

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("power cuts and full disks need root, to mount file systems of their own")]
    NotRoot,
    #[error("{command} failed: {reason}")]
    Command { command: String, reason: String },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whether this machine lets us have file systems of our own.
pub fn are_images_possible() -> bool {
    let may_mount =
        Command::new("unshare").args(["--mount", "--propagation", "private", "--", "true"]).output();
    rustix::process::geteuid().is_root()
        && Path::new("/dev/loop-control").exists()
        && may_mount.is_ok_and(|done| done.status.success())
}

/// Runs this program again in a mount namespace of its own, unless it is in one. Returns only if it is, or on an error.
pub fn enter_private_mounts() -> Result<(), StorageError> {
    if std::env::var_os(PRIVATE).is_some() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        return Err(StorageError::NotRoot);
    }
    let error = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(PRIVATE, "1")
        .exec();
    Err(error.into())
}

fn run(program: &str, arguments: &[&Path]) -> Result<(), StorageError> {
    let done = Command::new(program).args(arguments).output()?;
    if done.status.success() {
        return Ok(());
    }
    let command =
        std::iter::once(program.to_owned()).chain(arguments.iter().map(|word| word.display().to_string()));
    let reason = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(StorageError::Command { command: command.collect::<Vec<_>>().join(" "), reason })
}

fn word(text: &str) -> &Path {
    Path::new(text)
}

/// Makes a file system in a file.
fn make_image(path: &Path, bytes: u64) -> Result<(), StorageError> {
    fs::File::create(path)?.set_len(bytes)?;
    run("mkfs.ext4", &[word("-q"), word("-F"), path])
}

fn mount(image: &Path, folder: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(folder)?;
    run("mount", &[word("-o"), word("loop"), image, folder])
}

/// The folders of all nodes.
#[derive(Debug)]
pub struct Storage {
    root: PathBuf,
    kind: StorageKind,
    /// Copies made of each node's image so far.
    copies: Vec<u32>,
}

impl Storage {
    pub fn create(root: &Path, kind: StorageKind, nodes: u8) -> Result<Self, StorageError> {
        fs::create_dir_all(root)?;
        let storage = Self { root: root.to_owned(), kind, copies: vec![0; nodes.into()] };
        if kind == StorageKind::Image {
            make_image(&storage.root.join("lower.img"), LOWER_BYTES)?;
            mount(&storage.root.join("lower.img"), &storage.lower())?;
        }
        for node in (0..nodes).map(NodeId) {
            match kind {
                StorageKind::Plain => fs::create_dir_all(storage.folder(node))?,
                StorageKind::Image => {
                    make_image(&storage.image(node), IMAGE_BYTES)?;
                    mount(&storage.image(node), &storage.folder(node))?;
                }
            }
        }
        Ok(storage)
    }

    pub fn kind(&self) -> StorageKind {
        self.kind
    }

    /// Where a node keeps everything.
    pub fn folder(&self, node: NodeId) -> PathBuf {
        self.root.join(node.to_string())
    }

    fn lower(&self) -> PathBuf {
        self.root.join("lower")
    }

    fn image(&self, node: NodeId) -> PathBuf {
        let copy = self.copies.get(usize::from(node.0)).copied().unwrap_or_default();
        self.lower().join(format!("{node}.{copy}.img"))
    }

    /// Copies what has reached the disks of `nodes` at one moment. Their processes must be paused, so that nothing is
    /// acknowledged after it; they are to be killed before [`Self::power_on`].
    pub fn power_off(&mut self, nodes: &[NodeId]) -> Result<(), StorageError> {
        let lower = self.lower();
        run("fsfreeze", &[word("--freeze"), &lower])?;
        let mut copied = Ok(());
        for node in nodes {
            // The copy of a frozen file cannot be on the frozen file system.
            let parked = self.root.join(format!("{node}.cut"));
            copied = copied.and(run("cp", &[word("--sparse=always"), &self.image(*node), &parked]));
        }
        run("fsfreeze", &[word("--unfreeze"), &lower])?;
        copied
    }

    /// Mounts the copy in the place of what there was.
    pub fn power_on(&mut self, node: NodeId) -> Result<(), StorageError> {
        let folder = self.folder(node);
        run("umount", &[word("--lazy"), &folder])?;
        let old = self.image(node);
        if let Some(copies) = self.copies.get_mut(usize::from(node.0)) {
            *copies += 1;
        }
        run("cp", &[word("--sparse=always"), &self.root.join(format!("{node}.cut")), &self.image(node)])?;
        fs::remove_file(self.root.join(format!("{node}.cut")))?;
        fs::remove_file(old)?;
        mount(&self.image(node), &folder)
    }

    /// A file that is written and not flushed: after a cut it must be gone or empty. Returns its path.
    pub fn write_unsynced(&self, node: NodeId) -> io::Result<PathBuf> {
        let path = self.folder(node).join("written-and-never-flushed");
        fs::write(&path, b"only in memory")?;
        Ok(path)
    }

    /// Fills the file system of a node to its last byte, in a file that [`Self::make_room`] removes.
    pub fn fill(&self, node: NodeId) -> io::Result<u64> {
        let mut file = fs::File::create(self.ballast(node))?;
        let chunk = vec![0xA5; 1 << 20];
        let mut written = 0;
        let mut size = chunk.len();
        while size > 0 {
            match io::Write::write_all(&mut file, chunk.get(..size).unwrap_or_default()) {
                Ok(()) => written += size as u64,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => size /= 2,
                Err(error) => return Err(error),
            }
        }
        // What stays in memory takes no room yet.
        file.sync_all()
            .or_else(|error| if error.kind() == io::ErrorKind::StorageFull { Ok(()) } else { Err(error) })?;
        Ok(written)
    }

    pub fn make_room(&self, node: NodeId) -> io::Result<()> {
        fs::remove_file(self.ballast(node))
    }

    fn ballast(&self, node: NodeId) -> PathBuf {
        self.folder(node).join("ballast")
    }
}

/// Takes the mounts down, so that the images can be deleted with the run.
impl Drop for Storage {
    fn drop(&mut self) {
        if self.kind == StorageKind::Image {
            for at in 0..self.copies.len() {
                if let Ok(node) = u8::try_from(at) {
                    let _ = run("umount", &[word("--lazy"), &self.folder(NodeId(node))]);
                }
            }
            let _ = run("umount", &[word("--lazy"), &self.lower()]);
            let _ = fs::remove_file(self.root.join("lower.img"));
        }
    }
}
