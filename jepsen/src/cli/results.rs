//! What a run leaves behind besides its history: `results.json`, `env.json`, `repro.sh`, and what is printed at its end.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use ferrymq_proto::json::{self, Dialect};

use crate::faults::Fault;
use crate::plan::Plan;
use crate::run::{Outcome, Verdict};

/// Anomalies that are printed; all of them are in the report.
const PRINTED_MAX: usize = 5;

ferrymq_proto::body! {
    pub struct ToldAnomaly {
        name: String = "name",
        sentence: String = "sentence",
        events: Vec<i64> = "events",
    }

    pub struct Counted {
        name: String = "name",
        count: i64 = "count",
    }

    pub struct Results {
        /// `valid`, `invalid` or `unknown`.
        verdict: String = "verdict",
        /// Why it is unknown.
        reasons: Vec<String> = "reasons",
        counts: Vec<Counted> = "counts",
        anomalies: Vec<ToldAnomaly> = "anomalies",
        acknowledged: i64 = "acknowledged",
        failed: i64 = "failed",
        unknown: i64 = "unknown",
        /// Acknowledged messages that promotions lost within the window that is declared for them.
        given_up: i64 = "givenUp",
        /// From the first acknowledgement to the last of what one promotion lost, at the longest.
        given_up_ms: i64 = "givenUpMs",
        faults: i64 = "faults",
        leader_changes: i64 = "leaderChanges",
        fault_kinds: BTreeMap<String, i64> = "faultKinds",
        events: i64 = "historyEvents",
        /// By fault: milliseconds until each queue took a message again.
        recoveries_ms: BTreeMap<String, Vec<i64>> = "recoveriesMs",
    }

    pub struct Environment {
        harness: String = "harness",
        kernel: String = "kernel",
        processors: i64 = "processors",
    }
}

pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "valid",
        Verdict::Invalid => "invalid",
        Verdict::Unknown(_) => "unknown",
    }
}

fn results(outcome: &Outcome, recoveries: &BTreeMap<String, Vec<f64>>) -> Results {
    let milliseconds = |seconds: &f64| (seconds * 1e3).round() as i64;
    let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let tally = outcome.tally;
    Results {
        verdict: word(&outcome.verdict).to_owned(),
        reasons: match &outcome.verdict {
            Verdict::Unknown(reasons) => reasons.clone(),
            _ => Vec::new(),
        },
        counts: (outcome.findings.counts.iter())
            .map(|(name, number)| Counted { name: (*name).to_owned(), count: count(*number) })
            .collect(),
        anomalies: (outcome.findings.told.iter())
            .map(|anomaly| ToldAnomaly {
                name: anomaly.name.to_owned(),
                sentence: anomaly.sentence.clone(),
                events: anomaly.events.iter().map(|event| count(event.0)).collect(),
            })
            .collect(),
        acknowledged: count(tally.acknowledged),
        failed: count(tally.failed),
        unknown: count(tally.unknown),
        given_up: count(outcome.findings.given_up.messages),
        given_up_ms: count(outcome.findings.given_up.span.0 / 1_000_000),
        faults: count(tally.faults),
        leader_changes: count(tally.leader_changes.saturating_sub(1)),
        fault_kinds: outcome.faults.iter().map(|(name, number)| (name.clone(), count(*number))).collect(),
        events: count(tally.events),
        recoveries_ms: (recoveries.iter())
            .map(|(fault, seconds)| (fault.clone(), seconds.iter().map(milliseconds).collect()))
            .collect(),
    }
}

/// Writes everything but the report.
pub fn write(plan: &Plan, outcome: &Outcome, recoveries: &BTreeMap<String, Vec<f64>>) -> io::Result<()> {
    let folder = &outcome.folder;
    let results = results(outcome, recoveries);
    fs::write(folder.join("results.json"), json::to_string(&results, Dialect::Standard) + "\n")?;
    let environment = Environment {
        harness: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        processors: std::thread::available_parallelism()
            .map_or(0, |count| count.get().try_into().unwrap_or_default()),
    };
    fs::write(folder.join("env.json"), json::to_string(&environment, Dialect::Standard) + "\n")?;
    write_repro(folder, plan)
}

/// A script that does the same again.
fn write_repro(folder: &Path, plan: &Plan) -> io::Result<()> {
    let path = folder.join("repro.sh");
    let about = format!("{} under {}, seed {}", plan.workload, plan.nemesis.join(", "), plan.seed);
    let script = format!(
        "#!/bin/sh\n# {about}. The plan is the same; how the processes interleave is not.\n\
         exec \"${{JEPSEN:-jepsen}}\" replay --plan \"$(dirname \"$0\")/plan.json\" \"$@\"\n"
    );
    fs::write(&path, script)?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

/// Reads what [`write`] wrote.
pub fn load(folder: &Path) -> Option<Results> {
    json::from_str(&fs::read_to_string(folder.join("results.json")).ok()?).ok()
}

/// The end of a run, for the terminal.
pub fn print(plan: &Plan, outcome: &Outcome) {
    let tally = outcome.tally;
    println!(
        "{}: {} on {}, seed {}: {} acknowledged, {} failed, {} of unknown outcome, {} faults, {} changes of the leader",
        word(&outcome.verdict),
        plan.workload,
        plan.system,
        plan.seed,
        tally.acknowledged,
        tally.failed,
        tally.unknown,
        tally.faults,
        tally.leader_changes.saturating_sub(1),
    );
    if let Verdict::Unknown(reasons) = &outcome.verdict {
        for reason in reasons {
            println!("  unknown because {reason}");
        }
    }
    if let Some(sentence) = given_up(outcome) {
        println!("  {sentence}");
    }
    for (name, count) in &outcome.findings.counts {
        println!("  {name}: {count}");
    }
    for anomaly in outcome.findings.told.iter().take(PRINTED_MAX) {
        let events: Vec<String> = anomaly.events.iter().map(ToString::to_string).collect();
        println!("  {}: {} (events {})", anomaly.name, anomaly.sentence, events.join(", "));
    }
    println!("  {}", outcome.folder.join("index.html").display());
}

/// What promotions lost and may lose, where there were some.
pub fn given_up(outcome: &Outcome) -> Option<String> {
    let given_up = outcome.findings.given_up;
    let promotions: u64 = (outcome.faults.iter())
        .filter(|(name, _)| Fault::find(name).is_some_and(Fault::promotes))
        .map(|(_, times)| times)
        .sum();
    (promotions > 0).then(|| {
        format!(
            "{promotions} promotions gave up {} acknowledged messages, of {:.2} s at the longest",
            given_up.messages,
            given_up.span.seconds()
        )
    })
}

/// The moment, in a form that sorts: 20261121T142004.
pub fn utc_now() -> String {
    let seconds = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    utc(seconds)
}

fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days of the proleptic Gregorian calendar, in eras of 400 years that begin on the first of March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let cases =
            [(0, "19700101T000000"), (951_782_399, "20000228T235959"), (951_782_400, "20000229T000000")];
        for (seconds, expected) in cases {
            assert_eq!(utc(seconds), expected);
        }
        assert_eq!(utc(1_795_271_404), "20261121T143004");
    }
}
