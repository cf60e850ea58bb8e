//! `raft.meta`: who this node is, and what it has promised.
//!
//! Two slots of 4 KiB, each with a sequence number and a checksum; the higher valid one counts, and only the other one is ever
//! overwritten. Everything is durable before a change counts as made: a vote that a crash takes back could be given twice.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrymq_storage::BootId;
use ferrymq_storage::disk::{Access, Disk, DiskFile};
use ferrymq_storage::unsafe_modes::{UnsafeMode, is_on};

use crate::types::{LogId, NodeId, Vote, log_id};

const MAGIC: [u8; 4] = *b"FMQR";
const VERSION: u32 = 1;
const SLOT_BYTES: usize = 4096;
const CRC_AT: usize = SLOT_BYTES - 4;
/// Of a name in the file.
pub(crate) const NAME_BYTES_MAX: usize = 255;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeMeta {
    pub node: NodeId,
    /// Whose folder this is: a node of another group must not use it.
    pub cluster: String,
    pub group: String,
    pub name: String,
    pub boot: BootId,
    /// Stopped in order: nothing was lost.
    pub is_clean: bool,
    /// Acknowledges what is in the page cache only.
    pub is_lazy: bool,
    /// The machine went down and may have taken with it what this node had acknowledged: until it has as much as the group, it
    /// does not vote.
    pub is_quarantined: bool,
    /// It has had an entry, so that an empty log is a lost one.
    pub has_log: bool,
    pub vote: Option<Vote>,
    /// The last entry before the first one of the log.
    pub purged: Option<LogId>,
}

#[derive(Debug, thiserror::Error)]
pub enum NodeMetaError {
    #[error(
        "{path} is damaged in both of its slots; remove the folder, and let this node join the group anew"
    )]
    Damaged { path: PathBuf },
    #[error(
        "{path} was written by a newer version ({found}, this program knows {VERSION}); start the newer program"
    )]
    Newer { path: PathBuf, found: u32 },
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub(crate) struct MetaFile {
    /// Guards the file. A save waits for the disk.
    state: Mutex<State>,
    path: PathBuf,
}

#[derive(Debug)]
struct State {
    file: Box<dyn DiskFile>,
    meta: NodeMeta,
    sequence: u64,
    /// The slot that was synced last.
    durable_slot: usize,
}

impl MetaFile {
    /// `None` when there is none.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Option<Self>, NodeMetaError> {
        let failed = |source| NodeMetaError::Io { path: path.to_owned(), source };
        let file = match disk.open(path, Access::Write) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        let mut newest: Option<(u64, usize, NodeMeta)> = None;
        for slot in 0..2 {
            let mut content = vec![0; SLOT_BYTES];
            file.read_at(&mut content, (slot * SLOT_BYTES) as u64).map_err(failed)?;
            match decode(&content) {
                Ok((sequence, meta)) if newest.as_ref().is_none_or(|(known, ..)| *known < sequence) => {
                    newest = Some((sequence, slot, meta));
                }
                Err(SlotError::Newer(found)) => {
                    return Err(NodeMetaError::Newer { path: path.to_owned(), found });
                }
                Ok(_) | Err(SlotError::Damaged) => {}
            }
        }
        let Some((sequence, durable_slot, meta)) = newest else {
            return Err(NodeMetaError::Damaged { path: path.to_owned() });
        };
        // What was read may still be in the page cache only, and the other slot is written next.
        file.sync_data().map_err(failed)?;
        let state = Mutex::new(State { file, meta, sequence, durable_slot });
        Ok(Some(Self { state, path: path.to_owned() }))
    }

    /// Makes the file complete before it has its name.
    pub fn create(disk: &dyn Disk, path: &Path, meta: NodeMeta) -> Result<Self, NodeMetaError> {
        let created = Self::make(disk, path, meta);
        created.map_err(|source| NodeMetaError::Io { path: path.to_owned(), source })
    }

    fn make(disk: &dyn Disk, path: &Path, meta: NodeMeta) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        disk.create_folder(folder)?;
        let new_path = path.with_extension("meta.new");
        match disk.remove(&new_path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.and_then(|()| disk.sync_folder(folder))?,
        }
        let file = disk.create(&new_path)?;
        file.allocate(2 * SLOT_BYTES as u64)?;
        let mut state = State { file, meta, sequence: 0, durable_slot: 1 };
        state.save()?;
        state.save()?;
        disk.rename(&new_path, path)?;
        disk.sync_folder(folder)?;
        Ok(Self { state: Mutex::new(state), path: path.to_owned() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn current(&self) -> NodeMeta {
        self.state().meta.clone()
    }

    /// Changes what the file says, durably. This waits for the disk.
    pub fn change(&self, change: impl FnOnce(&mut NodeMeta)) -> io::Result<()> {
        let mut state = self.state();
        let before = state.meta.clone();
        change(&mut state.meta);
        if state.meta == before {
            return Ok(());
        }
        state
            .save()
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display())))
    }
}

impl State {
    fn save(&mut self) -> io::Result<()> {
        self.sequence += 1;
        let slot = 1 - self.durable_slot;
        let content = if is_on(UnsafeMode::SkipVoteFsync) {
            encode(self.sequence, &NodeMeta { vote: None, ..self.meta.clone() })
        } else {
            encode(self.sequence, &self.meta)
        };
        self.file.write_at(&mut [IoSlice::new(&content)], (slot * SLOT_BYTES) as u64)?;
        self.file.sync_data()?;
        self.durable_slot = slot;
        Ok(())
    }
}

