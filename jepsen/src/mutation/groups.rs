//! A group whose members come and go, and what can go wrong with it: C10 and C11.

use ferrymq_proto::position::QueueId;

use super::Mutation;
use super::script::{Script, choose, choose_kept, is_acknowledged, message, offset_of, seen, sightings_mut};
use crate::dice::Dice;
use crate::history::{DeliverValue, Event, EventType, NodeId, Op, SendValue, Sent, phases};
use crate::message::MessageId;

const MESSAGES: u64 = 24;
const GROUP: &str = "readers";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation { checker: "C10", name: "deliver to nobody", expected: &["undelivered"], mutate: never_deliver },
    Mutation { checker: "C11", name: "skip one", expected: &["poll-skip"], mutate: skip },
    Mutation {
        checker: "C11",
        name: "go back in a session",
        expected: &["nonmonotonic-poll"],
        mutate: go_back,
    },
    Mutation {
        checker: "C11",
        name: "begin a session too late",
        expected: &["poll-skip"],
        mutate: begin_late,
    },
];

/// Messages of two queues, delivered by sessions that go back a little when they take over.
pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("group", 2);
    let mut queues: Vec<Vec<Sent>> = vec![Vec::new(); 2];
    for counter in 1..=MESSAGES {
        let at = dice.index(2);
        let queue = QueueId(i32::try_from(at).unwrap_or_default());
        let sent = message(1, counter);
        let asked = SendValue { queue, messages: vec![sent], ..SendValue::default() };
        let Some(log) = queues.get_mut(at) else { continue };
        let heard = SendValue { offset: Some(offset_of(log.len())), ..asked.clone() };
        log.push(sent);
        script.call(1, Op::Send(asked), EventType::Ok, Op::Send(heard));
    }
    let mut session = 0;
    for (queue, log) in (0..).map(QueueId).zip(&queues) {
        let mut reached = 0;
        while reached < log.len() {
            session += 1;
            let back = dice.index(reached.min(4) + 1);
            let mut at = reached - back;
            let started_at = offset_of(at);
            for _ in 0..dice.between(1, 4) {
                let end = (at + 1 + dice.index(5)).min(log.len());
                let list = log
                    .iter()
                    .copied()
                    .enumerate()
                    .take(end)
                    .skip(at)
                    .map(|(at, sent)| seen(sent, at))
                    .collect();
                let value = DeliverValue {
                    group: GROUP.into(),
                    session,
                    queue,
                    started_at,
                    seen: list,
                    retried: false,
                };
                let asked = DeliverValue { seen: Vec::new(), ..value.clone() };
                script.call(10, Op::Deliver(asked), EventType::Ok, Op::Deliver(value));
                at = end;
            }
            reached = reached.max(at);
        }
    }
    script.phase(phases::HEALED);
    script.scans(11, NodeId(0), &queues);
    script.phase(phases::DRAINED);
    script.events
}

fn undeliver(history: &mut [Event], id: MessageId) {
    for event in history.iter_mut().filter(|event| matches!(event.op, Op::Deliver(_))) {
        if let Some((_, seen)) = sightings_mut(event) {
            seen.retain(|seen| seen.id != id);
        }
    }
}

fn never_deliver(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, kept)) = choose_kept(history, dice) else { return false };
    undeliver(history, kept.id);
    is_acknowledged(history, kept.id)
}

fn choose_delivery<'h>(
    history: &'h mut [Event],
    dice: &mut Dice,
    least: usize,
) -> Option<&'h mut DeliverValue> {
    let at = choose(history, dice, |event| {
        matches!(&event.op, Op::Deliver(value) if value.seen.len() >= least) && event.kind == EventType::Ok
    })?;
    match &mut history.get_mut(at)?.op {
        Op::Deliver(value) => Some(value),
        _ => None,
    }
}

fn skip(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(value) = choose_delivery(history, dice, 3) else { return false };
    value.seen.remove(1);
    true
}

fn go_back(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(value) = choose_delivery(history, dice, 2) else { return false };
    if let Some(first) = value.seen.first().copied() {
        value.seen.push(first);
    }
    true
}

/// Takes away the first delivery of something new at the start of a session.
fn begin_late(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(value) = choose_delivery(history, dice, 2) else { return false };
    // Only the very first session of a queue is certain to begin where nobody was before.
    if value.seen.first().is_none_or(|first| first.offset != offset_of(0)) || value.session != 1 {
        return false;
    }
    value.seen.remove(0);
    true
}
