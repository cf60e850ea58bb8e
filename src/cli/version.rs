//! `ferrymq version`: which ferrymq this is.

use std::process::ExitCode;

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

pub fn run() -> ExitCode {
    super::print(&format!("ferrymq {VERSION}\n"));
    ExitCode::SUCCESS
}
