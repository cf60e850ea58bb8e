//! The one thread that changes tables: it takes changes in the order in which they arrived.
//!
//! A registration may carry 50 000 topics, so reading it is work for a thread of its own, beside those that answer lookups.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::net::{Call, Connection};

use crate::handlers::brokers;
use crate::office::Office;
use crate::refusal::Refusal;
use crate::requests::{self, Handler};
use crate::routes::Departure;

/// Changes that may wait. Past this, a peer hears that we are busy and tries again.
const WAITING_MAX: usize = 10_000;
/// Bytes of their bodies that may wait.
const WAITING_BYTES_MAX: usize = 256 << 20;
/// Departures that are taken together: their topics are searched once.
const BATCH_MAX: usize = 256;

enum Change {
    Request {
        call: Call,
        handler: Handler,
    },
    /// A broker says that it leaves.
    Departure(Call),
    /// A connection is gone, and with it the brokers that live by it.
    Lost(Connection),
    Stop,
}

/// Where changes are handed in.
pub(crate) struct Changes {
    sender: Sender<Change>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    departures: AtomicUsize,
}

impl Changes {
    /// Starts the thread. It ends after [`Self::stop`].
    pub(crate) fn start(office: Arc<Office>) -> io::Result<(Self, JoinHandle<()>)> {
        let (sender, receiver) = mpsc::channel();
        let waiting = Arc::new(Waiting::default());
        let worker = Worker { office, receiver, waiting: Arc::clone(&waiting) };
        let thread = std::thread::Builder::new().name("changes".into()).spawn(move || worker.run())?;
        Ok((Self { sender, waiting }, thread))
    }

    pub(crate) fn request(&self, call: Call, handler: Handler) {
        let bytes = call.request.body.len();
        let waiting = &self.waiting;
        let full = waiting.requests.load(Ordering::Relaxed) >= WAITING_MAX
            || waiting.bytes.load(Ordering::Relaxed) + bytes > WAITING_BYTES_MAX;
        if full {
            return refuse(call, &Refusal::Overloaded);
        }
        waiting.requests.fetch_add(1, Ordering::Relaxed);
        waiting.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.hand_in(Change::Request { call, handler });
    }

    pub(crate) fn departure(&self, call: Call, waiting_max: usize) {
        if self.waiting.departures.load(Ordering::Relaxed) >= waiting_max {
            return refuse(call, &Refusal::DeparturesFull);
        }
        self.waiting.departures.fetch_add(1, Ordering::Relaxed);
        self.hand_in(Change::Departure(call));
    }

    pub(crate) fn lost(&self, connection: &Connection) {
        self.hand_in(Change::Lost(connection.clone()));
    }

    pub(crate) fn stop(&self) {
        self.hand_in(Change::Stop);
    }

    fn hand_in(&self, change: Change) {
        // It fails only when the thread has ended. A call answers for itself when it is dropped with the change.
        let _ = self.sender.send(change);
    }
}

fn refuse(call: Call, refusal: &Refusal) {
    let answer = requests::refused(&call.request, refusal);
    call.answer(answer);
}

struct Worker {
    office: Arc<Office>,
    receiver: Receiver<Change>,
    waiting: Arc<Waiting>,
}

impl Worker {
    fn run(self) {
        let mut next_scan = Instant::now() + self.scan_interval();
        let mut held = None;
        loop {
            let now = Instant::now();
            if now >= next_scan {
                self.scan(now);
                next_scan = now + self.scan_interval();
            }
            let change = held.take().map_or_else(|| self.receiver.recv_timeout(next_scan - now), Ok);
            match change {
                Ok(Change::Request { call, handler }) => self.serve(call, handler),
                Ok(departing @ (Change::Departure(_) | Change::Lost(_))) => held = self.depart(departing),
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Change::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn scan_interval(&self) -> Duration {
        self.office.settings().scan_not_active_broker_interval
    }

    fn serve(&self, call: Call, handler: Handler) {
        self.waiting.requests.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(call.request.body.len(), Ordering::Relaxed);
        // A bug in one handler costs its own request an error, not everybody the thread.
        let answer = catch_unwind(AssertUnwindSafe(|| {
            requests::serve(handler, &self.office, &call.request, &call.connection)
        }));
        match answer {
            Ok(answer) => call.answer(answer),
            Err(_) => tracing::error!(code = call.request.code, "a request made its handler panic"),
        }
    }

    /// Takes a departure, and those that wait right behind it, in one go. Returns the change that ended the batch.
    fn depart(&self, first: Change) -> Option<Change> {
        let mut leaving = Vec::new();
        let mut calls = Vec::new();
        let mut next = Some(first);
        let mut held = None;
        while let Some(change) = next.take() {
            match change {
                Change::Departure(call) => {
                    self.waiting.departures.fetch_sub(1, Ordering::Relaxed);
                    match brokers::departure(&call.request) {
                        Ok(departure) => {
                            leaving.push(departure);
                            calls.push(call);
                        }
                        Err(error) => refuse(call, &error.into()),
                    }
                }
                Change::Lost(connection) => {
                    self.office.forget_broker(&connection);
                    leaving.extend(self.office.routes().on_connection(connection.id()));
                }
                other => {
                    held = Some(other);
                    break;
                }
            }
            if leaving.len() < BATCH_MAX {
                next = self.receiver.try_recv().ok();
            }
        }
        self.unregister(&leaving);
        for call in calls {
            let answer = call.request.answer(ResponseCode::SUCCESS);
            call.answer(answer);
        }
        held
    }

    fn unregister(&self, leaving: &[Departure]) {
        if leaving.is_empty() {
            return;
        }
        for Departure { cluster, group, id, address } in leaving {
            tracing::info!(cluster, group, id, address, "broker left");
        }
        let notices = self.office.routes_mut().unregister(leaving, &self.office.settings());
        notices.iter().for_each(|notice| self.office.notices.send(notice));
    }

    /// Looks for brokers that have fallen silent, and closes their connections.
    fn scan(&self, now: Instant) {
        let expired = self.office.routes_mut().expire(now, &self.office.settings());
        for Departure { cluster, group, id, address } in &expired.departures {
            tracing::warn!(cluster, group, id, address, "broker fell silent");
        }
        for connection in expired.connections.into_iter().filter_map(|id| self.office.broker_connection(id)) {
            connection.close();
        }
        expired.notices.iter().for_each(|notice| self.office.notices.send(notice));
    }
}
