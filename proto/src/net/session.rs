//! The life of a connection: one task that reads, serves and writes until one side ends it.
//!
//! Reading and writing do not wait for each other, so two peers that both write much cannot lock each other up.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use super::connection::{Connection, Service};
use super::limits::{Held, Limits};
use super::outbox::Batch;
use crate::command::Command;
use crate::frame;

/// Room made for a read when nothing is known about what comes.
const READ_BYTES: usize = 8192;
/// The most room made at once for what comes on a busy connection, or for the rest of a long frame, unless as much has arrived
/// already.
const READ_AHEAD_BYTES: usize = 65_536;

/// How often a connection that was stopped for want of room looks whether there is some.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Runs a connection until it ends. The handle is given to `started` before the first byte is read.
pub(super) async fn run(
    stream: TcpStream,
    service: Arc<dyn Service>,
    limits: Arc<Limits>,
    held: Arc<Held>,
    started: impl FnOnce(Connection),
) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Answers are small and complete when they are written: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let connection = Connection::new(peer, &limits);
    started(connection.clone());
    let ending = Ending { connection: connection.clone(), service: Arc::clone(&service) };
    let (incoming, batch, clock) = (BytesMut::new(), Batch::default(), Clock::new());
    let mut session = Session {
        connection,
        service,
        limits,
        held: Holding { held, bytes: 0 },
        incoming,
        room: READ_BYTES,
        batch,
        clock,
    };
    match session.run(stream).await {
        Ok(()) => {}
        Err(CloseReason::Io(error)) => tracing::debug!(%peer, %error, "connection lost"),
        Err(reason) => tracing::info!(%peer, %reason, "connection closed"),
    }
    drop(ending);
}

/// Tells the service that a connection is gone, also when serving it panicked.
struct Ending {
    connection: Connection,
    service: Arc<dyn Service>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.connection.close();
        self.service.closed(&self.connection);
    }
}

#[derive(Debug, thiserror::Error)]
enum CloseReason {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] frame::FrameError),
    #[error("{0}")]
    Command(#[from] crate::command::CommandError),
    #[error("nothing came within {0:?} of connecting")]
    NoFirstByte(Duration),
    #[error("a frame was not complete within {0:?}")]
    FrameTooSlow(Duration),
    #[error("silent for {0:?}")]
    Idle(Duration),
}

/// This connection's share of what all of them hold.
struct Holding {
    held: Arc<Held>,
    bytes: usize,
}

impl Holding {
    fn set(&mut self, bytes: usize) {
        self.held.change(self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(0);
    }
}

struct Session {
    connection: Connection,
    service: Arc<dyn Service>,
    limits: Arc<Limits>,
    held: Holding,
    incoming: BytesMut,
    /// What is made for a read, as much as was needed lately.
    room: usize,
    batch: Batch,
    clock: Clock,
}

impl Session {
    async fn run(&mut self, mut stream: TcpStream) -> Result<(), CloseReason> {
        let (mut reader, writer) = stream.split();
        let timer = tokio::time::sleep_until(self.clock.deadline(&self.limits).0);
        tokio::pin!(timer);
        loop {
            let held_back = self.serve_frames()?;
            self.write_now(&writer)?;
            if self.connection.is_closed() || self.connection.is_finished(&self.batch) {
                return Ok(());
            }
            self.held.set(self.incoming.len() + self.unwritten());
            let owes_too_much = self.owes_too_much();
            if held_back && !owes_too_much {
                continue;
            }
            let has_room = self.has_room();
            // The timer may fire early, and is then set anew; it may not fire late.
            let (mut deadline, _) = self.clock.deadline(&self.limits);
            if !has_room {
                deadline = deadline.min(Instant::now() + ROOM_PAUSE);
            }
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                ready = reader.readable(), if !owes_too_much && has_room => {
                    ready?;
                    if !self.read_now(&mut reader).await? {
                        return Ok(());
                    }
                }
                ready = writer.writable(), if !self.batch.is_empty() => ready?,
                () = self.connection.woken() => {}
                () = &mut timer => {
                    let (deadline, reason) = self.clock.deadline(&self.limits);
                    if deadline <= Instant::now() {
                        return Err(reason);
                    }
                    timer.as_mut().reset(deadline);
                }
            }
        }
    }

