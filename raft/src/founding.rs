//! A group that begins with what another broker had.
//!
//! Usually a group begins with nothing ([`bootstrap`](crate::bootstrap)). One that takes over a store begins as if all before had
//! been dropped by retention: with a checkpoint where a segment begins, and behind it a log of what the other broker had. All of
//! that is of the first term, and what lies before the checkpoint counts as its first entry.
//!
//! The order counts. [`Founding::keep`] while the log is made, [`Founding::admit`] last: without `raft.meta` a folder belongs to
//! no node, and nothing starts with it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::disk::Disk;
use ferrymq_storage::{BootId, Chain, FlushMode, Index, Mark, Term};

use crate::checkpoint::{Checkpoint, Checkpoints};
use crate::group::new_node;
use crate::meta::{self, MetaFile, NAME_BYTES_MAX, NodeMeta, NodeMetaError};
use crate::types::{Member, Membership, NodeId, StoredMembership, Vote, last_entry};

/// Of what lies before the log.
const FIRST: Index = Index(1);

/// A group that is about to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    pub cluster: String,
    /// The broker's name.
    pub group: String,
    /// Who is of it from the beginning.
    pub members: BTreeMap<NodeId, Member>,
    pub segment_bytes: u64,
}

impl Founding {
    /// Of all that is there before the group elects its first leader.
    pub const TERM: Term = Term(1);

    /// A number for a node whose folder is made now.
    pub fn number(name: &str, boot: BootId) -> NodeId {
        new_node(name, boot)
    }

    /// Where the log begins whose nodes begin with a state.
    pub fn base(&self, state: &[u8]) -> Mark {
        let chain = Chain { index: FIRST, term: Self::TERM, header_crc: crc32fast::hash(state) };
        // Segments are not longer than what a file may be. At 0, only a log begins that follows nothing.
        Mark { offset: LogOffset(self.segment_bytes as i64), chain }
    }

    /// Keeps the state where a segment begins, behind the last frame before it.
    pub fn keep(&self, disk: &Arc<dyn Disk>, folder: &Path, mark: Mark, state: Vec<u8>) -> io::Result<()> {
        let voters: BTreeSet<_> = self.members.keys().copied().collect();
        let members = Membership::new(vec![voters], self.members.clone()).map_err(io::Error::other)?;
        let first = last_entry(Chain { index: FIRST, term: Self::TERM, header_crc: 0 });
        let checkpoint = Checkpoint {
            mark,
            last: last_entry(mark.chain),
            segment_bytes: self.segment_bytes,
            membership: StoredMembership::new(first, members),
            state: state.into(),
        };
        Checkpoints::open(Arc::clone(disk), folder)?.save(&checkpoint)
    }

    /// Makes a folder with the log in it that of a node.
    pub fn admit(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        node: NodeId,
        (boot, mode): (BootId, FlushMode),
    ) -> Result<(), NodeMetaError> {
        let path = meta::path_in(folder);
        let known = self.members.get(&node).filter(|member| member.name.len() <= NAME_BYTES_MAX);
        let member = known.ok_or_else(|| NodeMetaError::Io {
            path: path.clone(),
            source: io::Error::other(format!("node {node} is none of the group")),
        })?;
        // As after an election that the first one has won: nobody ever votes in that term again.
        let leader = self.members.keys().next().copied().unwrap_or(node);
        let meta = NodeMeta {
            node,
            cluster: self.cluster.clone(),
            group: self.group.clone(),
            name: member.name.clone(),
            boot,
            is_clean: true,
            is_lazy: mode == FlushMode::Async,
            is_quarantined: false,
            has_log: true,
            vote: Some(Vote::new_committed(Self::TERM.0, leader)),
            purged: last_entry(Chain { index: FIRST, term: Self::TERM, header_crc: 0 }),
        };
        MetaFile::create(disk, &path, meta).map(|_| ())
    }

    /// Whether a folder belongs to a node.
    pub fn is_taken(disk: &dyn Disk, folder: &Path) -> io::Result<bool> {
        Ok(meta::slots(disk, &meta::path_in(folder))?.is_some())
    }
}
