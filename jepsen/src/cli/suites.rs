//! `test-all`: a suite of tests, each a process of its own, summed up on one page.
//!
//! What is done is appended to `suite.jsonl`, one line a test. A suite that was interrupted goes on where it was when it is called
//! again with the same folder.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use ferrymq_proto::json::{self, Dialect};

use super::cases::{Case, cases, needs_images};
use super::options::{STORE, system};
use super::{CRASHED, INVALID, Refusal, UNKNOWN, VALID, results};
use crate::cluster::Replication;
use crate::cluster::storage;
use crate::message;
use crate::report::summary;
use crate::run;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// What a change must pass
    Pr,
    /// Everything, over and over, until the time is up
    Nightly,
    /// Each negative control
    Controls,
    /// Every plan that once found something
    Regressions,
    /// The same faults on every system
    Systems,
    /// How long each of some faults is felt by our own client, and by the official one
    Clients,
}

#[derive(Clone, Debug, Args)]
pub struct SuiteOptions {
    #[arg(long, value_enum)]
    pub suite: Suite,
    #[arg(long, default_value = "ferrymq-raft")]
    pub system: String,
    #[arg(long)]
    pub mode: Option<String>,
    /// No test begins after this: 90s, 12m or 8h
    #[arg(long, value_parser = parse_time)]
    pub budget: Option<Duration>,
    /// At most so many tests
    #[arg(long)]
    pub test_count: Option<usize>,
    #[arg(long)]
    pub stop_on_failure: bool,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Tests at the same time
    #[arg(long, default_value_t = 1)]
    pub jobs: u8,
    /// Only the negative controls of these numbers
    #[arg(long, value_delimiter = ',')]
    pub controls: Vec<String>,
    /// Seeds of each negative control, or of each test of `systems` and `clients`
    #[arg(long, default_value_t = 1, alias = "control-seeds")]
    pub seeds: u64,
    /// Where it is kept; an existing one is gone on with
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// Keep the histories of valid runs as well; a long suite fills a disk with them
    #[arg(long)]
    pub keep_histories: bool,
    #[arg(long)]
    pub ferrymq: Option<PathBuf>,
    /// Our binary with the feature unsafe-modes; without it the controls that need one are left out
    #[arg(long)]
    pub wrong_ferrymq: Option<PathBuf>,
}

ferrymq_proto::body! {
    /// A line of `suite.jsonl`.
    pub struct Done {
        name: String = "name",
        seed: i64 = "seed",
        code: i64 = "code",
        /// Of the run; absent when it has none.
        folder: Option<String> = "folder",
        seconds: i64 = "seconds",
        /// Of the harness and the brokers: the same for the same bytes.
        programs: String = "programs",
    }
}

/// What the programs of a suite are, so that a suite that went on with others shows it.
fn fingerprint(options: &SuiteOptions) -> String {
    let own = std::env::current_exe().unwrap_or_default();
    let beside = own.with_file_name("ferrymq");
    let broker = options.ferrymq.as_ref().unwrap_or(&beside);
    let programs = [Some(&own), Some(broker), options.wrong_ferrymq.as_ref()];
    let shown = |path: Option<&PathBuf>| {
        let bytes = path.and_then(|path| fs::read(path).ok());
        bytes.map_or("none".to_owned(), |bytes| message::hash(&bytes, "").to_string())
    };
    programs.map(shown).join(" ")
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text} is no time: 90s, 12m or 8h");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 = text.trim_end_matches(unit).parse().map_err(|_| wrong())?;
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

pub fn test_all(options: &SuiteOptions) -> Result<u8, Refusal> {
    let chosen = system(&options.system)?;
    let ours = chosen.maker == crate::cluster::Maker::Ferrymq;
    let name = format!("suite-{:?}-{}-{}", options.suite, options.system, results::utc_now()).to_lowercase();
    let folder = options.folder.clone().unwrap_or_else(|| Path::new(STORE).join(name));
    let unwritable =
        |error: std::io::Error| Refusal::unknown(format!("cannot write to {}: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(unwritable)?;
    let suite = Running {
        options,
        folder: &folder,
        began: Instant::now(),
        programs: fingerprint(options),
        may_mount: storage::are_images_possible(),
        elects: chosen.replication == Replication::Raft,
        table: Mutex::new(Table { cases: cases(options, ours), done: load(&folder), is_over: false }),
    };
    let jobs = usize::from(options.jobs.max(1));
    let ended: Vec<Result<(), Refusal>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(|| suite.work())).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
            worker.join().unwrap_or_else(|_| Err(Refusal::crashed("a test of the suite panicked")))
        };
        workers.into_iter().map(join).collect()
    });
    ended.into_iter().collect::<Result<(), Refusal>>()?;
    let done = suite.table().done.clone();
    print!("{}", summary::text(&done));
    println!("{}", folder.join("index.html").display());
    Ok(worst(&done))
}

