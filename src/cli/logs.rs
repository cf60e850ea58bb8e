//! The log: to standard error, as much as `FERRYMQ_LOG` or the key `logFilter` asks for; for people, in colour where a person may
//! read it, or one JSON object a line.

mod json;

use std::io::{self, IsTerminal, Write};
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
    let format = std::env::var(FORMAT_VARIABLE).unwrap_or_default();
    // https://no-color.org: any value but the empty one.
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let has_colours = !is_plain && format != "json" && io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(move || Lines { to: io::stderr(), has_colours });
    if format == "json" {
        log.with(lines.event_format(json::Json)).init();
    } else {
        log.with(lines.with_ansi(has_colours)).init();
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

/// Where the log is written. An event comes in one piece and stays one line, which a terminal only shows: what others call
/// themselves, and what they answer, can neither pass for an event nor do anything.
struct Lines<W> {
    to: W,
    has_colours: bool,
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = String::from_utf8_lossy(event.strip_suffix(b"\n").unwrap_or(event));
        let mut text = String::with_capacity(event.len());
        for (at, character) in line.char_indices() {
            let rest = line.get(at..).unwrap_or_default();
            if character.is_control() && !(self.has_colours && is_colour(rest)) {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        text.push('\n');
        self.to.write_all(text.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Whether a text begins with what changes the colour, and does nothing else.
fn is_colour(text: &str) -> bool {
    let numbers = text.strip_prefix("\u{1b}[").unwrap_or_default();
    numbers.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';').starts_with('m')
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::Lines;

    fn written(event: &str, has_colours: bool) -> String {
        let mut lines = Lines { to: Vec::new(), has_colours };
        lines.write_all(event.as_bytes()).unwrap();
        String::from_utf8(lines.to).unwrap()
    }

    #[test]
    fn an_event_is_one_line_that_does_nothing() {
        let event =
            "\u{1b}[2mtime\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m a=é\r\n2026 INFO forged\u{1b}[2J\u{9b}2J\n";
        let rest = "a=é\\r\\n2026 INFO forged\\u{1b}[2J\\u{9b}2J\n";
        assert_eq!(written(event, true), format!("\u{1b}[2mtime\u{1b}[0m \u{1b}[32m INFO\u{1b}[0m {rest}"));
        assert!(written(event, false).ends_with(&format!("INFO\\u{{1b}}[0m {rest}")));
        assert_eq!(written("plain\n", false), "plain\n");
    }
}
