//! Whether this node is ready for clients: named checks, each with a sentence.

use ferrymq_raft::Role;

use crate::broker::Broker;
use crate::replication::pair::Pair;
use crate::services::vitals::space;

/// Entries that a follower may be behind and still count as one that could take over at once.
const BEHIND_MAX: u64 = 10_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub is_met: bool,
    /// What is so, and what to do if it should not be.
    pub says: String,
}

fn check(name: &'static str, is_met: bool, says: impl Into<String>) -> Check {
    Check { name, is_met, says: says.into() }
}

pub fn checks(broker: &Broker) -> Vec<Check> {
    let mut checks = vec![disk(broker)];
    checks.extend(registered(broker));
    if let Pair::Slave(following) = broker.writer.pair() {
        checks.push(match following.facts().trouble {
            None if following.is_following() => check("master", true, "follows its master"),
            None => check("master", false, "has not found its master yet"),
            Some(trouble) => check("master", false, format!("does not follow its master: {trouble}")),
        });
    }
    if let Some(group) = broker.writer.group() {
        let status = group.status();
        checks.push(match (&status.trouble, &status.leader) {
            (Some(trouble), _) => check("leader", false, trouble),
            (None, Some(leader)) => {
                check("leader", true, format!("{} leads in term {}", leader.member.name, status.term))
            }
            (None, None) => check(
                "leader",
                false,
                "the group has no leader: a majority of its nodes must run and reach each other",
            ),
        });
        let behind = status.committed.0.saturating_sub(status.applied.0);
        checks.push(check("apply", behind <= BEHIND_MAX, format!("{behind} entries are to be applied")));
        if status.role == Role::Leader {
            let serving = broker.writer.is_leader();
            let says = if serving { "takes messages" } else { "leads, and is about to take messages" };
            checks.push(check("serving", serving, says));
        }
        if let Some(reason) = &status.abstains {
            checks.push(check("vote", false, format!("takes no part in elections: {reason}")));
        }
    }
    checks
}

fn disk(broker: &Broker) -> Check {
    let refuse = broker.desk.follow().borrow().retention.disk_use_refuse;
    match space(&broker.vitals.log_folder) {
        None => check("disk", false, "nobody can tell how full the disk is"),
        Some(space) => {
            let used = space.used().0;
            check(
                "disk",
                used < refuse,
                format!("{used} % of the disk are used, sends are refused at {refuse} %"),
            )
        }
    }
}

/// With the name servers; None if there are none.
fn registered(broker: &Broker) -> Option<Check> {
    let (reached, all) = broker.topics.announcements().reached();
    let says = format!("registered with {reached} of {all} name servers");
    (all > 0).then(|| check("registered", reached > 0, says))
}
