//! Forgetting what is derived: the next start makes it anew from the log.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::{self, Checkpoint, Rebuilds, Synced};
use crate::disk::Disk;
use crate::files::{self, StoreFiles, StoreLock};
use crate::recovery::OpenError;

/// Says that the queues and the index of a store, which nobody has open, are not good. What the census knows of offsets that were
/// given once is kept.
pub fn forget(disk: &Arc<dyn Disk>, folder: &Path) -> Result<(), OpenError> {
    let files = StoreFiles::within(folder);
    let failed = |(path, source)| OpenError::Io { path, source };
    // Nothing is made where there is no store.
    disk.list(&files.log).map_err(|source| failed((files.log.clone(), source)))?;
    let lock = StoreLock::take(&**disk, &files).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            OpenError::ReadOnly { folder: folder.to_owned(), source }
        }
        _ => failed((files.lock.clone(), source)),
    })?;
    let Some(_lock) = lock else { return Err(OpenError::Locked { path: files.lock }) };
    let checkpoint = Checkpoint::new(Arc::clone(disk), folder.to_owned());
    match checkpoint.load_synced().map_err(failed)? {
        Some(known) => {
            let rebuilds = Rebuilds { queues: true, index: true };
            checkpoint.save(&Synced { rebuilds, ..known }).map_err(failed)
        }
        None => {
            let (written, synced) = (checkpoint::written_path(folder), checkpoint::synced_path(folder));
            let removed = files::remove_if_there(&**disk, &written)
                .and_then(|()| files::remove_if_there(&**disk, &synced))
                .and_then(|()| disk.sync_folder(folder));
            removed.map_err(|source| failed((folder.to_owned(), source)))
        }
    }
}
