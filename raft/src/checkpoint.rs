//! Checkpoints: the state behind the beginning of a segment.
//!
//! One file per segment, `checkpoints/<first offset of the segment>`, complete before it has its name. The newest one is where a
//! restart begins, and the one at the beginning of the log is what a node gets that is too far behind. One is only written when
//! the log before it is durable: a node never has a state without the log that led to it.

use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::disk::{Access, Disk};
use ferrymq_storage::{Chain, Mark};
use prost::Message;

use crate::log_store::Bases;
use crate::proto;
use crate::types::{LogId, SnapshotMeta, StoredMembership, index_of, term_of};
use crate::wire::{decode_stored, encode_stored};

const FOLDER: &str = "checkpoints";
const MAGIC: [u8; 4] = *b"FMQC";
const VERSION: u32 = 1;
/// Magic, version, length, checksum.
const HEAD_BYTES: usize = 20;
const NAME_DIGITS: usize = 20;
/// Of a checkpoint, in memory, on the disk and on the wire.
pub(crate) const CHECKPOINT_BYTES_MAX: usize = 1 << 30;

/// A state, and its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Checkpoint {
    /// The first offset of a segment, and the last frame before it.
    pub mark: Mark,
    /// `None` before the first entry.
    pub last: Option<LogId>,
    pub segment_bytes: u64,
    pub membership: StoredMembership,
    pub state: Bytes,
}

impl Checkpoint {
    pub fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.last, last_membership: self.membership.clone() }
    }

    pub fn encode(&self) -> Bytes {
        let message = proto::Checkpoint {
            offset: self.mark.offset.0,
            last: self.last.map(Into::into),
            header_crc: self.mark.chain.header_crc,
            segment_bytes: self.segment_bytes,
            membership: Some(encode_stored(&self.membership)),
            state: self.state.clone(),
        };
        message.encode_to_vec().into()
    }

    pub fn decode(bytes: Bytes) -> io::Result<Self> {
        let message = proto::Checkpoint::decode(bytes).map_err(io::Error::other)?;
        let membership = decode_stored(message.membership.unwrap_or_default());
        let membership = membership.ok_or_else(|| io::Error::other("a checkpoint without members"))?;
        let last: Option<LogId> = message.last.map(Into::into);
        let chain = Chain {
            index: index_of(last),
            term: last.map(term_of).unwrap_or_default(),
            header_crc: message.header_crc,
        };
        Ok(Self {
            mark: Mark { offset: LogOffset(message.offset), chain },
            last,
            segment_bytes: message.segment_bytes,
            membership,
            state: message.state,
        })
    }
}

/// The folder of checkpoints.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Of the files that are there.
    bases: BTreeSet<i64>,
    /// The one that is the snapshot, as openraft calls it.
    published: Option<i64>,
}

impl Checkpoints {
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> io::Result<Self> {
        let folder = folder.join(FOLDER);
        disk.create_folder(&folder)?;
        Self::list(disk, folder)
    }

