//! C18 and C19: replicas agree, and a restart changes nothing.

use std::collections::{BTreeMap, HashMap, HashSet};

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::digest::Scanned;
use super::{Digest, Findings, Place};
use crate::history::{EventIndex, Op, phases};
use crate::message::MessageId;

/// C18: where two replicas both have a place, they have the same message there; and what lies between a replica's ends is
/// there.
pub(super) fn agreement(digest: &Digest<'_>, findings: &mut Findings) {
    let restarts = restarts(digest);
    let round = |scan: &Scanned<'_>| restarts.iter().filter(|at| **at < scan.invoked).count();
    let mut earlier: BTreeMap<(usize, QueueId), Vec<&Scanned<'_>>> = BTreeMap::new();
    for scan in &digest.scans {
        let mut expected = scan.value.min;
        let others = earlier.entry((round(scan), scan.value.queue)).or_default();
        for seen in &scan.value.seen {
            if seen.offset != expected {
                report_hole(scan, expected, findings);
            }
            expected = QueueOffset(seen.offset.0 + 1);
            let first = others.iter().find_map(|other| Some((other, other.value.at(seen.offset)?)));
            if let Some((other, theirs)) =
                first.filter(|(_, theirs)| (theirs.id, theirs.hash) != (seen.id, seen.hash))
            {
                let names = [other.value.node, scan.value.node]
                    .map(|node| node.map_or("a node".to_owned(), |node| node.to_string()));
                findings.add("divergence", &[other.event, scan.event], || {
                    let place = Place { queue: scan.value.queue, offset: seen.offset };
                    format!(
                        "at {place} {} has message {} and {} has {}",
                        names[0], theirs.id, names[1], seen.id
                    )
                });
            }
        }
        if expected != scan.value.max {
            report_hole(scan, expected, findings);
        }
        others.push(scan);
    }
}

fn report_hole(scan: &Scanned<'_>, at: QueueOffset, findings: &mut Findings) {
    findings.add("divergence", &[scan.event], || {
        let node = scan.value.node.map_or("a node".to_owned(), |node| node.to_string());
        let (queue, min, max) = (scan.value.queue, scan.value.min, scan.value.max);
        format!("{node} says that queue {queue} goes from {min} to {max}, but shows nothing at {at}")
    });
}

fn restarts(digest: &Digest<'_>) -> Vec<EventIndex> {
    let restarted = digest
        .history
        .iter()
        .filter(|event| matches!(&event.op, Op::Phase(phase) if phase.phase == phases::RESTARTED));
    restarted.map(|event| event.index).collect()
}

/// C19: a queue is after a restart what it was before; what was not there then does not come back.
pub(super) fn recovery(digest: &Digest<'_>, findings: &mut Findings) {
    let restarts = restarts(digest);
    if restarts.is_empty() {
        return;
    }
    let mut previous: BTreeMap<i32, Scanned<'_>> = BTreeMap::new();
    for scan in digest.scans.iter().filter(|scan| scan.value.leader) {
        let Some(before) = previous.insert(scan.value.queue.0, *scan) else { continue };
        // Scans of one round say the same; only a restart between them makes this the recovery's.
        if restarts.iter().any(|at| before.event < *at && *at < scan.invoked) {
            compare(digest, &before, scan, &restarts, findings);
        }
    }
}

fn compare(
    digest: &Digest<'_>,
    before: &Scanned<'_>,
    after: &Scanned<'_>,
    restarts: &[EventIndex],
    findings: &mut Findings,
) {
    let now: HashMap<QueueOffset, MessageId> =
        after.value.seen.iter().map(|seen| (seen.offset, seen.id)).collect();
    for seen in before.value.seen.iter().filter(|seen| seen.offset >= after.value.min) {
        if now.get(&seen.offset) != Some(&seen.id) {
            findings.add("recovery-not-idempotent", &[before.event, after.event], || {
                let queue = before.value.queue;
                format!(
                    "message {} was at queue {queue} offset {} before a restart and is not after it",
                    seen.id, seen.offset
                )
            });
        }
    }
    let then: HashSet<MessageId> = before.value.seen.iter().map(|seen| seen.id).collect();
    // What was sent before an earlier restart and was not there after it is gone for good.
    let Some(settled) = restarts.iter().rfind(|at| **at < before.invoked) else { return };
    for seen in after.value.seen.iter().filter(|seen| !then.contains(&seen.id)) {
        let Some(attempt) = digest.attempts.get(seen.id) else { continue };
        if attempt.completed.is_some_and(|completed| completed < *settled) {
            findings.add("zombie-tail", &[attempt.invoked, before.event, after.event], || {
                format!("message {} was gone after one restart and is back after another", seen.id)
            });
        }
    }
}
