//! Looks over what a node keeps beside its log: `raft.meta`, and the checkpoints. Nothing is changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_storage::disk::Disk;

use crate::checkpoint::Checkpoints;
use crate::meta::{self, SlotState};

/// What is wrong with a node's files.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeFault {
    #[error("{path} is missing beside checkpoints: nobody knows how this node has voted")]
    MetaMissing { path: PathBuf },
    /// A power loss in the midst of a write leaves the same: then it was never promised.
    #[error("{path} is damaged in slot {slot}; the other one counts")]
    MetaSlot { path: PathBuf, slot: usize },
    #[error("{path} is damaged in both of its slots")]
    Meta { path: PathBuf },
    #[error("{path} was written by a newer version ({found})")]
    MetaNewer { path: PathBuf, found: u32 },
    #[error("{path} is damaged: {problem}")]
    Checkpoint { path: PathBuf, problem: String },
}

impl NodeFault {
    pub fn path(&self) -> &Path {
        match self {
            Self::MetaMissing { path }
            | Self::MetaSlot { path, .. }
            | Self::Meta { path }
            | Self::MetaNewer { path, .. }
            | Self::Checkpoint { path, .. } => path,
        }
    }

    /// What a program may tell it by.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Checkpoint { .. } => "node-checkpoint",
            _ => "node-meta",
        }
    }

    /// What it does to the node.
    pub fn effect(&self) -> &'static str {
        match self {
            Self::MetaSlot { .. } => "affects the last vote of this node, if the slot was the newer one",
            Self::Checkpoint { .. } => {
                "affects a start: it begins at an older checkpoint, or the group sends one"
            }
            Self::MetaNewer { .. } => "affects this node: only the newer program starts it",
            Self::MetaMissing { .. } | Self::Meta { .. } => {
                "affects this node: it does not start; remove its folder, and let it join the group anew"
            }
        }
    }
}

/// What there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFiles {
    pub has_meta: bool,
    pub checkpoints: u64,
    pub faults: Vec<NodeFault>,
}

/// Looks over the files in the folder of a store. `is_state` says what is wrong with a state in a checkpoint, if anything is.
pub fn verify_node(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    segment_bytes: u64,
    is_state: &dyn Fn(&[u8]) -> Result<(), String>,
) -> io::Result<NodeFiles> {
    let mut found = NodeFiles::default();
    let checkpoints = Checkpoints::to_read(disk, folder)?;
    let path = meta::path_in(folder);
    match meta::slots(&**disk, &path)? {
        None if checkpoints.is_some() => found.faults.push(NodeFault::MetaMissing { path }),
        None => {}
        Some(slots) => {
            found.has_meta = true;
            found.faults.extend(slot_faults(&path, slots));
        }
    }
    for (base, checkpoint) in checkpoints.iter().flat_map(Checkpoints::load_all) {
        found.checkpoints += 1;
        let problem = match checkpoint {
            Err(error) => Some(error.to_string()),
            Ok(checkpoint) if checkpoint.mark.offset.0 != base => {
                Some(format!("it is of offset {}", checkpoint.mark.offset))
            }
            Ok(checkpoint) if checkpoint.segment_bytes != segment_bytes => {
                Some(format!("it is of a log with segments of {} bytes", checkpoint.segment_bytes))
            }
            // What is there before the first entry.
            Ok(checkpoint) if checkpoint.state.is_empty() => None,
            Ok(checkpoint) => is_state(&checkpoint.state).err(),
        };
        let path = checkpoints.as_ref().map(|checkpoints| checkpoints.path(base)).unwrap_or_default();
        found.faults.extend(problem.map(|problem| NodeFault::Checkpoint { path, problem }));
    }
    Ok(found)
}

