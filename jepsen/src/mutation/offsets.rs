//! A group that commits how far it is, and what can go wrong with that: C13.

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::Mutation;
use super::script::Script;
use crate::dice::Dice;
use crate::history::{Event, EventType, OffsetValue, Op};

const STEPS: u64 = 30;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        checker: "C13",
        name: "hear an old offset",
        expected: &["offset-regression"],
        mutate: go_back,
    },
    Mutation {
        checker: "C13",
        name: "forget the group",
        expected: &["offset-regression"],
        mutate: forget_group,
    },
    Mutation {
        checker: "C13",
        name: "hear more than was said",
        expected: &["offset-ahead"],
        mutate: run_ahead,
    },
];

fn value(offset: Option<i64>) -> OffsetValue {
    OffsetValue {
        group: "g".into(),
        queue: QueueId(0),
        offset: offset.map(QueueOffset),
        ..OffsetValue::default()
    }
}

/// Commits that grow, some of unknown outcome, which may take effect at any time; and questions between them.
pub(super) fn valid(dice: &mut Dice) -> Vec<Event> {
    let mut script = Script::new("offset", 1);
    let mut stored = None;
    let mut last = 0;
    let mut doubtful = Vec::new();
    let mut writer = 1;
    for _ in 0..STEPS {
        match dice.below(5) {
            0 | 1 => {
                last += i64::try_from(dice.between(1, 9)).unwrap_or(1);
                let commit = Op::Commit(value(Some(last)));
                match dice.below(6) {
                    0 => {
                        script.call(writer, commit.clone(), EventType::Info, commit);
                        writer += 100;
                        doubtful.push(last);
                    }
                    1 => script.call(writer, commit.clone(), EventType::Fail, commit),
                    _ => {
                        script.call(writer, commit.clone(), EventType::Ok, commit);
                        stored = Some(last);
                    }
                }
            }
            // What was in doubt takes effect.
            2 if !doubtful.is_empty() && dice.once_in(2) => {
                let at = dice.index(doubtful.len());
                stored = Some(doubtful.swap_remove(at));
            }
            _ => script.call(2, Op::Fetch(value(None)), EventType::Ok, Op::Fetch(value(stored))),
        }
    }
    script.events
}

/// Puts another value into an answer; `choose` sees what was acknowledged before the question, oldest first.
fn answer_with(
    history: &mut [Event],
    dice: &mut Dice,
    choose: impl Fn(&[QueueOffset], &mut Dice) -> Option<Option<QueueOffset>>,
) -> bool {
    let mut acknowledged = Vec::new();
    let mut fitting = Vec::new();
    for (at, event) in history.iter().enumerate() {
        match &event.op {
            Op::Commit(commit) if event.kind == EventType::Ok => acknowledged.extend(commit.offset),
            Op::Fetch(_) if event.kind == EventType::Ok => {
                if let Some(offset) = choose(&acknowledged, dice) {
                    fitting.push((at, offset));
                }
            }
            _ => {}
        }
    }
    let Some((at, offset)) = dice.choose(&fitting).copied() else { return false };
    if let Some(Event { op: Op::Fetch(fetched), .. }) = history.get_mut(at) {
        fetched.offset = offset;
    }
    true
}

fn go_back(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    answer_with(history, dice, |acknowledged, dice| {
        let (_, older) = acknowledged.split_last()?;
        dice.choose(older).copied().map(Some)
    })
}

fn forget_group(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    answer_with(history, dice, |acknowledged, _| acknowledged.first().map(|_| None))
}

fn run_ahead(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    answer_with(history, dice, |_, _| Some(Some(QueueOffset(1_000_000))))
}