    /// Of a folder that is only looked at. `None` when there is none.
    pub fn to_read(disk: &Arc<dyn Disk>, folder: &Path) -> io::Result<Option<Self>> {
        match Self::list(Arc::clone(disk), folder.join(FOLDER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    fn list(disk: Arc<dyn Disk>, folder: PathBuf) -> io::Result<Self> {
        let entries = disk.list(&folder)?;
        // What is not complete has another name, and is written over.
        let parse = |name: &str| (name.len() == NAME_DIGITS).then(|| name.parse().ok()).flatten();
        let bases = entries.iter().filter_map(|entry| parse(&entry.name)).collect();
        Ok(Self { disk, folder, state: Mutex::new(State { bases, published: None }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn path(&self, base: i64) -> PathBuf {
        self.folder.join(format!("{base:0NAME_DIGITS$}"))
    }

    /// All, with the offsets that their names say. Oldest first.
    pub fn load_all(&self) -> Vec<(i64, io::Result<Checkpoint>)> {
        let bases: Vec<_> = self.state().bases.iter().copied().collect();
        bases.into_iter().map(|base| (base, self.load(base))).collect()
    }

    /// The newest one that is whole. One that is damaged is said so and passed over.
    pub fn newest(&self) -> Option<Checkpoint> {
        let bases: Vec<_> = self.state().bases.iter().rev().copied().collect();
        bases.into_iter().find_map(|base| self.whole(base))
    }

    fn whole(&self, base: i64) -> Option<Checkpoint> {
        let loaded = self.load(base);
        loaded.inspect_err(|error| tracing::warn!(base, %error, "a checkpoint cannot be used")).ok()
    }

    fn load(&self, base: i64) -> io::Result<Checkpoint> {
        let file = self.disk.open(&self.path(base), Access::Read)?;
        let bytes = usize::try_from(file.bytes()?).unwrap_or(usize::MAX);
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file is damaged");
        if !(HEAD_BYTES..=CHECKPOINT_BYTES_MAX + HEAD_BYTES).contains(&bytes) {
            return Err(damaged());
        }
        let mut content = vec![0; bytes];
        if file.read_at(&mut content, 0)? != bytes {
            return Err(damaged());
        }
        let content = Bytes::from(content);
        let body = content.slice(HEAD_BYTES..);
        if !content.starts_with(&head(&body)) {
            return Err(damaged());
        }
        Checkpoint::decode(body)
    }

    /// Keeps a checkpoint, durably.
    pub fn save(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let base = checkpoint.mark.offset.0;
        let body = checkpoint.encode();
        if body.len() > CHECKPOINT_BYTES_MAX {
            return Err(io::Error::other(format!("a state of {} bytes is too long", body.len())));
        }
        let path = self.path(base);
        let new_path = path.with_extension("new");
        match self.disk.remove(&new_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
        let file = self.disk.create(&new_path)?;
        file.write_at(&mut [IoSlice::new(&head(&body)), IoSlice::new(&body)], 0)?;
        file.sync_all()?;
        self.disk.rename(&new_path, &path)?;
        self.disk.sync_folder(&self.folder)?;
        self.state().bases.insert(base);
        Ok(())
    }

    /// The newest one at or before an offset behind which all entries lie that somebody still needs.
    pub fn newest_until(&self, offset: LogOffset, needed: Option<u64>) -> Option<Checkpoint> {
        let bases: Vec<_> = self.state().bases.range(..=offset.0).rev().copied().collect();
        let is_free = |checkpoint: &Checkpoint| checkpoint.last.map(|last| last.index) <= needed;
        bases.into_iter().filter_map(|base| self.whole(base)).find(is_free)
    }

    /// Makes the one at an offset the snapshot. `None` when that or a newer one is.
    pub fn publish(&self, offset: LogOffset) -> Option<Checkpoint> {
        let present = self.state().published;
        let checkpoint =
            self.whole(Some(offset.0).filter(|chosen| present.is_none_or(|present| present < *chosen))?)?;
        self.state().published = Some(offset.0);
        Some(checkpoint)
    }

    /// As [`publish`](Self::publish), after a restart: the oldest one behind what is gone.
    pub fn publish_behind(&self, purged: LogId) -> Option<Checkpoint> {
        let bases: Vec<_> = self.state().bases.iter().copied().collect();
        let usable = |checkpoint: &Checkpoint| checkpoint.last >= Some(purged);
        let oldest = bases.into_iter().filter_map(|base| self.whole(base)).find(usable)?;
        self.state().published = Some(oldest.mark.offset.0);
        Some(oldest)
    }

    /// The snapshot.
    pub fn published(&self) -> io::Result<Option<Checkpoint>> {
        let published = self.state().published;
        published.map(|base| self.load(base)).transpose()
    }

    /// Makes this one the snapshot, and the only one.
    pub fn install(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        self.save(checkpoint)?;
        let base = checkpoint.mark.offset.0;
        self.state().published = Some(base);
        self.remove(|other| other != base)
    }

    /// Removes those before an offset, but never the snapshot.
    pub fn remove_before(&self, start: LogOffset) -> io::Result<()> {
        self.remove(|base| base < start.0)
    }

    fn remove(&self, is_old: impl Fn(i64) -> bool) -> io::Result<()> {
        let mut state = self.state();
        let published = state.published;
        let old: Vec<_> =
            state.bases.iter().copied().filter(|base| is_old(*base) && Some(*base) != published).collect();
        for base in old {
            self.disk.remove(&self.path(base))?;
            state.bases.remove(&base);
        }
        Ok(())
    }
}

impl Bases for Checkpoints {
    fn base_behind(&self, entry: LogId) -> Option<Mark> {
        let bases: Vec<_> = self.state().bases.iter().rev().copied().collect();
        let found = bases.into_iter().filter_map(|base| self.whole(base));
        found
            .map(|checkpoint| (checkpoint.last, checkpoint.mark))
            .find(|(last, _)| *last == Some(entry))
            .map(|(_, mark)| mark)
    }
}

fn head(body: &[u8]) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let fields = MAGIC.into_iter().chain(VERSION.to_be_bytes()).chain((body.len() as u64).to_be_bytes());
    let crc = crc32fast::hash(body).to_be_bytes();
    for (to, from) in head.iter_mut().zip(fields.chain(crc)) {
        *to = from;
    }
    head
}
