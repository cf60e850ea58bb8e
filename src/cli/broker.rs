//! `ferrymq broker`: reads the configuration, says what is wrong with it, and runs the broker until a signal.

mod promote;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, Subcommand};
use tokio::sync::watch;

use super::server::{
    Options, cannot_listen, configured, not_started, prepare, refused_by_system, serve, source_name,
};
use super::signals::Signals;
use super::version::VERSION;
use super::{logs, open_files};
use crate::config::broker::{self, BROKER, BrokerConfig};
use crate::config::desk::BrokerDesk;
use crate::config::sources::Loaded;
use crate::config::{Diagnostic, Severity};
use crate::errors::{ADDRESS_NOT_USABLE, STORE_UNUSABLE};
use crate::node::{Node, StartError};
use crate::state::files::FileError;

const NOUN: &str = BROKER.noun;

/// Run a broker, which stores messages and hands them out.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    options: Options,

    /// Print the value of the important keys and exit.
    #[arg(short = 'm', long = "print-important", alias = "printImportantConfig", conflicts_with_all = ["print", "check"])]
    print_important: bool,

    /// The name servers, separated by ; or blanks. Sets namesrvAddr.
    #[arg(short = 'n', long = "namesrv", alias = "namesrvAddr", value_name = "ADDRESS", num_args = 1..)]
    name_servers: Vec<String>,

    /// Be wrong on purpose in this way, so that the fault harness can find it. May be repeated.
    #[cfg(feature = "unsafe-modes")]
    #[arg(long = "unsafe", value_name = "MODE", value_parser = unsafe_mode)]
    unsafe_modes: Vec<ferrymq_storage::unsafe_modes::UnsafeMode>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Promote(promote::Arguments),
}

#[cfg(feature = "unsafe-modes")]
fn unsafe_mode(name: &str) -> Result<ferrymq_storage::unsafe_modes::UnsafeMode, String> {
    ferrymq_storage::unsafe_modes::find(name).ok_or_else(|| format!("there is no mode {name}"))
}

#[cfg(feature = "unsafe-modes")]
fn turn_on(modes: &[ferrymq_storage::unsafe_modes::UnsafeMode]) {
    for mode in modes {
        super::complain(&format!("WRONG ON PURPOSE: {mode:?}. This broker loses or spoils messages.\n"));
        ferrymq_storage::unsafe_modes::turn_on(*mode);
    }
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    if let Some(Verb::Promote(arguments)) = &arguments.verb {
        return promote::run(arguments);
    }
    #[cfg(feature = "unsafe-modes")]
    turn_on(&arguments.unsafe_modes);
    let mut settings = Vec::new();
    if !arguments.name_servers.is_empty() {
        settings.push(format!("namesrvAddr={}", arguments.name_servers.join(";")));
    }
    match configured(&BROKER, &arguments.options, settings, arguments.print_important) {
        Ok(loaded) => start(loaded, started),
        Err(code) => code,
    }
}

fn start(loaded: Loaded<BrokerConfig>, started: Instant) -> ExitCode {
    let runtime = match prepare(NOUN) {
        Ok(runtime) => runtime,
        Err(diagnostic) => return not_started(&diagnostic),
    };
    let mut loaded = loaded;
    broker::choose_flush(&mut loaded.written);
    let source = source_name(&loaded);
    let name_servers =
        loaded.written.value("namesrvAddr").map(|value| value.text.clone()).unwrap_or_default();
    let config = loaded.written.config().clone();
    let desk = Arc::new(BrokerDesk::new(&BROKER, loaded.written));
    let code = runtime.block_on(async {
        open_files::allow(config.network.limits.connections_max);
        logs::follow(desk.follow(), |config| &config.metrics.log_filter);
        // Until now a signal ends the process at once, and recovery may take its time: the store bears it.
        let node = match Node::start(&config, desk).await {
            Ok(node) => node,
            Err(error) => return not_started(&explained(&config, &error)),
        };
        let signals = match Signals::listen() {
            Ok(signals) => signals,
            Err(error) => return not_started(&refused_by_system(NOUN, &error)),
        };
        ready(&config, node.address(), &name_servers, &source, started);
        let (stop, stopped) = watch::channel(false);
        serve(node.run(stopped), stop, signals, config.network.shutdown_wait).await
    });
    // Whatever is left was given its time.
    runtime.shutdown_background();
    code
}

/// Tells people and scripts that the broker can be reached; scripts look for Apache's sentence, which is the first.
fn ready(config: &BrokerConfig, address: SocketAddr, name_servers: &str, source: &str, started: Instant) {
    let (name, host, port) = (&config.identity.name, &config.identity.host, address.port());
    let listening = SocketAddr::new(config.network.bind_address, port);
    let and = if name_servers.is_empty() { "" } else { " and name server is " };
    let (milliseconds, store) = (started.elapsed().as_millis(), config.store.root.display());
    super::print(&format!(
        "The broker[{name}, {host}:{port}] boot success. serializeType=JSON{and}{name_servers}\n\
         ferrymq {VERSION} broker ready in {milliseconds} ms, listening on {listening}, {source}, store {store}\n"
    ));
}

/// A failed start as a person can act on it.
fn explained(config: &BrokerConfig, error: &StartError) -> Diagnostic {
    let of = |problem, help: &str| Diagnostic::new(Severity::Error, problem, error.to_string()).help(help);
    match error {
        StartError::Listen { address, source } => {
            cannot_listen(NOUN, *address, "--set listenPort=PORT", source)
        }
        StartError::ListenHttp { address, source } => {
            cannot_listen(NOUN, *address, "--set metricsPromExporterPort=PORT", source)
        }
        StartError::System(error) => refused_by_system(NOUN, error),
        StartError::Host { .. } => {
            of(&ADDRESS_NOT_USABLE, "set brokerIP1 to an address of this machine that clients can reach")
        }
        StartError::Raft(error) => of(&STORE_UNUSABLE, &raft_help(error, config)),
        StartError::Tables(FileError::InRocksDb { .. }) => {
            of(&STORE_UNUSABLE, "nothing was changed, and Apache's broker can be started on it as before")
        }
        _ => of(
            &STORE_UNUSABLE,
            &format!("look at the permissions and the free space of {}", config.store.root.display()),
        ),
    }
}

fn raft_help(error: &ferrymq_raft::StartError, config: &BrokerConfig) -> String {
    match error {
        ferrymq_raft::StartError::Listen { .. } => {
            "another process may listen there; dLegerPeers says where this node must".to_owned()
        }
        ferrymq_raft::StartError::Settings(_) | ferrymq_raft::StartError::OtherNode { .. } => {
            "compare dLegerPeers, dLegerSelfId, dLegerGroup and brokerClusterName on all nodes".to_owned()
        }
        _ => format!("the folder of this node is {}", config.store.root.display()),
    }
}
