//! Messages that come later, and what can go wrong with them: C15.

use ferrymq_proto::position::QueueId;

use super::Mutation;
use super::script::{Script, choose, forget, message, seen, sightings_mut};
use crate::dice::Dice;
use crate::history::{Event, EventType, Nanos, NodeId, Op, SendValue, Sent, phases};
use crate::message::MessageId;

const MESSAGES: u64 = 10;
const QUEUE: QueueId = QueueId(0);
const NODE: NodeId = NodeId(0);

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation { checker: "C15", name: "come too early", expected: &["timer-early"], mutate: hurry },
    Mutation { checker: "C15", name: "never come", expected: &["timer-lost"], mutate: lose },
    Mutation { checker: "C15", name: "come too late", expected: &["timer-late"], mutate: dawdle },
];

pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("timer", 1);
    let mut waiting: Vec<(Nanos, Sent)> = Vec::new();
    let mut log: Vec<Sent> = Vec::new();
    let mut counter = 0;
    script.phase(phases::LOAD);
    script.phase(phases::HEALED);
    while counter < MESSAGES || !waiting.is_empty() {
        script.wait(dice.between(10, 300));
        if counter < MESSAGES && dice.once_in(2) {
            counter += 1;
            let delay = i64::try_from(dice.between(100, 3000)).unwrap_or_default();
            let sent = message(1, counter);
            let asked = Op::Send(SendValue {
                queue: QUEUE,
                messages: vec![sent],
                delay_ms: Some(delay),
                ..SendValue::default()
            });
            script.call(1, asked.clone(), EventType::Ok, asked);
            // Within a millisecond of the answer, as brokers do.
            waiting.push((Nanos(script.now.0 + delay.cast_unsigned() * 1_000_000), sent));
            continue;
        }
        let now = script.now;
        waiting.sort_by_key(|(due, _)| *due);
        while waiting.first().is_some_and(|(due, _)| *due <= now) {
            log.push(waiting.remove(0).1);
        }
        let list = log.iter().copied().enumerate().map(|(at, sent)| seen(sent, at)).collect();
        script.pull(2, QUEUE, NODE, list, log.len());
    }
    script.wait(10_000);
    script.scans(3, NODE, &[log]);
    script.phase(phases::DRAINED);
    script.events
}

fn first_sighting(history: &[Event], id: MessageId) -> Option<usize> {
    history.iter().position(|event| {
        sightings_mut(&mut event.clone()).is_some_and(|(_, seen)| seen.iter().any(|seen| seen.id == id))
    })
}

fn choose_timer(history: &[Event], dice: &mut Dice) -> Option<(usize, MessageId)> {
    let at = choose(history, dice, |event| matches!(event.op, Op::Send(_)) && event.kind == EventType::Ok)?;
    match &history.get(at)?.op {
        Op::Send(value) => Some((at, value.messages.first()?.id)),
        _ => None,
    }
}

/// It was to come a second later than it came.
fn hurry(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((asked, id)) = choose_timer(history, dice) else { return false };
    let came = first_sighting(history, id).and_then(|at| history.get(at)).map(|event| event.time);
    let (Some(came), Some(asked)) = (came, history.get(asked).map(|event| event.time)) else { return false };
    let delay = i64::try_from((came.0 - asked.0) / 1_000_000 + 1000).unwrap_or_default();
    for event in history {
        let Op::Send(value) = &mut event.op else { continue };
        if value.messages.iter().any(|message| message.id == id) {
            value.delay_ms = Some(delay);
        }
    }
    true
}

fn lose(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_timer(history, dice) else { return false };
    forget(history, id);
    true
}

/// Everything from its first sighting on happens a minute later.
fn dawdle(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_timer(history, dice) else { return false };
    let Some(came) = first_sighting(history, id) else { return false };
    for event in history.iter_mut().skip(came) {
        event.time = Nanos(event.time.0 + 60_000_000_000);
    }
    true
}
