//! C17: nobody acknowledges alone.

use super::{Digest, Findings, isolations};
use crate::history::{Op, Outcome};

/// No node acknowledges a message while the faults prove that it had no quorum during the whole call.
pub(super) fn ack_with_quorum(digest: &Digest<'_>, findings: &mut Findings) {
    let nodes = u8::try_from(digest.begin.nodes).unwrap_or_default();
    let quorum = usize::try_from(digest.begin.quorum).unwrap_or_default();
    if quorum < 2 {
        return;
    }
    let isolations = isolations(digest.history, nodes, quorum);
    for call in digest.calls.iter().filter(|call| call.outcome == Outcome::Ok) {
        let Some(completed) = call.completed else { continue };
        let (Op::Send(value) | Op::Half(value)) = &completed.op else { continue };
        let proof = isolations.iter().find(|isolation| {
            Some(isolation.node) == value.node
                && isolation.from < call.invoked.index
                && isolation.until.is_none_or(|until| completed.index < until)
        });
        let Some(isolation) = proof else { continue };
        findings.add("ack-without-quorum", &[isolation.from, call.invoked.index, completed.index], || {
            let ids: Vec<String> = value.messages.iter().map(|message| message.id.to_string()).collect();
            format!(
                "{} acknowledged message {} while it could reach fewer than {quorum} of {nodes} nodes, from event {} on",
                isolation.node,
                ids.join(", "),
                isolation.from
            )
        });
    }
}