/// A suite that goes on: its workers take one test after the other from its table.
struct Running<'s> {
    options: &'s SuiteOptions,
    folder: &'s Path,
    began: Instant,
    programs: String,
    may_mount: bool,
    /// The system elects a leader.
    elects: bool,
    /// Guards what is to be run and what was run.
    table: Mutex<Table>,
}

struct Table {
    cases: Box<dyn Iterator<Item = Case> + Send>,
    done: Vec<Done>,
    is_over: bool,
}

impl Running<'_> {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) -> Result<(), Refusal> {
        while let Some(case) = self.next() {
            let mut ended = carry_out(self, &case)?;
            if self.options.suite == Suite::Pr && ended.code == i64::from(UNKNOWN) {
                println!(
                    "== {} has shown too little, as on a machine that is too busy: once more",
                    case.name
                );
                ended = carry_out(self, &case)?;
            }
            self.note(ended)?;
        }
        Ok(())
    }

    fn next(&self) -> Option<Case> {
        let mut table = self.table();
        loop {
            let budget_left = self.options.budget.is_none_or(|budget| self.began.elapsed() < budget);
            let count_left = self.options.test_count.is_none_or(|count| table.done.len() < count);
            if table.is_over || !budget_left || !count_left {
                return None;
            }
            let case = table.cases.next()?;
            let is_it = |done: &Done| done.name == case.name && done.seed == case.seed.cast_signed();
            if table.done.iter().any(is_it) {
                continue;
            }
            match self.obstacle(&case) {
                None => return Some(self.fit(case)),
                Some(obstacle) => println!("== {} is left out: {obstacle}", case.name),
            }
        }
    }

    fn obstacle(&self, case: &Case) -> Option<&'static str> {
        if case.needs_wrong_broker && self.options.wrong_ferrymq.is_none() {
            return Some("it needs --wrong-ferrymq");
        }
        (!self.may_mount && needs_images(case)).then_some("this machine does not let us mount file systems")
    }

    /// Only groups that elect a leader can be wiped, or confused about whom they elected.
    fn fit(&self, mut case: Case) -> Case {
        if !self.elects {
            for word in &mut case.words {
                *word = word.replace("corrupt,wipe", "corrupt").replace(",powercut-voter,powercut-dance", "");
            }
        }
        case
    }

    fn note(&self, ended: Done) -> Result<(), Refusal> {
        let unwritable = |error: std::io::Error| {
            Refusal::unknown(format!("cannot write to {}: {error}", self.folder.display()))
        };
        let failed = ended.code != i64::from(VALID);
        if let Some(run) = ended.folder.as_ref().filter(|_| !failed && !self.options.keep_histories) {
            let _ = fs::remove_file(run::history_path(Path::new(run)));
            for part in ["nodes", "data"] {
                let _ = fs::remove_dir_all(Path::new(run).join(part));
            }
        }
        let mut table = self.table();
        append(self.folder, &ended).map_err(unwritable)?;
        table.done.push(ended);
        table.is_over |= failed && self.options.stop_on_failure;
        summary::write(self.folder, &table.done).map_err(unwritable)
    }
}

/// 255 before 2 before 1 before 0.
fn worst(done: &[Done]) -> u8 {
    let has = |code: u8| done.iter().any(|done| done.code == i64::from(code));
    let known = [VALID, INVALID, UNKNOWN].map(i64::from);
    if done.iter().any(|done| !known.contains(&done.code)) {
        CRASHED
    } else if has(UNKNOWN) {
        UNKNOWN
    } else if has(INVALID) {
        INVALID
    } else {
        VALID
    }
}

fn load(folder: &Path) -> Vec<Done> {
    let text = fs::read_to_string(folder.join("suite.jsonl")).unwrap_or_default();
    // A line that was cut off is a test that was not finished.
    text.lines().filter_map(|line| json::from_str(line).ok()).collect()
}

fn append(folder: &Path, done: &Done) -> std::io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(folder.join("suite.jsonl"))?;
    writeln!(file, "{}", json::to_string(done, Dialect::Standard))
}

