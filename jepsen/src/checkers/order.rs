//! C7 and C8: queues have no holes, and their order is the order of sending wherever that can be told.

use std::collections::BTreeMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::{Attempt, Digest, Findings};
use crate::history::EventIndex;

/// C7: between the first and the last offset of a queue every offset has a message.
pub(super) fn dense(digest: &Digest<'_>, findings: &mut Findings) {
    let scans = digest.final_scans();
    let mut last: BTreeMap<QueueId, QueueOffset> = BTreeMap::new();
    for (place, _) in digest.holdings.by_place() {
        let Some(scan) = scans.get(&place.queue) else { continue };
        if place.offset < scan.value.min {
            continue;
        }
        let expected = last.get(&place.queue).map_or(scan.value.min, |last| QueueOffset(last.0 + 1));
        if place.offset > expected {
            findings.add("gap", &[scan.event], || {
                let until = place.offset.0 - 1;
                format!("queue {} has no message at offsets {expected} to {until}", place.queue)
            });
        }
        last.insert(place.queue, place.offset);
    }
    for (queue, scan) in &scans {
        let end = last.get(queue).map_or(scan.value.min, |last| QueueOffset(last.0 + 1));
        if end < scan.value.max {
            findings.add("gap", &[scan.event], || {
                format!("queue {queue} ends at {}, but has no message from {end} on", scan.value.max)
            });
        }
    }
}

/// C8: what was acknowledged before something else was sent to the same queue stands before it. Holds for messages that
/// were never acknowledged too, once they are seen.
pub(super) fn real_time_order(digest: &Digest<'_>, findings: &mut Findings) {
    // From the end of each queue: the acknowledgement that came first of all that lie behind.
    let mut earliest: BTreeMap<QueueId, (EventIndex, &Attempt)> = BTreeMap::new();
    for (place, values) in digest.holdings.by_place().rev() {
        for held in values {
            let Some(attempt) = digest.attempts.get(held.id).filter(|attempt| attempt.is_direct()) else {
                continue;
            };
            if let Some((acknowledged, behind)) = earliest.get(&place.queue)
                && *acknowledged < attempt.invoked
            {
                report(attempt, behind, *acknowledged, findings);
            }
        }
        for held in values {
            let Some(attempt) = digest.attempts.get(held.id).filter(|attempt| attempt.is_direct()) else {
                continue;
            };
            let Some(completed) = attempt.completed.filter(|_| attempt.acknowledged()) else { continue };
            let known = earliest.entry(place.queue).or_insert((completed, attempt));
            if completed < known.0 {
                *known = (completed, attempt);
            }
        }
    }
}

fn report(late: &Attempt, behind: &Attempt, acknowledged: EventIndex, findings: &mut Findings) {
    let name = if late.id.producer == behind.id.producer { "nonmonotonic-send" } else { "reorder" };
    findings.add(name, &[acknowledged, late.invoked], || {
        format!(
            "message {} was sent after message {} had been acknowledged, and stands before it in queue {}",
            late.id, behind.id, late.queue
        )
    });
}
