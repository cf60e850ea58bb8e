//! Writes histories by hand, and the small changes that mutations are made of.

use ferrymq_proto::position::{QueueId, QueueOffset};

use crate::dice::Dice;
use crate::history::{
    BeginValue, Event, EventIndex, EventType, Nanos, NodeId, Op, PhaseValue, Process, PullValue, ScanValue,
    Seen, Sent,
};
use crate::message::{BodyHash, MessageId};

pub(super) const NODES: u8 = 3;
/// Between two events of a script.
const STEP: u64 = 1_000_000;

/// A history that grows.
pub(super) struct Script {
    pub events: Vec<Event>,
    pub now: Nanos,
}

impl Script {
    pub fn new(workload: &str, queues: usize) -> Self {
        let mut script = Self { events: Vec::new(), now: Nanos(0) };
        let queues = i64::try_from(queues).unwrap_or_default();
        let begin = BeginValue {
            offsets_in_memory_ms: 0,
            system: "model".into(),
            workload: workload.into(),
            nodes: NODES.into(),
            queues,
            quorum: 2,
            seed: 0,
        };
        script.push(Process::Observer, EventType::Info, Op::Begin(begin));
        script
    }

    pub fn push(&mut self, process: Process, kind: EventType, op: Op) {
        self.now = Nanos(self.now.0 + STEP);
        let index = EventIndex(self.events.len() as u64);
        self.events.push(Event { index, time: self.now, process, kind, op });
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.now = Nanos(self.now.0 + milliseconds * 1_000_000);
    }

    pub fn phase(&mut self, phase: &str) {
        let value = PhaseValue { phase: phase.into(), detail: None };
        self.push(Process::Observer, EventType::Info, Op::Phase(value));
    }

    /// An operation that is answered at once.
    pub fn call(&mut self, process: u32, asked: Op, kind: EventType, heard: Op) {
        self.push(Process::Client(process), EventType::Invoke, asked);
        self.push(Process::Client(process), kind, heard);
    }

    pub fn pull(&mut self, process: u32, queue: QueueId, node: NodeId, seen: Vec<Seen>, max: usize) {
        let offset = seen.first().map(|seen| seen.offset).unwrap_or_default();
        let asked = PullValue { queue, offset, node: Some(node), ..PullValue::default() };
        let heard = PullValue { seen, max: Some(offset_of(max)), ..asked.clone() };
        self.call(process, Op::Pull(asked), EventType::Ok, Op::Pull(heard));
    }

    /// Every replica shows every queue.
    pub fn scans(&mut self, process: u32, leader: NodeId, queues: &[Vec<Sent>]) {
        for node in (0..NODES).map(NodeId) {
            for (queue, log) in (0..).map(QueueId).zip(queues) {
                let seen = (0_usize..).zip(log).map(|(at, message)| seen(*message, at)).collect();
                let asked =
                    ScanValue { node: Some(node), queue, leader: node == leader, ..ScanValue::default() };
                let heard = ScanValue { seen, max: offset_of(log.len()), ..asked.clone() };
                self.call(process, Op::Scan(asked), EventType::Ok, Op::Scan(heard));
            }
        }
    }
}

pub(super) fn offset_of(at: usize) -> QueueOffset {
    QueueOffset(i64::try_from(at).unwrap_or(i64::MAX))
}

pub(super) fn seen(message: Sent, at: usize) -> Seen {
    Seen { id: message.id, hash: message.hash, offset: offset_of(at) }
}

pub(super) fn message(producer: u32, counter: u64) -> Sent {
    let id = MessageId { producer, counter };
    Sent { id, hash: BodyHash(crate::message::fnv1a(id.to_string().as_bytes())) }
}

/// Gives events that were inserted, moved or taken out their places again.
pub(super) fn renumber(history: &mut [Event]) {
    let mut newest = Nanos(0);
    for (at, event) in (0..).zip(history) {
        event.index = EventIndex(at);
        event.time = event.time.max(newest);
        newest = event.time;
    }
}

/// A position chosen among those where `wanted` holds.
pub(super) fn choose(history: &[Event], dice: &mut Dice, wanted: impl Fn(&Event) -> bool) -> Option<usize> {
    let fitting: Vec<usize> =
        history.iter().enumerate().filter(|(_, event)| wanted(event)).map(|(at, _)| at).collect();
    dice.choose(&fitting).copied()
}

/// The list of sightings that an event carries.
pub(super) fn sightings_mut(event: &mut Event) -> Option<(QueueId, &mut Vec<Seen>)> {
    if event.kind != EventType::Ok {
        return None;
    }
    match &mut event.op {
        Op::Pull(value) => Some((value.queue, &mut value.seen)),
        Op::Scan(value) => Some((value.queue, &mut value.seen)),
        Op::Deliver(value) => Some((value.queue, &mut value.seen)),
        _ => None,
    }
}

/// Calls `visit` with every list of sightings.
pub(super) fn each_sightings(history: &mut [Event], mut visit: impl FnMut(QueueId, &mut Vec<Seen>)) {
    for event in history {
        if let Some((queue, seen)) = sightings_mut(event) {
            visit(queue, seen);
        }
    }
}

/// Makes a message disappear from everything that was ever read.
pub(super) fn forget(history: &mut [Event], id: MessageId) {
    each_sightings(history, |_, seen| seen.retain(|seen| seen.id != id));
}

/// An acknowledged message, and where it is in the final scan.
pub(super) fn choose_kept(history: &[Event], dice: &mut Dice) -> Option<(QueueId, Seen)> {
    let at = choose(history, dice, |event| {
        matches!(&event.op, Op::Scan(scan) if scan.leader && !scan.seen.is_empty())
            && event.kind == EventType::Ok
    })?;
    let Op::Scan(scan) = &history.get(at)?.op else { return None };
    let seen = dice.choose(&scan.seen)?;
    Some((scan.queue, *seen))
}

/// Whether the sending of `id` was acknowledged.
pub(super) fn is_acknowledged(history: &[Event], id: MessageId) -> bool {
    history.iter().any(|event| {
        let (Op::Send(value) | Op::Half(value)) = &event.op else { return false };
        event.kind == EventType::Ok && value.messages.iter().any(|message| message.id == id)
    })
}
