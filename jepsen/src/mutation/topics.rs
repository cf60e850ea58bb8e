//! Topics that are made, changed and unmade, and what can go wrong with that.

use super::Mutation;
use super::script::Script;
use crate::dice::Dice;
use crate::history::{Event, EventType, Op, TopicValue};

const STEPS: u64 = 30;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        checker: "M1",
        name: "show what was overwritten",
        expected: &["topic-stale"],
        mutate: show_old,
    },
    Mutation { checker: "M1", name: "lose a topic", expected: &["topic-stale"], mutate: lose },
    Mutation { checker: "M1", name: "make up a topic", expected: &["topic-wrong"], mutate: make_up },
];

fn value(queues: Option<i64>) -> TopicValue {
    TopicValue { topic: "t".into(), queues, ..TopicValue::default() }
}

pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("meta", 1);
    let mut stored = None;
    let mut queues = 0;
    for _ in 0..STEPS {
        match dice.below(6) {
            0 | 1 => {
                queues += 1;
                let create = Op::CreateTopic(value(Some(queues)));
                let kind = if dice.once_in(6) { EventType::Fail } else { EventType::Ok };
                script.call(1, create.clone(), kind, create);
                if kind == EventType::Ok {
                    stored = Some(queues);
                }
            }
            2 => {
                let delete = Op::DeleteTopic(value(None));
                script.call(1, delete.clone(), EventType::Ok, delete);
                stored = None;
            }
            _ => script.call(2, Op::FindTopic(value(None)), EventType::Ok, Op::FindTopic(value(stored))),
        }
    }
    script.events
}

/// Puts another value into an answer; `choose` sees the acknowledged changes before the question.
fn answer_with(
    history: &mut [Event],
    dice: &mut Dice,
    choose: impl Fn(&[Option<i64>], &mut Dice) -> Option<Option<i64>>,
) -> bool {
    let mut changes = Vec::new();
    let mut fitting = Vec::new();
    for (at, event) in history.iter().enumerate().filter(|(_, event)| event.kind == EventType::Ok) {
        match &event.op {
            Op::CreateTopic(created) => changes.push(created.queues),
            Op::DeleteTopic(_) => changes.push(None),
            Op::FindTopic(_) => {
                if let Some(queues) = choose(&changes, dice) {
                    fitting.push((at, queues));
                }
            }
            _ => {}
        }
    }
    let Some((at, queues)) = dice.choose(&fitting).copied() else { return false };
    if let Some(Event { op: Op::FindTopic(found), .. }) = history.get_mut(at) {
        found.queues = queues;
    }
    true
}

fn show_old(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    answer_with(history, dice, |changes, dice| {
        let (_, older) = changes.split_last()?;
        let older: Vec<_> = older.iter().flatten().copied().collect();
        dice.choose(&older).copied().map(Some)
    })
}

fn lose(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    answer_with(history, dice, |changes, _| changes.last().copied().flatten().map(|_| None))
}

fn make_up(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    answer_with(history, dice, |_, _| Some(Some(777)))
}
