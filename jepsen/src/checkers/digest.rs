//! What the checkers ask a history for, gathered in one pass.

use std::collections::{BTreeMap, HashMap};

use ferrymq_proto::position::{QueueId, QueueOffset};

use crate::history::{
    BeginValue, Call, Event, EventIndex, HistoryError, Nanos, NodeId, Op, Outcome, PullValue, ScanValue,
    Seen, calls,
};
use crate::message::{BodyHash, MessageId};

/// Where a message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub queue: QueueId,
    pub offset: QueueOffset,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "queue {} offset {}", self.queue, self.offset)
    }
}

/// One message that somebody tried to send.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub id: MessageId,
    pub hash: BodyHash,
    pub queue: QueueId,
    pub invoked: EventIndex,
    pub invoked_at: Nanos,
    pub completed: Option<EventIndex>,
    pub outcome: Outcome,
    /// What the acknowledgement says.
    pub offset: Option<QueueOffset>,
    pub node: Option<NodeId>,
    pub delay_ms: Option<i64>,
    /// The first half of a transaction.
    pub half: bool,
}

impl Attempt {
    pub fn acknowledged(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// It goes to its queue as soon as it is sent, so its place shows when it was sent.
    pub fn is_direct(&self) -> bool {
        self.delay_ms.is_none() && !self.half
    }
}

/// Somebody has seen a message somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    pub id: MessageId,
    pub hash: BodyHash,
    pub place: Place,
    pub event: EventIndex,
}

/// A read that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Pulled<'h> {
    pub invoked: EventIndex,
    pub event: EventIndex,
    pub value: &'h PullValue,
}

/// The scan of one queue of one replica.
#[derive(Clone, Copy, Debug)]
pub struct Scanned<'h> {
    pub invoked: EventIndex,
    pub event: EventIndex,
    pub value: &'h ScanValue,
}

#[derive(Debug)]
pub struct Digest<'h> {
    pub history: &'h [Event],
    pub begin: BeginValue,
    pub calls: Vec<Call<'h>>,
    pub attempts: HashMap<MessageId, Attempt>,
    pub sightings: Vec<Sighting>,
    pub pulls: Vec<Pulled<'h>>,
    /// In the order in which they were made.
    pub scans: Vec<Scanned<'h>>,
    /// `L_q(o)`: the sightings and acknowledgements of each place. Different ids in one list are an anomaly.
    pub values: BTreeMap<Place, Vec<(MessageId, EventIndex)>>,
}

impl<'h> Digest<'h> {
    pub fn new(history: &'h [Event]) -> Result<Self, HistoryError> {
        let begin = history.iter().find_map(|event| match &event.op {
            Op::Begin(begin) => Some(begin.clone()),
            _ => None,
        });
        let mut digest = Self {
            history,
            begin: begin.unwrap_or_default(),
            calls: calls(history)?,
            attempts: HashMap::new(),
            sightings: Vec::new(),
            pulls: Vec::new(),
            scans: Vec::new(),
            values: BTreeMap::new(),
        };
        for at in 0..digest.calls.len() {
            if let Some(call) = digest.calls.get(at).copied() {
                digest.take(&call);
            }
        }
        digest.gather_values();
        Ok(digest)
    }

    fn take(&mut self, call: &Call<'h>) {
        let newest = call.newest();
        match &newest.op {
            Op::Send(_) | Op::Half(_) => self.take_attempts(call),
            Op::Pull(value) if call.outcome == Outcome::Ok => {
                self.pulls.push(Pulled { invoked: call.invoked.index, event: newest.index, value });
                self.take_sightings(value.queue, &value.seen, newest.index);
            }
            Op::Scan(value) if call.outcome == Outcome::Ok => {
                self.scans.push(Scanned { invoked: call.invoked.index, event: newest.index, value });
                self.take_sightings(value.queue, &value.seen, newest.index);
            }
            // What is consumed again comes from another topic, where it has other places.
            Op::Deliver(value) if call.outcome == Outcome::Ok && !value.retried => {
                self.take_sightings(value.queue, &value.seen, newest.index);
            }
            _ => {}
        }
    }

    fn take_attempts(&mut self, call: &Call<'h>) {
        let (Op::Send(asked) | Op::Half(asked)) = &call.invoked.op else { return };
        let (Op::Send(heard) | Op::Half(heard)) = &call.newest().op else { return };
        let half = matches!(call.invoked.op, Op::Half(_));
        let direct = !half && asked.delay_ms.is_none();
        for (at, message) in (0_i64..).zip(&asked.messages) {
            let first = heard.offset.filter(|_| direct && call.outcome == Outcome::Ok);
            self.attempts.insert(
                message.id,
                Attempt {
                    id: message.id,
                    hash: message.hash,
                    queue: asked.queue,
                    invoked: call.invoked.index,
                    invoked_at: call.invoked.time,
                    completed: call.completed.map(|event| event.index),
                    outcome: call.outcome,
                    offset: first.map(|first| QueueOffset(first.0 + at)),
                    node: heard.node.or(asked.node),
                    delay_ms: asked.delay_ms,
                    half,
                },
            );
        }
    }

    fn take_sightings(&mut self, queue: QueueId, seen: &[Seen], event: EventIndex) {
        let sighting = |seen: &Seen| Sighting {
            id: seen.id,
            hash: seen.hash,
            place: Place { queue, offset: seen.offset },
            event,
        };
        self.sightings.extend(seen.iter().map(sighting));
    }

    fn gather_values(&mut self) {
        let acknowledged = self.attempts.values().filter_map(|attempt| {
            let place = Place { queue: attempt.queue, offset: attempt.offset? };
            Some((place, attempt.id, attempt.completed?))
        });
        let seen = self.sightings.iter().map(|sighting| (sighting.place, sighting.id, sighting.event));
        let mut values: BTreeMap<Place, Vec<(MessageId, EventIndex)>> = BTreeMap::new();
        for (place, id, event) in acknowledged.chain(seen) {
            let list = values.entry(place).or_default();
            // The same message is read over and over: one witness is enough, and no message must be two.
            if !list.iter().any(|(known, _)| *known == id) {
                list.push((id, event));
            }
        }
        self.values = values;
    }

    pub fn event(&self, index: EventIndex) -> Option<&'h Event> {
        let at = self.history.binary_search_by_key(&index, |event| event.index).ok()?;
        self.history.get(at)
    }

    /// When an event was.
    pub fn time_of(&self, index: EventIndex) -> Option<Nanos> {
        self.event(index).map(|event| event.time)
    }

    /// The newest scan of each queue by the replica that led then.
    pub fn final_scans(&self) -> BTreeMap<QueueId, Scanned<'h>> {
        let leading = self.scans.iter().filter(|scan| scan.value.leader);
        leading.map(|scan| (scan.value.queue, *scan)).collect()
    }

    /// The places of each message that was seen or acknowledged.
    pub fn places(&self) -> HashMap<MessageId, Vec<(Place, EventIndex)>> {
        let mut places: HashMap<MessageId, Vec<(Place, EventIndex)>> = HashMap::new();
        for (place, values) in &self.values {
            for (id, event) in values {
                places.entry(*id).or_default().push((*place, *event));
            }
        }
        places
    }
}
