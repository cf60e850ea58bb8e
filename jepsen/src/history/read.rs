//! Reading a history file, which may be damaged.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use ferrymq_proto::json::{self, JsonError};

use super::{Event, EventIndex, Process};

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("cannot read {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("line {line} of the history is no event: {source}")]
    Line { line: usize, source: JsonError },
    #[error("line {line} of the history is out of order: event {found} after event {before}")]
    Order { line: usize, before: EventIndex, found: EventIndex },
    #[error("event {at}: process {process} asks for something while it waits for something else")]
    TwoAtOnce { at: EventIndex, process: Process },
    #[error("event {at}: process {process} hears what it did not ask for")]
    Unasked { at: EventIndex, process: Process },
}

/// Reads all events. A last line that was cut off by the end of the run is an error too: nothing tells it from damage.
pub fn load(path: &Path) -> Result<Vec<Event>, HistoryError> {
    let failed = |source| HistoryError::Io { path: path.to_owned(), source };
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let mut events: Vec<Event> = Vec::new();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
            break;
        }
        let event: Event =
            json::from_slice(bytes.trim_ascii()).map_err(|source| HistoryError::Line { line, source })?;
        if let Some(before) = events.last().filter(|before| before.index >= event.index) {
            return Err(HistoryError::Order { line, before: before.index, found: event.index });
        }
        events.push(event);
    }
    Ok(events)
}
