//! What a test is asked to be, checked once.

use std::path::PathBuf;

use clap::Args;

use super::Refusal;
use crate::checkers;
use crate::cluster::{Backend, Maker, Mode, Replication, SYSTEMS, System};
use crate::faults::{FAULTS, Fault, Target};
use crate::plan::{Plan, Rhythm};
use crate::run::OWN_MODES;
use crate::workloads::{WORKLOADS, Workload};

/// Where runs are kept.
pub const STORE: &str = "target/jepsen";

#[derive(Clone, Debug, Args)]
pub struct TestOptions {
    /// ferrymq-raft, ferrymq-classic, apache-dledger or apache-masterslave
    #[arg(long, default_value = "ferrymq-raft")]
    pub system: String,
    /// raft, sync-ms or async-ms
    #[arg(long)]
    pub mode: Option<String>,
    #[arg(long, default_value = "queue")]
    pub workload: String,
    /// Faults or packages of them: kill, pause, partition, slow, replies, powercut, disk, corrupt, wipe, client, none
    #[arg(long, value_delimiter = ',', default_value = "none")]
    pub nemesis: Vec<String>,
    /// Only faults that strike these: one, minority, majority, primaries, all
    #[arg(long, value_delimiter = ',')]
    pub targets: Vec<String>,
    #[arg(long, default_value_t = 3)]
    pub nodes: u8,
    /// proc, processes of this machine, or compose, the containers of deploy/
    #[arg(long, default_value = "proc")]
    pub backend: String,
    /// Seconds of load
    #[arg(long, default_value_t = 60)]
    pub time_limit: u32,
    /// Operations each second, of all clients together
    #[arg(long, default_value_t = 1000)]
    pub rate: u32,
    /// Clients; "3n" is three for each node
    #[arg(long, default_value = "3n")]
    pub concurrency: String,
    /// Everything that is chosen by chance follows from it; by default from the clock
    #[arg(long)]
    pub seed: Option<u64>,
    /// Seconds from fault to fault
    #[arg(long)]
    pub nemesis_interval: Option<u32>,
    /// Seconds before the first fault
    #[arg(long, default_value_t = 3)]
    pub initial_quiet: u32,
    /// Seconds for the group to become whole after the last fault
    #[arg(long, default_value_t = 60)]
    pub final_time_limit: u32,
    #[arg(long, default_value_t = 8)]
    pub queues: u16,
    /// What an acknowledgement waits for: sync (the disk) or async
    #[arg(long, default_value = "sync")]
    pub flush: String,
    /// plain, or powercut: disks whose power can be cut. By default whatever the faults need
    #[arg(long)]
    pub storage: Option<String>,
    /// rust, the harness's own, or java, the official one
    #[arg(long, default_value = "rust")]
    pub clients: String,
    /// Modes in which the broker is wrong on purpose; see NEGATIVE_CONTROLS.md
    #[arg(long = "unsafe", value_delimiter = ',')]
    pub unsafe_modes: Vec<String>,
    /// valid, or invalid:NAME|NAME: the run is a success if one of these anomalies is found
    #[arg(long, default_value = "valid")]
    pub expect: String,
    /// Where runs are kept
    #[arg(long, default_value = STORE)]
    pub store: PathBuf,
    /// Our binary; by default the one beside this program
    #[arg(long)]
    pub ferrymq: Option<PathBuf>,
}

/// What a run must find to be a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expectation {
    Valid,
    /// One of these.
    Anomaly(Vec<String>),
}

impl Expectation {
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        match text.split_once(':') {
            None if text == "valid" => Ok(Self::Valid),
            Some(("invalid", names)) => {
                let names: Vec<String> = names.split('|').map(str::to_owned).collect();
                match names.iter().find(|name| !checkers::is_anomaly(name)) {
                    Some(name) => Err(Refusal::bad(format!("no checker reports {name}"))),
                    None => Ok(Self::Anomaly(names)),
                }
            }
            _ => Err(Refusal::bad(format!("--expect is valid or invalid:NAME, not {text}"))),
        }
    }
}

