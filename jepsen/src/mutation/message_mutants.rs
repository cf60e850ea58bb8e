//! What can go wrong with messages: C1 to C8.

use std::collections::HashMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::Mutation;
use super::script::{choose, choose_kept, each_sightings, forget, is_acknowledged, message, sightings_mut};
use crate::dice::Dice;
use crate::history::{Event, EventIndex, EventType, Op, Seen};
use crate::message::{BodyHash, MessageId};

/// A sender that no model has.
const STRANGER: u32 = 999_999;

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        checker: "C1",
        name: "drop an acknowledged message",
        expected: &["lost"],
        mutate: drop_acknowledged,
    },
    Mutation { checker: "C1", name: "drop the end of a queue", expected: &["lost"], mutate: drop_suffix },
    Mutation { checker: "C1", name: "acknowledge what never arrived", expected: &["lost"], mutate: fake_ok },
    Mutation { checker: "C2", name: "read what nobody sent", expected: &["unexpected"], mutate: invent },
    Mutation { checker: "C2", name: "read what failed", expected: &["G1a"], mutate: fail_what_was_read },
    Mutation { checker: "C3", name: "flip a bit", expected: &["corrupt"], mutate: flip },
    Mutation { checker: "C3", name: "lose the id", expected: &["corrupt"], mutate: blank },
    Mutation {
        checker: "C4",
        name: "show another message",
        expected: &["inconsistent-offset"],
        mutate: replace_one,
    },
    Mutation {
        checker: "C4",
        name: "acknowledge a taken place",
        expected: &["inconsistent-offset"],
        mutate: ack_taken,
    },
    Mutation { checker: "C5", name: "store a message twice", expected: &["duplicate"], mutate: duplicate },
    Mutation {
        checker: "C5",
        name: "show a message elsewhere",
        expected: &["duplicate"],
        mutate: show_elsewhere,
    },
    Mutation { checker: "C6", name: "shift an acknowledgement", expected: &["ack-moved"], mutate: shift_ack },
    Mutation {
        checker: "C6",
        name: "give the place away",
        expected: &["ack-moved"],
        mutate: replace_acknowledged,
    },
    Mutation { checker: "C7", name: "leave a hole", expected: &["gap"], mutate: hole },
    Mutation { checker: "C7", name: "skip an offset", expected: &["gap"], mutate: shift_all },
    Mutation {
        checker: "C8",
        name: "swap two of one sender",
        expected: &["nonmonotonic-send", "reorder"],
        mutate: swap_own,
    },
    Mutation {
        checker: "C8",
        name: "swap two of two senders",
        expected: &["reorder", "nonmonotonic-send"],
        mutate: swap_others,
    },
];

fn drop_acknowledged(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, kept)) = choose_kept(history, dice) else { return false };
    if !is_acknowledged(history, kept.id) {
        return false;
    }
    forget(history, kept.id);
    true
}

fn drop_suffix(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((queue, kept)) = choose_kept(history, dice) else { return false };
    if !is_acknowledged(history, kept.id) {
        return false;
    }
    for event in history {
        if let Op::Scan(scan) = &mut event.op
            && scan.queue == queue
        {
            scan.seen.retain(|seen| seen.offset < kept.offset);
            scan.max = scan.max.min(kept.offset);
        }
    }
    true
}

fn fake_ok(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let mut sighted = std::collections::HashSet::new();
    each_sightings(history, |_, seen| sighted.extend(seen.iter().map(|seen| seen.id)));
    let never_arrived = |event: &Event| match &event.op {
        Op::Send(value) => {
            matches!(event.kind, EventType::Info | EventType::Fail)
                && value.messages.iter().all(|message| !sighted.contains(&message.id))
        }
        _ => false,
    };
    let Some(event) = choose(history, dice, never_arrived).and_then(|at| history.get_mut(at)) else {
        return false;
    };
    event.kind = EventType::Ok;
    if let Op::Send(value) = &mut event.op {
        value.offset = Some(QueueOffset(1_000_000));
    }
    true
}

