//! The tests that suites are made of.

use std::fs;
use std::path::PathBuf;

use super::suites::{Suite, SuiteOptions};
use super::test::load_plan;
use crate::controls::{CONTROLS, Control};
use crate::faults::Fault;

/// One test of a suite.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub name: String,
    pub seed: u64,
    pub words: Vec<String>,
    pub needs_wrong_broker: bool,
    /// Carried out in the place of a plan of its own.
    pub plan: Option<PathBuf>,
}

/// Where plans lie that once found something.
const PLANS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/plans");

pub(super) fn regressions() -> Vec<Case> {
    let files = fs::read_dir(PLANS).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut plans: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    plans.sort();
    let named = |path: PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let seed = load_plan(&path).map_or(0, |plan| plan.seed.cast_unsigned());
        Case { name, seed, words: Vec::new(), needs_wrong_broker: false, plan: Some(path) }
    };
    plans.into_iter().map(named).collect()
}

fn case(name: &str, seed: u64, line: &str) -> Case {
    Case {
        name: name.to_owned(),
        seed,
        words: line.split_whitespace().map(str::to_owned).collect(),
        needs_wrong_broker: false,
        plan: None,
    }
}

/// The tests of a suite; the nightly one has no end.
pub(super) fn cases(options: &SuiteOptions, ours: bool) -> Box<dyn Iterator<Item = Case> + Send> {
    let (seed, wanted) = (options.seed, &options.controls);
    let controls = |count: usize, seeds: u64| {
        let is_wanted = |number: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == number);
        let chosen: Vec<&Control> = CONTROLS
            .iter()
            .take(if ours { count } else { 0 })
            .filter(|control| is_wanted(control.number))
            .collect();
        // One seed of each, and then the next: a suite that is ended early has tried them all alike.
        (0..seeds).flat_map(move |at| {
            let case = move |control: &&Control| Case {
                name: control.number.to_owned(),
                seed: seed + at,
                words: control.words(),
                needs_wrong_broker: control.needs_wrong_broker(),
                plan: None,
            };
            chosen.iter().map(case).collect::<Vec<_>>()
        })
    };
    match options.suite {
        Suite::Pr => {
            // As many faults as in a long run, close to each other: what shows, shows soon.
            let test = |name: &str, seconds: u32, line: &str| {
                case(name, seed, &format!("{line} --time-limit {seconds} --nemesis-interval 4"))
            };
            let tests = [
                test("kill", 25, "--workload queue --nemesis kill-primary --rate 3000"),
                test(
                    "partition and pause",
                    25,
                    "--workload queue --nemesis partition-primary,pause-primary --rate 3000",
                ),
                test("offsets under kill", 20, "--workload offset --nemesis kill-primary"),
                test("transactions under kill", 20, "--workload tx --nemesis kill-primary --rate 200"),
                test("power cut of all", 25, "--workload queue --nemesis powercut-all --rate 3000"),
            ];
            Box::new(tests.into_iter().chain(controls(3, 1)))
        }
        Suite::Controls => Box::new(controls(CONTROLS.len(), options.seeds)),
        Suite::Systems => Box::new((seed..seed + options.seeds).flat_map(systems_round)),
        Suite::Clients => Box::new((seed..seed + options.seeds).flat_map(clients_round)),
        Suite::Regressions => Box::new(regressions().into_iter()),
        Suite::Nightly => Box::new((seed..).flat_map(move |seed| nightly_round(seed, ours))),
    }
}

/// Every workload and every package. Most tests send as fast as the group takes it, and a third of them cuts the power: what a
/// group loses it loses under load. Faults follow each other closely.
fn nightly_round(seed: u64, ours: bool) -> impl Iterator<Item = Case> {
    const ROUND: &[(&str, &str)] = &[
        ("queue", "powercut"),
        ("queue", "kill"),
        ("queue", "partition,pause"),
        ("recover", "powercut,kill-all"),
        ("offset", "kill,partition-primary,pause-primary"),
        ("queue", "powercut,partition-primary"),
        ("queue", "kill,pause,partition,slow,replies,client"),
        ("tx", "kill-primary,pause-primary"),
        ("queue", "powercut-all,powercut-primary,powercut-voter,powercut-dance"),
        ("recover", "kill,pause"),
        ("group", "kill-primary,client-crash,partition-clients"),
        ("queue", "powercut"),
        ("queue", "partition"),
        ("timer", "kill-primary,pause-one"),
        ("recover", "powercut,pause"),
        ("queue", "corrupt,wipe"),
        ("orderly", "kill-primary,partition-primary"),
        ("queue", "kill,powercut"),
        ("offset", "powercut-all,powercut-primary"),
        ("queue", "disk"),
        ("meta", "kill-primary,partition-namesrv"),
    ];
    // Our pairs, in the rounds of our own group.
    let pairs = if ours { PAIRS } else { &[] };
    let pairs = pairs.iter().filter(|(_, system)| system.contains("ferrymq-classic"));
    let groups = ROUND.iter().map(move |(workload, nemesis)| {
        let name = format!("{workload} under {nemesis}");
        let load = if matches!(*workload, "queue" | "recover") {
            "--rate 3000 --concurrency 16n"
        } else {
            "--rate 600"
        };
        let rhythm = "--time-limit 60 --nemesis-interval 4";
        case(&name, seed, &format!("--workload {workload} --nemesis {nemesis} {rhythm} {load}"))
    });
    groups.chain(pairs.map(move |(name, system)| promotions(name, system, seed)))
}

