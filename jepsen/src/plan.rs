//! The plan of a run: what follows from its seed.
//!
//! The plan says what happens when. It is written beside the history, and `jepsen replay` carries it out again. It does not say
//! how the threads of the machine interleave: a replay does the same things at the same times, and may see something else.

use std::collections::BTreeSet;

use ferrymq_proto::json::{self, Dialect, JsonError};

use crate::checkers::coverage::Demands;
use crate::cluster::System;
use crate::dice::Dice;
use crate::faults::{Fault, Means, Target};
use crate::workloads::Workload;

ferrymq_proto::body! {
    /// One operation of the nemesis: these faults together, from one moment to another.
    pub struct Planned {
        at_ms: i64 = "at",
        for_ms: i64 = "for",
        faults: Vec<String> = "faults",
        /// Decides among nodes of equal standing, and whatever else the fault has to choose.
        pick: i64 = "pick",
    }

    pub struct Plan {
        backend: String = "backend" or "proc".to_owned(),
        system: String = "system",
        mode: String = "mode",
        workload: String = "workload",
        seed: i64 = "seed",
        nodes: i64 = "nodes" or 3,
        queues: i64 = "queues" or 8,
        clients: i64 = "clients" or 9,
        /// Operations each second, of all clients together.
        rate: i64 = "rate" or 1000,
        time_limit_ms: i64 = "timeLimitMs" or 60_000,
        /// For the group to become whole again, once the faults are over.
        final_limit_ms: i64 = "finalLimitMs" or 60_000,
        sync_flush: bool = "syncFlush" or true,
        images: bool = "images",
        unsafe_modes: Vec<String> = "unsafe",
        /// The official Java client does what clients do.
        java_clients: bool = "javaClients",
        /// Faults that were asked for.
        nemesis: Vec<String> = "nemesis",
        faults: Vec<Planned> = "faults",
    }
}

/// When faults happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// From one fault to the next.
    pub interval_ms: u64,
    /// Before the first.
    pub quiet_ms: u64,
    /// A node that was ended needs this long to serve again.
    pub boot_ms: u64,
}

/// For a slave that begins anew to have everything.
const COPY_MS: u64 = 4000;

/// A plan that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("the plan cannot be read: {0}")]
    Unreadable(#[from] JsonError),
    #[error("the plan names the fault {0}, which there is not")]
    UnknownFault(String),
}

impl Plan {
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = json::from_str(text)?;
        let named = plan.faults.iter().flat_map(|planned| &planned.faults);
        match named.into_iter().find(|name| Fault::find(name).is_none()) {
            Some(name) => Err(PlanError::UnknownFault(name.clone())),
            None => Ok(plan),
        }
    }

    pub fn to_json(&self) -> String {
        json::to_string(self, Dialect::Standard)
    }

    /// Fills in the faults, from the seed. Each of the chosen ones comes once before any comes again, if there is time; a
    /// quarter of the operations has two at once.
    pub fn schedule(&mut self, rhythm: Rhythm) {
        let mut dice = Dice::derive(self.seed.cast_unsigned(), "faults");
        let chosen: Vec<&Fault> = self.nemesis.iter().filter_map(|name| Fault::find(name)).collect();
        let limit = self.time_limit_ms.cast_unsigned();
        let mut round: Vec<&Fault> = Vec::new();
        let mut at = rhythm.quiet_ms;
        self.faults.clear();
        loop {
            if round.is_empty() {
                round.clone_from(&chosen);
                dice.shuffle(&mut round);
            }
            let Some(first) = round.pop() else { break };
            let mut faults = vec![first.name.to_owned()];
            if dice.once_in(4)
                && let Some(second) = dice.choose(&chosen).filter(|second| may_join(first, second))
            {
                faults.push(second.name.to_owned());
            }
            let length = length(first, rhythm, &mut dice);
            if at + length > limit {
                break;
            }
            let pick = (dice.throw() >> 1).cast_signed();
            self.faults.push(Planned { at_ms: at.cast_signed(), for_ms: length.cast_signed(), faults, pick });
            // Between two faults the group gets the time to become whole.
            at += length + dice.between(rhythm.interval_ms / 4, rhythm.interval_ms / 2) + rest(first, rhythm);
        }
    }

    /// What must have happened for the run to count.
    pub fn demands(&self) -> Demands {
        let faults: BTreeSet<String> =
            self.faults.iter().filter_map(|planned| planned.faults.first().cloned()).collect();
        let promotes = |name: &String| Fault::find(name).is_some_and(Fault::promotes);
        let primary = |name: &String| Fault::find(name).is_some_and(unseats_the_leader);
        Demands {
            leader_changes: u64::from(self.mode == "raft" && faults.iter().any(primary)),
            masters_serve: faults.iter().any(promotes),
            faults,
            terms: System::find(&self.system).is_some_and(|system| system.leads.is_some()),
            acknowledged: (self.rate * self.time_limit_ms / 1000 / 100).max(10).cast_unsigned(),
            queues: if self.sends_everywhere() { self.queues } else { 1 },
            operations: Workload::find(&self.workload).map_or(&[], |workload| workload.needs),
        }
    }

    fn sends_everywhere(&self) -> bool {
        matches!(self.workload.as_str(), "queue" | "recover" | "group" | "masterslave")
    }
}

