//! `ferrymq store rebuild FOLDER`: lets the next start of the broker make queues and index anew.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::{OpenError, dispatch};

use super::Target;

/// Let the next start of the broker make the queues and the index anew from the log.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, OpenError> {
    let folder = &arguments.target.folder;
    dispatch::forget(&(Arc::new(RealDisk) as _), folder)?;
    super::print(&format!(
        "the next start of a broker with {} makes its queues and its index anew from the log\n",
        folder.display()
    ));
    Ok(ExitCode::SUCCESS)
}
