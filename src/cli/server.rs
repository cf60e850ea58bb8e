//! What the commands that run a server have in common: their configuration, their signals, and how they end.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::dev::ENDS_WITH_PARENT;
use super::signals::Signals;
use super::{CHECK_FAILED, logs};
use crate::config::machine::Machine;
use crate::config::server::Server;
use crate::config::sources::{Loaded, Sources, load};
use crate::config::{Diagnostic, Severity};
use crate::errors::{ADDRESS_NOT_USABLE, PORT_IN_USE, START_FAILED};

/// How many threads serve, for whoever knows better.
const TOKIO_WORKERS: &str = "TOKIO_WORKER_THREADS";
const WORKERS_MAX: usize = 1024;

#[derive(Debug, Default, Args)]
pub struct Options {
    /// Configuration: Apache's own file, in Java properties syntax. It also keeps changes made by request.
    #[arg(short = 'c', long = "config", alias = "configFile", value_name = "FILE")]
    config: Option<String>,

    /// Print the value of every key and exit.
    #[arg(short = 'p', long = "print-config", alias = "printConfigItem")]
    print: bool,

    /// With -p: also print where each value came from.
    #[arg(long, requires = "print")]
    origin: bool,

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

/// Reads the configuration and says what is wrong with it. There is nothing to start if that, or a text that was asked for, is
/// all.
pub fn configured<C>(
    server: &'static Server<C>,
    options: &Options,
    settings: Vec<String>,
    is_important_asked: bool,
) -> Result<Loaded<C>, ExitCode> {
    let loaded = load(server, &options.sources(settings));
    super::complain(&loaded.report.to_string());
    let text = match loaded.report.errors() {
        0 if options.check => verdict(&loaded),
        0 if is_important_asked => loaded.written.important_text(),
        0 if options.print && options.origin => loaded.written.text_with_origins(),
        0 if options.print => loaded.written.text(),
        0 => return Ok(loaded),
        errors => {
            let plural = if errors == 1 { "" } else { "s" };
            super::complain(&format!("{errors} error{plural} in the configuration; nothing was started\n"));
            return Err(if options.check { ExitCode::from(CHECK_FAILED) } else { ExitCode::FAILURE });
        }
    };
    super::print(&text);
    Err(ExitCode::SUCCESS)
}

impl Options {
    /// To check a file, and take nothing in it lightly.
    pub fn lint(file: &str) -> Self {
        Self { config: Some(file.to_owned()), check: true, strict: true, ..Self::default() }
    }

    /// To print every value and where it came from.
    pub fn dump(file: Option<String>) -> Self {
        Self { config: file, print: true, origin: true, ..Self::default() }
    }

    /// What a file says alone.
    pub fn of_file(file: &Path) -> Sources {
        Sources { file: Some(file.to_owned()), machine: Machine::here(), ..Sources::default() }
    }

    fn sources(&self, settings: Vec<String>) -> Sources {
        let environment = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect();
        Sources {
            file: self.config.as_ref().map(PathBuf::from),
            environment,
            settings: settings.into_iter().chain(self.settings.iter().cloned()).collect(),
            machine: Machine::here(),
            is_strict: self.strict,
        }
    }
}

/// What was read, for the ready line and for `--check`.
pub fn source_name<C>(loaded: &Loaded<C>) -> String {
    loaded
        .file
        .as_ref()
        .map_or("built-in configuration".to_string(), |file| format!("configuration {}", file.display()))
}

fn verdict<C>(loaded: &Loaded<C>) -> String {
    let (keys, warnings) = (loaded.keys_set, loaded.report.warnings());
    format!("ok: {}, keys set: {keys}, warnings: {warnings}\n", source_name(loaded))
}

/// The log and the threads that serve.
pub fn prepare(noun: &str) -> Result<Runtime, Diagnostic> {
    logs::start();
    if std::env::var_os(ENDS_WITH_PARENT).is_some() {
        // Whoever started us is there to end us; without it nobody would.
        let signal = Some(rustix::process::Signal::TERM);
        rustix::process::set_parent_process_death_signal(signal)
            .map_err(|error| refused_by_system(noun, &error.into()))?;
    }
    if std::env::var_os("JAVA_OPT_EXT").is_some() {
        tracing::debug!("JAVA_OPT_EXT is ignored: there is no Java here");
    }
    let workers = workers(std::env::var_os(TOKIO_WORKERS)).map_err(|wanted| {
        let message = format!("the {noun} could not start: {TOKIO_WORKERS} is {wanted:?}");
        Diagnostic::new(Severity::Error, &START_FAILED, message).help(format!(
            "it says how many threads serve, 1 to {WORKERS_MAX}; without it half of the cores do"
        ))
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.map_err(|error| refused_by_system(noun, &error))
}

/// Half of the cores: the threads of the log need some too. And whenever one worker finds work it wakes another to look for more,
/// which with few connections only costs.
fn workers(wanted: Option<OsString>) -> Result<usize, OsString> {
    let Some(wanted) = wanted else {
        return Ok(std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2)));
    };
    let number = wanted.to_str().and_then(|text| text.parse().ok());
    number.filter(|number| (1..=WORKERS_MAX).contains(number)).ok_or(wanted)
}

/// Serves until a signal asks to stop. Then what is `running` has `wait_max` to end, or until the next signal.
pub async fn serve(
    running: impl Future<Output = ()>,
    stop: watch::Sender<bool>,
    mut signals: Signals,
    wait_max: Duration,
) -> ExitCode {
    let mut running = pin!(running);
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

pub fn not_started(diagnostic: &Diagnostic) -> ExitCode {
    super::complain(&diagnostic.to_string());
    ExitCode::FAILURE
}

pub fn refused_by_system(noun: &str, error: &io::Error) -> Diagnostic {
    let message = format!("the {noun} could not start: {error}");
    Diagnostic::new(Severity::Error, &START_FAILED, message)
        .help("raise this user's limits: `ulimit -a` shows them")
}

/// `choose` is what one says to have another port.
pub fn cannot_listen(noun: &str, address: SocketAddr, choose: &str, error: &io::Error) -> Diagnostic {
    let (ip, port) = (address.ip(), address.port());
    let (problem, message, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            &PORT_IN_USE,
            format!("port {port} of {ip} is in use by another program"),
            format!("`ss -ltnp 'sport = :{port}'` shows which; stop it, or choose another port: {choose}"),
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
        _ => return refused_by_system(noun, error),
    };
    Diagnostic::new(Severity::Error, problem, message).help(help)
}

#[cfg(test)]
mod tests {
    use super::{WORKERS_MAX, workers};

    #[test]
    fn a_number_of_threads_is_one() {
        assert!(workers(None).expect("some") > 0);
        assert_eq!(workers(Some("3".into())), Ok(3));
        for wrong in ["", "0", "-1", "many", "3 ", &(WORKERS_MAX + 1).to_string(), &"9".repeat(100)] {
            assert_eq!(workers(Some(wrong.into())), Err(wrong.into()));
        }
    }
}
