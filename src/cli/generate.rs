//! `ferrymq generate`: files for those who deploy it, as they stand in `deploy/`.

use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};

use super::Line;

/// Print files for deployment.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Completion of commands for a shell: source it, or put it where the shell looks.
    Completion { shell: clap_complete::Shell },
    /// The systemd unit of a broker, or with --namesrv that of a name server.
    Systemd {
        #[arg(long)]
        namesrv: bool,
    },
    /// The docker-compose file of a group of three with two name servers.
    Compose,
}

pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Completion { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Line::command(), "ferrymq", &mut text);
            super::print(&String::from_utf8_lossy(&text));
        }
        Command::Systemd { namesrv: true } => {
            super::print(include_str!("../../deploy/systemd/ferrymq-namesrv.service"));
        }
        Command::Systemd { namesrv: false } => {
            super::print(include_str!("../../deploy/systemd/ferrymq-broker@.service"));
        }
        Command::Compose => super::print(include_str!("../../deploy/docker-compose.yml")),
    }
    ExitCode::SUCCESS
}
