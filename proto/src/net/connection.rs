//! The handle to a connection, which anybody may hold, and the calls that come over it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::limits::Limits;
use super::outbox::{Batch, Outbox};
use crate::code::ResponseCode;
use crate::command::Command;

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
    set_aside_max: usize,
    outbox: Mutex<Outbox>,
    /// Requests we have taken in and not answered yet, without those that are set aside.
    unanswered: AtomicUsize,
    set_aside: AtomicUsize,
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
    pub(super) fn new(peer: SocketAddr, limits: &Limits) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Shared {
            id: ConnectionId(NEXT_ID.fetch_add(1, Ordering::Relaxed)),
            peer,
            outbox_bytes_max: limits.outbox_bytes_max,
            unanswered_max: limits.unanswered_max,
            set_aside_max: limits.set_aside_max,
            outbox: Mutex::default(),
            unanswered: AtomicUsize::new(0),
            set_aside: AtomicUsize::new(0),
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

    pub(super) fn is_finished(&self, batch: &Batch) -> bool {
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

    /// Takes in a request of the peer, which is owed an answer from now on.
    pub(super) fn take(&self, request: Command) -> Call {
        self.0.unanswered.fetch_add(1, Ordering::AcqRel);
        Call { request, connection: self.clone(), answered: false, is_aside: false }
    }

    /// One request less that holds back the next ones.
    fn release(&self) {
        if self.0.unanswered.fetch_sub(1, Ordering::AcqRel) == self.0.unanswered_max {
            // The task stopped reading at the limit.
            self.0.wake.notify_one();
        }
    }

    /// Requests taken in and not answered yet.
    pub(super) fn unanswered(&self) -> usize {
        self.0.unanswered.load(Ordering::Acquire)
    }

    /// Bytes that wait to be written.
    pub(super) fn outbox_bytes(&self) -> usize {
        lock(&self.0.outbox).bytes()
    }

    /// Moves what waits to be written into an empty batch.
    pub(super) fn drain_into(&self, batch: &mut Batch) {
        lock(&self.0.outbox).drain_into(batch);
    }

    /// Returns when there is something new to write, or a reason to end.
    pub(super) async fn woken(&self) {
        self.0.wake.notified().await;
    }

    fn put(&self, command: Command) {
        let was_empty = {
            let mut outbox = lock(&self.0.outbox);
            let was_empty = outbox.is_empty();
            outbox.put(command);
            was_empty
        };
        if was_empty && !self.is_woken_later() {
            self.0.wake.notify_one();
        }
    }

    /// Whether this thread wakes it when it has given all the answers that it is about to give.
    fn is_woken_later(&self) -> bool {
        let note = |answered: &RefCell<Option<Vec<Self>>>| {
            answered.borrow_mut().as_mut().map(|connections| connections.push(self.clone())).is_some()
        };
        ANSWERED.try_with(note).unwrap_or_default()
    }

    /// Hands an answer to whoever waits for it.
    pub(super) fn deliver(&self, answer: Command) {
        let waiter = lock(&self.0.waiting).remove(&answer.opaque);
        match waiter {
            // The caller may have given up in this very moment; nothing is lost then.
            Some(waiter) => drop(waiter.send(answer)),
            None => {
                tracing::debug!(peer = %self.peer(), opaque = answer.opaque, "an answer nobody waits for");
            }
        }
    }
}

thread_local! {
    /// The connections to be woken when this thread is done with many answers.
    static ANSWERED: RefCell<Option<Vec<Connection>>> = const { RefCell::new(None) };
}

/// Does what answers many calls, and wakes each of their connections once when it is done: so all its answers go out in one write.
/// A task that is woken by the first one begins at once on another thread, and would write each as it comes.
pub fn together<T>(work: impl FnOnce() -> T) -> T {
    let begins = ANSWERED.with_borrow_mut(|answered| {
        let begins = answered.is_none();
        answered.get_or_insert_default();
        begins
    });
    let _wake = begins.then_some(WakeAnswered);
    work()
}

/// Wakes them when it is dropped, whatever happened.
struct WakeAnswered;

impl Drop for WakeAnswered {
    fn drop(&mut self) {
        let answered = ANSWERED.with_borrow_mut(Option::take);
        answered.unwrap_or_default().iter().for_each(|connection| connection.0.wake.notify_one());
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
    is_aside: bool,
}

impl Call {
    /// Lets it wait for something that may take its time to happen, without holding back what its peer asks next. `false`: too
    /// many of this connection wait already.
    pub fn set_aside(&mut self) -> bool {
        if self.is_aside {
            return true;
        }
        let shared = &self.connection.0;
        if shared.set_aside.fetch_add(1, Ordering::AcqRel) >= shared.set_aside_max {
            shared.set_aside.fetch_sub(1, Ordering::AcqRel);
            return false;
        }
        self.is_aside = true;
        self.connection.release();
        true
    }

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
        if self.is_aside {
            self.connection.0.set_aside.fetch_sub(1, Ordering::AcqRel);
        } else {
            self.connection.release();
        }
    }
}
