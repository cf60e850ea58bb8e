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
    let kept =
        digest.attempts.marked(scans.values().flat_map(|scan| scan.value.seen.iter().map(|seen| seen.id)));
    let is_given_up = |attempt: &Attempt| {
        let at = attempt.completed.unwrap_or(attempt.invoked);
        digest.gave_up(attempt.id, at, attempt.node)
    };
    let is_expected = |attempt: &Attempt| {
        attempt.acknowledged()
            && attempt.is_direct()
            && scans.contains_key(&attempt.queue)
            && !is_given_up(attempt)
    };
    let all = || digest.attempts.iter().zip(&kept).filter(|(attempt, _)| is_expected(attempt));
    let place = |attempt: &Attempt| (attempt.id.producer, attempt.queue);
    // Whoever lost something: all that was acknowledged to the same sender for the same queue, in the order in which it sent.
    let losers: HashSet<_> = all().filter(|(_, kept)| !**kept).map(|(attempt, _)| place(attempt)).collect();
    let mut expected: BTreeMap<_, Vec<(&Attempt, bool)>> = BTreeMap::new();
    for (attempt, kept) in all().filter(|(attempt, _)| losers.contains(&place(attempt))) {
        expected.entry(place(attempt)).or_default().push((attempt, *kept));
    }
    for attempts in expected.values() {
        let first_kept = attempts.iter().position(|(_, kept)| *kept);
        let last_kept = attempts.iter().rposition(|(_, kept)| *kept);
        for (at, (attempt, _)) in attempts.iter().enumerate().filter(|(_, (_, kept))| !kept) {
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
    for sighting in digest.sightings().filter(|sighting| sighting.id != MessageId::default()) {
        match digest.attempts.get(sighting.id) {
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
    for sighting in digest.sightings() {
        let sent = digest.attempts.get(sighting.id);
        if sighting.id == MessageId::default() || sent.is_some_and(|attempt| attempt.hash != sighting.hash) {
            findings.add("corrupt", &[sighting.event], || {
                format!("what was read at {} is not what was sent as message {}", sighting.place, sighting.id)
            });
        }
    }
}

/// C4: nobody ever sees two messages at one place.
pub(super) fn one_value_per_offset(digest: &Digest<'_>, findings: &mut Findings) {
    for (place, values) in digest.holdings.by_place() {
        if let [first, second, ..] = values {
            findings.add("inconsistent-offset", &[first.event, second.event], || {
                format!("{place} held message {} and also message {}", first.id, second.id)
            });
        }
    }
}

/// C5: a message is in one place. Each is sent once, and the harness never sends it again.
pub(super) fn no_duplicates(digest: &Digest<'_>, findings: &mut Findings) {
    for places in digest.holdings.scattered() {
        if let [first, second, ..] = places.as_slice()
            && first.id != MessageId::default()
        {
            findings.add("duplicate", &[first.event, second.event], || {
                format!(
                    "message {} was sent once and is at {} and at {}",
                    first.id, first.place, second.place
                )
            });
        }
    }
}

/// C6: a message is where its acknowledgement says it is.
pub(super) fn true_ack_position(digest: &Digest<'_>, findings: &mut Findings) {
    let mut reported = HashSet::new();
    for sighting in digest.sightings() {
        let Some(attempt) = digest.attempts.get(sighting.id) else { continue };
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
    for (place, values) in digest.holdings.by_place().filter(|(_, values)| values.len() > 1) {
        let owner = values.iter().find(|held| {
            let attempt = digest.attempts.get(held.id);
            attempt
                .is_some_and(|attempt| attempt.offset == Some(place.offset) && attempt.queue == place.queue)
        });
        let Some(owner) = owner else { continue };
        if let Some(other) = values.iter().find(|held| held.id != owner.id) {
            findings.add("ack-moved", &[owner.event, other.event], || {
                format!("message {} was acknowledged for {place}, where message {} is", owner.id, other.id)
            });
        }
    }
}
