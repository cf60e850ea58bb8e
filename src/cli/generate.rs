//! `ferrymq generate`: files for those who deploy it, as they stand in `deploy/`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Subcommand};

use super::Line;
use super::remote::Failure;

/// Print files for deployment.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Completion of commands for a shell: source it, or put it where the shell looks.
    Completion { shell: clap_complete::Shell },
    /// Manual pages: that of `ferrymq` itself, or with --folder all of them as files there.
    Man {
        #[arg(long, value_name = "FOLDER")]
        folder: Option<PathBuf>,
    },
    /// The systemd unit of a broker, or with --namesrv that of a name server.
    Systemd {
        #[arg(long)]
        namesrv: bool,
    },
    /// The docker-compose file of a group of three with two name servers, or of two such groups.
    Compose {
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
        groups: u8,
    },
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
        Command::Man { folder } => return manual(folder.as_deref()),
        Command::Compose { groups: 2 } => {
            super::print(include_str!("../../deploy/docker-compose.two-groups.yml"));
        }
        Command::Compose { .. } => super::print(include_str!("../../deploy/docker-compose.yml")),
    }
    ExitCode::SUCCESS
}

fn manual(folder: Option<&Path>) -> ExitCode {
    let written = match folder {
        Some(folder) => clap_mangen::generate_to(Line::command(), folder),
        None => {
            let mut page = Vec::new();
            let rendered = clap_mangen::Man::new(Line::command()).render(&mut page);
            super::print(&String::from_utf8_lossy(&page));
            rendered
        }
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => Failure::operation(format!("the pages cannot be written: {error}")).tell(),
    }
}
