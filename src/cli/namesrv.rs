//! `ferrymq namesrv`: reads the configuration, says what is wrong with it, and runs the name server until a signal.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use ferrymq_namesrv::{Server, StartError};
use tokio::sync::watch;

use super::server::{
    Options, cannot_listen, configured, not_started, prepare, refused_by_system, serve, source_name,
};
use super::signals::Signals;
use super::version::VERSION;
use super::{logs, open_files};
use crate::config::desk::NamesrvDesk;
use crate::config::namesrv_keys::{NAMESRV, NamesrvConfig};
use crate::config::sources::Loaded;
use crate::config::{Diagnostic, Severity};
use crate::errors::KV_TABLE_UNUSABLE;

const NOUN: &str = NAMESRV.noun;

/// Run a name server, which tells clients where each topic is.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    options: Options,

    /// Accepted as Apache does; a name server knows no others.
    #[arg(short = 'n', long = "namesrv", alias = "namesrvAddr", value_name = "ADDRESS", num_args = 1..)]
    addresses: Vec<String>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    match configured(&NAMESRV, &arguments.options, Vec::new(), false) {
        Ok(loaded) => start(arguments, loaded, started),
        Err(code) => code,
    }
}

fn start(arguments: &Arguments, loaded: Loaded<NamesrvConfig>, started: Instant) -> ExitCode {
    let runtime = match prepare(NOUN) {
        Ok(runtime) => runtime,
        Err(diagnostic) => return not_started(&diagnostic),
    };
    if !arguments.addresses.is_empty() {
        tracing::debug!(addresses = ?arguments.addresses, "-n is ignored: a name server knows no others");
    }
    let source = source_name(&loaded);
    let config = loaded.written.config().clone();
    let desk = Arc::new(NamesrvDesk::new(&NAMESRV, loaded.written));
    let code = runtime.block_on(async {
        logs::follow(desk.follow(), |config| &config.log_filter);
        match listen(&config, desk) {
            Ok((server, signals)) => {
                open_files::allow(config.limits.connections_max);
                ready(&server, &config, &source, started);
                let (stop, stopped) = watch::channel(false);
                serve(server.run(stopped), stop, signals, config.shutdown_wait).await
            }
            Err(diagnostic) => not_started(&diagnostic),
        }
    });
    // Whatever is left was given its time.
    runtime.shutdown_background();
    code
}

/// Takes the port, and the signals before anyone can know that we are ready.
fn listen(config: &NamesrvConfig, desk: Arc<NamesrvDesk>) -> Result<(Server, Signals), Diagnostic> {
    let signals = Signals::listen().map_err(|error| refused_by_system(NOUN, &error))?;
    let address = SocketAddr::new(config.bind_address, config.listen_port);
    let server = Server::bind(address, config.settings.clone(), config.limits.clone(), desk);
    server.map(|server| (server, signals)).map_err(|error| match &error {
        StartError::Listen { source, .. } => cannot_listen(NOUN, address, "--set listenPort=PORT", source),
        StartError::Kv(error) => {
            let help = "set kvConfigPath to a file that this user can read and write";
            Diagnostic::new(Severity::Error, &KV_TABLE_UNUSABLE, error.to_string()).help(help)
        }
        StartError::Thread(error) => refused_by_system(NOUN, error),
    })
}

/// Tells people and scripts that the server can be reached; scripts look for Apache's sentence, which is the first.
fn ready(server: &Server, config: &NamesrvConfig, source: &str, started: Instant) {
    let address = server.local_addr();
    let (milliseconds, table) = (started.elapsed().as_millis(), config.settings.kv_config_path.display());
    super::print(&format!(
        "The Name Server boot success. serializeType=JSON, address {address}\n\
         ferrymq {VERSION} name server ready in {milliseconds} ms, listening on {address}, {source}, key-value table {table}\n"
    ));
}
