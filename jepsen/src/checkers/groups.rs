//! C10 and C11: a group gets every message, and each of its members gets them in order.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::{Digest, Findings};
use crate::history::{DeliverValue, EventIndex, Op, Outcome, phases};
use crate::message::MessageId;

fn deliveries<'d>(digest: &'d Digest<'_>) -> impl Iterator<Item = (EventIndex, &'d DeliverValue)> {
    digest.calls.iter().filter(|call| call.outcome == Outcome::Ok).filter_map(|call| {
        match &call.newest().op {
            Op::Deliver(value) => Some((call.newest().index, value)),
            _ => None,
        }
    })
}

/// C10: once a group has drained its queues, every acknowledged message was delivered to it at least once.
pub(super) fn at_least_once(digest: &Digest<'_>, findings: &mut Findings) {
    let drained = digest
        .history
        .iter()
        .rev()
        .find(|event| matches!(&event.op, Op::Phase(phase) if phase.phase == phases::DRAINED));
    let Some(drained) = drained else { return };
    let mut delivered: BTreeMap<&str, HashSet<MessageId>> = BTreeMap::new();
    for (_, value) in deliveries(digest) {
        delivered.entry(&value.group).or_default().extend(value.seen.iter().map(|seen| seen.id));
    }
    let acknowledged: BTreeSet<MessageId> = digest
        .attempts
        .iter()
        .filter(|attempt| attempt.acknowledged() && !attempt.half)
        .map(|attempt| attempt.id)
        .collect();
    for (group, delivered) in delivered {
        for id in acknowledged.iter().filter(|id| !delivered.contains(id)) {
            let sent = digest.attempts.get(*id).and_then(|attempt| attempt.completed).unwrap_or_default();
            findings.add("undelivered", &[sent, drained.index], || {
                format!("message {id} was acknowledged and never delivered to group {group}")
            });
        }
    }
}

/// C11: within a session the offsets go up by one; a session begins no later than where all earlier ones have ended.
pub(super) fn session_order(digest: &Digest<'_>, findings: &mut Findings) {
    let mut last_of_session: BTreeMap<(&str, i64, QueueId), QueueOffset> = BTreeMap::new();
    // One past the last delivery to anybody of the group.
    let mut reached: BTreeMap<(&str, QueueId), QueueOffset> = BTreeMap::new();
    for (event, value) in deliveries(digest).filter(|(_, value)| !value.retried) {
        let group = value.group.as_str();
        for seen in &value.seen {
            let reached = reached.entry((group, value.queue)).or_default();
            let last = last_of_session.insert((group, value.session, value.queue), seen.offset);
            let (expected, began) = last.map_or((*reached, true), |last| (QueueOffset(last.0 + 1), false));
            let told = || {
                let (queue, session) = (value.queue, value.session);
                format!(
                    "group {group}, session {session}: queue {queue} went on at offset {}, expected {expected}{}",
                    seen.offset,
                    if began { " at the latest" } else { "" }
                )
            };
            if seen.offset > expected {
                findings.add("poll-skip", &[event], told);
            } else if seen.offset < expected && !began {
                findings.add("nonmonotonic-poll", &[event], told);
            }
            *reached = (*reached).max(QueueOffset(seen.offset.0 + 1));
        }
    }
}
