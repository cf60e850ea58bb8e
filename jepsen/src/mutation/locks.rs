//! Members of a group that take turns at owning queues, and what can go wrong with that: C16.

use ferrymq_proto::position::QueueId;

use super::Mutation;
use super::script::{Script, choose};
use crate::dice::Dice;
use crate::history::{Event, EventType, LockValue, Op};

const STEPS: u64 = 40;
const OWNERS: usize = 3;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation { checker: "C16", name: "grant what is taken", expected: &["double-owner"], mutate: grant },
    Mutation { checker: "C16", name: "never give back", expected: &["double-owner"], mutate: keep },
];

fn value(owner: usize, queue: QueueId, granted: bool) -> LockValue {
    LockValue { group: "g".into(), owner: format!("m{owner}"), queue, granted, ..LockValue::default() }
}

pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("orderly", 2);
    let mut held: [Option<usize>; 2] = [None; 2];
    for _ in 0..STEPS {
        script.wait(dice.between(1, 100));
        let owner = dice.index(OWNERS);
        let process = u32::try_from(owner).unwrap_or_default();
        let at = dice.index(2);
        let queue = QueueId(i32::try_from(at).unwrap_or_default());
        let Some(holder) = held.get_mut(at) else { continue };
        if *holder == Some(owner) && dice.once_in(2) {
            let unlock = Op::Unlock(value(owner, queue, false));
            script.call(process, unlock.clone(), EventType::Ok, unlock);
            *holder = None;
            continue;
        }
        let granted = holder.is_none_or(|holder| holder == owner);
        if granted {
            *holder = Some(owner);
        }
        script.call(
            process,
            Op::Lock(value(owner, queue, false)),
            EventType::Ok,
            Op::Lock(value(owner, queue, granted)),
        );
    }
    script.events
}

fn grant(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let refused = choose(history, dice, |event| {
        matches!(&event.op, Op::Lock(value) if !value.granted) && event.kind == EventType::Ok
    });
    let Some(Event { op: Op::Lock(value), .. }) = refused.and_then(|at| history.get_mut(at)) else {
        return false;
    };
    value.granted = true;
    true
}

/// An owner never asked to give a queue back that somebody else was granted afterwards.
fn keep(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let mut fitting = Vec::new();
    for (at, event) in history.iter().enumerate() {
        let Op::Unlock(unlocked) = &event.op else { continue };
        let next = history.iter().skip(at).find_map(|event| match &event.op {
            Op::Lock(value) if value.granted && value.queue == unlocked.queue => Some(value),
            _ => None,
        });
        if event.kind == EventType::Invoke && next.is_some_and(|next| next.owner != unlocked.owner) {
            fitting.push(at);
        }
    }
    let Some(at) = dice.choose(&fitting).copied() else { return false };
    history.drain(at..at + 2);
    true
}
