//! `ferrymq config docs`: prints the manual's page on configuration.

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::docs;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print docs/config.md.
    Docs,
}

pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Docs => {
            super::print(&docs::page());
            ExitCode::SUCCESS
        }
    }
}
