//! Where dispatch begins: what the checkpoints say, and whether the files are there.

use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::position::{LogOffset, Timestamp};

use super::derived::{DerivedSettings, OpenDerivedError, Rebuild};
use crate::checkpoint::{Checkpoint, Good, Rebuilds, Synced};
use crate::index::KeyIndex;
use crate::log::Log;
use crate::queues::{Queues, QueuesStart};

/// What was opened, and what must be dispatched to it.
pub(super) struct Opened {
    pub queues: Queues,
    pub index: KeyIndex,
    pub checkpoint: Checkpoint,
    pub position: LogOffset,
    pub synced: LogOffset,
    pub last_store_time: Timestamp,
    pub queues_from: LogOffset,
    pub index_from: LogOffset,
    pub rebuild: Option<Rebuild>,
}

impl Opened {
    pub fn find(log: &Log, settings: DerivedSettings) -> Result<Self, OpenDerivedError> {
        let sizes = (settings.index_slots, settings.index_entries);
        // Entry 0 of an index file is none.
        if settings.queue_file_entries == 0 || sizes.0 == 0 || sizes.1 < 2 {
            return Err(OpenDerivedError::BadSettings);
        }
        let (disk, folder) = (&log.core.disk, &log.core.files.folder);
        let (queues_folder, index_folder) = (folder.join("consumequeue"), folder.join("index"));
        let checkpoint = Checkpoint::new(Arc::clone(disk), folder.clone());
        let Known { good, synced, mut rebuilds, census } = Known::find(log, &checkpoint, settings.rebuild)?;
        disk.create_folder(&queues_folder).map_err(failed_at(&queues_folder))?;
        // What was written since the last sync may be of queues that the census does not know.
        let has_entries = census.has_entries() || good.position > synced.position;
        if !rebuilds.queues && has_entries && is_empty(log, &queues_folder)? {
            tracing::warn!(path = %queues_folder.display(), "the queues are missing; they are made anew from the log");
            rebuilds.queues = true;
        }
        let mut index = None;
        if !rebuilds.index {
            index = KeyIndex::open(disk, index_folder.clone(), sizes, &good.index)?;
            if index.is_none() {
                tracing::warn!(path = %index_folder.display(), "the index is damaged; it is made anew from the log");
                rebuilds.index = true;
            }
        }
        let start = log.start();
        let synced_to = if rebuilds.any() { start } else { synced.position };
        if rebuilds.any() {
            // Before anything is changed: a crash in the midst of it shall begin it again.
            let begun = Synced { good: synced, rebuilds, census: census.clone() };
            checkpoint.save(&begun)?;
            checkpoint.forget_written()?;
        }
        let from = |rebuilt: bool| if rebuilt { start } else { good.position };
        let (queues_from, index_from) = (from(rebuilds.queues), from(rebuilds.index));
        let index = match index {
            Some(index) => index,
            None => KeyIndex::begin(disk, index_folder, sizes)?,
        };
        let queues = Queues::new(QueuesStart {
            log: log.clone(),
            folder: queues_folder,
            file_entries: settings.queue_file_entries,
            open_files_max: settings.open_files_max,
            levels: settings.delay_levels,
            trusted_to: queues_from,
            rebuilding: rebuilds.queues,
            census,
        });
        let to = good.position.max(log.confirmed().offset);
        Ok(Self {
            queues,
            index,
            checkpoint,
            position: queues_from.min(index_from),
            synced: synced_to,
            last_store_time: good.last_store_time,
            queues_from,
            index_from,
            rebuild: rebuilds.any().then_some(Rebuild { what: rebuilds, to }),
        })
    }
}

/// What is known before a file is looked at.
struct Known {
    /// In this life of the machine.
    good: Good,
    /// Whatever happens to it.
    synced: Good,
    rebuilds: Rebuilds,
    census: crate::queues::census::Census,
}

impl Known {
    fn find(log: &Log, checkpoint: &Checkpoint, rebuild: bool) -> Result<Self, OpenDerivedError> {
        let all = Rebuilds { queues: true, index: true };
        let start = log.start();
        let nothing = |census| {
            let good = Good { position: start, ..Good::default() };
            Self { synced: good.clone(), good, rebuilds: all, census }
        };
        let Some(Synced { good: synced, rebuilds, census }) = checkpoint.load_synced()? else {
            return Ok(nothing(Default::default()));
        };
        if rebuild {
            return Ok(nothing(census));
        }
        let boot = log.core.meta().current().boot;
        let written = if rebuilds.any() { None } else { checkpoint.load_written(boot)? };
        let good = written.filter(|written| written.position >= synced.position);
        let good = good.unwrap_or_else(|| synced.clone());
        if good.position > log.written() {
            let (position, end) = (good.position, log.written());
            tracing::warn!(%position, %end, "the checkpoint is of another log; all is made anew from this one");
            return Ok(nothing(Default::default()));
        }
        if good.position < start {
            let position = good.position;
            tracing::warn!(%position, %start, "the log has dropped what was not dispatched yet");
        }
        let position = good.position.max(start);
        Ok(Self { good: Good { position, ..good }, synced, rebuilds, census })
    }
}

fn failed_at(path: &Path) -> impl FnOnce(std::io::Error) -> OpenDerivedError {
    let path = path.to_owned();
    |source| OpenDerivedError::Io { path, source }
}

fn is_empty(log: &Log, folder: &Path) -> Result<bool, OpenDerivedError> {
    let entries = log.core.disk.list(folder).map_err(failed_at(folder))?;
    Ok(!entries.iter().any(|entry| entry.is_folder))
}
