//! The small files: `store.meta`, the lock, and the checkpoints. None of them holds what is nowhere else.

use super::finding::{Fault, Finding};
use crate::checkpoint::{self, SyncedFile, WrittenFile};
use crate::files::Keeper;
use crate::look::Look;
use crate::meta::{self, Layout};
use crate::recovery::OpenError;

pub(super) fn check(
    look: &Look,
    synced: &SyncedFile,
    written: &WrittenFile,
) -> Result<Vec<Finding>, OpenError> {
    let mut faults = Vec::new();
    // Between a write and its sync a slot may be torn. In a store that was closed in order both are whole.
    if look.has_meta && look.stored.clean {
        let slots = meta::damaged_slots(&*look.disk, &look.files.meta)?;
        let path = &look.files.meta;
        faults.extend(slots.into_iter().map(|slot| Fault::MetaSlot { path: path.clone(), slot }));
    }
    if look.keeper == Keeper::Damaged {
        faults.push(Fault::Lock { path: look.files.lock.clone() });
    }
    let folder = &look.files.folder;
    if *synced == SyncedFile::Damaged {
        faults.push(Fault::Checkpoint { path: checkpoint::synced_path(folder) });
    }
    if *written == WrittenFile::Damaged {
        faults.push(Fault::Checkpoint { path: checkpoint::written_path(folder) });
    }
    if let SyncedFile::Found(synced) = synced
        && look.has_meta
        && look.stored.layout == Layout::Classic
    {
        let expected = checkpoint::apaches_content(&synced.good);
        let is_same = checkpoint::is_apaches_content(&*look.disk, folder, &expected);
        let is_same = is_same.map_err(|(path, source)| OpenError::Io { path, source })?;
        // It is written last: a crash may leave it behind.
        if !is_same && look.stored.clean {
            faults.push(Fault::Checkpoint { path: checkpoint::apaches_path(folder) });
        }
    }
    Ok(faults.into_iter().map(Fault::affects).collect())
}
