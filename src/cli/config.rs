//! `ferrymq config`: what the keys of configuration files mean.

use std::process::ExitCode;

use clap::Subcommand;

use super::remote::Failure;
use crate::config::{docs, quoted};

/// Configuration: what its keys mean.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a key does, what it may be and what it is unless set.
    Explain { key: String },
    /// Print docs/config.md.
    #[command(hide = true)]
    Docs,
}

pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Explain { key } => match docs::explained(key) {
            Some(text) => super::print(&text),
            None => return unknown(key).tell(),
        },
        Command::Docs => super::print(&docs::page()),
    }
    ExitCode::SUCCESS
}

fn unknown(key: &str) -> Failure {
    let help =
        "`ferrymq broker -p` and `ferrymq namesrv -p` print all keys; docs/config.md has them in tables.";
    Failure::nothing(format!("no server has the key {}", quoted(key)), help)
}
