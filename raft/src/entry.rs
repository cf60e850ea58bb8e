//! Entries: what a leader is asked to append, and what lies in a log.
//!
//! A [`Batch`] is an entry without a place: its records have holes. A [`Frame`] is an entry that has one: its bytes are the
//! same on all nodes, and what came of it is read from them.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ferrymq_storage::frame::{FRAME_HEADER_BYTES, FrameError, FrameHeader, FrameKind};
use ferrymq_storage::{LogSpan, Mark};
use openraft::entry::{RaftEntry, RaftPayload};
use openraft::vote::leader_id_std::CommittedLeaderId;

use crate::types::{LogId, Member, Membership, NodeId, entry_index, log_id};
use crate::wire;

/// Records that are to be appended as one frame.
#[derive(Debug)]
pub struct Batch {
    pub(crate) kind: FrameKind,
    /// In the body. Commands behind messages do not count.
    pub(crate) records: u32,
    /// Begins with room for the header.
    pub(crate) buffer: BytesMut,
}

impl Batch {
    pub(crate) fn new(kind: FrameKind) -> Self {
        Self { kind, records: 0, buffer: BytesMut::zeroed(FRAME_HEADER_BYTES) }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.buffer.len()
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}[{} records, {} bytes]", self.kind, self.records, self.bytes())
    }
}

/// An entry as it lies in a log.
#[derive(Clone)]
pub struct Frame {
    header: FrameHeader,
    bytes: Bytes,
    membership: Option<Arc<Membership>>,
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameDamage {
    #[error("it has {found} bytes, not {expected}")]
    BadLength { found: usize, expected: u64 },
    #[error(transparent)]
    Header(#[from] FrameError),
    #[error("its members cannot be read")]
    BadMembership,
}

impl Frame {
    /// Takes bytes for a frame, if all their checksums are right.
    pub(crate) fn check(bytes: Bytes) -> Result<Self, FrameDamage> {
        let found = bytes.len();
        let head = bytes.first_chunk::<FRAME_HEADER_BYTES>();
        let head = head.ok_or(FrameDamage::BadLength { found, expected: FRAME_HEADER_BYTES as u64 })?;
        let header = FrameHeader::decode(head)?;
        if found as u64 != header.frame_bytes() {
            return Err(FrameDamage::BadLength { found, expected: header.frame_bytes() });
        }
        if !header.covers(bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default()) {
            return Err(FrameError::BadBodyCrc.into());
        }
        if entry_index(header.index).is_none() {
            return Err(FrameDamage::Header(FrameError::BadIndex {
                found: header.index,
                expected: header.index,
            }));
        }
        Self::trust(header, bytes)
    }

    /// As [`check`](Self::check), for bytes that were just written.
    pub(crate) fn trust(header: FrameHeader, bytes: Bytes) -> Result<Self, FrameDamage> {
        let membership = match header.kind {
            FrameKind::Membership => {
                let body = bytes.slice(FRAME_HEADER_BYTES.min(bytes.len())..);
                let members = wire::decode_membership_body(&body).ok_or(FrameDamage::BadMembership)?;
                Some(Arc::new(members))
            }
            _ => None,
        };
        Ok(Self { header, bytes, membership })
    }

    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    pub fn kind(&self) -> FrameKind {
        self.header.kind
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The records.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(FRAME_HEADER_BYTES.min(self.bytes.len())..)
    }

    pub(crate) fn log_id(&self) -> LogId {
        // A frame is never made of index 0.
        log_id(self.header.term.0, entry_index(self.header.index).unwrap_or_default())
    }

    /// Behind the frame.
    pub(crate) fn mark(&self) -> Mark {
        let span = LogSpan { start: self.header.offset, bytes: self.header.frame_bytes() };
        Mark { offset: span.end(), chain: self.header.chain() }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FrameHeader { kind, index, term, offset, .. } = self.header;
        write!(f, "Frame({kind:?} {index} of term {term} at {offset})")
    }
}

#[derive(Debug)]
pub enum Payload {
    /// What a new leader writes first.
    Blank,
    Batch(Batch),
    Membership(Membership),
    Frame(Frame),
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Batch(batch) => batch.fmt(f),
            Self::Membership(members) => members.fmt(f),
            Self::Frame(frame) => write!(f, "{frame:?}"),
        }
    }
}

impl RaftPayload for Payload {
    type D = Batch;
    type NodeId = NodeId;
    type Node = Member;

    fn blank() -> Self {
        Self::Blank
    }

    fn with_normal(self, batch: Batch) -> Self {
        Self::Batch(batch)
    }

    fn with_membership(self, membership: Membership) -> Self {
        Self::Membership(membership)
    }

    fn get_membership(&self) -> Option<Membership> {
        match self {
            Self::Membership(members) => Some(members.clone()),
            Self::Frame(frame) => frame.membership.as_deref().cloned(),
            Self::Blank | Self::Batch(_) => None,
        }
    }
}

#[derive(Debug)]
pub struct Entry {
    pub(crate) log_id: LogId,
    pub(crate) payload: Payload,
}

impl From<Frame> for Entry {
    fn from(frame: Frame) -> Self {
        Self { log_id: frame.log_id(), payload: Payload::Frame(frame) }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.log_id, self.payload)
    }
}

impl RaftEntry for Entry {
    type CommittedLeaderId = CommittedLeaderId<u64>;
    type Payload = Payload;

    fn new(log_id: LogId, payload: Payload) -> Self {
        Self { log_id, payload }
    }

    fn log_id_parts(&self) -> (&CommittedLeaderId<u64>, u64) {
        (&self.log_id.leader_id, self.log_id.index)
    }

    fn set_log_id(&mut self, new: LogId) {
        self.log_id = new;
    }

    fn get_membership(&self) -> Option<Membership> {
        self.payload.get_membership()
    }
}

/// What came of an entry.
#[derive(Debug)]
pub enum Applied {
    Nothing,
    /// The frame says where its records lie. The replies are those to its commands, in their order.
    Frame {
        frame: Frame,
        replies: Vec<Bytes>,
    },
}
