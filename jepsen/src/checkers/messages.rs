//! C1 to C6: every acknowledged message is there, once, unharmed, where it was said to be, and nothing else is.

use std::collections::{BTreeMap, HashSet};

use super::{Attempt, Digest, Findings};
use crate::history::Outcome;
use crate::message::MessageId;

/// C1: whatever was acknowledged is in the final scan of its queue.
///
/// Messages of delay and of transactions have checks of their own.
pub(super) fn no_loss(digest: &Digest<'_>, findings: &mut Findings) {
    let scans = digest.final_scans();
    let kept: HashSet<MessageId> =
        scans.values().flat_map(|scan| scan.value.seen.iter().map(|seen| seen.id)).collect();
    let mut expected: BTreeMap<(u32, i32), Vec<&Attempt>> = BTreeMap::new();
    for attempt in digest.attempts.values().filter(|attempt| attempt.acknowledged() && attempt.is_direct()) {
        if scans.contains_key(&attempt.queue) {
            expected.entry((attempt.id.producer, attempt.queue.0)).or_default().push(attempt);
        }
    }
    for attempts in expected.values_mut() {
        attempts.sort_by_key(|attempt| attempt.id);
        let is_lost = |attempt: &&Attempt| !kept.contains(&attempt.id);
        let first_kept = attempts.iter().position(|attempt| !is_lost(attempt));
        let last_kept = attempts.iter().rposition(|attempt| !is_lost(attempt));
        for (at, attempt) in attempts.iter().enumerate().filter(|(_, attempt)| is_lost(attempt)) {
            let part = match (first_kept, last_kept) {
                (Some(first), _) if at < first => "first",
                (_, Some(last)) if at > last => "last",
                (Some(_), Some(_)) => "middle",
                _ => "all",
            };
            report_lost(digest, attempt, part, findings);
        }
    }
}

fn report_lost(digest: &Digest<'_>, attempt: &Attempt, part: &str, findings: &mut Findings) {
    let events: Vec<_> = [Some(attempt.invoked), attempt.completed].into_iter().flatten().collect();
    findings.add("lost", &events, || {
        let elsewhere = digest.scans.iter().filter(|scan| scan.value.seen.iter().any(|seen| seen.id == attempt.id));
        let holders: Vec<String> = elsewhere.filter_map(|scan| Some(scan.value.node?.to_string())).collect();
        let holders = if holders.is_empty() { "no replica".to_owned() } else { format!("only {}", holders.join(", ")) };
        format!(
            "message {} was acknowledged{} for queue {}{} and then lost: {holders} has it at the end (among the {part} \
             that its sender got acknowledged there)",
            attempt.id,
            attempt.node.map(|node| format!(" by {node}")).unwrap_or_default(),
            attempt.queue,
            attempt.offset.map(|offset| format!(" offset {offset}")).unwrap_or_default(),
        )
    });
}

/// C2: whatever is read was sent, and its sending did not fail.
pub(super) fn no_phantom(digest: &Digest<'_>, findings: &mut Findings) {
    let mut reported = HashSet::new();
    for sighting in digest.sightings.iter().filter(|sighting| sighting.id != MessageId::default()) {
        match digest.attempts.get(&sighting.id) {
            None if reported.insert(sighting.id) => findings.add("unexpected", &[sighting.event], || {
                format!("message {} was read at {}, but nobody sent it", sighting.id, sighting.place)
            }),
            Some(attempt) if attempt.outcome == Outcome::Fail && reported.insert(sighting.id) => {
                findings.add("G1a", &[attempt.invoked, sighting.event], || {
                    format!(
                        "message {} was read at {}, but its sending had failed",
                        sighting.id, sighting.place
                    )
                });
            }
            _ => {}
        }
    }
}

/// C3: whatever is read is what was sent.
pub(super) fn integrity(digest: &Digest<'_>, findings: &mut Findings) {
    for sighting in &digest.sightings {
        let sent = digest.attempts.get(&sighting.id);
        if sighting.id == MessageId::default() || sent.is_some_and(|attempt| attempt.hash != sighting.hash) {
            findings.add("corrupt", &[sighting.event], || {
                format!("what was read at {} is not what was sent as message {}", sighting.place, sighting.id)
            });
        }
    }
}

/// C4: nobody ever sees two messages at one place.
pub(super) fn one_value_per_offset(digest: &Digest<'_>, findings: &mut Findings) {
    for (place, values) in &digest.values {
        if let [(first, first_event), (second, second_event), ..] = values.as_slice() {
            findings.add("inconsistent-offset", &[*first_event, *second_event], || {
                format!("{place} held message {first} and also message {second}")
            });
        }
    }
}

/// C5: a message is in one place. Each is sent once, and the harness never sends it again.
pub(super) fn no_duplicates(digest: &Digest<'_>, findings: &mut Findings) {
    for (id, places) in digest.places() {
        if let [(first, first_event), (second, second_event), ..] = places.as_slice()
            && id != MessageId::default()
        {
            findings.add("duplicate", &[*first_event, *second_event], || {
                format!("message {id} was sent once and is at {first} and at {second}")
            });
        }
    }
}

/// C6: a message is where its acknowledgement says it is.
pub(super) fn true_ack_position(digest: &Digest<'_>, findings: &mut Findings) {
    let mut reported = HashSet::new();
    for sighting in &digest.sightings {
        let Some(attempt) = digest.attempts.get(&sighting.id) else { continue };
        let Some(offset) = attempt.offset else { continue };
        let moved = sighting.place.offset != offset || sighting.place.queue != attempt.queue;
        if moved && reported.insert(sighting.id) {
            let events = [attempt.completed.unwrap_or(attempt.invoked), sighting.event];
            findings.add("ack-moved", &events, || {
                format!(
                    "message {} was acknowledged for queue {} offset {offset} and read at {}",
                    attempt.id, attempt.queue, sighting.place
                )
            });
        }
    }
    // Somebody else in the place that one was told.
    for (place, values) in digest.values.iter().filter(|(_, values)| values.len() > 1) {
        let owner = values.iter().find(|(id, _)| {
            let attempt = digest.attempts.get(id);
            attempt
                .is_some_and(|attempt| attempt.offset == Some(place.offset) && attempt.queue == place.queue)
        });
        let Some((owner, acknowledged)) = owner else { continue };
        if let Some((other, seen)) = values.iter().find(|(id, _)| id != owner) {
            findings.add("ack-moved", &[*acknowledged, *seen], || {
                format!("message {owner} was acknowledged for {place}, where message {other} is")
            });
        }
    }
}
