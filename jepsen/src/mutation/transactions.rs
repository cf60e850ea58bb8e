//! Transactions that end as their producer says, and what can go wrong with them: C14.

use ferrymq_proto::position::QueueId;

use super::Mutation;
use super::script::{Script, choose, forget, message, offset_of, seen};
use crate::dice::Dice;
use crate::history::{
    EndValue, Event, EventType, NodeId, Op, Process, PullValue, Seen, SendValue, Sent, phases,
};
use crate::message::MessageId;

const TRANSACTIONS: u64 = 14;
const QUEUE: QueueId = QueueId(0);
const NODE: NodeId = NodeId(0);

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation { checker: "C14", name: "show before the commit", expected: &["tx-early"], mutate: show_early },
    Mutation {
        checker: "C14",
        name: "show what was rolled back",
        expected: &["tx-ghost"],
        mutate: resurrect,
    },
    Mutation {
        checker: "C14",
        name: "show what nobody decided",
        expected: &["tx-ghost"],
        mutate: never_decide,
    },
    Mutation { checker: "C14", name: "commit twice", expected: &["tx-torn"], mutate: commit_twice },
    Mutation { checker: "C14", name: "lose a commit", expected: &["tx-stuck"], mutate: lose_commit },
    Mutation { checker: "C14", name: "never ask", expected: &["tx-stuck"], mutate: never_ask },
];

/// Half of the decisions are told; the others are asked for.
pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("tx", 1);
    let mut log: Vec<Sent> = Vec::new();
    let mut open: Vec<(Sent, bool)> = Vec::new();
    let mut counter = 0;
    while counter < TRANSACTIONS || !open.is_empty() {
        match dice.below(4) {
            0 | 1 if counter < TRANSACTIONS => {
                counter += 1;
                let sent = message(1, counter);
                let half = Op::Half(SendValue {
                    queue: QUEUE,
                    messages: vec![sent],
                    node: Some(NODE),
                    ..SendValue::default()
                });
                let kind = if dice.once_in(8) { EventType::Fail } else { EventType::Ok };
                script.call(1, half.clone(), kind, half);
                if kind == EventType::Ok {
                    open.push((sent, !dice.once_in(3)));
                }
            }
            2 if !open.is_empty() => {
                let at = dice.index(open.len());
                let (sent, commit) = open.swap_remove(at);
                let asked = dice.once_in(2);
                let end = Op::End(EndValue { id: sent.id, commit, asked, error: None });
                if asked {
                    script.push(Process::Observer, EventType::Info, end);
                } else {
                    script.call(2, end.clone(), EventType::Ok, end);
                }
                if commit {
                    log.push(sent);
                }
            }
            _ => {
                let list = log.iter().copied().enumerate().map(|(at, sent)| seen(sent, at)).collect();
                script.pull(3, QUEUE, NODE, list, log.len());
            }
        }
    }
    script.phase(phases::HEALED);
    script.scans(4, NODE, &[log]);
    script.phase(phases::DRAINED);
    script.events
}

/// A decision of this kind, whose half was acknowledged.
fn choose_end(history: &[Event], dice: &mut Dice, commit: bool) -> Option<(usize, MessageId)> {
    let at = choose(history, dice, |event| {
        matches!(&event.op, Op::End(end) if end.commit == commit) && event.kind != EventType::Ok
    })?;
    match &history.get(at)?.op {
        Op::End(end) => Some((at, end.id)),
        _ => None,
    }
}

fn sent(id: MessageId) -> Sent {
    message(id.producer, id.counter)
}

fn show_early(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((at, id)) = choose_end(history, dice, true) else { return false };
    let place = history.iter().find_map(|event| match &event.op {
        Op::Scan(scan) => scan.seen.iter().find(|seen| seen.id == id).copied(),
        _ => None,
    });
    let Some(place) = place else { return false };
    let asked = PullValue { queue: QUEUE, offset: place.offset, node: Some(NODE), ..PullValue::default() };
    let heard = PullValue { seen: vec![place], ..asked.clone() };
    let Some(time) = history.get(at).map(|event| event.time) else { return false };
    for (kind, op) in [(EventType::Ok, Op::Pull(heard)), (EventType::Invoke, Op::Pull(asked))] {
        history.insert(at, Event { index: Default::default(), time, process: Process::Client(77), kind, op });
    }
    true
}

fn resurrect(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_end(history, dice, false) else { return false };
    append_to_scans(history, sent(id))
}

fn append_to_scans(history: &mut [Event], sent: Sent) -> bool {
    for event in history {
        let Op::Scan(scan) = &mut event.op else { continue };
        if event.kind == EventType::Ok {
            scan.seen.push(Seen { id: sent.id, hash: sent.hash, offset: scan.max });
            scan.max = offset_of(scan.seen.len());
        }
    }
    true
}

fn never_decide(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_end(history, dice, true) else { return false };
    history.retain(|event| !matches!(&event.op, Op::End(end) if end.id == id));
    true
}

fn commit_twice(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_end(history, dice, true) else { return false };
    append_to_scans(history, sent(id))
}

fn lose_commit(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_end(history, dice, true) else { return false };
    forget(history, id);
    true
}

fn never_ask(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, id)) = choose_end(history, dice, false) else { return false };
    history.retain(|event| !matches!(&event.op, Op::End(end) if end.id == id));
    true
}
