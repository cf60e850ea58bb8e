//! One connection: the handle that anybody may hold, and the task that reads, serves and writes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::limits::Limits;
use super::outbox::{Batch, Outbox};
use crate::code::ResponseCode;
use crate::command::Command;
use crate::frame;

/// Room made for a read when nothing is known about what comes.
const READ_BYTES: usize = 8192;
/// The most room made at once for the rest of a long frame, unless as much has arrived already.
const READ_AHEAD_BYTES: usize = 65_536;

/// Names a connection for as long as the process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What happens to the requests of a peer.
pub trait Service: Send + Sync + 'static {
    /// Serves one request. It must not block: what takes time keeps the call and answers it later.
    fn serve(&self, call: Call);

    /// The connection is gone. Called once for each connection, after its last request.
    fn closed(&self, _connection: &Connection) {}
}

/// A handle to a connection. Clones name the same one; none of them keeps it open.
#[derive(Clone, Debug)]
pub struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: ConnectionId,
    peer: SocketAddr,
    outbox_bytes_max: usize,
    unanswered_max: usize,
    outbox: Mutex<Outbox>,
    /// Requests we have taken in and not answered yet.
    unanswered: AtomicUsize,
    /// Requests of ours that wait for the peer's answer, by their opaque.
    waiting: Mutex<HashMap<i32, oneshot::Sender<Command>>>,
    next_opaque: AtomicI32,
    /// The task sleeps; it wakes when there is something to write or to close.
    wake: Notify,
    closed: AtomicBool,
    /// Close once all is written.
    finishing: AtomicBool,
}

impl Connection {
    fn new(peer: SocketAddr, limits: &Limits) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Shared {
            id: ConnectionId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            peer,
            outbox_bytes_max: limits.outbox_bytes_max,
            unanswered_max: limits.unanswered_max,
            outbox: Mutex::default(),
            unanswered: AtomicUsize::new(0),
            waiting: Mutex::default(),
            next_opaque: AtomicI32::new(0),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            finishing: AtomicBool::new(false),
        }))
    }

    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    pub fn peer(&self) -> SocketAddr {
        self.0.peer
    }

    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    /// Ends the connection. What is not written yet is lost.
    pub fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        lock(&self.0.waiting).clear();
        self.0.wake.notify_one();
    }

    /// Ends the connection once all that waits is written.
    pub fn finish(&self) {
        self.0.finishing.store(true, Ordering::Release);
        self.0.wake.notify_one();
    }

    fn is_finished(&self, batch: &Batch) -> bool {
        self.0.finishing.load(Ordering::Acquire) && batch.is_empty() && lock(&self.0.outbox).is_empty()
    }

    /// Sends a request that nobody answers. Returns whether it was taken: not when the connection is closed, nor when its
    /// peer has stopped reading.
    pub fn push(&self, request: Command) -> bool {
        let full = lock(&self.0.outbox).bytes() > self.0.outbox_bytes_max;
        if full || self.is_closed() {
            return false;
        }
        let opaque = self.0.next_opaque.fetch_add(1, Ordering::Relaxed);
        self.put(request.one_way().with_opaque(opaque));
        true
    }

    /// Sends a request; the receiver gets its answer, or an error once the connection is closed.
    /// The peer may never answer: the caller brings the timeout, and then calls [`Self::forget`].
    pub fn request(&self, request: Command) -> (i32, oneshot::Receiver<Command>) {
        let opaque = self.0.next_opaque.fetch_add(1, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        lock(&self.0.waiting).insert(opaque, answer);
        self.put(request.with_opaque(opaque));
        if self.is_closed() {
            self.forget(opaque);
        }
        (opaque, receiver)
    }

    /// Stops waiting for an answer.
    pub fn forget(&self, opaque: i32) {
        lock(&self.0.waiting).remove(&opaque);
    }

    fn put(&self, command: Command) {
        let was_empty = {
            let mut outbox = lock(&self.0.outbox);
            let was_empty = outbox.is_empty();
            outbox.put(command);
            was_empty
        };
        if was_empty {
            self.0.wake.notify_one();
        }
    }

    fn deliver(&self, answer: Command) {
        let waiter = lock(&self.0.waiting).remove(&answer.opaque);
        match waiter {
            // The caller may have given up in this very moment; nothing is lost then.
            Some(waiter) => drop(waiter.send(answer)),
            None => {
                tracing::debug!(peer = %self.peer(), opaque = answer.opaque, "an answer nobody waits for")
            }
        }
    }
}

