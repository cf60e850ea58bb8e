//! The log: to standard error, as much as `FERRYMQ_LOG` or the key `logFilter` asks for; for people, in colour where a person may
//! read it, or one JSON object a line.

mod json;

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{Handle, Layer};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt};

const FILTER_VARIABLE: &str = "FERRYMQ_LOG";
const FORMAT_VARIABLE: &str = "FERRYMQ_LOG_FORMAT";
/// What the Raft library tells is for those who look for it.
const FILTER: &str = "info,openraft=error";

/// The one log of this process.
static LOG: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Starts logging. Called once, before the first line.
pub fn start() {
    let (filter, mistake) = at_start();
    let (filter, handle) = Layer::new(filter);
    let log = tracing_subscriber::registry().with(filter);
    let lines = fmt::layer().with_writer(std::io::stderr);
    let format = std::env::var(FORMAT_VARIABLE).unwrap_or_default();
    if format == "json" {
        log.with(lines.event_format(json::Json)).init();
    } else {
        // https://no-color.org: any value but the empty one.
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        log.with(lines.with_ansi(!is_plain && std::io::stderr().is_terminal())).init();
    }
    // It was empty: whoever started a second log would have ended just now.
    let _ = LOG.set(handle);
    if let Some(mistake) = mistake {
        tracing::warn!(
            "{FILTER_VARIABLE} is no filter, so {FILTER} holds: {mistake}; write debug, or ferrymq=debug,warn"
        );
    }
    if !matches!(format.as_str(), "" | "text" | "json") {
        tracing::warn!("{FORMAT_VARIABLE} is neither text nor json, so text holds");
    }
}

/// What the environment asks for, and what is wrong with that.
fn at_start() -> (EnvFilter, Option<String>) {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let wanted = if wanted.is_empty() { FILTER } else { &wanted };
    match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(mistake) => (EnvFilter::new(FILTER), Some(mistake.to_string())),
    }
}

/// From now on a configuration says what is logged, where it says anything.
pub fn follow<C: Send + Sync + 'static>(mut config: watch::Receiver<Arc<C>>, filter: fn(&C) -> &str) {
    let mut holds = String::new();
    let mut take = move |wanted: &str| {
        if wanted != holds {
            wanted.clone_into(&mut holds);
            turn_to(wanted);
        }
    };
    take(filter(&config.borrow_and_update()));
    tokio::spawn(async move {
        while config.changed().await.is_ok() {
            take(filter(&config.borrow_and_update()));
        }
    });
}

fn turn_to(wanted: &str) {
    // The configuration takes none that cannot be read.
    let filter = if wanted.is_empty() { at_start().0 } else { EnvFilter::new(wanted) };
    if let Some(Err(error)) = LOG.get().map(|log| log.reload(filter)) {
        tracing::warn!(%error, "cannot change what is logged");
    }
}
