//! ferrymq: a message broker and name server for Apache RocketMQ clients.
//!
//! One binary for everything; see `cli` for what it can be told and `config` for what it can be set to.

use std::process::ExitCode;

mod broker;
mod cli;
mod clock;
mod config;
mod errors;
mod handlers;
mod http;
mod migration;
mod node;
mod pair_node;
mod raft_node;
mod refusal;
mod replication;
mod requests;
mod server;
mod services;
mod state;
mod store;
mod system_tables;

fn main() -> ExitCode {
    cli::run(std::env::args_os())
}
