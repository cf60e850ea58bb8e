//! What the checkers ask a history for, gathered in one pass.

use std::collections::BTreeMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::attempts::{Attempt, Attempts};
use super::places::{Held, Holdings, Place};
use super::promotions::Window;
use crate::history::{
    BeginValue, Call, Event, EventIndex, HistoryError, Nanos, NodeId, Op, Outcome, PullValue, ScanValue,
    Seen, calls,
};
use crate::message::{BodyHash, MessageId};

/// Somebody has seen a message somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    pub id: MessageId,
    pub hash: BodyHash,
    pub place: Place,
    pub event: EventIndex,
    /// Who has shown it.
    pub by: Option<NodeId>,
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

/// What one answer has shown of one queue.
#[derive(Clone, Copy, Debug)]
struct Look<'h> {
    queue: QueueId,
    seen: &'h [Seen],
    event: EventIndex,
    by: Option<NodeId>,
}

#[derive(Debug)]
pub struct Digest<'h> {
    pub history: &'h [Event],
    pub begin: BeginValue,
    pub calls: Vec<Call<'h>>,
    pub attempts: Attempts,
    looks: Vec<Look<'h>>,
    pub pulls: Vec<Pulled<'h>>,
    /// In the order in which they were made.
    pub scans: Vec<Scanned<'h>>,
    /// Without what a promotion may lose and has lost.
    pub holdings: Holdings,
    pub(super) window: Window,
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
            attempts: Attempts::default(),
            looks: Vec::new(),
            pulls: Vec::new(),
            scans: Vec::new(),
            holdings: Holdings::default(),
            window: Window::default(),
        };
        let mut attempts = Vec::new();
        for at in 0..digest.calls.len() {
            if let Some(call) = digest.calls.get(at).copied() {
                digest.take(&call, &mut attempts);
            }
        }
        digest.attempts = Attempts::new(attempts);
        digest.window = Window::new(&digest);
        digest.gather_holdings();
        Ok(digest)
    }

    fn take(&mut self, call: &Call<'h>, attempts: &mut Vec<Attempt>) {
        let newest = call.newest();
        match &newest.op {
            Op::Send(_) | Op::Half(_) => take_attempts(call, attempts),
            Op::Pull(value) if call.outcome == Outcome::Ok => {
                self.pulls.push(Pulled { invoked: call.invoked.index, event: newest.index, value });
                self.looks.push(Look {
                    queue: value.queue,
                    seen: &value.seen,
                    event: newest.index,
                    by: value.node,
                });
            }
            Op::Scan(value) if call.outcome == Outcome::Ok => {
                self.scans.push(Scanned { invoked: call.invoked.index, event: newest.index, value });
                self.looks.push(Look {
                    queue: value.queue,
                    seen: &value.seen,
                    event: newest.index,
                    by: value.node,
                });
            }
            // What is consumed again comes from another topic, where it has other places.
            Op::Deliver(value) if call.outcome == Outcome::Ok && !value.retried => {
                self.looks.push(Look {
                    queue: value.queue,
                    seen: &value.seen,
                    event: newest.index,
                    by: None,
                });
            }
            _ => {}
        }
    }

    fn gather_holdings(&mut self) {
        let acknowledged = self.attempts.iter().filter_map(|attempt| {
            let place = Place { queue: attempt.queue, offset: attempt.offset? };
            let event = attempt.completed?;
            let is_there = !self.gave_up(attempt.id, event, attempt.node);
            is_there.then_some(Held { place, id: attempt.id, event })
        });
        let is_there = |sighting: &Sighting| !self.gave_up(sighting.id, sighting.event, sighting.by);
        let seen = self.sightings().filter(is_there).map(|sighting| {
            let Sighting { id, place, event, .. } = sighting;
            Held { place, id, event }
        });
        self.holdings = Holdings::gather(acknowledged.chain(seen));
    }

    /// All that anybody has ever seen, in the order of the answers' questions.
    pub fn sightings(&self) -> impl Iterator<Item = Sighting> {
        self.looks.iter().flat_map(|look| {
            look.seen.iter().map(|seen| Sighting {
                id: seen.id,
                hash: seen.hash,
                place: Place { queue: look.queue, offset: seen.offset },
                event: look.event,
                by: look.by,
            })
        })
    }

    /// Whether a promotion has lost a message and may have, as far as an event of `by` shows it.
    pub fn gave_up(&self, id: MessageId, event: EventIndex, by: Option<NodeId>) -> bool {
        let attempt = self.attempts.get(id);
        attempt.is_some_and(|attempt| self.window.gave_up(self, attempt, event, by))
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
}

fn take_attempts(call: &Call<'_>, attempts: &mut Vec<Attempt>) {
    let (Op::Send(asked) | Op::Half(asked)) = &call.invoked.op else { return };
    let (Op::Send(heard) | Op::Half(heard)) = &call.newest().op else { return };
    let half = matches!(call.invoked.op, Op::Half(_));
    let direct = !half && asked.delay_ms.is_none();
    for (at, message) in (0_i64..).zip(&asked.messages) {
        let first = heard.offset.filter(|_| direct && call.outcome == Outcome::Ok);
        attempts.push(Attempt {
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
        });
    }
}