/// Runs a save on a thread that may wait for the disk.
pub(crate) async fn change_meta(
    file: &Arc<MetaFile>,
    change: impl FnOnce(&mut NodeMeta) + Send + 'static,
) -> io::Result<()> {
    let file = Arc::clone(file);
    tokio::task::spawn_blocking(move || file.change(change)).await.map_err(io::Error::other)?
}

/// What a slot holds, for those who only look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Whole,
    Damaged,
    Newer(u32),
}

pub(crate) fn path_in(folder: &Path) -> PathBuf {
    folder.join("raft.meta")
}

/// `None` when there is no file.
pub(crate) fn slots(disk: &dyn Disk, path: &Path) -> io::Result<Option<[SlotState; 2]>> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let state = |slot: usize| -> io::Result<SlotState> {
        let mut content = vec![0; SLOT_BYTES];
        file.read_at(&mut content, (slot * SLOT_BYTES) as u64)?;
        Ok(match decode(&content) {
            Ok(_) => SlotState::Whole,
            Err(SlotError::Newer(found)) => SlotState::Newer(found),
            Err(SlotError::Damaged) => SlotState::Damaged,
        })
    };
    Ok(Some([state(0)?, state(1)?]))
}

fn encode(sequence: u64, meta: &NodeMeta) -> Vec<u8> {
    let mut out = Vec::with_capacity(SLOT_BYTES);
    out.extend(MAGIC);
    out.extend(VERSION.to_be_bytes());
    out.extend(sequence.to_be_bytes());
    out.extend(meta.node.0.to_be_bytes());
    out.extend(meta.boot.0);
    out.extend([meta.is_clean, meta.is_lazy, meta.is_quarantined, meta.has_log].map(u8::from));
    let vote = meta.vote.unwrap_or_else(|| Vote::new(0, NodeId::default()));
    out.push(u8::from(meta.vote.is_some()));
    out.extend(vote.leader_id.term.to_be_bytes());
    out.extend(vote.leader_id.voted_for.0.to_be_bytes());
    out.push(u8::from(vote.committed));
    out.push(u8::from(meta.purged.is_some()));
    let purged = meta.purged.unwrap_or_else(|| log_id(0, 0));
    out.extend(purged.leader_id.term.to_be_bytes());
    out.extend(purged.index.to_be_bytes());
    for name in [&meta.cluster, &meta.group, &meta.name] {
        let name = name.as_bytes();
        let name = name.get(..name.len().min(NAME_BYTES_MAX)).unwrap_or_default();
        out.push(name.len() as u8);
        out.extend(name);
    }
    out.resize(CRC_AT, 0);
    out.extend(crc32fast::hash(&out).to_be_bytes());
    out
}

enum SlotError {
    Damaged,
    Newer(u32),
}

fn decode(content: &[u8]) -> Result<(u64, NodeMeta), SlotError> {
    let (fields, crc) = content.split_at_checked(CRC_AT).ok_or(SlotError::Damaged)?;
    if crc32fast::hash(fields).to_be_bytes() != crc {
        return Err(SlotError::Damaged);
    }
    let mut rest = fields;
    if take(&mut rest)? != MAGIC {
        return Err(SlotError::Damaged);
    }
    match u32::from_be_bytes(take(&mut rest)?) {
        VERSION => {}
        newer if newer > VERSION => return Err(SlotError::Newer(newer)),
        _ => return Err(SlotError::Damaged),
    }
    let sequence = u64_of(&mut rest)?;
    let node = NodeId(u64_of(&mut rest)?);
    let boot = BootId(take(&mut rest)?);
    let [is_clean, is_lazy, is_quarantined, has_log] = take(&mut rest)?.map(|flag| flag != 0);
    let [has_vote] = take(&mut rest)?;
    let (term, voted_for) = (u64_of(&mut rest)?, NodeId(u64_of(&mut rest)?));
    let [committed] = take(&mut rest)?;
    let vote = if committed != 0 { Vote::new_committed(term, voted_for) } else { Vote::new(term, voted_for) };
    let [has_purged] = take(&mut rest)?;
    let purged = log_id(u64_of(&mut rest)?, u64_of(&mut rest)?);
    let (cluster, group, name) = (text(&mut rest)?, text(&mut rest)?, text(&mut rest)?);
    let meta = NodeMeta {
        node,
        cluster,
        group,
        name,
        boot,
        is_clean,
        is_lazy,
        is_quarantined,
        has_log,
        vote: (has_vote != 0).then_some(vote),
        purged: (has_purged != 0).then_some(purged),
    };
    Ok((sequence, meta))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SlotError> {
    let (field, behind) = rest.split_first_chunk().ok_or(SlotError::Damaged)?;
    *rest = behind;
    Ok(*field)
}

fn u64_of(rest: &mut &[u8]) -> Result<u64, SlotError> {
    take(rest).map(u64::from_be_bytes)
}

fn text(rest: &mut &[u8]) -> Result<String, SlotError> {
    let [length] = take(rest)?;
    let (text, behind) = rest.split_at_checked(usize::from(length)).ok_or(SlotError::Damaged)?;
    *rest = behind;
    String::from_utf8(text.to_vec()).map_err(|_| SlotError::Damaged)
}