/// Runs one test as a process of its own, which may need mounts of its own, or crash.
fn carry_out(suite: &Running<'_>, case: &Case) -> Result<Done, Refusal> {
    let (options, folder) = (suite.options, suite.folder);
    let program = std::env::current_exe().map_err(|error| Refusal::crashed(error.to_string()))?;
    let store = folder.join("runs");
    // It ends with the suite, however that ends, and ends what it has started itself.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(program);
    match &case.plan {
        Some(plan) => drop(command.args(["replay", "--plan"]).arg(plan)),
        None => choose_system(&mut command, options, case),
    }
    command.args(&case.words).arg("--store").arg(&store);
    let wrong = options.wrong_ferrymq.as_ref().filter(|_| case.needs_wrong_broker);
    if let Some(ferrymq) = wrong.or(options.ferrymq.as_ref()) {
        command.arg("--ferrymq").arg(ferrymq);
    }
    println!("== {} (seed {})", case.name, case.seed);
    let began = Instant::now();
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| Refusal::crashed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    print!("{said}");
    let report = said.lines().rev().find_map(|line| line.trim().strip_suffix("/index.html"));
    Ok(Done {
        name: case.name.clone(),
        seed: case.seed.cast_signed(),
        code: output.status.code().unwrap_or_else(|| CRASHED.into()).into(),
        folder: report.map(str::to_owned),
        seconds: began.elapsed().as_secs().cast_signed(),
        programs: suite.programs.clone(),
    })
}

fn choose_system(command: &mut Command, options: &SuiteOptions, case: &Case) {
    command.arg("test");
    if !case.words.iter().any(|word| word == "--system") {
        command.args(["--system", &options.system]);
        if let Some(mode) = &options.mode {
            command.args(["--mode", mode]);
        }
    }
    command.args(["--seed", &case.seed.to_string()]);
}

#[cfg(test)]
mod tests {
    use super::super::cases::regressions;
    use super::super::test::load_plan;
    use super::*;

    #[test]
    fn the_worst_code_counts() {
        let done = |codes: &[i64]| -> Vec<Done> {
            codes.iter().map(|code| Done { code: *code, ..Done::default() }).collect()
        };
        let cases: [(&[i64], u8); 6] =
            [(&[], 0), (&[0, 0], 0), (&[0, 1], 1), (&[1, 2, 0], 2), (&[2, 255, 1], 255), (&[0, 254], 255)];
        for (codes, expected) in cases {
            assert_eq!(worst(&done(codes)), expected, "{codes:?}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(parse_time("12m"), Ok(Duration::from_secs(720)));
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "12", "m", "-1h", "1d"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn plans_can_be_read() {
        let plans = regressions();
        assert!(!plans.is_empty());
        for case in plans {
            let plan = load_plan(&case.plan.expect("a plan"))
                .unwrap_or_else(|refusal| panic!("{}", refusal.sentence));
            assert_eq!(plan.seed.cast_unsigned(), case.seed);
        }
    }

    /// Every test that a suite would run is one that can be run.
    #[test]
    fn all_tests_can_be_chosen() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: super::super::options::TestOptions,
        }
        let suite = |suite| SuiteOptions {
            suite,
            system: "ferrymq-raft".into(),
            mode: None,
            budget: None,
            test_count: None,
            stop_on_failure: false,
            keep_histories: false,
            seed: 1,
            seeds: 1,
            controls: Vec::new(),
            jobs: 1,
            folder: None,
            ferrymq: None,
            wrong_ferrymq: None,
        };
        for case in cases(&suite(Suite::Pr), true)
            .chain(cases(&suite(Suite::Controls), true))
            .chain(cases(&suite(Suite::Systems), true))
            .chain(cases(&suite(Suite::Clients), true))
            .chain(cases(&suite(Suite::Nightly), true).take(40))
        {
            let words = std::iter::once("test".to_owned()).chain(case.words.clone());
            let line = <Line as clap::Parser>::try_parse_from(words).expect("words");
            if let Err(refusal) = line.options.choose() {
                panic!("{}: {}", case.name, refusal.sentence);
            }
        }
    }

    #[test]
    fn a_suite_goes_on_where_it_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let done = Done {
            name: "kill".into(),
            seed: 1,
            code: 0,
            folder: Some("x".into()),
            seconds: 4,
            programs: "a b none".into(),
        };
        append(folder.path(), &done).expect("written");
        fs::write(folder.path().join("suite.jsonl"), {
            let text = fs::read_to_string(folder.path().join("suite.jsonl")).expect("a line");
            text + "{\"name\":\"cut of"
        })
        .expect("written");
        assert_eq!(load(folder.path()), [done]);
    }
}