    fn unwritten(&self) -> usize {
        self.connection.outbox_bytes() + self.batch.bytes()
    }

    /// Whether the peer must take or await answers before it may ask for more.
    fn owes_too_much(&self) -> bool {
        self.connection.unanswered() >= self.limits.unanswered_max
            || self.unwritten() > self.limits.outbox_bytes_max
    }

    /// Whether more may be read at all: always for a connection that holds nothing.
    fn has_room(&self) -> bool {
        self.held.held.total() <= self.limits.held_bytes_max || self.held.bytes == 0
    }

    /// Reads what is there, without waiting. `false` at the end of the stream.
    async fn read_now(&mut self, reader: &mut ReadHalf<'_>) -> Result<bool, CloseReason> {
        let arrived = self.incoming.len();
        let room = if arrived == 0 { self.room } else { READ_AHEAD_BYTES.max(arrived) };
        if self.incoming.capacity() - arrived < READ_BYTES / 4 {
            self.incoming.reserve(room);
        }
        let free = self.incoming.capacity() - arrived;
        // Unlike a try, a read that fills less than the room knows that there is no more for now, without asking once more.
        let mut read = pin!(reader.read_buf(&mut self.incoming));
        match poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
            Poll::Pending => {}
            Poll::Ready(Ok(0)) => return Ok(false),
            Poll::Ready(Ok(bytes)) => {
                self.clock.note_activity();
                self.room = match bytes {
                    all if all == free => READ_AHEAD_BYTES,
                    few if few < READ_BYTES / 2 => READ_BYTES.max(self.room / 2),
                    _ => self.room,
                };
            }
            Poll::Ready(Err(error)) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Serves each complete frame while the connection may ask for more. Returns whether it stopped because it may not.
    fn serve_frames(&mut self) -> Result<bool, CloseReason> {
        while !self.incoming.is_empty() {
            if self.owes_too_much() {
                self.clock.frame_began = None;
                return Ok(true);
            }
            let Some(frame) = frame::take(&mut self.incoming, self.limits.frame_bytes_max)? else {
                self.clock.frame_began.get_or_insert_with(Instant::now);
                return Ok(false);
            };
            self.clock.frame_began = None;
            self.serve(Command::decode(frame)?);
        }
        // A connection that waits for its next request holds no buffer.
        self.incoming = BytesMut::new();
        Ok(false)
    }

    fn serve(&self, command: Command) {
        if command.is_answer() {
            return self.connection.deliver(command);
        }
        self.service.serve(self.connection.take(command));
    }

    /// Writes until all is written or the peer takes no more for now.
    fn write_now(&mut self, writer: &WriteHalf<'_>) -> Result<(), CloseReason> {
        loop {
            if self.batch.is_empty() {
                self.connection.drain_into(&mut self.batch);
            }
            if self.batch.is_empty() {
                return Ok(());
            }
            match writer.try_write_vectored(&self.batch.slices()) {
                Ok(written) => {
                    self.batch.advance(written);
                    self.clock.note_activity();
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// When something last happened, and so when to give up.
struct Clock {
    opened: Instant,
    last_activity: Option<Instant>,
    /// When the frame at the front began; `None` while it is complete, held back, or not there.
    frame_began: Option<Instant>,
}

impl Clock {
    fn new() -> Self {
        Self { opened: Instant::now(), last_activity: None, frame_began: None }
    }

    fn note_activity(&mut self) {
        self.last_activity = Some(Instant::now());
    }

    fn deadline(&self, limits: &Limits) -> (Instant, CloseReason) {
        let Some(last) = self.last_activity else {
            return (self.opened + limits.first_byte, CloseReason::NoFirstByte(limits.first_byte));
        };
        let idle = (last + limits.idle, CloseReason::Idle(limits.idle));
        match self.frame_began {
            Some(began) if began + limits.frame_completion < idle.0 => {
                (began + limits.frame_completion, CloseReason::FrameTooSlow(limits.frame_completion))
            }
            _ => idle,
        }
    }
}
