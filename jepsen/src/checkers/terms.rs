//! C21: a term has one leader.

use std::collections::BTreeMap;

use super::{Digest, Findings};
use crate::history::{EventIndex, NodeId, Op};

/// Every election begins a new term, and who votes in a term votes once: two leaders of one term mean that a vote was forgotten.
/// What they then write under the same numbers nothing can tell apart.
pub(super) fn one_leader(digest: &Digest<'_>, findings: &mut Findings) {
    let mut leaders: BTreeMap<i64, (NodeId, EventIndex)> = BTreeMap::new();
    for event in digest.history {
        let Op::Lead(lead) = &event.op else { continue };
        let (first, at) = *leaders.entry(lead.term).or_insert((lead.node, event.index));
        if first != lead.node {
            findings.add("split-brain", &[at, event.index], || {
                format!("{first} and {} both led the group in term {}", lead.node, lead.term)
            });
        }
    }
}
