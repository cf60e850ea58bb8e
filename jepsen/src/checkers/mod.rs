//! Judges a history. One row per checker; each looks for what must not be.
//!
//! The brokers tell the offset of what they store and ids are never used twice, so most checks are one pass over the history
//! or one sort. A checker accuses only on proof: what may have been otherwise is passed over. [`crate::mutation`] shows both
//! sides for each of them.

mod attempts;
pub mod coverage;
mod digest;
mod faulty;
mod groups;
mod liveness;
mod locks;
mod messages;
mod offsets;
mod order;
mod places;
mod promotions;
mod quorum;
mod reads;
mod register;
mod replicas;
mod terms;
mod timers;
mod topics;
mod transactions;

use std::collections::BTreeMap;

pub use attempts::Attempt;
pub use digest::Digest;
pub use faulty::{Downtime, Isolation, isolations};
pub use places::Place;
pub use promotions::{GivenUp, promotions};

use crate::history::{Event, EventIndex, HistoryError};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    pub name: &'static str,
    pub sentence: String,
    /// The events that show it.
    pub events: Vec<EventIndex>,
}

/// Anomalies of each name that are told in full; the rest is counted.
const TOLD_MAX: usize = 20;

/// What checkers have found.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub told: Vec<Anomaly>,
    pub counts: BTreeMap<&'static str, u64>,
    /// What was lost and may be: no anomaly, but never passed over in silence.
    pub given_up: GivenUp,
}

impl Findings {
    pub fn add(&mut self, name: &'static str, events: &[EventIndex], sentence: impl FnOnce() -> String) {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        if *count <= TOLD_MAX as u64 {
            self.told.push(Anomaly { name, sentence: sentence(), events: events.to_vec() });
        }
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        self.counts.contains_key(name)
    }

    /// The anomaly that began first, which is the cause more often than not.
    pub fn first(&self) -> Option<&Anomaly> {
        self.told.iter().min_by_key(|anomaly| anomaly.events.iter().min().copied())
    }
}

/// One check.
#[derive(Clone, Copy, Debug)]
pub struct Checker {
    pub number: &'static str,
    pub name: &'static str,
    /// What it can report.
    pub anomalies: &'static [&'static str],
    check: fn(&Digest<'_>, &mut Findings),
}

/// Declares the checkers.
macro_rules! checkers {
    ($($number:literal $name:literal $check:path => $($anomaly:literal)*;)*) => {
        /// All of them. Each passes over a history that has nothing of its kind.
        pub const ALL: &[Checker] = &[
            $(Checker { number: $number, name: $name, anomalies: &[$($anomaly),*], check: $check },)*
        ];
    };
}

checkers! {
    "C1" "no-loss" messages::no_loss => "lost";
    "C2" "no-phantom" messages::no_phantom => "unexpected" "G1a";
    "C3" "integrity" messages::integrity => "corrupt";
    "C4" "one-value-per-offset" messages::one_value_per_offset => "inconsistent-offset";
    "C5" "no-duplicates" messages::no_duplicates => "duplicate";
    "C6" "true-ack-position" messages::true_ack_position => "ack-moved";
    "C7" "dense" order::dense => "gap";
    "C8" "real-time-order" order::real_time_order => "reorder" "nonmonotonic-send";
    "C9" "final-reads" reads::final_reads => "dirty-read" "read-regression";
    "C10" "at-least-once" groups::at_least_once => "undelivered";
    "C11" "session-order" groups::session_order => "poll-skip" "nonmonotonic-poll";
    "C13" "offsets" offsets::monotonic => "offset-regression" "offset-ahead";
    "C14" "transactions" transactions::decided => "tx-early" "tx-torn" "tx-stuck" "tx-ghost";
    "C15" "timers" timers::on_time => "timer-early" "timer-lost" "timer-late";
    "C16" "queue-lock" locks::one_owner => "double-owner";
    "C17" "ack-with-quorum" quorum::ack_with_quorum => "ack-without-quorum";
    "C18" "replica-agreement" replicas::agreement => "divergence";
    "C19" "recovery" replicas::recovery => "recovery-not-idempotent" "zombie-tail";
    "C20" "liveness" liveness::lively => "stuck";
    "C21" "one-leader" terms::one_leader => "split-brain";
    "M1" "topics" topics::registers => "topic-stale" "topic-wrong";
}

impl Checker {
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|checker| checker.name == name || checker.number == name)
    }

    pub fn check(&self, digest: &Digest<'_>) -> Findings {
        let mut findings = Findings::default();
        (self.check)(digest, &mut findings);
        findings
    }
}

/// Whether any checker can report this.
pub fn is_anomaly(name: &str) -> bool {
    ALL.iter().any(|checker| checker.anomalies.contains(&name))
}

/// Lets all checkers look at a history.
pub fn judge(history: &[Event]) -> Result<Findings, HistoryError> {
    let digest = Digest::new(history)?;
    let mut findings = Findings::default();
    for checker in ALL {
        (checker.check)(&digest, &mut findings);
    }
    findings.given_up = promotions::given_up(&digest);
    Ok(findings)
}

#[cfg(test)]
mod tests;
