//! What a promotion may lose. It begins when the slave has all that its master has, and is done when the slave is the master: what
//! the old master shows or, if it does not wait for its slave, acknowledges in between may be gone with it. That is the window
//! that such a pair declares. Everything else it keeps.

use std::collections::BTreeMap;

use super::{Attempt, Digest};
use crate::history::{Event, EventIndex, EventType, Nanos, NodeId, Op};

/// A slave took its master's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotion {
    pub begun: EventIndex,
    pub done: EventIndex,
    /// The new master.
    pub node: NodeId,
}

impl Promotion {
    /// Whether the old master may have said this, and nobody else.
    fn covers(&self, event: EventIndex, by: Option<NodeId>) -> bool {
        self.begun <= event && event < self.done && by != Some(self.node)
    }
}

/// All promotions of a history, also those of which nothing shows how they went.
pub fn promotions(history: &[Event]) -> Vec<Promotion> {
    let mut begun: BTreeMap<i64, EventIndex> = BTreeMap::new();
    let mut promotions = Vec::new();
    for event in history {
        let Op::Fault(fault) = &event.op else { continue };
        if event.kind == EventType::Invoke {
            begun.insert(fault.number, event.index);
        } else if let (Some(node), Some(begun)) = (fault.promoted, begun.get(&fault.number)) {
            promotions.push(Promotion { begun: *begun, done: event.index, node });
        }
    }
    promotions
}

/// What promotions may lose, of a history.
#[derive(Debug, Default)]
pub struct Window {
    promotions: Vec<Promotion>,
    /// Of each attempt, in their order: whether it is in the final scan of its queue.
    kept: Vec<bool>,
    /// Masters did not wait for their slaves.
    gives_up_acknowledged: bool,
}

impl Window {
    pub fn new(digest: &Digest<'_>) -> Self {
        let promotions = promotions(digest.history);
        if promotions.is_empty() {
            return Self::default();
        }
        let scans = digest.final_scans();
        let seen = scans.values().flat_map(|scan| scan.value.seen.iter().map(|seen| seen.id));
        let kept = digest.attempts.marked(seen);
        Self { promotions, kept, gives_up_acknowledged: digest.begin.quorum < 2 }
    }

    /// Whether a message is gone and may be, as far as an event of `by` shows it.
    pub fn gave_up(
        &self,
        digest: &Digest<'_>,
        attempt: &Attempt,
        event: EventIndex,
        by: Option<NodeId>,
    ) -> bool {
        if self.promotions.is_empty() || (attempt.acknowledged() && !self.gives_up_acknowledged) {
            return false;
        }
        let position = digest.attempts.position(attempt.id);
        let is_kept = position.and_then(|at| self.kept.get(at)).copied().unwrap_or_default();
        !is_kept && self.promotions.iter().any(|promotion| promotion.covers(event, by))
    }
}

/// Acknowledged messages that are gone and may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GivenUp {
    pub messages: u64,
    /// From the first acknowledgement to the last of what one promotion lost, at the longest.
    pub span: Nanos,
}

pub(super) fn given_up(digest: &Digest<'_>) -> GivenUp {
    let mut given_up = GivenUp::default();
    let mut spans: BTreeMap<EventIndex, (Nanos, Nanos)> = BTreeMap::new();
    for attempt in digest.attempts.iter().filter(|attempt| attempt.acknowledged()) {
        let Some(completed) = attempt.completed else { continue };
        if !digest.gave_up(attempt.id, completed, attempt.node) {
            continue;
        }
        given_up.messages += 1;
        let promotion = digest.window.promotions.iter().find(|one| one.covers(completed, attempt.node));
        let (Some(promotion), Some(at)) = (promotion, digest.time_of(completed)) else { continue };
        let span = spans.entry(promotion.begun).or_insert((at, at));
        *span = (span.0.min(at), span.1.max(at));
    }
    let lengths = spans.values().map(|(first, last)| Nanos(last.0.saturating_sub(first.0)));
    given_up.span = lengths.max().unwrap_or_default();
    given_up
}