fn slot_faults(path: &Path, slots: [SlotState; 2]) -> Vec<NodeFault> {
    let path = path.to_owned();
    let newer =
        slots.iter().find_map(|slot| if let SlotState::Newer(found) = slot { Some(*found) } else { None });
    match (newer, slots) {
        (Some(found), _) => vec![NodeFault::MetaNewer { path, found }],
        (None, [SlotState::Damaged, SlotState::Damaged]) => vec![NodeFault::Meta { path }],
        (None, slots) => {
            let damaged = (0..).zip(slots).filter(|(_, slot)| *slot == SlotState::Damaged);
            damaged.map(|(slot, _)| NodeFault::MetaSlot { path: path.clone(), slot }).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use bytes::Bytes;
    use ferrymq_storage::disk::{Access, SimulatedDisk};
    use ferrymq_storage::{BootId, Chain, Mark};

    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::meta::{MetaFile, NodeMeta};
    use crate::types::{NodeId, StoredMembership};

    const SEGMENT_BYTES: u64 = 4096;
    /// Prime, so that each bit of a byte has its turn.
    const STEP: usize = 37;

    fn node() -> SimulatedDisk {
        let disk = SimulatedDisk::default();
        let folder = Path::new("/store");
        let meta = NodeMeta {
            node: NodeId(7),
            cluster: "c".into(),
            group: "g".into(),
            name: "n0".into(),
            boot: BootId::default(),
            is_clean: false,
            is_lazy: false,
            is_quarantined: false,
            has_log: true,
            vote: None,
            purged: None,
        };
        let file = MetaFile::create(&disk, &meta::path_in(folder), meta).unwrap();
        file.change(|meta| meta.is_clean = true).unwrap();
        let checkpoints = Checkpoints::open(Arc::new(disk.clone()), folder).unwrap();
        let checkpoint = Checkpoint {
            mark: Mark { offset: ferrymq_proto::position::LogOffset(4096), chain: Chain::default() },
            last: None,
            segment_bytes: SEGMENT_BYTES,
            membership: StoredMembership::default(),
            state: Bytes::from_static(b"state"),
        };
        checkpoints.save(&checkpoint).unwrap();
        disk
    }

    fn look(disk: &SimulatedDisk) -> NodeFiles {
        let is_state = |state: &[u8]| if state == b"state" { Ok(()) } else { Err("no state".to_owned()) };
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        verify_node(&disk, Path::new("/store"), SEGMENT_BYTES, &is_state).unwrap()
    }

    #[test]
    fn a_sound_node_and_none() {
        assert_eq!(look(&node()), NodeFiles { has_meta: true, checkpoints: 1, faults: vec![] });
        let disk = SimulatedDisk::default();
        disk.create_folder(Path::new("/store")).unwrap();
        assert_eq!(look(&disk), NodeFiles::default());
    }

    #[test]
    fn flips_are_found() {
        let whole = node();
        for (path, bytes) in whole.files() {
            for bit in (0..bytes.len() as u64 * 8).step_by(STEP) {
                let disk = whole.process_loss();
                disk.flip_bit(&path, bit);
                let faults = look(&disk).faults;
                assert_eq!(faults.len(), 1, "bit {bit} of {}: {faults:?}", path.display());
                assert_eq!(faults[0].path(), path);
            }
        }
    }

    #[test]
    fn files_that_are_missing_or_of_another_store() {
        let disk = node();
        disk.rename(
            Path::new("/store/checkpoints/00000000000000004096"),
            Path::new("/store/checkpoints/00000000000000008192"),
        )
        .unwrap();
        let checkpoint = Path::new("/store/checkpoints/00000000000000008192");
        assert_eq!(
            look(&disk).faults,
            [NodeFault::Checkpoint { path: checkpoint.into(), problem: "it is of offset 4096".into() }]
        );
        disk.remove(checkpoint).unwrap();
        let meta = Path::new("/store/raft.meta");
        let file = disk.open(meta, Access::Write).unwrap();
        file.write_at(&mut [IoSlice::new(&[0; 8192])], 0).unwrap();
        assert_eq!(look(&disk).faults, [NodeFault::Meta { path: meta.into() }]);
        disk.remove(meta).unwrap();
        assert_eq!(look(&disk).faults, [NodeFault::MetaMissing { path: meta.into() }]);
    }
}
