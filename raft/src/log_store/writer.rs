//! The end of the log.

use std::io;
use std::sync::Arc;

use ferrymq_proto::position::Timestamp;
use ferrymq_storage::clock::Clock;
use ferrymq_storage::frame::{FRAME_HEADER_BYTES, FrameKind};
use ferrymq_storage::stamp::StampError;
use ferrymq_storage::{AppendedFrame, FramedAppender, Mark, NewFrame};

use crate::command::commands_of;
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

    /// Gives an entry its place, or checks the one it has. When there is no room, the entry comes back, and the same append
    /// succeeds once there is.
    pub fn append(&mut self, entry: Entry) -> Result<Frame, NotAppended> {
        let id = entry.log_id;
        match entry.payload {
            Payload::Frame(frame) => self.copy(id, frame),
            Payload::Batch(batch) if batch.kind == FrameKind::Messages => {
                self.stamp(id, batch).inspect(|frame| self.note_commands(frame))
            }
            Payload::Batch(batch) => self.write(id, batch).inspect(|frame| self.note_commands(frame)),
            Payload::Blank => self.write(id, Batch::new(FrameKind::Noop)),
            Payload::Membership(members) => {
                let mut batch = Batch::new(FrameKind::Membership);
                wire::membership_body(&members, &mut batch.buffer);
                batch.records = 1;
                self.write(id, batch)
            }
        }
    }

    fn copy(&mut self, id: LogId, frame: Frame) -> Result<Frame, NotAppended> {
        if frame.log_id() != id {
            return Err(NotAppended::Failed(io::Error::other(format!("{frame:?} came as entry {id}"))));
        }
        if let Err(error) = self.appender.copy(frame.bytes()) {
            let is_no_room = error.is_no_room();
            return Err(NotAppended::new(is_no_room, error, || Entry {
                log_id: id,
                payload: Payload::Frame(frame),
            }));
        }
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

    fn stamp(&mut self, id: LogId, mut batch: Batch) -> Result<Frame, NotAppended> {
        let frame = self.new_frame(id, &batch);
        let stamps = self.stamps.as_mut().filter(|(term, _)| *term == frame.term.0);
        let Some((_, stamps)) = stamps else {
            let text = format!("entry {id} came before its leader was ready");
            return Err(NotAppended::Failed(io::Error::other(text)));
        };
        let body = batch.buffer.get_mut(FRAME_HEADER_BYTES..).unwrap_or_default();
        match stamps.append(&mut self.appender, frame, body) {
            Ok(appended) => finish(appended, batch),
            Err(error) => {
                let is_no_room = match &error {
                    StampError::Append(error) => error.is_no_room(),
                    StampError::Frame(error) => error.is_no_room(),
                    _ => false,
                };
                Err(NotAppended::new(is_no_room, error, || Entry {
                    log_id: id,
                    payload: Payload::Batch(batch),
                }))
            }
        }
    }

    fn write(&mut self, id: LogId, batch: Batch) -> Result<Frame, NotAppended> {
        let frame = self.new_frame(id, &batch);
        let body = batch.buffer.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        let written = self.appender.place(body.len() as u64).and_then(|place| place.write(frame, body));
        match written {
            Ok(appended) => finish(appended, batch),
            Err(error) => {
                let is_no_room = error.is_no_room();
                Err(NotAppended::new(is_no_room, error, || Entry {
                    log_id: id,
                    payload: Payload::Batch(batch),
                }))
            }
        }
    }

    /// Tells who stamps of the commands in a frame of this leader's.
    fn note_commands(&mut self, frame: &Frame) {
        let term = frame.header().term.0;
        let Some((_, stamps)) = self.stamps.as_mut().filter(|(own, _)| *own == term) else { return };
        for command in commands_of(&frame.body()).unwrap_or_default() {
            stamps.commanded(&command);
        }
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

/// Why an entry is not in the log.
#[derive(Debug)]
pub(crate) enum NotAppended {
    NoRoom(Entry),
    Failed(io::Error),
}

impl NotAppended {
    fn new<E>(is_no_room: bool, error: E, entry: impl FnOnce() -> Entry) -> Self
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        if is_no_room { Self::NoRoom(entry()) } else { Self::Failed(io::Error::other(error)) }
    }
}

/// The frame as it lies in the log now.
fn finish(appended: AppendedFrame, mut batch: Batch) -> Result<Frame, NotAppended> {
    if let Some(head) = batch.buffer.first_chunk_mut::<FRAME_HEADER_BYTES>() {
        *head = appended.header.encode();
    }
    Frame::trust(appended.header, batch.buffer.freeze())
        .map_err(|error| NotAppended::Failed(io::Error::other(error)))
}