/// A plan and what its names mean.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub plan: Plan,
    pub backend: Backend,
    pub system: &'static System,
    pub mode: Mode,
    pub workload: &'static Workload,
}

fn names<T>(list: &[T], name: impl Fn(&T) -> &'static str) -> String {
    list.iter().map(name).collect::<Vec<_>>().join(", ")
}

pub fn system(name: &str) -> Result<&'static System, Refusal> {
    let known = || names(SYSTEMS, |system| system.name);
    System::find(name)
        .ok_or_else(|| Refusal::bad(format!("there is no system {name}; there are {}", known())))
}

pub fn workload(name: &str) -> Result<&'static Workload, Refusal> {
    let known = || names(WORKLOADS, |workload| workload.name);
    Workload::find(name)
        .ok_or_else(|| Refusal::bad(format!("there is no workload {name}; there are {}", known())))
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Raft => "raft",
        Mode::SyncMasterSlave => "sync-ms",
        Mode::AsyncMasterSlave => "async-ms",
    }
}

/// The mode of a system; its first one if none is named.
pub fn mode(system: &System, name: Option<&str>) -> Result<Mode, Refusal> {
    let modes = system.modes();
    let found = match name {
        None => modes.first(),
        Some(name) => modes.iter().find(|mode| mode_name(**mode) == name),
    };
    let known = || modes.iter().map(|mode| mode_name(*mode)).collect::<Vec<_>>().join(", ");
    found.copied().ok_or_else(|| {
        Refusal::bad(format!("{} has no mode {}; it has {}", system.name, name.unwrap_or_default(), known()))
    })
}

pub fn backend(name: &str) -> Result<Backend, Refusal> {
    match name {
        "proc" => Ok(Backend::Processes),
        "compose" => Ok(Backend::Containers),
        other => Err(Refusal::bad(format!("there is no backend {other}; there are proc and compose"))),
    }
}

