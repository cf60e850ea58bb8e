//! Proposals: what comes while an entry is on its way waits until that one has landed, or until there is enough for another
//! one, and becomes one entry. Then it waits a moment for those who have just been answered, if they are known to come again
//! ([`gathering`]). An entry costs every node about as much as a dozen messages in it, so the fewer the better.
//!
//! Proposals are taken while this node leads and is ready, and each names the term for which it was taken, so that none slips
//! into the next one. Whoever proposes is told exactly once what came of it.

mod flight;
mod gathering;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueOffset, Timestamp};
use ferrymq_proto::record::Record;
use ferrymq_storage::Log;
use ferrymq_storage::frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameKind};
use openraft::vote::leader_id_std::CommittedLeaderId;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::answer::Answer;
use crate::command;
use crate::entry::Batch;
use crate::status::LeaderHint;
use crate::transport::RaftHandle;
use flight::{Flight, Waiter};
use gathering::Gathering;

/// Past this, nothing more is put into an entry. Larger ones are hardly faster, and others wait longer behind them.
const ENTRY_BYTES_SOFT: usize = 128 << 10;
/// Of so much an entry is made while others are on their way: to wait for them would gain little.
const ENTRY_BYTES_FULL: usize = 96 << 10;
/// Entries that were handed over and are not applied yet.
const FLIGHTS_MAX: usize = 8;
/// Proposals that wait for a place.
const WAITING_MAX: usize = 16_384;
const WAITING_BYTES_MAX: usize = 64 << 20;
/// Room for a blank behind a frame.
const BLANK_BYTES: u64 = 8;

/// What is to be appended together.
#[derive(Clone, Debug, Default)]
pub struct Proposal {
    /// Encoded records one behind the other, with holes for their offsets and their time.
    pub records: BytesMut,
    /// A change of the state that happens with them, or alone.
    pub command: Option<Bytes>,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// 0 for a record that is in no queue.
    pub queue_offset: QueueOffset,
    pub log_offset: LogOffset,
    pub bytes: u32,
    pub store_time: Timestamp,
}

/// What came of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub placed: Vec<Placed>,
    /// The answer to the command.
    pub reply: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was appended.
    #[error("this node does not lead its group")]
    NotLeader { leader: Option<LeaderHint> },
    /// It may happen or not: the next leader decides.
    #[error("the leader changed, or this one cannot go on, before the proposal was final")]
    Discarded,
    #[error("the node is stopping")]
    Stopping,
    #[error("{bytes} bytes wait to be appended already")]
    Full { bytes: usize },
    #[error("{0}")]
    NoRoom(String),
    #[error("{bytes} bytes are longer than the {max} of an entry")]
    TooLong { bytes: usize, max: usize },
    #[error("what lies at byte {at} of the proposal is no record: {reason}")]
    BadRecord { at: usize, reason: String },
}

/// Told once what came of a proposal, on a thread that must not be blocked.
pub type Done = Box<dyn FnOnce(Result<Outcome, ProposeError>) + Send>;

/// A handle: clones share everything.
#[derive(Clone, Debug)]
pub struct Proposer {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Queued>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    entry_bytes_max: usize,
    waiting_bytes: AtomicUsize,
    gate: RwLock<Gate>,
    /// What is on its way, so that it can be given up.
    flights: Mutex<Vec<Weak<Flight>>>,
    in_flight: AtomicUsize,
    /// Nothing more is handed over for now; what comes waits.
    is_held: AtomicBool,
    /// So many in the queue are worth a look.
    wanted: AtomicUsize,
    /// Perhaps the next entry may be made now.
    changed: Notify,
}

/// Of one entry that is on its way.
struct Place(Arc<Shared>);

impl Place {
    fn take(shared: &Arc<Shared>) -> Self {
        shared.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(shared))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

/// Holds back what is proposed until it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Shared>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.is_held.store(false, Ordering::Release);
        self.0.changed.notify_one();
    }
}

/// Whether proposals are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Gate {
    Open { term: u64 },
    Closed { leader: Option<LeaderHint> },
    Stopping,
}

struct Queued {
    proposal: Proposal,
    records: u32,
    done: Done,
}

impl Queued {
    fn bytes(&self) -> usize {
        bytes_of(&self.proposal)
    }
}

fn bytes_of(proposal: &Proposal) -> usize {
    let command = proposal.command.as_ref().map(|command| command::PREFIX_BYTES + command.len());
    proposal.records.len() + command.unwrap_or_default()
}

impl Proposer {
    /// With the task that hands entries over. It ends when the last handle is gone.
    pub(crate) fn new(raft: RaftHandle, log: Log) -> (Self, impl Future<Output = ()>) {
        let (queue, waiting) = mpsc::channel(WAITING_MAX);
        let frame_bytes_max = FRAME_BYTES_MAX.min(log.segment_bytes().saturating_sub(BLANK_BYTES));
        let shared = Arc::new(Shared {
            log,
            entry_bytes_max: frame_bytes_max as usize - FRAME_HEADER_BYTES,
            waiting_bytes: AtomicUsize::new(0),
            gate: RwLock::new(Gate::Closed { leader: None }),
            flights: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            is_held: AtomicBool::new(false),
            wanted: AtomicUsize::new(usize::MAX),
            changed: Notify::new(),
        });
        let run = run(raft, Arc::clone(&shared), waiting);
        (Self { shared, queue }, run)
    }