/// A master and its slave.
const PAIRS: &[(&str, &str)] = &[
    ("ferrymq SYNC_MASTER, SYNC_FLUSH", "--system ferrymq-classic --mode sync-ms --nodes 2"),
    ("ferrymq ASYNC_MASTER, SYNC_FLUSH", "--system ferrymq-classic --mode async-ms --nodes 2"),
    ("Apache SYNC_MASTER, SYNC_FLUSH", "--system apache-masterslave --mode sync-ms --nodes 2"),
    ("Apache ASYNC_MASTER, SYNC_FLUSH", "--system apache-masterslave --mode async-ms --nodes 2"),
];

/// The slave takes its master's place, over and over.
fn promotions(name: &str, system: &str, seed: u64) -> Case {
    let faults = "--workload masterslave --nemesis promote";
    // Apache's slave asks its master for topics ten seconds after its start, and then once a minute.
    let rhythm = "--rate 500 --time-limit 60 --nemesis-interval 8 --final-time-limit 100";
    case(&format!("{name}: promote"), seed, &format!("{system} {faults} {rhythm}"))
}

/// The systems that are shown beside each other, each as it is asked to be safe, and Apache's pair also as it comes.
const SYSTEMS_COMPARED: &[(&str, &str)] = &[
    ("Apache SYNC_MASTER, SYNC_FLUSH", "--system apache-masterslave --mode sync-ms --nodes 2"),
    ("Apache DLedger, SYNC_FLUSH", "--system apache-dledger"),
    (
        "Apache ASYNC_MASTER, ASYNC_FLUSH",
        "--system apache-masterslave --mode async-ms --nodes 2 --flush async",
    ),
    ("ferrymq one node, SYNC_FLUSH", "--system ferrymq-classic --mode async-ms --nodes 1"),
    ("ferrymq Raft, SYNC_FLUSH", "--system ferrymq-raft"),
];

fn systems_round(seed: u64) -> impl Iterator<Item = Case> {
    let pairs = PAIRS.iter().map(move |(name, system)| promotions(name, system, seed));
    compared(seed).chain(pairs)
}

fn compared(seed: u64) -> impl Iterator<Item = Case> {
    const FAULTS: &[&str] = &["kill-primary", "powercut-all", "partition-primary", "pause-primary"];
    FAULTS.iter().flat_map(move |fault| {
        let stands_alone = |system: &str| system.contains("--nodes 1");
        let apart = Fault::find(fault).is_some_and(Fault::needs_peers);
        let compared = SYSTEMS_COMPARED.iter().filter(move |(_, system)| !(apart && stands_alone(system)));
        compared.map(move |(name, system)| {
            let rhythm = "--rate 500 --time-limit 40 --nemesis-interval 8 --final-time-limit 40";
            case(
                &format!("{name}: {fault}"),
                seed,
                &format!("{system} --workload queue --nemesis {fault} {rhythm}"),
            )
        })
    })
}

fn clients_round(seed: u64) -> impl Iterator<Item = Case> {
    const FAULTS: &[&str] =
        &["kill-primary", "pause-primary", "partition-primary", "kill-all", "powercut-primary"];
    ["queue", "group"].into_iter().flat_map(move |workload| {
        FAULTS.iter().flat_map(move |fault| {
            ["java", "rust"].into_iter().map(move |clients| {
                let line = format!("--workload {workload} --nemesis {fault} --clients {clients}");
                let rhythm = "--rate 300 --time-limit 40 --nemesis-interval 8";
                case(&format!("{clients} {workload}: {fault}"), seed, &format!("{line} {rhythm}"))
            })
        })
    })
}

pub(super) fn needs_images(case: &Case) -> bool {
    case.words.iter().flat_map(|word| word.split(',')).flat_map(Fault::named).any(Fault::needs_images)
}