/// Guards small tables that no holder leaves half-changed, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request, and the duty to answer it.
#[derive(Debug)]
pub struct Call {
    pub request: Command,
    pub connection: Connection,
    answered: bool,
}

impl Call {
    /// Answers the request, unless it wants no answer.
    pub fn answer(mut self, answer: Command) {
        self.answered = true;
        if !self.request.is_one_way() {
            self.connection.put(answer);
        }
    }
}

/// A call that is dropped unanswered was forgotten by its service; its peer hears that instead of waiting.
impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered && !self.request.is_one_way() {
            let answer = self.request.answer(ResponseCode::SYSTEM_ERROR);
            self.connection.put(answer.with_remark("the request was dropped without an answer"));
        }
        let unanswered = self.connection.0.unanswered.fetch_sub(1, Ordering::AcqRel);
        if unanswered == self.connection.0.unanswered_max {
            // The task stopped reading at the limit.
            self.connection.0.wake.notify_one();
        }
    }
}

/// Runs a connection until it ends. The handle is given to `started` before the first byte is read.
pub(super) async fn run(
    stream: TcpStream,
    service: Arc<dyn Service>,
    limits: Limits,
    started: impl FnOnce(Connection),
) {
    let Ok(peer) = stream.peer_addr() else { return };
    // Answers are small and complete when they are written: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let connection = Connection::new(peer, &limits);
    started(connection.clone());
    let ending = Ending { connection: connection.clone(), service: Arc::clone(&service) };
    let mut task = Task {
        connection,
        service,
        limits,
        incoming: BytesMut::new(),
        batch: Batch::default(),
        clock: Clock::new(),
    };
    match task.run(stream).await {
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

struct Task {
    connection: Connection,
    service: Arc<dyn Service>,
    limits: Limits,
    incoming: BytesMut,
    batch: Batch,
    clock: Clock,
}

impl Task {
    async fn run(&mut self, mut stream: TcpStream) -> Result<(), CloseReason> {
        let (reader, writer) = stream.split();
        let timer = tokio::time::sleep_until(self.clock.deadline(&self.limits).0);
        tokio::pin!(timer);
        loop {
            let held_back = self.serve_frames()?;
            self.write_now(&writer)?;
            if self.connection.is_closed() || self.connection.is_finished(&self.batch) {
                return Ok(());
            }
            let may_read = self.may_read();
            if held_back && may_read {
                continue;
            }
            // The timer may fire early, and is then set anew; it may not fire late.
            let (deadline, _) = self.clock.deadline(&self.limits);
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            tokio::select! {
                ready = reader.readable(), if may_read => {
                    ready?;
                    if !self.read_now(&reader)? {
                        return Ok(());
                    }
                }
                ready = writer.writable(), if !self.batch.is_empty() => ready?,
                () = self.connection.0.wake.notified() => {}
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

    fn may_read(&self) -> bool {
        let unanswered = self.connection.0.unanswered.load(Ordering::Acquire);
        let unwritten = lock(&self.connection.0.outbox).bytes() + self.batch.bytes();
        unanswered < self.limits.unanswered_max && unwritten <= self.limits.outbox_bytes_max
    }

    /// Reads what is there, without waiting. `false` at the end of the stream.
    fn read_now(&mut self, reader: &ReadHalf<'_>) -> Result<bool, CloseReason> {
        let arrived = self.incoming.len();
        let room = if arrived == 0 { READ_BYTES } else { READ_AHEAD_BYTES.max(arrived) };
        if self.incoming.capacity() - arrived < READ_BYTES / 4 {
            self.incoming.reserve(room);
        }
        match reader.try_read_buf(&mut self.incoming) {
            Ok(0) => return Ok(false),
            Ok(_) => self.clock.note_activity(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Serves each complete frame while the connection may ask for more. Returns whether it stopped because it may not.
    fn serve_frames(&mut self) -> Result<bool, CloseReason> {
        while !self.incoming.is_empty() {
            if !self.may_read() {
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
        self.connection.0.unanswered.fetch_add(1, Ordering::AcqRel);
        let connection = self.connection.clone();
        self.service.serve(Call { request: command, connection, answered: false });
    }

    /// Writes until all is written or the peer takes no more for now.
    fn write_now(&mut self, writer: &WriteHalf<'_>) -> Result<(), CloseReason> {
        loop {
            if self.batch.is_empty() {
                lock(&self.connection.0.outbox).drain_into(&mut self.batch);
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
