//! How far a migration has come, in a file in the new node's folder: whoever is killed goes on there.
//!
//! It is written when the new log is durable so far, and before anything behind that place counts as final.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ferrymq_namesrv::stored_file;
use ferrymq_proto::position::LogOffset;
use ferrymq_raft::NodeId;
use ferrymq_storage::{Chain, Index, Mark, Term};
use prost::Message;

const FORMAT: u32 = 1;
const NAME: &str = "migration";

/// As it is stored. A tag is never used again for something else.
#[derive(Clone, PartialEq, Message)]
pub struct Journal {
    #[prost(uint32, tag = "1")]
    format: u32,
    /// Of the source, as it was at the beginning.
    #[prost(uint32, tag = "2")]
    pub fingerprint: u32,
    #[prost(string, tag = "3")]
    pub source: String,
    /// The nodes of the group, and their names.
    #[prost(uint64, repeated, tag = "4")]
    nodes: Vec<u64>,
    #[prost(string, repeated, tag = "5")]
    pub names: Vec<String>,
    #[prost(bool, tag = "6")]
    pub with_tail: bool,
    /// From where on in the source there is more to do. None before the first record.
    #[prost(message, optional, tag = "7")]
    come_to: Option<Come>,
    #[prost(uint64, tag = "8")]
    pub records: u64,
    #[prost(uint64, tag = "9")]
    pub bytes: u64,
    /// Of the file of places.
    #[prost(uint64, tag = "10")]
    pub places: u64,
    /// All is written, and stands in the folders of the first so many nodes.
    #[prost(uint32, tag = "11")]
    pub copies: u32,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Come {
    #[prost(int64, tag = "1")]
    source: i64,
    #[prost(int64, tag = "2")]
    offset: i64,
    #[prost(uint64, tag = "3")]
    index: u64,
    #[prost(uint64, tag = "4")]
    term: u64,
    #[prost(uint32, tag = "5")]
    header_crc: u32,
}

/// A place in both logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    pub source: LogOffset,
    pub mark: Mark,
}

impl Journal {
    pub fn begin(
        fingerprint: u32,
        source: String,
        nodes: &[NodeId],
        names: Vec<String>,
        with_tail: bool,
    ) -> Self {
        let nodes = nodes.iter().map(|node| node.0).collect();
        Self { format: FORMAT, fingerprint, source, nodes, names, with_tail, ..Self::default() }
    }

    pub fn path(folder: &Path) -> PathBuf {
        folder.join(NAME)
    }

    pub fn places_path(folder: &Path) -> PathBuf {
        folder.join("migration.places")
    }

    /// `None` when there is none.
    pub fn load(folder: &Path) -> io::Result<Option<Self>> {
        let bytes = match fs::read(Self::path(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let journal = Self::decode(bytes.as_slice()).map_err(io::Error::other)?;
        match journal.format {
            FORMAT => Ok(Some(journal)),
            other => Err(io::Error::other(format!("it has format {other}, and this program knows {FORMAT}"))),
        }
    }

    pub fn save(&self, folder: &Path) -> io::Result<()> {
        stored_file::replace(&Self::path(folder), &self.encode_to_vec())
    }

    pub fn remove(folder: &Path) -> io::Result<()> {
        for path in [Self::places_path(folder), Self::path(folder)] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    pub fn nodes(&self) -> Vec<NodeId> {
        self.nodes.iter().copied().map(NodeId).collect()
    }

    pub fn reached(&self) -> Option<Reached> {
        let Come { source, offset, index, term, header_crc } = self.come_to?;
        let chain = Chain { index: Index(index), term: Term(term), header_crc };
        Some(Reached { source: LogOffset(source), mark: Mark { offset: LogOffset(offset), chain } })
    }

    pub fn reach(&mut self, reached: Reached) {
        let Reached { source, mark } = reached;
        self.come_to = Some(Come {
            source: source.0,
            offset: mark.offset.0,
            index: mark.chain.index.0,
            term: mark.chain.term.0,
            header_crc: mark.chain.header_crc,
        });
    }
}
