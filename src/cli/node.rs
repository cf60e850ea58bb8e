//! `ferrymq node`: single nodes; `kill` is for those of a development group.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::bodies::RaftStatus;
use ferrymq_proto::headers::{ChangeRaftGroup, GetRaftStatus};
use ferrymq_proto::position::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::cluster::{self, recent_rate, role, share};
use super::dev::record::{self, Running};
use super::raft;
use super::remote::{Cell, Failure, Moment, Node, Reach, Remote, Table, run as with_remote};
use crate::config::quoted;

/// A killed process is gone in no time, unless the machine is very busy.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const GONE_PAUSE: Duration = Duration::from_millis(5);

/// Single nodes: making them ready for a stop, and those of a group that `ferrymq dev` runs.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every node of every group, also those that do not answer. Those that `ferrymq dev` runs have a process.
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// All that one node says of itself.
    #[command(visible_aliases = ["info", "show"])]
    Describe {
        /// As its group calls it (n0), or its address, or the name of a group of one node.
        node: String,
        /// The broker group, if several have such a node.
        #[arg(long)]
        group: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Make a node ready to be stopped: if it leads, another one comes to lead, and the node passes on what clients still send it
    /// until they have heard of that. Refused while too few would be left.
    Drain {
        /// As its group calls it (n0), or its address.
        node: String,
        /// How long to wait for clients to hear of another leader. By default they ask every 30 seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 31)]
        wait: u64,
        /// The broker group, if several have such a node.
        #[arg(long)]
        group: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// End a node at once (SIGKILL), as a crash would. `ferrymq dev` starts it again after a while.
    Kill { name: String },
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::List { reach } => with_remote(reach, async |remote| list(&remote).await),
        Verb::Describe { node, group, reach } => {
            with_remote(reach, async |remote| describe(&remote, node, group.as_deref()).await)
        }
        Verb::Drain { node, wait, group, reach } => {
            let wait = Duration::from_secs(*wait);
            with_remote(reach, async |remote| drain(&remote, node, group.as_deref(), wait).await)
        }
        Verb::Kill { name } => match kill(name) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => failure.tell(),
        },
    }
}

async fn list(remote: &Remote) -> Result<(), Failure> {
    let columns = ["group", "node", "id", "role", "address", "version", "process"];
    let mut table = Table::new(&columns);
    // Without a development group nobody has a process here.
    let mut running = record::read().map(|record| record.nodes).unwrap_or_default();
    for seen in everyone(remote).await? {
        let at = running.iter().position(|own| own.address == seen.node.address);
        let own = at.map(|at| running.swap_remove(at));
        let name = seen.name().map(str::to_owned).or_else(|| own.as_ref().map(|own| own.name.clone()));
        let process = own.and_then(|own| own.pid).map(i64::from);
        let version = seen.fact("brokerVersionDesc").into();
        let node = seen.node;
        let role = role(&node, seen.info.is_some());
        table.row([
            node.group.into(),
            name.into(),
            node.id.into(),
            role.into(),
            node.address.into(),
            version,
            process.into(),
        ]);
    }
    for own in running {
        let silent = [Cell::Unknown, "silent".into(), own.address.into(), Cell::Unknown];
        let known = [Cell::Unknown, own.name.into()];
        table.row(known.into_iter().chain(silent).chain([own.pid.map(i64::from).into()]));
    }
    remote.print("ferrymq.node.list/1", &table);
    Ok(())
}

async fn describe(remote: &Remote, name: &str, group: Option<&str>) -> Result<(), Failure> {
    let found = everyone(remote).await?;
    let of_group = |group: &str| found.iter().filter(|seen| seen.node.group == group).count();
    let is_it = |seen: &&Seen| {
        group.is_none_or(|group| group == seen.node.group)
            && (seen.node.address == name
                || seen.name() == Some(name)
                || (seen.node.group == name && of_group(name) == 1))
    };
    let mut named = found.iter().filter(is_it);
    let Some(seen) = named.next() else {
        let help = "`ferrymq node list` shows who is there.";
        return Err(Failure::nothing(format!("no node {} answers", quoted(name)), help));
    };
    if named.next().is_some() {
        return Err(Failure::usage("several groups have such a node: say which one with --group"));
    }
    let leader = found.iter().filter(|other| other.node.group == seen.node.group);
    let leader = leader.filter_map(|other| other.status.as_ref()).find(|status| status.role == "leader");
    remote.print_one("ferrymq.node.describe/1", &seen.facts(leader));
    Ok(())
}

/// A node that the name servers know, and what it says.
struct Seen {
    node: Node,
    info: Option<BTreeMap<String, String>>,
    /// Of those whose group elects its leader.
    status: Option<RaftStatus>,
}

async fn everyone(remote: &Remote) -> Result<Vec<Seen>, Failure> {
    let mut all = Vec::new();
    for (node, info) in cluster::look(remote).await?.nodes {
        let status = match &info {
            Some(_) => remote.ask_for(&node.address, &GetRaftStatus {}).await.ok(),
            None => None,
        };
        all.push(Seen { node, info, status });
    }
    Ok(all)
}

impl Seen {
    fn name(&self) -> Option<&str> {
        self.status.as_ref().map(|status| status.name.as_str())
    }

    fn fact(&self, key: &str) -> Option<&str> {
        self.info.as_ref()?.get(key).map(String::as_str)
    }

    fn number(&self, key: &str) -> Cell {
        self.fact(key).and_then(|value| value.parse::<i64>().ok()).into()
    }

