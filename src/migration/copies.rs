//! The new store once more, for the other nodes of its group. What takes no room there takes none here.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::journal::Journal;
use super::source::list;

/// What is read at once. So much of nothing but zeros is not written.
const CHUNK_BYTES: usize = 1 << 20;
/// Belongs to whoever has a folder open.
const LOCK: &str = "lock";

/// Copies all but the journal, and tells how many bytes were read.
pub fn copy(from: &Path, to: &Path, show: &mut dyn FnMut(u64)) -> Result<(), (PathBuf, io::Error)> {
    let left_out = [Journal::path(from), Journal::places_path(from), from.join(LOCK)];
    copy_folder(from, to, &left_out, show)
}

/// How many bytes a copy reads.
pub fn bytes_below(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in list(folder)? {
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { bytes_below(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

fn copy_folder(
    from: &Path,
    to: &Path,
    left_out: &[PathBuf],
    show: &mut dyn FnMut(u64),
) -> Result<(), (PathBuf, io::Error)> {
    let failed = |error| (to.to_owned(), error);
    fs::create_dir_all(to).map_err(failed)?;
    for entry in list(from).map_err(|error| (from.to_owned(), error))? {
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if left_out.contains(&path) {
            continue;
        }
        if path.is_dir() {
            copy_folder(&path, &copy, left_out, show)?;
        } else {
            copy_file(&path, &copy, show).map_err(|error| (copy, error))?;
        }
    }
    File::open(to).and_then(|folder| folder.sync_all()).map_err(failed)
}

fn copy_file(from: &Path, to: &Path, show: &mut dyn FnMut(u64)) -> io::Result<()> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    let bytes = from.metadata()?.len();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while let Some(next) = next_data(&from, at)?.filter(|next| *next < bytes) {
        show(next - at);
        at = next;
        let count = usize::try_from(bytes - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let read = chunk.get_mut(..count).unwrap_or_default();
        from.read_exact_at(read, at)?;
        if read.iter().any(|byte| *byte != 0) {
            to.write_all_at(read, at)?;
        }
        at += count as u64;
        show(count as u64);
    }
    show(bytes.saturating_sub(at));
    to.set_len(bytes)?;
    to.sync_all()
}

/// Where there is something again; `None`: nowhere.
fn next_data(file: &File, at: u64) -> io::Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(next) => Ok(Some(next)),
        Err(Errno::NXIO) => Ok(None),
        // Not every file system knows.
        Err(Errno::INVAL) => Ok(Some(at)),
        Err(error) => Err(error.into()),
    }
}