fn unseats_the_leader(fault: &Fault) -> bool {
    fault.target == Target::Primary && matches!(fault.means, Means::Kill | Means::Cut)
}

/// Two faults at once must leave each other's means alone.
fn may_join(first: &Fault, second: &Fault) -> bool {
    let simple = |fault: &Fault| {
        matches!(
            fault.means,
            Means::Kill
                | Means::Pause
                | Means::Cut
                | Means::CutOneWay
                | Means::Slow
                | Means::DropReplies
                | Means::ClientCrash
        )
    };
    simple(first) && simple(second) && first.package != second.package
}

fn ends_processes(fault: &Fault) -> bool {
    use Means::{
        FlipBits, FlipDance, Kill, KillRolling, PowerCut, PowerDance, Promote, PromoteApart, PromoteDark,
        Truncate, VoteDance, Wipe, WipeDance,
    };
    matches!(
        fault.means,
        Kill | KillRolling
            | PowerCut
            | PowerDance
            | VoteDance
            | FlipBits
            | FlipDance
            | Truncate
            | Wipe
            | WipeDance
            | Promote
            | PromoteDark
            | PromoteApart
    )
}

fn length(fault: &Fault, rhythm: Rhythm, dice: &mut Dice) -> u64 {
    match fault.means {
        Means::ClientCrash => 100,
        // Some pauses are over before anybody notices, some outlast every election.
        Means::Pause if dice.once_in(4) => 100,
        _ => dice.between(rhythm.interval_ms / 4, rhythm.interval_ms * 3 / 4),
    }
}

fn rest(fault: &Fault, rhythm: Rhythm) -> u64 {
    if fault.promotes() {
        // Two nodes start one after the other, and one of them may copy everything.
        2 * rhythm.boot_ms + COPY_MS
    } else if ends_processes(fault) {
        rhythm.boot_ms
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm { interval_ms: 8000, quiet_ms: 3000, boot_ms: 1000 };

    fn plan(seed: i64, nemesis: &[&str]) -> Plan {
        let mut plan = Plan {
            workload: "queue".into(),
            mode: "raft".into(),
            seed,
            nemesis: nemesis.iter().map(|name| (*name).to_owned()).collect(),
            ..Plan::default()
        };
        plan.schedule(RHYTHM);
        plan
    }

    #[test]
    fn a_seed_gives_one_plan() {
        let names = ["kill-primary", "pause-one", "partition-primary"];
        assert_eq!(plan(42, &names), plan(42, &names));
        assert_ne!(plan(42, &names).faults, plan(43, &names).faults);
    }

    #[test]
    fn faults_follow_each_other_within_the_time() {
        for seed in 0..50 {
            let plan = plan(seed, &["kill-primary", "pause-one", "partition-primary", "slow-net"]);
            let mut end = 3000;
            assert!(plan.faults.len() >= 4, "seed {seed}: {:?}", plan.faults);
            for planned in &plan.faults {
                assert!(planned.at_ms >= end, "seed {seed}: {planned:?} begins before {end}");
                end = planned.at_ms + planned.for_ms;
            }
            assert!(end <= plan.time_limit_ms);
            let first: BTreeSet<_> = plan.faults.iter().take(4).map(|planned| &planned.faults[0]).collect();
            assert_eq!(first.len(), 4, "seed {seed}: each comes once before any comes again");
        }
    }

    #[test]
    fn a_plan_is_read_again() {
        let plan = plan(7, &["kill-all"]);
        assert_eq!(Plan::parse(&plan.to_json()).expect("a plan"), plan);
        let wrong = plan.to_json().replace("kill-all", "earthquake");
        assert!(matches!(Plan::parse(&wrong), Err(PlanError::UnknownFault(_))));
        assert!(Plan::parse("{").is_err());
    }
}
