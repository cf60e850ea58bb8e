//! The messages that somebody tried to send, by their ids.

use std::collections::HashMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use crate::history::{EventIndex, Nanos, NodeId, Outcome};
use crate::message::{BodyHash, MessageId};

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

/// All attempts of a history. There are as many as messages, so they lie side by side: a sender counts its messages, and what it
/// has counted to is the position among its own.
#[derive(Debug, Default)]
pub struct Attempts {
    /// By their ids; none twice.
    sorted: Vec<Attempt>,
    /// Where the messages of each sender begin and end.
    senders: HashMap<u32, (usize, usize)>,
}

impl Attempts {
    /// Of two attempts to send the same message the later one counts.
    pub fn new(mut attempts: Vec<Attempt>) -> Self {
        attempts.sort_by_key(|attempt| (attempt.id, std::cmp::Reverse(attempt.invoked)));
        attempts.dedup_by_key(|attempt| attempt.id);
        let mut senders: HashMap<u32, (usize, usize)> = HashMap::new();
        for (at, attempt) in attempts.iter().enumerate() {
            senders.entry(attempt.id.producer).or_insert((at, at)).1 = at + 1;
        }
        Self { sorted: attempts, senders }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.sorted.iter()
    }

    pub fn get(&self, id: MessageId) -> Option<&Attempt> {
        self.sorted.get(self.position(id)?)
    }

    /// Where in the order of all attempts it is.
    pub fn position(&self, id: MessageId) -> Option<usize> {
        let (from, until) = *self.senders.get(&id.producer)?;
        let own = self.sorted.get(from..until)?;
        let first = own.first()?.id.counter;
        let guess = usize::try_from(id.counter.checked_sub(first)?).ok()?;
        let found = match own.get(guess) {
            Some(attempt) if attempt.id == id => guess,
            // Some of its messages are not in this history.
            _ => own.binary_search_by_key(&id, |attempt| attempt.id).ok()?,
        };
        Some(from + found)
    }

    /// For each attempt, in their order, whether it is among `ids`.
    pub fn marked(&self, ids: impl Iterator<Item = MessageId>) -> Vec<bool> {
        let mut marks = vec![false; self.sorted.len()];
        for at in ids.filter_map(|id| self.position(id)) {
            marks.get_mut(at).into_iter().for_each(|mark| *mark = true);
        }
        marks
    }
}
