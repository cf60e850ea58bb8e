//! C14: a message of a transaction is seen exactly when the transaction was committed.

use std::collections::HashMap;

use super::{Digest, Findings, Place};
use crate::history::{EventIndex, Op, Outcome, phases};
use crate::message::MessageId;

/// What the producer has ever said about a transaction. It never says both.
#[derive(Clone, Copy)]
struct Decision {
    commit: bool,
    said: EventIndex,
}

pub(super) fn decided(digest: &Digest<'_>, findings: &mut Findings) {
    let mut decisions: HashMap<MessageId, Decision> = HashMap::new();
    for event in digest.history {
        if let Op::End(end) = &event.op {
            decisions.entry(end.id).or_insert(Decision { commit: end.commit, said: event.index });
        }
    }
    let mut seen: HashMap<MessageId, Vec<(Place, EventIndex)>> = HashMap::new();
    for sighting in digest.sightings() {
        if digest.attempts.get(sighting.id).is_some_and(|attempt| attempt.half) {
            let places = seen.entry(sighting.id).or_default();
            // The first time counts.
            if !places.iter().any(|(place, _)| *place == sighting.place) {
                places.push((sighting.place, sighting.event));
            }
        }
    }
    for (id, places) in &seen {
        visible(*id, places, decisions.get(id).copied(), findings);
    }
    missing(digest, &decisions, &seen, findings);
}

fn visible(
    id: MessageId,
    places: &[(Place, EventIndex)],
    decision: Option<Decision>,
    findings: &mut Findings,
) {
    let Some((place, event)) = places.iter().min_by_key(|(_, event)| *event).copied() else { return };
    match decision {
        None => findings.add("tx-ghost", &[event], || {
            format!("message {id} of a transaction that nobody has decided was read at {place}")
        }),
        Some(Decision { commit: false, said }) => findings.add("tx-ghost", &[said, event], || {
            format!("message {id} was rolled back and is visible at {place}")
        }),
        Some(Decision { said, .. }) if event < said => findings.add("tx-early", &[event, said], || {
            format!("message {id} was read at {place} before its transaction was committed")
        }),
        Some(_) => {}
    }
    if let [(first, at), (second, again), ..] = places {
        findings.add("tx-torn", &[*at, *again], || {
            format!("message {id} was committed once and is at {first} and at {second}")
        });
    }
}

fn missing(
    digest: &Digest<'_>,
    decisions: &HashMap<MessageId, Decision>,
    seen: &HashMap<MessageId, Vec<(Place, EventIndex)>>,
    findings: &mut Findings,
) {
    let drained = digest
        .history
        .iter()
        .rev()
        .find(|event| matches!(&event.op, Op::Phase(phase) if phase.phase == phases::DRAINED));
    let Some(drained) = drained else { return };
    for attempt in digest.attempts.iter().filter(|attempt| attempt.half && attempt.outcome == Outcome::Ok) {
        let Some(decision) = decisions.get(&attempt.id) else {
            findings.add("tx-stuck", &[attempt.invoked, drained.index], || {
                format!("nobody ever asked how the transaction of message {} ended", attempt.id)
            });
            continue;
        };
        if decision.commit && !seen.contains_key(&attempt.id) {
            findings.add("tx-stuck", &[decision.said, drained.index], || {
                format!("message {} was committed and is still not visible at the end", attempt.id)
            });
        }
    }
}
