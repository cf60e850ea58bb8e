//! `check` and `report`: old histories, looked at again.

use std::path::{Path, PathBuf};

use clap::Args;

use super::test::{load_plan, publish};
use super::{INVALID, Refusal, UNKNOWN, VALID, results};
use crate::checkers::coverage::{self, Demands};
use crate::checkers::{self, Findings};
use crate::history::{self, Event, Tally};
use crate::run::{self, Outcome, Verdict};

#[derive(Clone, Debug, Args)]
pub struct CheckOptions {
    /// The history.jsonl of a run
    #[arg(long)]
    pub history: PathBuf,
    /// Only this checker, by its name or its number
    #[arg(long)]
    pub checker: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct ReportOptions {
    /// The folder of a run
    pub run: PathBuf,
}

fn load(path: &Path) -> Result<Vec<Event>, Refusal> {
    history::load(path).map_err(|error| Refusal::bad(error.to_string()))
}

/// Judges what a history shows, whoever wrote it. Whether it shows enough, but for its end, is for the run that has a plan.
pub fn check(options: &CheckOptions) -> Result<u8, Refusal> {
    let began = std::time::Instant::now();
    let history = load(&options.history)?;
    let loaded = began.elapsed();
    let damaged = |error: history::HistoryError| Refusal::bad(error.to_string());
    let findings = match &options.checker {
        None => checkers::judge(&history).map_err(damaged)?,
        Some(name) => {
            let checker = checkers::Checker::find(name);
            let checker = checker.ok_or_else(|| Refusal::bad(format!("there is no checker {name}")))?;
            checker.check(&checkers::Digest::new(&history).map_err(damaged)?)
        }
    };
    // One that was cut off shows nothing of the end.
    let verdict = run::verdict(&findings, coverage::gaps(&history, &Demands::default()));
    println!(
        "{}: {} events, read in {:.2} s, checked in {:.2} s",
        results::word(&verdict),
        history.len(),
        loaded.as_secs_f64(),
        (began.elapsed() - loaded).as_secs_f64()
    );
    if let Verdict::Unknown(reasons) = &verdict {
        reasons.iter().for_each(|reason| println!("  unknown because {reason}"));
    }
    tell(&findings);
    Ok(match verdict {
        Verdict::Valid => VALID,
        Verdict::Invalid => INVALID,
        Verdict::Unknown(_) => UNKNOWN,
    })
}

fn tell(findings: &Findings) {
    for (name, count) in &findings.counts {
        println!("  {name}: {count}");
    }
    for anomaly in &findings.told {
        let events: Vec<String> = anomaly.events.iter().map(ToString::to_string).collect();
        println!("  {}: {} (events {})", anomaly.name, anomaly.sentence, events.join(", "));
    }
}

/// Judges a run by the checkers of today, and draws its report.
pub fn report(options: &ReportOptions) -> Result<u8, Refusal> {
    let plan = load_plan(&options.run.join("plan.json"))?;
    let history = load(&run::history_path(&options.run))?;
    let outcome = run::judge(&plan, &options.run, &history, tally(&history))
        .map_err(|error| Refusal::bad(error.to_string()))?;
    publish(&plan, &outcome, &history)?;
    results::print(&plan, &outcome);
    Ok(exit_code(&outcome))
}

fn exit_code(outcome: &Outcome) -> u8 {
    match outcome.verdict {
        Verdict::Valid => VALID,
        Verdict::Invalid => INVALID,
        Verdict::Unknown(_) => UNKNOWN,
    }
}

/// Counts what the recorder counted.
fn tally(history: &[Event]) -> Tally {
    let mut tally = Tally::default();
    for event in history {
        tally.count(event.kind, &event.op);
    }
    tally
}
