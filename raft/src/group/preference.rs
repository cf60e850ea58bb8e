//! A group may have a node that is to lead whenever it can.

use std::time::Duration;

use tokio::time::sleep;

use super::GroupHandle;
use crate::status::{NodeStatus, Role};

const LOOK: Duration = Duration::from_secs(1);
/// Looks in a row that must find the node fit: one that stops has just handed over, and one that starts has work to do.
const FIT_LOOKS: u32 = 5;
/// After a try that came to nothing.
const PAUSE: Duration = Duration::from_secs(10);
const SILENCE_MAX: Duration = Duration::from_secs(1);
/// As Apache's `maxLeadershipTransferWaitIndex`.
const LAG_MAX: u64 = 1000;

/// Gives the leadership to the node of that name when this one has it. Never ends.
pub(super) async fn run(group: GroupHandle, name: String) {
    let mut fit_looks = 0;
    loop {
        sleep(LOOK).await;
        let Some(fit) = fit(&group, &name) else {
            fit_looks = 0;
            continue;
        };
        fit_looks += 1;
        if fit_looks < FIT_LOOKS {
            continue;
        }
        fit_looks = 0;
        match group.transfer_leader(Some(fit.node)).await {
            Ok(_) => tracing::info!(name, "gave the leadership to the node that is preferred"),
            Err(error) => {
                tracing::warn!(name, %error, "the node that is preferred does not lead");
                sleep(PAUSE).await;
            }
        }
    }
}

/// The node that is preferred, if this one leads in its place and it could.
fn fit(group: &GroupHandle, name: &str) -> Option<NodeStatus> {
    let status = group.status();
    if status.role != Role::Leader || status.member.name == name {
        return None;
    }
    status.nodes.into_iter().find(|node| {
        node.member.name == name
            && node.is_voter
            && node.silence.is_some_and(|silence| silence <= SILENCE_MAX)
            && node.lag.is_some_and(|lag| lag <= LAG_MAX)
    })
}
