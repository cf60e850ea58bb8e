//! C16: a queue has one owner.

use std::collections::BTreeMap;

use ferrymq_proto::position::QueueId;

use super::{Digest, Findings};
use crate::history::{EventIndex, LockValue, Nanos, Op, Outcome};

/// How long a broker keeps a lock that is not renewed (RocketMQ: lockMaxLiveTime).
const LEASE: Nanos = Nanos(60_000_000_000);

/// Somebody was granted a queue, and has not begun to give it back.
struct Grant<'h> {
    value: &'h LockValue,
    granted: EventIndex,
    /// It lasts until here at least: a lease after the question.
    until: Nanos,
}

/// Nobody is granted a queue while somebody else's lease on it is valid.
///
/// Whether an unlock was carried out does not matter: who asks for it owns the queue no more.
pub(super) fn one_owner(digest: &Digest<'_>, findings: &mut Findings) {
    let mut held: BTreeMap<(&str, QueueId), Vec<Grant<'_>>> = BTreeMap::new();
    // A grant counts when it is heard, a return when it is asked for.
    let mut moments: Vec<(EventIndex, usize)> = Vec::new();
    for (at, call) in digest.calls.iter().enumerate() {
        match &call.newest().op {
            Op::Lock(value) if call.outcome == Outcome::Ok && value.granted => {
                moments.push((call.newest().index, at));
            }
            Op::Unlock(_) => moments.push((call.invoked.index, at)),
            _ => {}
        }
    }
    moments.sort_unstable();
    for (_, at) in moments {
        let Some(call) = digest.calls.get(at) else { continue };
        let newest = call.newest();
        let (Op::Lock(value) | Op::Unlock(value)) = &newest.op else { continue };
        let grants = held.entry((&value.group, value.queue)).or_default();
        if matches!(newest.op, Op::Unlock(_)) {
            grants.retain(|grant| grant.value.owner != value.owner);
            continue;
        }
        let other = grants.iter().find(|grant| {
            grant.value.owner != value.owner
                && grant.granted < call.invoked.index
                && newest.time < grant.until
        });
        if let Some(other) = other {
            findings.add("double-owner", &[other.granted, newest.index], || {
                format!(
                    "queue {} of group {} was granted to {} while {} still held it",
                    value.queue, value.group, value.owner, other.value.owner
                )
            });
        }
        grants.retain(|grant| grant.value.owner != value.owner);
        grants.push(Grant { value, granted: newest.index, until: Nanos(call.invoked.time.0 + LEASE.0) });
    }
}