/// A list of sightings that is not empty, and a place in it.
fn choose_seen<'h>(history: &'h mut [Event], dice: &mut Dice) -> Option<(QueueId, &'h mut Seen)> {
    let at = choose(history, dice, |event| {
        sightings_mut(&mut event.clone()).is_some_and(|(_, seen)| !seen.is_empty())
    })?;
    let (queue, seen) = sightings_mut(history.get_mut(at)?)?;
    let at = dice.index(seen.len());
    Some((queue, seen.get_mut(at)?))
}

fn invent(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, seen)) = choose_seen(history, dice) else { return false };
    seen.id = MessageId { producer: STRANGER, counter: 1 };
    true
}

fn fail_what_was_read(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, kept)) = choose_kept(history, dice) else { return false };
    for event in history {
        let Op::Send(value) = &mut event.op else { continue };
        if event.kind != EventType::Invoke && value.messages.iter().any(|message| message.id == kept.id) {
            event.kind = EventType::Fail;
            value.offset = None;
        }
    }
    true
}

fn flip(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let bit = dice.below(64);
    let Some((_, seen)) = choose_seen(history, dice) else { return false };
    seen.hash = BodyHash(seen.hash.0 ^ (1 << bit));
    true
}

fn blank(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, seen)) = choose_seen(history, dice) else { return false };
    seen.id = MessageId::default();
    true
}

/// One reader sees another message than all others in one place.
fn replace_one(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, other)) = choose_kept(history, dice) else { return false };
    // Every place that is read at all is in the scans of all replicas, so the true message has a witness.
    let Some((_, seen)) = choose_seen(history, dice) else { return false };
    if seen.id == other.id {
        return false;
    }
    seen.id = other.id;
    seen.hash = other.hash;
    true
}

fn ack_taken(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((queue, other)) = choose_kept(history, dice) else { return false };
    let wanted = |event: &Event| match &event.op {
        Op::Send(value) => {
            event.kind == EventType::Ok
                && value.queue == queue
                && value.messages.len() == 1
                && value.messages.iter().all(|message| message.id != other.id)
        }
        _ => false,
    };
    let Some(event) = choose(history, dice, wanted).and_then(|at| history.get_mut(at)) else { return false };
    if let Op::Send(value) = &mut event.op {
        value.offset = Some(other.offset);
    }
    true
}

fn duplicate(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((queue, kept)) = choose_kept(history, dice) else { return false };
    for event in history {
        if let Op::Scan(scan) = &mut event.op
            && scan.queue == queue
            && event.kind == EventType::Ok
        {
            scan.seen.push(Seen { offset: scan.max, ..kept });
            scan.max = QueueOffset(scan.max.0 + 1);
        }
    }
    true
}

fn show_elsewhere(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, seen)) = choose_seen(history, dice) else { return false };
    seen.offset = QueueOffset(seen.offset.0 + 1 + i64::try_from(dice.below(5)).unwrap_or_default());
    // In the scans of the other replicas it is still where it was.
    true
}

/// The answer to the sending of a message that is in the final scan.
fn choose_ack<'h>(history: &'h mut [Event], dice: &mut Dice) -> Option<&'h mut Event> {
    let (_, kept) = choose_kept(history, dice)?;
    history.iter_mut().find(|event| {
        let Op::Send(value) = &event.op else { return false };
        event.kind == EventType::Ok && value.messages.iter().any(|message| message.id == kept.id)
    })
}

fn shift_ack(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let by = if dice.once_in(2) { 1 } else { -1 };
    let Some(event) = choose_ack(history, dice) else { return false };
    let Op::Send(value) = &mut event.op else { return false };
    value.offset = value.offset.map(|offset| QueueOffset(offset.0 + by));
    true
}

