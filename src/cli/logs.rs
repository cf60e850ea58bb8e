//! The log: to standard error, as much as `FERRYMQ_LOG` asks for, in colour where a person may read it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

const FILTER_VARIABLE: &str = "FERRYMQ_LOG";
/// What the Raft library tells is for those who look for it.
const FILTER: &str = "info,openraft=error";

/// Starts logging. Called once, before the first line.
pub fn start() {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_default();
    let wanted = if wanted.is_empty() { FILTER } else { &wanted };
    let filter = EnvFilter::try_new(wanted);
    let mistake = filter.as_ref().err().map(ToString::to_string);
    // https://no-color.org: any value but the empty one.
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(FILTER)))
        .with_writer(std::io::stderr)
        .with_ansi(!is_plain && std::io::stderr().is_terminal())
        .init();
    if let Some(mistake) = mistake {
        tracing::warn!(
            "{FILTER_VARIABLE} is no filter, so {FILTER} holds: {mistake}; write debug, or ferrymq=debug,warn"
        );
    }
}
