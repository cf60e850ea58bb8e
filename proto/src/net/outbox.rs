//! Bytes that wait to be written, in order.
//!
//! Small frames are copied together; a large body keeps its own buffer, so that it is never copied.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

use crate::command::Command;

/// From this size on a body is worth a slot of its own in a vectored write.
const LARGE_BODY_BYTES: usize = 4096;
/// Buffers handed to the kernel in one write.
const SLICES_MAX: usize = 64;
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// Full buffers, oldest first.
    ready: VecDeque<Bytes>,
    /// Frames still being collected; they come after `ready`.
    tail: BytesMut,
    /// Bytes of `ready`.
    ready_bytes: usize,
}

impl Outbox {
    pub(super) fn put(&mut self, command: Command) {
        if command.body.len() < LARGE_BODY_BYTES {
            command.encode(&mut self.tail);
            return;
        }
        command.encode_head(&mut self.tail);
        self.seal();
        self.ready_bytes += command.body.len();
        self.ready.push_back(command.body);
    }

    fn seal(&mut self) {
        if !self.tail.is_empty() {
            self.ready_bytes += self.tail.len();
            self.ready.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.ready_bytes + self.tail.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes() == 0
    }

    /// Moves all that waits into `batch`, which must be empty. Nothing of it stays behind: a connection that waits for its
    /// next request holds no buffers.
    pub(super) fn drain_into(&mut self, batch: &mut Batch) {
        self.seal();
        batch.buffers = std::mem::take(&mut self.ready);
        self.ready_bytes = 0;
    }
}

/// What is being written now.
#[derive(Debug, Default)]
pub(super) struct Batch {
    buffers: VecDeque<Bytes>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.buffers.iter().map(Bytes::len).sum()
    }

    pub(super) fn slices(&self) -> Vec<IoSlice<'_>> {
        self.buffers.iter().take(SLICES_MAX).map(|buffer| IoSlice::new(buffer)).collect()
    }

    /// The kernel took the first `written` bytes.
    pub(super) fn advance(&mut self, mut written: usize) {
        while let Some(first) = self.buffers.front_mut() {
            if written < first.len() {
                first.advance(written);
                return;
            }
            written -= first.len();
            self.buffers.pop_front();
        }
        self.buffers = VecDeque::new();
    }
}
