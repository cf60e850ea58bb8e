//! `ferrymq node`: single nodes; `list` and `kill` are for those of a development group.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::bodies::RaftStatus;
use ferrymq_proto::headers::ChangeRaftGroup;
use rustix::process::{Pid, Signal, kill_process};

use super::dev::record::{self, Running};
use super::raft;
use super::remote::{Cell, Failure, Format, Node, Reach, Remote, Table, run as with_remote};
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
    /// The nodes that `ferrymq dev` runs, and their processes.
    #[command(visible_alias = "ls")]
    List {
        /// How to print.
        #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Table)]
        format: Format,
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
    let outcome = match &arguments.verb {
        Verb::List { format } => list(*format),
        Verb::Kill { name } => kill(name),
        Verb::Drain { node, wait, group, reach } => {
            let wait = Duration::from_secs(*wait);
            return with_remote(reach, async |remote| drain(&remote, node, group.as_deref(), wait).await);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.tell(),
    }
}

fn list(format: Format) -> Result<(), Failure> {
    let mut table = Table::new(&["node", "address", "process"]);
    for node in record::read()?.nodes {
        let process = node.pid.map_or(Cell::Unknown, |pid| i64::from(pid).into());
        table.row([node.name.into(), node.address.into(), process]);
    }
    super::print(&table.written("ferrymq.node.list/1", format));
    Ok(())
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

/// Whether a process has not ended. One that has ended stays a zombie until its parent asks for it.
fn is_alive(pid: Pid) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    state.is_ok_and(|state| !state.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

/// The node's process, if that is what still has its number.
fn process(node: &Running, folder: &str) -> Option<Pid> {
    let id = node.pid?;
    let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let is_it = line.contains(&format!("{folder}/{}.conf", node.name));
    i32::try_from(id).ok().filter(|_| is_it).and_then(Pid::from_raw)
}
