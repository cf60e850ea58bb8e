//! `ferrymq doctor`: whether this machine and the way to the cluster are fit for a broker.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use ferrymq_proto::bodies::RaftStatus;
use ferrymq_proto::headers::{GetRaftStatus, GetRuntimeInfo};
use ferrymq_storage::disk::{Disk, RealDisk};
use rustix::process::{Resource, getrlimit};

use super::remote::{Failure, Reach, Remote, Table, run as with_remote};
use crate::clock;
use crate::services::vitals;

/// What connections and queues of a large broker need.
const FILES_MIN: u64 = 65_535;
/// Fuller than this, a broker soon begins to delete before its time, and then to refuse.
const DISK_USED_MAX: u8 = 75;
const SYNCS: usize = 50;
const SYNC_BYTES: usize = 4096;
/// A disk that takes longer makes every group that waits for it slow.
const SYNC_MAX: Duration = Duration::from_millis(20);
/// Clocks that differ by more make delayed messages come at another time after a failover.
const CLOCKS_APART_MAX_MS: i64 = 1000;

/// Look whether this machine, its disk and the way to the servers are fit: ends with 3 if something is not.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where a broker of this machine keeps its store.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    store: PathBuf,
    /// Only this machine: ask no server.
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    reach: Reach,
}

struct Finding {
    what: &'static str,
    is_well: bool,
    says: String,
}

fn finding(what: &'static str, is_well: bool, says: String) -> Finding {
    Finding { what, is_well, says }
}

pub fn run(arguments: &Arguments) -> ExitCode {
    with_remote(&arguments.reach, async |remote| arguments.run(&remote).await)
}

impl Arguments {
    async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        let mut findings = vec![open_files(), room(&self.store), syncs(&self.store)];
        if !self.local {
            findings.extend(servers(remote).await);
        }
        let mut table = Table::new(&["check", "ok", "says"]);
        let is_well = findings.iter().all(|finding| finding.is_well);
        for finding in findings {
            table.row([finding.what.into(), finding.is_well.into(), finding.says.into()]);
        }
        remote.print("ferrymq.doctor/1", &table);
        if is_well { Ok(()) } else { Err(Failure::degraded()) }
    }
}

fn open_files() -> Finding {
    let hard = getrlimit(Resource::Nofile).maximum;
    let is_well = hard.is_none_or(|hard| hard >= FILES_MIN);
    let says = match hard {
        None => "no limit on open files".to_owned(),
        Some(hard) if is_well => format!("up to {hard} open files"),
        Some(hard) => {
            format!("up to {hard} open files; {FILES_MIN} are advised: raise `ulimit -Hn` or LimitNOFILE")
        }
    };
    finding("open files", is_well, says)
}

fn room(folder: &Path) -> Finding {
    match vitals::space(folder) {
        None => finding("disk space", false, format!("{} cannot be looked at", folder.display())),
        Some(space) => {
            let (used, gib) = (space.used().0, space.available >> 30);
            let says = format!("{used} % used, {gib} GiB left in {}", folder.display());
            finding("disk space", used <= DISK_USED_MAX, says)
        }
    }
}

/// How long the disk takes to make a small write safe.
fn syncs(folder: &Path) -> Finding {
    let path = folder.join(format!(".ferrymq-doctor-{}", std::process::id()));
    let measured = times(&path);
    let _ = std::fs::remove_file(&path);
    match measured {
        Err(error) => finding("disk sync", false, format!("{} cannot be written: {error}", folder.display())),
        Ok(mut times) => {
            times.sort();
            let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
            let (median, late) = (at(50), at(95));
            let says = format!(
                "a write of {SYNC_BYTES} bytes is safe after {median:.1?}, 95 of 100 within {late:.1?}"
            );
            finding("disk sync", late <= SYNC_MAX, says)
        }
    }
}

fn times(path: &Path) -> std::io::Result<Vec<Duration>> {
    let file = RealDisk.create(path)?;
    let block = [0x5A_u8; SYNC_BYTES];
    let mut times = Vec::with_capacity(SYNCS);
    for number in 0..SYNCS {
        let began = Instant::now();
        file.write_at(&mut [IoSlice::new(&block)], (number * SYNC_BYTES) as u64)?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

async fn servers(remote: &Remote) -> Vec<Finding> {
    let nodes = match remote.nodes().await {
        Ok(nodes) => nodes,
        Err(_) => {
            let says = "none answers; name one with -n, or say --local".to_owned();
            return vec![finding("name server", false, says)];
        }
    };
    let mut findings =
        vec![finding("name server", true, format!("answers, and knows {} broker nodes", nodes.len()))];
    let mut clocks = Vec::new();
    for node in nodes {
        let asked = clock::now().0;
        let status: Option<RaftStatus> = remote.ask_for(&node.address, &GetRaftStatus {}).await.ok();
        if let Some((name, there)) = status.and_then(|status| Some((status.name, status.clock?))) {
            // It was asked and has answered: what it says is of about the middle.
            let here = asked.midpoint(clock::now().0);
            clocks.push((name, there.0.saturating_sub(here)));
        }
        let answer = remote.ask(&node.address, &GetRuntimeInfo {}, bytes::Bytes::new()).await;
        let is_well = answer.as_ref().map_or_else(Failure::is_answer, |_| true);
        let says = if is_well {
            format!("{} of {} answers at the address it registered", node.address, node.group)
        } else {
            format!(
                "{} of {} does not answer from here: clients on this machine cannot reach it either (brokerIP1)",
                node.address, node.group
            )
        };
        findings.push(finding("broker", is_well, says));
    }
    findings.extend(apart(&clocks));
    findings
}

/// How far clocks are from one another, by how many milliseconds each is ahead of this machine's.
fn apart(clocks: &[(String, i64)]) -> Option<Finding> {
    let here = ("this machine", 0);
    let all = || clocks.iter().map(|(name, ahead)| (name.as_str(), *ahead)).chain([here]);
    let (first, last) = (all().max_by_key(|(_, ahead)| *ahead)?, all().min_by_key(|(_, ahead)| *ahead)?);
    let between = first.1.saturating_sub(last.1);
    let is_well = between <= CLOCKS_APART_MAX_MS;
    let seconds = between as f64 / 1000.0;
    let says = if is_well {
        format!("the clocks of the group's nodes and of this machine differ by at most {seconds:.2} s")
    } else {
        format!(
            "the clock of {} is {seconds:.1} s ahead of that of {}: delayed messages come, and searches by time go, by the leader's; \
             set both by NTP (`chronyc tracking`, `timedatectl`)",
            first.0, last.0
        )
    };
    (!clocks.is_empty()).then(|| finding("clocks", is_well, says))
}

#[cfg(test)]
mod tests;