    /// Proposes messages, a command, or both. `done` is called in any case, and perhaps at once.
    pub fn propose(&self, proposal: Proposal, done: Done) {
        match self.check(&proposal) {
            Err(error) => done(Err(error)),
            Ok(records) => self.put(Queued { proposal, records, done }),
        }
    }

    /// As [`propose`](Self::propose), for those who wait.
    pub async fn submit(&self, proposal: Proposal) -> Result<Outcome, ProposeError> {
        let (sender, receiver) = oneshot::channel();
        self.propose(proposal, Box::new(move |result| drop(sender.send(result))));
        receiver.await.unwrap_or(Err(ProposeError::Stopping))
    }

    /// Whether proposals are taken now, and in which term.
    pub fn open_term(&self) -> Option<u64> {
        match self.shared.gate() {
            Gate::Open { term } => Some(term),
            _ => None,
        }
    }

    /// Whatever is wrong with it must be found now: what is in the hands of Raft can no longer be refused.
    fn check(&self, proposal: &Proposal) -> Result<u32, ProposeError> {
        self.shared.gate().check()?;
        if !self.shared.log.room().is_writable() {
            return Err(ProposeError::NoRoom(self.shared.log.room().to_string()));
        }
        let (bytes, max) = (bytes_of(proposal), self.shared.entry_bytes_max);
        if bytes > max {
            return Err(ProposeError::TooLong { bytes, max });
        }
        count_records(&proposal.records)
    }

    fn put(&self, queued: Queued) {
        let bytes = queued.bytes();
        let waiting = self.shared.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let refused = match waiting + bytes > WAITING_BYTES_MAX && waiting > 0 {
            true => Some((queued, ProposeError::Full { bytes: waiting })),
            false => match self.queue.try_send(queued) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Full(queued)) => {
                    Some((queued, ProposeError::Full { bytes: waiting }))
                }
                Err(mpsc::error::TrySendError::Closed(queued)) => Some((queued, ProposeError::Stopping)),
            },
        };
        if let Some((queued, error)) = refused {
            self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            (queued.done)(Err(error));
            return;
        }
        let is_full_now = waiting < ENTRY_BYTES_FULL && waiting + bytes >= ENTRY_BYTES_FULL;
        let queued = self.queue.max_capacity() - self.queue.capacity();
        if is_full_now || queued >= self.shared.wanted.load(Ordering::Relaxed) {
            self.shared.changed.notify_one();
        }
    }

    pub(crate) fn open(&self, term: u64) {
        self.shared.set_gate(Gate::Open { term });
    }

    /// Takes no more. What is on its way is still told what came of it.
    pub(crate) fn close(&self, leader: Option<LeaderHint>) {
        self.shared.set_gate(Gate::Closed { leader });
    }

    /// Hands nothing over for now, so that what is on its way can land. Should another node lead meanwhile, what waits hears of it.
    pub(crate) fn hold(&self) -> Hold {
        self.shared.is_held.store(true, Ordering::Release);
        Hold(Arc::clone(&self.shared))
    }

    /// Whether nothing is on its way.
    pub(crate) fn has_landed(&self) -> bool {
        self.shared.in_flight.load(Ordering::Acquire) == 0
    }

    /// Takes no more, for good.
    pub(crate) fn stop(&self) {
        self.shared.set_gate(Gate::Stopping);
    }

    /// Tells everybody whose proposal is on its way that nobody knows what will come of it.
    pub(crate) fn abandon(&self) {
        let flights = std::mem::take(&mut *self.shared.flights());
        flights.iter().filter_map(Weak::upgrade).for_each(|flight| flight.fail(&ProposeError::Discarded));
    }
}

impl Gate {
    fn check(self) -> Result<u64, ProposeError> {
        match self {
            Self::Open { term } => Ok(term),
            Self::Closed { leader } => Err(ProposeError::NotLeader { leader }),
            Self::Stopping => Err(ProposeError::Stopping),
        }
    }
}