impl TestOptions {
    /// Checks everything and makes the plan.
    pub fn choose(&self) -> Result<Chosen, Refusal> {
        let system = system(&self.system)?;
        let mode = mode(system, self.mode.as_deref())?;
        let workload = workload(&self.workload)?;
        let backend = backend(&self.backend)?;
        if backend == Backend::Containers {
            self.check_containers(system)?;
        }
        let java_clients = match self.clients.as_str() {
            "rust" => false,
            "java" if workload.for_java => true,
            "java" => {
                return Err(Refusal::bad(format!(
                    "the Java client does not carry out the workload {}",
                    workload.name
                )));
            }
            other => {
                return Err(Refusal::bad(format!("there are no clients {other}; there are rust and java")));
            }
        };
        let sizes =
            if system.replication == Replication::Raft { &[3, 5, 7][..] } else { &[1, 2, 3, 4, 5][..] };
        if !sizes.contains(&self.nodes) {
            return Err(Refusal::bad(format!("{} does not run with {} nodes", system.name, self.nodes)));
        }
        if (system.maker, system.replication) == (Maker::Apache, Replication::MasterSlave) && self.nodes > 2 {
            return Err(Refusal::bad(format!(
                "all slaves of {} hear of one address of their master, where there is room for one link: --nodes 2",
                system.name
            )));
        }
        if self.nodes == 1 && mode == Mode::SyncMasterSlave {
            return Err(Refusal::bad("--mode sync-ms needs a slave: 2 nodes or more"));
        }
        let clients = self.client_count()?;
        if self.rate == 0 || self.time_limit == 0 || self.queues == 0 {
            return Err(Refusal::bad("--rate, --time-limit and --queues must not be 0"));
        }
        let sync_flush = match self.flush.as_str() {
            "sync" => true,
            "async" => false,
            other => return Err(Refusal::bad(format!("--flush is sync or async, not {other}"))),
        };
        self.check_unsafe(system)?;
        self.check_pair(system, workload)?;
        let faults = self.faults(system, backend, workload)?;
        if workload.is_about_promotions() && !faults.iter().any(|fault| fault.promotes()) {
            return Err(Refusal::bad(format!("the workload {} needs a fault of promote", workload.name)));
        }
        let images = self.images(&faults)?;
        let seed = self.seed.unwrap_or_else(|| {
            u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_millis()).unwrap_or(1)
        });
        let mut plan = Plan {
            backend: self.backend.clone(),
            system: system.name.to_owned(),
            mode: mode_name(mode).to_owned(),
            workload: workload.name.to_owned(),
            seed: seed.cast_signed(),
            nodes: self.nodes.into(),
            queues: self.queues.into(),
            clients,
            rate: self.rate.into(),
            time_limit_ms: i64::from(self.time_limit) * 1000,
            final_limit_ms: i64::from(self.final_time_limit) * 1000,
            sync_flush,
            images,
            unsafe_modes: self.unsafe_modes.clone(),
            java_clients,
            nemesis: faults.iter().map(|fault| fault.name.to_owned()).collect(),
            faults: Vec::new(),
        };
        plan.schedule(self.rhythm(system));
        if plan.faults.is_empty() && !faults.is_empty() {
            return Err(Refusal::bad(format!("{} s are too short for a fault", self.time_limit)));
        }
        Ok(Chosen { plan, backend, system, mode, workload })
    }

    /// `deploy/` has one group, of brokers that are not wrong, on disks whose power nobody can cut.
    fn check_containers(&self, system: &System) -> Result<(), Refusal> {
        let refused = if (system.maker, system.replication) != (Maker::Ferrymq, Replication::Raft) {
            Some(format!("the containers are a group of ferrymq-raft, not of {}", system.name))
        } else if self.nodes != 3 {
            Some(format!("the containers are 3 nodes, not {}", self.nodes))
        } else if self.storage.as_deref().is_some_and(|storage| storage != "plain") {
            Some("the power of containers cannot be cut: --storage plain".to_owned())
        } else {
            self.unsafe_modes
                .iter()
                .find(|name| !OWN_MODES.contains(&name.as_str()))
                .map(|name| format!("containers cannot be made wrong by --unsafe {name}"))
        };
        refused.map_or(Ok(()), |sentence| Err(Refusal::bad(sentence)))
    }

    fn client_count(&self) -> Result<i64, Refusal> {
        let wrong = || {
            Refusal::bad(format!("--concurrency is a number, or a number and n, not {}", self.concurrency))
        };
        let (number, each) = match self.concurrency.strip_suffix('n') {
            Some(number) => (number, i64::from(self.nodes)),
            None => (self.concurrency.as_str(), 1),
        };
        let count: u16 = number.parse().map_err(|_| wrong())?;
        if count == 0 { Err(wrong()) } else { Ok(i64::from(count) * each) }
    }

    fn check_unsafe(&self, system: &System) -> Result<(), Refusal> {
        let ours = self.unsafe_modes.iter().find(|name| !OWN_MODES.contains(&name.as_str()));
        match ours {
            Some(name) if system.maker == Maker::Apache => {
                Err(Refusal::bad(format!("{} cannot be made wrong by --unsafe {name}", system.name)))
            }
            _ => Ok(()),
        }
    }

    /// The workload is about promotions, which need a master and the one who takes its place.
    fn check_pair(&self, system: &System, workload: &Workload) -> Result<(), Refusal> {
        if self.is_pair(system) || !workload.is_about_promotions() {
            return Ok(());
        }
        Err(Refusal::bad(format!(
            "the workload {} needs a master and a slave: --system ferrymq-classic or apache-masterslave, --nodes 2",
            workload.name
        )))
    }

    fn is_pair(&self, system: &System) -> bool {
        system.replication == Replication::MasterSlave && self.nodes == 2
    }

    fn faults(
        &self,
        system: &System,
        backend: Backend,
        workload: &Workload,
    ) -> Result<Vec<&'static Fault>, Refusal> {
        let mut faults: Vec<&Fault> = Vec::new();
        for name in self.nemesis.iter().filter(|name| *name != "none") {
            let named = Fault::named(name);
            if named.is_empty() {
                let known = names(FAULTS, |fault| fault.name);
                return Err(Refusal::bad(format!("there is no fault {name}; there are {known}")));
            }
            let one = named.len() == 1;
            for fault in named {
                let elects = !fault.needs_raft() || system.replication == Replication::Raft;
                let has_peers = !fault.needs_peers() || self.nodes > 1;
                let possible = backend == Backend::Processes || fault.fits_containers();
                let has_heir = !fault.promotes() || (self.is_pair(system) && workload.is_about_promotions());
                if elects && has_peers && has_heir && possible {
                    faults.push(fault);
                } else if one && !possible {
                    return Err(Refusal::bad(format!("{} cannot be done to containers", fault.name)));
                } else if one && !has_heir {
                    return Err(Refusal::bad(format!(
                        "{} is for the workload masterslave, with a master and a slave",
                        fault.name
                    )));
                } else if one && !has_peers {
                    return Err(Refusal::bad(format!("{} needs 2 nodes or more", fault.name)));
                } else if one {
                    return Err(Refusal::bad(format!(
                        "{} is for groups that elect a leader, not for {}",
                        fault.name, system.name
                    )));
                }
            }
        }
        if let Some(name) = self.nemesis.first().filter(|name| faults.is_empty() && *name != "none") {
            return Err(Refusal::bad(format!("no fault of {name} is possible here")));
        }
        if !self.targets.is_empty() {
            let mut targets = Vec::new();
            for name in &self.targets {
                targets.push(match name.as_str() {
                    "one" => Target::One,
                    "minority" => Target::Minority,
                    "majority" => Target::Majority,
                    "primaries" | "primary" => Target::Primary,
                    "all" => Target::All,
                    other => return Err(Refusal::bad(format!("there is no target {other}"))),
                });
            }
            faults.retain(|fault| targets.contains(&fault.target));
            if faults.is_empty() {
                return Err(Refusal::bad("no chosen fault strikes the chosen targets"));
            }
        }
        faults.sort_by_key(|fault| fault.name);
        faults.dedup();
        Ok(faults)
    }

    fn images(&self, faults: &[&Fault]) -> Result<bool, Refusal> {
        let needed = faults.iter().find(|fault| fault.needs_images());
        match (self.storage.as_deref(), needed) {
            (None, needed) => Ok(needed.is_some()),
            (Some("plain"), None) => Ok(false),
            (Some("plain"), Some(fault)) => {
                Err(Refusal::bad(format!("{} needs --storage powercut", fault.name)))
            }
            (Some("powercut"), _) => Ok(true),
            (Some(other), _) => Err(Refusal::bad(format!("--storage is plain or powercut, not {other}"))),
        }
    }

    fn rhythm(&self, system: &System) -> Rhythm {
        // A virtual machine needs its time to boot, and more on a small computer.
        let (interval, boot_ms) = match system.maker {
            Maker::Ferrymq => (8, 1000),
            Maker::Apache => (16, 8000),
        };
        Rhythm {
            interval_ms: u64::from(self.nemesis_interval.unwrap_or(interval)) * 1000,
            quiet_ms: u64::from(self.initial_quiet) * 1000,
            boot_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: TestOptions,
    }

    fn choose(line: &str) -> Result<Chosen, String> {
        let words = std::iter::once("test").chain(line.split_whitespace());
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        line.options.choose().map_err(|refusal| {
            assert_eq!(refusal.code, super::super::BAD_ARGUMENTS);
            refusal.sentence
        })
    }

    #[test]
    fn what_cannot_be() {
        let cases = [
            ("--workload chess", "there is no workload chess"),
            ("--nemesis earthquake", "there is no fault earthquake"),
            ("--system kafka", "there is no system kafka"),
            ("--mode sync-ms", "ferrymq-raft has no mode sync-ms"),
            ("--system apache-masterslave --mode raft", "apache-masterslave has no mode raft"),
            (
                "--system apache-masterslave --nodes 2 --nemesis wipe-one",
                "wipe-one is for groups that elect a leader",
            ),
            ("--system apache-masterslave", "all slaves of apache-masterslave hear of one address"),
            ("--nodes 4", "ferrymq-raft does not run with 4 nodes"),
            ("--system ferrymq-classic --mode sync-ms --nodes 1", "--mode sync-ms needs a slave"),
            ("--concurrency 0n", "--concurrency is a number"),
            ("--concurrency many", "--concurrency is a number"),
            ("--rate 0", "--rate, --time-limit and --queues must not be 0"),
            ("--flush never", "--flush is sync or async"),
            ("--nemesis powercut --storage plain", "powercut-all needs --storage powercut"),
            ("--nemesis kill --targets nobody", "there is no target nobody"),
            ("--nemesis slow --targets all", "no chosen fault strikes"),
            ("--nemesis kill --time-limit 2", "2 s are too short"),
            ("--system apache-dledger --unsafe skip-fsync", "apache-dledger cannot be made wrong"),
            ("--clients java --workload meta", "the Java client does not carry out the workload meta"),
            ("--clients perl", "there are no clients perl"),
            ("--backend sim", "there is no backend sim; there are proc and compose"),
            ("--backend compose --system apache-dledger", "the containers are a group of ferrymq-raft"),
            ("--backend compose --nodes 5", "the containers are 3 nodes, not 5"),
            ("--backend compose --storage powercut", "the power of containers cannot be cut"),
            (
                "--backend compose --unsafe skip-fsync",
                "containers cannot be made wrong by --unsafe skip-fsync",
            ),
            (
                "--backend compose --nemesis partition-one-way",
                "partition-one-way cannot be done to containers",
            ),
            ("--nemesis promote", "no fault of promote is possible here"),
            (
                "--system ferrymq-classic --nodes 2 --nemesis promote-kill",
                "promote-kill is for the workload masterslave",
            ),
            (
                "--workload masterslave --nemesis promote",
                "the workload masterslave needs a master and a slave",
            ),
            (
                "--system ferrymq-classic --nodes 2 --workload masterslave --nemesis kill",
                "the workload masterslave needs a fault of promote",
            ),
            ("--backend compose --nemesis powercut", "no fault of powercut is possible here"),
        ];
        for (line, expected) in cases {
            match choose(line) {
                Ok(chosen) => panic!("{line}: {chosen:?}"),
                Err(sentence) => assert!(sentence.starts_with(expected), "{line}: {sentence}"),
            }
        }
    }

    #[test]
    fn what_can_be() {
        let chosen =
            choose("--nemesis kill,pause --targets primaries --seed 4 --concurrency 2n").expect("a plan");
        assert_eq!(chosen.plan.nemesis, ["kill-primary", "pause-primary"]);
        assert_eq!((chosen.plan.clients, chosen.plan.images), (6, false));
        assert!(choose("--nemesis powercut-all").expect("a plan").plan.images);
        let classic = choose("--system apache-masterslave --mode async-ms --nodes 2").expect("a plan");
        assert_eq!(classic.mode, Mode::AsyncMasterSlave);
        let containers = choose("--backend compose --nemesis kill-primary,partition").expect("a plan");
        assert_eq!(
            containers.plan.nemesis,
            ["kill-primary", "partition-halves", "partition-one", "partition-primary"]
        );
    }

    #[test]
    fn expectations() {
        assert_eq!(Expectation::parse("valid").expect("one"), Expectation::Valid);
        assert_eq!(
            Expectation::parse("invalid:lost").expect("one"),
            Expectation::Anomaly(vec!["lost".to_owned()])
        );
        for wrong in ["invalid", "invalid:found", "invalid:lost|found", "maybe"] {
            assert!(Expectation::parse(wrong).is_err(), "{wrong}");
        }
    }
}