/// Everybody sees a stranger in the place that was told.
fn replace_acknowledged(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, kept)) = choose_kept(history, dice) else { return false };
    if !is_acknowledged(history, kept.id) {
        return false;
    }
    let stranger = message(STRANGER, 2);
    each_sightings(history, |_, seen| {
        for seen in seen.iter_mut().filter(|seen| seen.id == kept.id) {
            (seen.id, seen.hash) = (stranger.id, stranger.hash);
        }
    });
    true
}

fn hole(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((_, kept)) = choose_kept(history, dice) else { return false };
    forget(history, kept.id);
    for event in history {
        let Op::Send(value) = &mut event.op else { continue };
        if value.messages.iter().any(|message| message.id == kept.id) {
            value.offset = None;
        }
    }
    true
}

fn shift_all(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    let Some((queue, kept)) = choose_kept(history, dice) else { return false };
    let shifted = |offset: QueueOffset| QueueOffset(offset.0 + i64::from(offset >= kept.offset));
    each_sightings(history, |of, seen| {
        for seen in seen.iter_mut().filter(|_| of == queue) {
            seen.offset = shifted(seen.offset);
        }
    });
    let mut whole = true;
    for event in history {
        match &mut event.op {
            Op::Scan(scan) if scan.queue == queue => scan.max = shifted(scan.max),
            Op::Send(value) if value.queue == queue => {
                // A batch that the hole would split would fill it again.
                let end = value.offset.map(|first| first.0 + value.messages.len() as i64);
                whole &= value.offset.is_none_or(|first| first >= kept.offset)
                    || end.is_none_or(|end| end <= kept.offset.0);
                value.offset = value.offset.map(shifted);
            }
            _ => {}
        }
    }
    whole
}

fn swap_own(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    swap(history, dice, true)
}

fn swap_others(history: &mut Vec<Event>, dice: &mut Dice) -> bool {
    swap(history, dice, false)
}

/// Changes the places of two messages in everything that was ever told. The first was acknowledged before the second was
/// sent.
fn swap(history: &mut [Event], dice: &mut Dice, same_sender: bool) -> bool {
    let Some((first, second)) = choose_ordered(history, dice, same_sender) else { return false };
    each_sightings(history, |_, seen| {
        for seen in seen.iter_mut() {
            if seen.id == first.id {
                (seen.id, seen.hash) = (second.id, second.hash);
            } else if seen.id == second.id {
                (seen.id, seen.hash) = (first.id, first.hash);
            }
        }
    });
    for event in history {
        let Op::Send(value) = &mut event.op else { continue };
        let Some(offset) = &mut value.offset else { continue };
        for message in &value.messages {
            if message.id == first.id {
                *offset = second.offset;
            } else if message.id == second.id {
                *offset = first.offset;
            }
        }
    }
    true
}

/// Two messages of one queue, each sent alone.
fn choose_ordered(history: &[Event], dice: &mut Dice, same_sender: bool) -> Option<(Seen, Seen)> {
    let mut invoked: HashMap<MessageId, EventIndex> = HashMap::new();
    let mut acknowledged: HashMap<MessageId, EventIndex> = HashMap::new();
    for event in history {
        let Op::Send(value) = &event.op else { continue };
        let [message] = value.messages.as_slice() else { continue };
        match event.kind {
            EventType::Invoke => invoked.insert(message.id, event.index),
            EventType::Ok => acknowledged.insert(message.id, event.index),
            _ => None,
        };
    }
    let scan = history.iter().rev().find_map(|event| match &event.op {
        Op::Scan(scan) if scan.leader && event.kind == EventType::Ok => Some(scan),
        _ => None,
    })?;
    let mut pairs = Vec::new();
    for first in &scan.seen {
        let Some(answered) = acknowledged.get(&first.id) else { continue };
        let later = scan.seen.iter().filter(|second| {
            acknowledged.contains_key(&second.id)
                && invoked.get(&second.id).is_some_and(|asked| asked > answered)
                && (second.id.producer == first.id.producer) == same_sender
        });
        pairs.extend(later.map(|second| (*first, *second)));
    }
    dice.choose(&pairs).copied()
}
