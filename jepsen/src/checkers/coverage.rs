//! A run in which nothing happened shows nothing: what a history must contain before its silence means anything.

use std::collections::{BTreeMap, BTreeSet};

use super::promotions;
use crate::history::{Event, EventIndex, EventType, Op, phases};

/// What must have happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Faults that must have been installed, by their names.
    pub faults: BTreeSet<String>,
    /// Acknowledged messages in the whole run.
    pub acknowledged: u64,
    /// Changes of the leader.
    pub leader_changes: u64,
    /// Whoever was made the master must have taken messages as such.
    pub masters_serve: bool,
    /// Somebody must have said in which term it led.
    pub terms: bool,
    /// Every queue must have got a message.
    pub queues: i64,
    /// Operations each of which must have succeeded often enough.
    pub operations: &'static [&'static str],
}

/// Successes without which an operation was not tried in earnest.
const SUCCESSES_MIN: u64 = 10;

/// What was not seen. Empty: the run counts.
pub fn gaps(history: &[Event], demands: &Demands) -> Vec<String> {
    let mut gaps = Vec::new();
    let installed = installed(history);
    let mut acknowledged = 0;
    let mut queues = BTreeSet::new();
    let mut leaders = Vec::new();
    let mut reached = BTreeSet::new();
    let mut succeeded: BTreeMap<&str, u64> = BTreeMap::new();
    for event in history {
        if event.kind == EventType::Ok && !matches!(&event.op, Op::Lock(lock) if !lock.granted) {
            *succeeded.entry(event.op.f()).or_default() += 1;
        }
        match (&event.op, event.kind) {
            (Op::Send(value) | Op::Half(value), EventType::Ok) => {
                acknowledged += value.messages.len() as u64;
                queues.insert(value.queue);
            }
            (Op::Leader(leader), _) => leaders.extend(leader.node),
            (Op::Phase(phase), _) => {
                reached.insert(phase.phase.as_str());
            }
            _ => {}
        }
    }
    for fault in demands.faults.iter().filter(|fault| !installed.contains_key(fault.as_str())) {
        gaps.push(format!("the fault {fault} never took effect"));
    }
    if acknowledged < demands.acknowledged {
        gaps.push(format!("{acknowledged} messages were acknowledged, fewer than {}", demands.acknowledged));
    }
    let written = i64::try_from(queues.len()).unwrap_or(i64::MAX);
    if written < demands.queues {
        gaps.push(format!("{written} of {} queues were written", demands.queues));
    }
    for operation in demands.operations {
        let times = succeeded.get(operation).copied().unwrap_or_default();
        if times < SUCCESSES_MIN {
            gaps.push(format!("{operation} succeeded {times} times, fewer than {SUCCESSES_MIN}"));
        }
    }
    leaders.dedup();
    let changes = leaders.len().saturating_sub(1) as u64;
    if changes < demands.leader_changes {
        gaps.push(format!("the leader changed {changes} times, fewer than {}", demands.leader_changes));
    }
    if demands.masters_serve {
        gaps.extend(idle_masters(history));
    }
    if demands.terms && !history.iter().any(|event| matches!(event.op, Op::Lead(_))) {
        gaps.push("no node has said in which term it led".to_owned());
    }
    if !reached.contains(phases::DRAINED) {
        gaps.push("the final reads were not completed".to_owned());
    }
    gaps
}

/// Those who were made masters and acknowledged next to nothing before the next was.
fn idle_masters(history: &[Event]) -> Vec<String> {
    let promotions = promotions(history);
    let until = promotions.iter().skip(1).map(|next| next.begun).chain([EventIndex(u64::MAX)]);
    let mut idle = Vec::new();
    for (promotion, until) in promotions.iter().zip(until) {
        let is_its_own = |event: &&Event| {
            event.kind == EventType::Ok
                && event.index > promotion.done
                && event.index < until
                && matches!(&event.op, Op::Send(value) if value.node == Some(promotion.node))
        };
        let sends = history.iter().filter(is_its_own).count() as u64;
        if sends < SUCCESSES_MIN {
            idle.push(format!(
                "{} was made the master at event {} and acknowledged {sends} times, fewer than {SUCCESSES_MIN}",
                promotion.node, promotion.done
            ));
        }
    }
    idle
}

/// How often each fault took effect.
pub fn installed(history: &[Event]) -> BTreeMap<String, u64> {
    let mut installed = BTreeMap::new();
    for event in history {
        let Op::Fault(fault) = &event.op else { continue };
        if event.kind == EventType::Info && fault.result.as_deref() == Some("installed") {
            *installed.entry(fault.fault.clone()).or_default() += 1;
        }
    }
    installed
}
