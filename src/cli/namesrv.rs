//! `ferrymq namesrv`: reads the configuration, says what is wrong with it, and runs the name server until a signal.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use ferrymq_namesrv::{Server, StartError};
use tokio::sync::watch;

use super::signals::Signals;
use super::version::VERSION;
use super::{CHECK_FAILED, logs, open_files};
use crate::config::desk::NamesrvDesk;
use crate::config::namesrv_keys::{NAMESRV, NamesrvConfig};
use crate::config::sources::{Loaded, Sources, load};
use crate::config::{Diagnostic, Severity};
use crate::errors::{ADDRESS_NOT_USABLE, KV_TABLE_UNUSABLE, PORT_IN_USE, START_FAILED};

/// Run a name server, which tells clients where each topic is.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Configuration: an Apache namesrv.conf, in Java properties syntax. It also keeps changes made by request.
    #[arg(short = 'c', long = "config", alias = "configFile", value_name = "FILE")]
    config: Option<String>,

    /// Print the value of every key and exit.
    #[arg(short = 'p', long = "print-config", alias = "printConfigItem")]
    print: bool,

    /// With -p: also print where each value came from.
    #[arg(long, requires = "print")]
    origin: bool,

    /// Accepted as Apache does; a name server knows no others.
    #[arg(short = 'n', long = "namesrv", alias = "namesrvAddr", value_name = "ADDRESS", num_args = 1..)]
    addresses: Vec<String>,

    /// Check the configuration and exit: 0 if it is usable, 3 if not.
    #[arg(long, conflicts_with = "print")]
    check: bool,

    /// Take unknown keys for errors.
    #[arg(long)]
    strict: bool,

    /// Set a key; wins over the file and the environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let loaded = load(&NAMESRV, &sources(arguments));
    super::complain(&loaded.report.to_string());
    match loaded.report.errors() {
        0 if arguments.check => {
            super::print(&verdict(&loaded));
            ExitCode::SUCCESS
        }
        0 if arguments.print => {
            let written = &loaded.written;
            super::print(&if arguments.origin { written.text_with_origins() } else { written.text() });
            ExitCode::SUCCESS
        }
        0 => start(arguments, loaded, started),
        errors => {
            let plural = if errors == 1 { "" } else { "s" };
            super::complain(&format!("{errors} error{plural} in the configuration; nothing was started\n"));
            if arguments.check { ExitCode::from(CHECK_FAILED) } else { ExitCode::FAILURE }
        }
    }
}

fn sources(arguments: &Arguments) -> Sources {
    let environment = std::env::vars_os()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    Sources {
        file: arguments.config.as_ref().map(PathBuf::from),
        environment,
        settings: arguments.settings.clone(),
        home: std::env::home_dir(),
        is_strict: arguments.strict,
    }
}

/// What was read, for the ready line and for `--check`.
fn source_name(loaded: &Loaded<NamesrvConfig>) -> String {
    loaded
        .file
        .as_ref()
        .map_or("built-in configuration".to_string(), |file| format!("configuration {}", file.display()))
}

fn verdict(loaded: &Loaded<NamesrvConfig>) -> String {
    let (keys, warnings) = (loaded.keys_set, loaded.report.warnings());
    format!("ok: {}, keys set: {keys}, warnings: {warnings}\n", source_name(loaded))
}

fn start(arguments: &Arguments, loaded: Loaded<NamesrvConfig>, started: Instant) -> ExitCode {
    logs::start();
    if std::env::var_os("JAVA_OPT_EXT").is_some() {
        tracing::debug!("JAVA_OPT_EXT is ignored: there is no Java here");
    }
    if !arguments.addresses.is_empty() {
        tracing::debug!(addresses = ?arguments.addresses, "-n is ignored: a name server knows no others");
    }
    let source = source_name(&loaded);
    let config = loaded.written.config().clone();
    let desk = Arc::new(NamesrvDesk::new(loaded.written));
    // As many workers as there are cores: tokio's own default.
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return not_started(&refused_by_system(&error)),
    };
    let code = runtime.block_on(async {
        match listen(&config, desk) {
            Ok((server, signals)) => {
                open_files::allow(config.limits.connections_max);
                ready(&server, &config, &source, started);
                serve(server, signals, config.shutdown_wait).await
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
    let signals = Signals::listen().map_err(|error| refused_by_system(&error))?;
    let address = SocketAddr::new(config.bind_address, config.listen_port);
    let server = Server::bind(address, config.settings.clone(), config.limits.clone(), desk);
    server.map(|server| (server, signals)).map_err(|error| match &error {
        StartError::Listen { source, .. } => cannot_listen(address, source),
        StartError::Kv(error) => {
            let help = "set kvConfigPath to a file that this user can read and write";
            Diagnostic::new(Severity::Error, &KV_TABLE_UNUSABLE, error.to_string()).help(help)
        }
        StartError::Thread(error) => refused_by_system(error),
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

/// Serves until a signal asks to stop. Then connections have `wait_max` to end, or until the next signal.
async fn serve(server: Server, mut signals: Signals, wait_max: Duration) -> ExitCode {
    let (stop, stopped) = watch::channel(false);
    let mut running = pin!(server.run(stopped));
    let ending = tokio::select! {
        ending = signals.next() => ending,
        () = &mut running => {
            tracing::error!("the server ended by itself");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!("{} received: closing all connections; once more ends the process at once", ending.name());
    stop.send_replace(true);
    tokio::select! {
        () = &mut running => tracing::info!("stopped"),
        () = tokio::time::sleep(wait_max) => tracing::warn!(?wait_max, "connections are still open; cutting them"),
        ending = signals.next() => {
            tracing::warn!("{} received: ending at once", ending.name());
            return ExitCode::from(ending.exit_code());
        }
    }
    ExitCode::SUCCESS
}

fn not_started(diagnostic: &Diagnostic) -> ExitCode {
    super::complain(&diagnostic.to_string());
    ExitCode::FAILURE
}

fn refused_by_system(error: &io::Error) -> Diagnostic {
    let message = format!("the name server could not start: {error}");
    Diagnostic::new(Severity::Error, &START_FAILED, message)
        .help("raise this user's limits: `ulimit -a` shows them")
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Diagnostic {
    let (ip, port) = (address.ip(), address.port());
    let (problem, message, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            &PORT_IN_USE,
            format!("port {port} of {ip} is in use by another program"),
            format!(
                "`ss -ltnp 'sport = :{port}'` shows which; stop it, or choose another port: --set listenPort=PORT"
            ),
        ),
        io::ErrorKind::AddrNotAvailable => (
            &ADDRESS_NOT_USABLE,
            format!("{ip} is no address of this machine"),
            "set bindAddress to one that `ip addr` shows, or to 0.0.0.0 for all of them".to_string(),
        ),
        io::ErrorKind::PermissionDenied => (
            &ADDRESS_NOT_USABLE,
            format!("port {port} of {ip} may not be used by this user"),
            "choose a port above 1023, or grant CAP_NET_BIND_SERVICE".to_string(),
        ),
        _ => return refused_by_system(error),
    };
    Diagnostic::new(Severity::Error, problem, message).help(help)
}
