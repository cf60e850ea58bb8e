//! C20: once the faults are over, the group works again.

use super::{Digest, Findings};
use crate::history::{Op, phases};

/// The run itself waits, and says what did not come.
pub(super) fn lively(digest: &Digest<'_>, findings: &mut Findings) {
    for event in digest.history {
        let Op::Phase(phase) = &event.op else { continue };
        if phase.phase == phases::STUCK {
            findings.add("stuck", &[event.index], || {
                format!("after the faults were over: {}", phase.detail.as_deref().unwrap_or("no progress"))
            });
        }
    }
}