    fn facts(&self, leader: Option<&RaftStatus>) -> Vec<(&'static str, Cell)> {
        let started = self.fact("bootTimestamp").and_then(|time| time.parse().ok());
        let mut facts: Vec<(&'static str, Cell)> = vec![
            ("group", self.node.group.as_str().into()),
            ("node", self.name().into()),
            ("id", self.node.id.into()),
            ("role", role(&self.node, self.info.is_some()).into()),
            ("address", self.node.address.as_str().into()),
            ("version", self.fact("brokerVersionDesc").into()),
            ("started", started.map(|time| Moment(Timestamp(time)).to_string()).into()),
            ("logBegins", self.number("commitLogMinOffset")),
            ("logEnds", self.number("commitLogMaxOffset")),
            ("dispatchBehindBytes", self.number("dispatchBehindBytes")),
            ("notFlushed", self.fact("remainHowManyDataToFlush").into()),
            ("diskUsed", self.fact("commitLogDiskRatio").and_then(share).into()),
            ("space", self.fact("commitLogDirCapacity").into()),
            ("put/s", recent_rate(self.fact("putTps"))),
            ("get/s", recent_rate(self.fact("getTotalTps"))),
            ("stored", self.number("putMessageTimesTotal")),
            ("failed", self.number("putMessageFailedTimes")),
        ];
        if let Some(status) = &self.status {
            let seen = leader.and_then(|leader| leader.nodes.iter().find(|each| each.node == status.node));
            facts.extend([
                ("serves", status.is_writable.into()),
                ("term", status.term.into()),
                ("leader", status.leader.clone().into()),
                ("last", status.last.into()),
                ("committed", status.committed.into()),
                ("applied", status.applied.into()),
                ("lag", seen.and_then(|member| member.lag).into()),
                ("vote", seen.map(|member| member.is_voter).into()),
                ("trouble", status.trouble.clone().or_else(|| status.abstains.clone()).into()),
            ]);
        }
        facts
    }
}

async fn drain(remote: &Remote, name: &str, group: Option<&str>, wait: Duration) -> Result<(), Failure> {
    let found = raft::statuses(remote, group).await?;
    let is_it = |node: &Node, status: &Option<RaftStatus>| {
        node.address == name || status.as_ref().is_some_and(|status| status.name == name)
    };
    let mut named = found.iter().filter(|(node, status)| is_it(node, status));
    let Some((node, Some(status))) = named.next() else {
        let help = "`ferrymq raft status` shows who is there.";
        return Err(Failure::nothing(format!("no node {} answers", quoted(name)), help));
    };
    if named.next().is_some() {
        return Err(Failure::usage("several groups have such a node: say which one with --group"));
    }
    let others = found.iter().filter(|(other, _)| other.group == node.group && other.address != node.address);
    let well = others.filter(|(_, status)| status.as_ref().is_some_and(|status| status.trouble.is_none()));
    let (well, voters) = (well.count(), status.nodes.iter().filter(|member| member.is_voter).count());
    if well <= voters / 2 {
        return Err(Failure::safety(&format!(
            "without it {well} of {voters} nodes would be left, and the group could not go on: bring the others back first"
        )));
    }
    if status.role == "leader" {
        let request = ChangeRaftGroup { action: "transfer".into(), ..ChangeRaftGroup::default() };
        remote.ask(&node.address, &request, Bytes::new()).await?;
    }
    // Clients ask the name servers who leads.
    remote.patiently(async || another_leads(remote, node).await).await?;
    if status.role == "leader" && !wait.is_zero() {
        let seconds = wait.as_secs();
        remote
            .say(&format!("{name} leads no more, and passes on what clients still send it for {seconds} s"));
        tokio::time::sleep(wait).await;
    }
    remote.say(&format!("{name} may be stopped now"));
    Ok(())
}

async fn another_leads(remote: &Remote, node: &Node) -> Result<(), Failure> {
    let leaders = remote.leaders(Some(&node.group)).await?;
    match leaders.iter().any(|leader| leader.address != node.address) {
        true => Ok(()),
        false => Err(Failure::no_leader(Some(&node.group))),
    }
}

fn kill(name: &str) -> Result<(), Failure> {
    let record = record::read()?;
    let node = record.nodes.iter().find(|node| node.name == name).ok_or_else(|| {
        let names: Vec<&str> = record.nodes.iter().map(|node| node.name.as_str()).collect();
        Failure::nothing(
            format!("no node is called {}", quoted(name)),
            &format!("there are {}.", names.join(", ")),
        )
    })?;
    let pid = process(node, &record.folder).ok_or_else(|| {
        Failure::nothing(format!("{name} does not run now"), "`ferrymq dev` starts it again soon.")
    })?;
    kill_process(pid, Signal::KILL)
        .map_err(|error| Failure::operation(format!("{name} could not be killed: {error}")))?;
    // For a moment the system would still take connections for it.
    let until = Instant::now() + GONE_WITHIN;
    while is_alive(pid) && Instant::now() < until {
        std::thread::sleep(GONE_PAUSE);
    }
    super::print(&format!("{name} killed\n"));
    Ok(())
}

/// Whether a process has not ended. One that has ended stays a zombie until its parent asks for it; while it has threads, its
/// sockets are open.
fn is_alive(pid: Pid) -> bool {
    let about = format!("/proc/{}", pid.as_raw_nonzero());
    let state = std::fs::read_to_string(format!("{about}/stat"));
    let has_threads = || std::fs::read_dir(format!("{about}/task")).is_ok_and(|tasks| tasks.count() > 1);
    let is_zombie = |state: &str| state.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z"));
    state.is_ok_and(|state| !is_zombie(&state) || has_threads())
}

/// The node's process, if that is what still has its number.
fn process(node: &Running, folder: &str) -> Option<Pid> {
    let id = node.pid?;
    let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let is_it = line.contains(&format!("{folder}/{}.conf", node.name));
    i32::try_from(id).ok().filter(|_| is_it).and_then(Pid::from_raw)
}
