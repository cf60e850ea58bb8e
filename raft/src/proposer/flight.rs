//! One entry on its way, and those who wait for it.

use std::sync::{Mutex, PoisonError};

use super::{Done, Outcome, Place, Placed, ProposeError};
use crate::command::head_of;
use crate::entry::{Applied, Frame};
use crate::status::LeaderHint;
use crate::types::Types;
use bytes::Bytes;
use ferrymq_proto::net::together;
use ferrymq_proto::position::QueueOffset;
use ferrymq_proto::record::QUEUE_OFFSET_AT;
use ferrymq_storage::frame::FRAME_HEADER_BYTES;
use openraft::errors::ClientWriteError;
use openraft::raft::ClientWriteResult;

pub(super) struct Waiter {
    pub records: usize,
    pub has_command: bool,
    pub done: Done,
}

/// Should Raft stop, it is dropped, and those who wait hear that nobody knows.
pub(super) struct Flight {
    /// Empty when they were told.
    waiters: Mutex<Vec<Waiter>>,
    _place: Place,
}

impl std::fmt::Debug for Flight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flight")
    }
}

impl Flight {
    pub fn new(waiters: Vec<Waiter>, _place: Place) -> Self {
        Self { waiters: Mutex::new(waiters), _place }
    }

    fn take(&self) -> Vec<Waiter> {
        std::mem::take(&mut *self.waiters.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn fail(&self, error: &ProposeError) {
        self.take().into_iter().for_each(|waiter| (waiter.done)(Err(error.clone())));
    }

    pub fn land(&self, result: ClientWriteResult<Types>) {
        match result {
            Ok(response) => match response.data {
                Applied::Frame { frame, replies } => self.tell(&frame, replies),
                Applied::Nothing => self.fail(&ProposeError::Discarded),
            },
            Err(ClientWriteError::LogEntryDiscarded(_)) => self.fail(&ProposeError::Discarded),
            Err(ClientWriteError::ForwardToLeader(forward)) => {
                let leader = forward.leader_id.zip(forward.leader_node);
                let leader = leader.map(|(node, member)| LeaderHint { node, member });
                self.fail(&ProposeError::NotLeader { leader });
            }
            Err(ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_)) => {
                self.fail(&ProposeError::NotLeader { leader: None });
            }
        }
    }

    /// Reads from the frame where each record stands.
    fn tell(&self, frame: &Frame, replies: Vec<Bytes>) {
        let mut replies = replies.into_iter();
        let mut records = PlacedRecords { frame, at: FRAME_HEADER_BYTES };
        let tell = |waiter: Waiter| {
            let placed: Vec<_> = records.by_ref().take(waiter.records).collect();
            let reply = if waiter.has_command { replies.next() } else { None };
            let is_whole = placed.len() == waiter.records && reply.is_some() == waiter.has_command;
            assert!(is_whole, "{frame:?} does not hold what was proposed");
            (waiter.done)(Ok(Outcome { placed, reply }));
        };
        together(|| self.take().into_iter().for_each(tell));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.fail(&ProposeError::Discarded);
    }
}

struct PlacedRecords<'a> {
    frame: &'a Frame,
    at: usize,
}

impl Iterator for PlacedRecords<'_> {
    type Item = Placed;

    fn next(&mut self) -> Option<Placed> {
        let rest = self.frame.bytes().get(self.at..)?;
        let (size, _) = head_of(rest)?;
        let queue_offset = rest.get(QUEUE_OFFSET_AT..)?.first_chunk()?;
        let header = self.frame.header();
        let placed = Placed {
            queue_offset: QueueOffset(i64::from_be_bytes(*queue_offset)),
            log_offset: ferrymq_proto::position::LogOffset(header.offset.0 + self.at as i64),
            bytes: size as u32,
            store_time: header.appended_at,
        };
        self.at += size;
        Some(placed)
    }
}
