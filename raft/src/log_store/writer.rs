//! The end of the log.

use std::io;
use std::sync::Arc;

use ferrymq_proto::position::Timestamp;
use ferrymq_storage::clock::Clock;
use ferrymq_storage::frame::{FRAME_HEADER_BYTES, FrameKind};
use ferrymq_storage::{AppendedFrame, FramedAppender, Mark, NewFrame};

use crate::entry::{Batch, Entry, Frame, Payload};
use crate::stamps::Stamps;
use crate::types::{LogId, frame_index, term_of};
use crate::wire;

#[derive(Debug)]
pub(crate) struct Writer {
    appender: FramedAppender,
    clock: Arc<dyn Clock>,
    /// Of the last frame: the time in the log never goes backwards.
    appended_at: Timestamp,
    /// Who stamps in which term.
    stamps: Option<(u64, Box<dyn Stamps>)>,
}

impl Writer {
    pub fn new(appender: FramedAppender, clock: Arc<dyn Clock>) -> Self {
        Self { appender, clock, appended_at: Timestamp(0), stamps: None }
    }

    pub fn lead(&mut self, term: u64, stamps: Box<dyn Stamps>) {
        self.stamps = Some((term, stamps));
    }

    /// Gives an entry its place, or checks the one it has.
    pub fn append(&mut self, entry: Entry) -> io::Result<Frame> {
        match entry.payload {
            Payload::Frame(frame) => self.copy(entry.log_id, frame),
            Payload::Batch(batch) => self.stamp(entry.log_id, batch),
            Payload::Blank => self.write(entry.log_id, Batch::new(FrameKind::Noop)),
            Payload::Membership(members) => {
                let mut batch = Batch::new(FrameKind::Membership);
                wire::membership_body(&members, &mut batch.buffer);
                batch.records = 1;
                self.write(entry.log_id, batch)
            }
        }
    }

    fn copy(&mut self, id: LogId, frame: Frame) -> io::Result<Frame> {
        if frame.log_id() != id {
            return Err(io::Error::other(format!("{frame:?} came as entry {id}")));
        }
        self.appender.copy(frame.bytes()).map_err(io::Error::other)?;
        self.appended_at = self.appended_at.max(frame.header().appended_at);
        Ok(frame)
    }

    fn new_frame(&mut self, id: LogId, batch: &Batch) -> NewFrame {
        self.appended_at = self.appended_at.max(self.clock.now());
        NewFrame {
            kind: batch.kind,
            index: frame_index(id.index),
            term: term_of(id),
            records: batch.records,
            appended_at: self.appended_at,
        }
    }

    fn stamp(&mut self, id: LogId, mut batch: Batch) -> io::Result<Frame> {
        if batch.kind != FrameKind::Messages {
            return self.write(id, batch);
        }
        let frame = self.new_frame(id, &batch);
        let stamps = self.stamps.as_mut().filter(|(term, _)| *term == frame.term.0);
        let (_, stamps) = stamps.ok_or_else(|| io::Error::other(format!("entry {id} came before its leader was ready")))?;
        let body = batch.buffer.get_mut(FRAME_HEADER_BYTES..).unwrap_or_default();
        let appended = stamps.append(&mut self.appender, frame, body).map_err(io::Error::other)?;
        finish(appended, batch)
    }

    fn write(&mut self, id: LogId, batch: Batch) -> io::Result<Frame> {
        let frame = self.new_frame(id, &batch);
        let body = batch.buffer.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        let place = self.appender.place(body.len() as u64).map_err(io::Error::other)?;
        let appended = place.write(frame, body).map_err(io::Error::other)?;
        finish(appended, batch)
    }

    pub fn truncate(&mut self, to: Mark) -> io::Result<()> {
        self.appender.truncate(to).map_err(io::Error::other)
    }

    pub fn restart_at(&mut self, mark: Mark) -> io::Result<()> {
        self.appender.reset(mark).map_err(io::Error::other)
    }

    pub fn close(self) -> io::Result<()> {
        self.appender.close().map_err(io::Error::other)
    }
}

/// The frame as it lies in the log now.
fn finish(appended: AppendedFrame, mut batch: Batch) -> io::Result<Frame> {
    if let Some(head) = batch.buffer.first_chunk_mut::<FRAME_HEADER_BYTES>() {
        *head = appended.header.encode();
    }
    Frame::trust(appended.header, batch.buffer.freeze()).map_err(io::Error::other)
}
