//! `ferrymq node`: the nodes of a development group.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use rustix::process::{Pid, Signal, kill_process};

use super::dev::record::{self, Running};
use super::remote::{Cell, Failure, Format, Table};
use crate::config::quoted;

/// The nodes of a group that `ferrymq dev` runs.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// The nodes and their processes.
    #[command(visible_alias = "ls")]
    List {
        /// How to print.
        #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// End a node at once (SIGKILL), as a crash would. `ferrymq dev` starts it again after a while.
    Kill { name: String },
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.verb {
        Verb::List { format } => list(*format),
        Verb::Kill { name } => kill(name),
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
    super::print(&format!("{name} killed\n"));
    Ok(())
}

/// The node's process, if that is what still has its number.
fn process(node: &Running, folder: &str) -> Option<Pid> {
    let id = node.pid?;
    let line = std::fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let line = String::from_utf8_lossy(&line);
    let is_it = line.contains(&format!("{folder}/{}.conf", node.name));
    i32::try_from(id).ok().filter(|_| is_it).and_then(Pid::from_raw)
}
