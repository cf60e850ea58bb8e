//! Leaders, one after the other, and what can go wrong with that: C21.

use super::Mutation;
use super::script::{NODES, Script, choose};
use crate::dice::Dice;
use crate::history::{Event, EventType, LeadValue, NodeId, Op, Process};

const STEPS: u64 = 12;

pub(super) const MUTATIONS: &[Mutation] = &[Mutation {
    checker: "C21",
    name: "lead in the term of another",
    expected: &["split-brain"],
    mutate: usurp,
}];

/// Terms grow; some have no leader, and some begin with the leader that there was. Whoever was ended may be named again.
pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("queue", 1);
    let mut term = 0;
    for _ in 0..STEPS {
        term += i64::try_from(dice.between(1, 4)).unwrap_or(1);
        let node = NodeId(u8::try_from(dice.below(NODES.into())).unwrap_or_default());
        for _ in 0..dice.between(1, 3) {
            script.push(Process::Observer, EventType::Info, Op::Lead(LeadValue { node, term }));
        }
    }
    script.events
}

fn usurp(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(at) = choose(history, dice, |event| matches!(event.op, Op::Lead(_))) else { return false };
    let Some(mut usurper) = history.get(at).cloned() else { return false };
    let Op::Lead(lead) = &mut usurper.op else { return false };
    lead.node = NodeId((lead.node.0 + 1) % NODES);
    history.insert(at + 1, usurper);
    true
}
