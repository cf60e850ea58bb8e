//! ferrymq: a message broker and name server for Apache RocketMQ clients.
//!
//! One binary for everything; see `cli` for what it can be told and `config` for what it can be set to.

use std::process::ExitCode;

mod cli;
mod config;
mod errors;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