impl Shared {
    fn gate(&self) -> Gate {
        self.gate.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_gate(&self, gate: Gate) {
        let mut present = self.gate.write().unwrap_or_else(PoisonError::into_inner);
        if *present != Gate::Stopping {
            *present = gate;
        }
        drop(present);
        self.changed.notify_one();
    }

    /// Waits until an entry may be made of what waits.
    async fn turn(&self) {
        while !self.may_go() {
            self.changed.notified().await;
        }
    }

    /// Waits until so many are in the queue, or until there is no more reason to wait. Returns whether that was in time.
    async fn gather(&self, wanted: usize, waiting: &mpsc::Receiver<Queued>) -> bool {
        let is_done = || {
            waiting.len() >= wanted
                || self.waiting_bytes.load(Ordering::Relaxed) >= ENTRY_BYTES_FULL
                || !matches!(self.gate(), Gate::Open { .. })
        };
        if is_done() {
            return true;
        }
        self.wanted.store(wanted, Ordering::Relaxed);
        let done = async {
            while !is_done() {
                self.changed.notified().await;
            }
        };
        let in_time = tokio::time::timeout(gathering::WAIT_MAX, done).await.is_ok();
        self.wanted.store(usize::MAX, Ordering::Relaxed);
        in_time
    }

    fn may_go(&self) -> bool {
        let is_held = self.is_held.load(Ordering::Acquire) && matches!(self.gate(), Gate::Open { .. });
        !is_held && self.has_place()
    }

    fn has_place(&self) -> bool {
        match self.in_flight.load(Ordering::Acquire) {
            0 => true,
            some if some < FLIGHTS_MAX && self.waiting_bytes.load(Ordering::Relaxed) >= ENTRY_BYTES_FULL => {
                true
            }
            // Those who wait must hear of it.
            _ => !matches!(self.gate(), Gate::Open { .. }),
        }
    }

    fn flights(&self) -> std::sync::MutexGuard<'_, Vec<Weak<Flight>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_records(bytes: &[u8]) -> Result<u32, ProposeError> {
    let mut at = 0;
    let mut records = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let bad = |reason: String| ProposeError::BadRecord { at, reason };
        let (record, size) = Record::decode(rest).map_err(|error| bad(error.to_string()))?;
        TopicName::parse(record.topic).map_err(|error| bad(error.to_string()))?;
        at += size;
        records += 1;
    }
    Ok(records)
}

/// Hands entries over, each when it is its turn.
async fn run(raft: RaftHandle, shared: Arc<Shared>, mut waiting: mpsc::Receiver<Queued>) {
    let mut carried = None;
    let mut gathering = Gathering::default();
    loop {
        let first = match carried.take() {
            Some(first) => first,
            None => match waiting.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        let in_time = loop {
            shared.turn().await;
            let in_time = shared.gather(gathering.goal() - 1, &waiting).await;
            if shared.may_go() {
                break in_time;
            }
        };
        let (joined, left) = join(first, &mut waiting, shared.entry_bytes_max);
        gathering.went(joined.len(), in_time);
        carried = left;
        let bytes: usize = joined.iter().map(Queued::bytes).sum();
        shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        let term = match shared.gate().check() {
            Ok(term) => term,
            Err(error) => {
                joined.into_iter().for_each(|queued| (queued.done)(Err(error.clone())));
                continue;
            }
        };
        let (batch, waiters) = assemble(joined);
        let flight = Arc::new(Flight::new(waiters, Place::take(&shared)));
        {
            let mut flights = shared.flights();
            flights.retain(|flight| flight.strong_count() > 0);
            flights.push(Arc::downgrade(&flight));
        }
        let answer = Answer::new(move |result| flight.land(result));
        let sent = raft.write(batch).with_leader(CommittedLeaderId::new(term)).responder(answer).await;
        if let Err(error) = sent {
            // The answer went with it, and has told those who wait.
            tracing::debug!(%error, "an entry was not handed over");
        }
    }
}

/// Takes with the first proposal whatever else waits and fits.
fn join(
    first: Queued,
    waiting: &mut mpsc::Receiver<Queued>,
    bytes_max: usize,
) -> (Vec<Queued>, Option<Queued>) {
    let mut bytes = first.bytes();
    let mut joined = vec![first];
    while bytes < ENTRY_BYTES_SOFT {
        let Ok(next) = waiting.try_recv() else { break };
        if bytes + next.bytes() > ENTRY_BYTES_SOFT.min(bytes_max) {
            return (joined, Some(next));
        }
        bytes += next.bytes();
        joined.push(next);
    }
    (joined, None)
}

/// All messages, and behind them all commands.
fn assemble(joined: Vec<Queued>) -> (Batch, Vec<Waiter>) {
    let records = joined.iter().map(|queued| queued.records).sum();
    let mut batch = Batch::new(if records > 0 { FrameKind::Messages } else { FrameKind::Command });
    batch.buffer.reserve(joined.iter().map(Queued::bytes).sum());
    batch.records = records;
    for queued in &joined {
        batch.buffer.extend_from_slice(&queued.proposal.records);
    }
    for command in joined.iter().filter_map(|queued| queued.proposal.command.as_ref()) {
        command::put(&mut batch.buffer, command);
        batch.records += u32::from(records == 0);
    }
    let waiters = joined.into_iter().map(|queued| Waiter {
        records: queued.records as usize,
        has_command: queued.proposal.command.is_some(),
        done: queued.done,
    });
    (batch, waiters.collect())
}
