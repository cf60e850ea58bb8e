//! `test` and `replay`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;

use super::options::{self, Chosen, Expectation, STORE, TestOptions};
use super::{CRASHED, INVALID, Refusal, UNKNOWN, VALID, results};
use crate::cluster::{ClusterError, StorageError, programs, storage};
use crate::history::{self, Event, HistoryError};
use crate::plan::Plan;
use crate::report;
use crate::run::{self, Outcome, RunError, Setup, Verdict};

#[derive(Clone, Debug, Args)]
pub struct ReplayOptions {
    /// The plan.json of a run
    #[arg(long)]
    pub plan: PathBuf,
    #[arg(long, default_value = "valid")]
    pub expect: String,
    #[arg(long, default_value = STORE)]
    pub store: PathBuf,
    #[arg(long)]
    pub ferrymq: Option<PathBuf>,
}

pub fn test(options: &TestOptions) -> Result<u8, Refusal> {
    let expectation = Expectation::parse(&options.expect)?;
    let chosen = options.choose()?;
    let outcome = carry_out(&chosen, &options.store, options.ferrymq.as_deref(), true)?;
    results::print(&chosen.plan, &outcome);
    Ok(exit_code(&outcome, &expectation))
}

pub fn replay(options: &ReplayOptions) -> Result<u8, Refusal> {
    let expectation = Expectation::parse(&options.expect)?;
    let chosen = chosen_by(load_plan(&options.plan)?)?;
    let outcome = carry_out(&chosen, &options.store, options.ferrymq.as_deref(), true)?;
    results::print(&chosen.plan, &outcome);
    Ok(exit_code(&outcome, &expectation))
}

/// Reads a plan.
pub fn load_plan(path: &Path) -> Result<Plan, Refusal> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|error| Refusal::bad(format!("cannot read {}: {error}", path.display())))?;
    Plan::parse(&text).map_err(|error| Refusal::bad(format!("{}: {error}", path.display())))
}

/// What the names of a plan mean.
pub fn chosen_by(plan: Plan) -> Result<Chosen, Refusal> {
    let backend = options::backend(&plan.backend)?;
    let system = options::system(&plan.system)?;
    let mode = options::mode(system, Some(&plan.mode))?;
    let workload = options::workload(&plan.workload)?;
    Ok(Chosen { plan, backend, system, mode, workload })
}

/// 0 for what was expected; else by the verdict.
pub fn exit_code(outcome: &Outcome, expectation: &Expectation) -> u8 {
    match (expectation, &outcome.verdict) {
        (Expectation::Anomaly(names), _) if names.iter().any(|name| outcome.findings.has(name)) => VALID,
        (_, Verdict::Unknown(_)) => UNKNOWN,
        // Nothing was found, or something else: the control has failed.
        (Expectation::Anomaly(_), _) | (Expectation::Valid, Verdict::Invalid) => INVALID,
        (Expectation::Valid, Verdict::Valid) => VALID,
    }
}

/// Runs one plan, and leaves its report and its results in its folder.
pub fn carry_out(
    chosen: &Chosen,
    store: &Path,
    ferrymq: Option<&Path>,
    progress: bool,
) -> Result<Outcome, Refusal> {
    let programs = programs::find(chosen.system, chosen.backend, ferrymq, chosen.plan.java_clients)
        .map_err(|error| Refusal::unknown(error.to_string()))?;
    if chosen.plan.images {
        storage::enter_private_mounts().map_err(|error| Refusal::bad(error.to_string()))?;
    }
    let plan = &chosen.plan;
    let name = format!("{}-{}", plan.system, plan.workload);
    let store = std::path::absolute(store).unwrap_or_else(|_| store.to_owned()).join(name);
    let folder = new_folder(&store, &format!("{}-{}", results::utc_now(), plan.seed))?;
    let setup = Setup {
        plan: plan.clone(),
        backend: chosen.backend,
        system: chosen.system,
        mode: chosen.mode,
        workload: chosen.workload,
        programs,
        folder,
        progress,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Refusal::crashed(error.to_string()))?;
    let tally = runtime.block_on(run::run(&setup)).map_err(|error| refusal(&error))?;
    drop(runtime);
    let crashed = |error: HistoryError| Refusal::crashed(error.to_string());
    let history = history::load(&run::history_path(&setup.folder)).map_err(crashed)?;
    let outcome = run::judge(plan, &setup.folder, &history, tally).map_err(crashed)?;
    publish(plan, &outcome, &history)?;
    // Only what is looked into later is worth its room.
    if outcome.verdict == Verdict::Valid {
        let _ = fs::remove_dir_all(outcome.folder.join("data"));
    }
    Ok(outcome)
}

/// A folder that was not there. Another run of the same seed may have begun in the same second.
fn new_folder(store: &Path, name: &str) -> Result<PathBuf, Refusal> {
    let failed = |error: std::io::Error| {
        Refusal::unknown(format!("the run cannot be written to {}: {error}", store.display()))
    };
    fs::create_dir_all(store).map_err(failed)?;
    let mut folder = store.join(name);
    for number in 2.. {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                folder = store.join(format!("{name}-{number}"));
            }
            other => return other.map(|()| folder).map_err(failed),
        }
    }
    Ok(folder)
}

/// Writes the results and the report of a run.
pub fn publish(plan: &Plan, outcome: &Outcome, history: &[Event]) -> Result<(), Refusal> {
    let calls = history::calls(history).map_err(|error| Refusal::crashed(error.to_string()))?;
    let series = report::gather(history, &calls);
    let written = results::write(plan, outcome, &series.recoveries)
        .and_then(|()| report::write(plan, outcome, history, &series));
    written.map_err(|error| Refusal::unknown(format!("the report cannot be written: {error}")))
}

fn refusal(error: &RunError) -> Refusal {
    let sentence = error.to_string();
    match error {
        RunError::Cluster(ClusterError::Storage(StorageError::NotRoot)) => Refusal::bad(sentence),
        RunError::Cluster(ClusterError::NotStarted { .. })
        | RunError::Store { .. }
        | RunError::NeverServed(_)
        | RunError::NoJava(_)
        | RunError::Interrupted => Refusal::unknown(sentence),
        RunError::History(_) | RunError::Cluster(_) => Refusal { code: CRASHED, sentence },
    }
}
