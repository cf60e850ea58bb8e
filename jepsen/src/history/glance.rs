//! What can be told wrong while a run goes on: two messages in one place. The checkers look at everything once it is over.

use std::collections::HashMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::{EventType, Op};
use crate::faults::Fault;
use crate::message::MessageId;

/// Places that are remembered: a run as long as a day has not more.
const PLACES_MAX: usize = 4 << 20;

/// What each place was first said to hold; nobody's message where that was contradicted already.
#[derive(Debug, Default)]
pub(super) struct Glance {
    held: HashMap<(QueueId, QueueOffset), MessageId>,
    /// A promotion gives places away; whether it may is for the checkers.
    is_aside: bool,
}

impl Glance {
    /// Returns how many places this contradicts that nothing contradicted before.
    pub fn look(&mut self, kind: EventType, op: &Op) -> u64 {
        match op {
            Op::Fault(fault) if Fault::find(&fault.fault).is_some_and(Fault::promotes) => {
                self.is_aside = kind == EventType::Invoke;
                self.held.clear();
            }
            _ if self.is_aside => {}
            Op::Send(sent) if kind == EventType::Ok && sent.delay_ms.is_none() => {
                let Some(first) = sent.offset else { return 0 };
                let held = (first.0..).zip(&sent.messages).map(|(at, one)| (QueueOffset(at), one.id));
                return held.map(|(at, id)| self.hold(sent.queue, at, id)).sum();
            }
            Op::Pull(pulled) if kind == EventType::Ok => {
                return pulled.seen.iter().map(|seen| self.hold(pulled.queue, seen.offset, seen.id)).sum();
            }
            _ => {}
        }
        0
    }

    fn hold(&mut self, queue: QueueId, offset: QueueOffset, id: MessageId) -> u64 {
        let is_full = self.held.len() >= PLACES_MAX;
        match self.held.get_mut(&(queue, offset)) {
            Some(held) if *held != id && *held != MessageId::default() => {
                *held = MessageId::default();
                1
            }
            Some(_) => 0,
            None if is_full => 0,
            None => {
                self.held.insert((queue, offset), id);
                0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FaultValue, PullValue, Seen, SendValue, Sent};
    use super::*;
    use crate::message::BodyHash;

    fn id(counter: u64) -> MessageId {
        MessageId { producer: 1, counter }
    }

    fn sent(offset: i64, counters: &[u64]) -> Op {
        let messages = counters.iter().map(|counter| Sent { id: id(*counter), hash: BodyHash(0) }).collect();
        Op::Send(SendValue { offset: Some(QueueOffset(offset)), messages, ..SendValue::default() })
    }

    fn pulled(offset: i64, counter: u64) -> Op {
        let seen = vec![Seen { id: id(counter), hash: BodyHash(0), offset: QueueOffset(offset) }];
        Op::Pull(PullValue { seen, ..PullValue::default() })
    }

    #[test]
    fn a_place_is_contradicted_once() {
        let mut glance = Glance::default();
        let promotion = Op::Fault(FaultValue { fault: "promote-kill".into(), ..FaultValue::default() });
        let (invoke, ok, info) = (EventType::Invoke, EventType::Ok, EventType::Info);
        let steps = [
            (ok, sent(0, &[1, 2]), 0),
            (ok, pulled(1, 2), 0),
            (ok, pulled(1, 3), 1),
            (ok, pulled(1, 4), 0),
            (ok, sent(0, &[5, 6]), 1),
            (invoke, promotion.clone(), 0),
            (ok, pulled(3, 7), 0),
            (ok, pulled(3, 8), 0),
            (info, promotion, 0),
            (ok, pulled(0, 9), 0),
            (ok, pulled(0, 8), 1),
        ];
        for (at, (kind, op, expected)) in steps.into_iter().enumerate() {
            assert_eq!(glance.look(kind, &op), expected, "step {at}");
        }
    }
}
