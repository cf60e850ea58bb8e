//! What can go wrong between nodes and over restarts: C9, C17 to C20.

use ferrymq_proto::position::QueueOffset;

use super::Mutation;
use super::script::{choose, message};
use crate::checkers::isolations;
use crate::dice::Dice;
use crate::history::{Event, EventType, Op, PhaseValue, Process, Seen, calls, phases};

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        checker: "C9",
        name: "read what never becomes final",
        expected: &["dirty-read"],
        mutate: dirty,
    },
    Mutation {
        checker: "C9",
        name: "show less than before",
        expected: &["read-regression"],
        mutate: regress,
    },
    Mutation {
        checker: "C17",
        name: "acknowledge alone",
        expected: &["ack-without-quorum"],
        mutate: ack_alone,
    },
    Mutation { checker: "C18", name: "change one replica", expected: &["divergence"], mutate: diverge },
    Mutation { checker: "C18", name: "flip a bit on one replica", expected: &["divergence"], mutate: rot },
    Mutation { checker: "C18", name: "cut one replica short", expected: &["divergence"], mutate: cut_short },
    Mutation {
        checker: "C19",
        name: "lose in a restart",
        expected: &["recovery-not-idempotent"],
        mutate: lose,
    },
    Mutation {
        checker: "C19",
        name: "come back in a restart",
        expected: &["zombie-tail"],
        mutate: come_back,
    },
    Mutation { checker: "C20", name: "never converge", expected: &["stuck"], mutate: stick },
];

fn is_pull(event: &Event) -> bool {
    matches!(event.op, Op::Pull(_)) && event.kind == EventType::Ok
}

fn dirty(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some(event) = choose(history, dice, is_pull).and_then(|at| history.get_mut(at)) else { return false };
    let Op::Pull(value) = &mut event.op else { return false };
    let ghost = message(999_998, 1);
    let end = value.seen.last().map_or(value.offset, |last| QueueOffset(last.offset.0 + 1));
    value.seen.push(Seen { id: ghost.id, hash: ghost.hash, offset: end });
    true
}

fn regress(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    // Two reads of one queue on one node, with no fault during either or between them; the first has seen something.
    let mut pairs = Vec::new();
    for (at, event) in history.iter().enumerate().filter(|(_, event)| is_pull(event)) {
        let Op::Pull(first) = &event.op else { continue };
        let Some(last) = first.seen.last() else { continue };
        let undisturbed = history
            .iter()
            .enumerate()
            .skip(at + 1)
            .take_while(|(_, event)| event.process != Process::Nemesis);
        let asked = |process: Process, until: usize| {
            history.iter().take(until).rposition(|event| event.process == process)
        };
        let asked_after =
            |process: Process, until: usize| asked(process, until).is_some_and(|asked| asked > at);
        // An answer that was asked for before a fault may be of the time before it.
        let since = asked(event.process, at).unwrap_or_default();
        if history.iter().take(at).skip(since).any(|event| event.process == Process::Nemesis) {
            continue;
        }
        for (again, event) in undisturbed.filter(|(_, event)| is_pull(event)) {
            let Op::Pull(second) = &event.op else { continue };
            if second.queue == first.queue && second.node == first.node && asked_after(event.process, again) {
                pairs.push((again, last.offset));
            }
        }
    }
    let Some((at, last)) = dice.choose(&pairs).copied() else { return false };
    if let Some(Event { op: Op::Pull(value), .. }) = history.get_mut(at) {
        value.max = Some(last);
    }
    true
}

fn ack_alone(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let isolations = isolations(history, super::script::NODES, 2);
    let Ok(calls) = calls(history) else { return false };
    let mut fitting = Vec::new();
    for call in &calls {
        let Some(completed) = call.completed.filter(|event| event.kind == EventType::Ok) else { continue };
        if !matches!(completed.op, Op::Send(_)) {
            continue;
        }
        let during = isolations.iter().filter(|isolation| {
            isolation.from < call.invoked.index && isolation.until.is_none_or(|until| completed.index < until)
        });
        fitting.extend(during.map(|isolation| (completed.index, isolation.node)));
    }
    let Some((index, node)) = dice.choose(&fitting).copied() else { return false };
    for event in history.iter_mut().filter(|event| event.index == index) {
        if let Op::Send(value) = &mut event.op {
            value.node = Some(node);
        }
    }
    true
}

/// The scan of a replica that has at least this many messages.
fn choose_scan<'h>(
    history: &'h mut [Event],
    dice: &mut Dice,
    least: usize,
) -> Option<&'h mut crate::history::ScanValue> {
    let at = choose(history, dice, |event| {
        matches!(&event.op, Op::Scan(scan) if scan.seen.len() >= least) && event.kind == EventType::Ok
    })?;
    match &mut history.get_mut(at)?.op {
        Op::Scan(scan) => Some(scan),
        _ => None,
    }
}

fn diverge(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let at = dice.throw();
    let Some(scan) = choose_scan(history, dice, 2) else { return false };
    let at = usize::try_from(at % (scan.seen.len() as u64 - 1)).unwrap_or_default();
    let ids: Vec<_> = scan.seen.iter().map(|seen| (seen.id, seen.hash)).collect();
    for (to, from) in [(at, at + 1), (at + 1, at)] {
        if let (Some(seen), Some(other)) = (scan.seen.get_mut(to), ids.get(from)) {
            (seen.id, seen.hash) = *other;
        }
    }
    true
}

fn rot(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let bit = dice.below(64);
    let Some(scan) = choose_scan(history, dice, 1) else { return false };
    if let Some(seen) = scan.seen.first_mut() {
        seen.hash.0 ^= 1 << bit;
    }
    true
}

fn cut_short(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let from_middle = dice.once_in(2);
    let Some(scan) = choose_scan(history, dice, 3) else { return false };
    if from_middle {
        scan.seen.remove(1);
    } else {
        scan.seen.pop();
    }
    true
}

/// The positions of the events at which all nodes had been restarted.
fn restarts(history: &[Event]) -> Vec<usize> {
    let restarted = |event: &Event| matches!(&event.op, Op::Phase(phase) if phase.phase == phases::RESTARTED);
    history.iter().enumerate().filter(|(_, event)| restarted(event)).map(|(at, _)| at).collect()
}

/// Shortens the scans at these positions by one message, of the queue that one of them shows.
fn shorten(history: &mut [Event], dice: &mut Dice, from: usize, until: usize) -> bool {
    let longest = history.iter().skip(from).take(until - from).filter_map(|event| match &event.op {
        Op::Scan(scan) if !scan.seen.is_empty() => Some(scan.queue),
        _ => None,
    });
    let queues: Vec<_> = longest.collect();
    let Some(queue) = dice.choose(&queues).copied() else { return false };
    for event in history.iter_mut().skip(from).take(until - from) {
        let Op::Scan(scan) = &mut event.op else { continue };
        if scan.queue == queue && scan.seen.pop().is_some() {
            scan.max = QueueOffset(scan.max.0 - 1);
        }
    }
    true
}

fn lose(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let [_, second] = restarts(history)[..] else { return false };
    let end = history.len();
    shorten(history, dice, second, end)
}

fn come_back(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let [first, second] = restarts(history)[..] else { return false };
    shorten(history, dice, first, second)
}

fn stick(history: &mut Vec<Event>, _: &mut Dice) -> bool {
    for event in history {
        if let Op::Phase(PhaseValue { phase, detail }) = &mut event.op
            && phase == phases::CONVERGED
        {
            *phase = phases::STUCK.to_owned();
            *detail = Some("n1 is behind".to_owned());
            return true;
        }
    }
    false
}
