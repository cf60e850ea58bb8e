//! The name server's configuration while it runs: shown by request 319, changed by request 318.
//!
//! Whoever reaches the port may ask, so the answer to "may this key change?" is a list of the keys that may, each with a
//! type and a range (CVE-2023-33246 and CVE-2023-37582 came from the opposite list). A change is checked as a whole,
//! then kept on disk, then made: it happens in full or not at all.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ferrymq_namesrv::settings::{ConfigDesk, Settings, UpdateRefused};

use super::diagnostic::{quoted, shown};
use super::keys::{Change, Class, Key, nearest};
use super::namesrv_keys::NamesrvConfig;
use super::properties;
use super::written::{Origin, Written};
use ferrymq_namesrv::stored_file;

/// A request with all keys takes a few kilobytes; past this it is refused unread.
const REQUEST_BYTES_MAX: usize = 64 << 10;

type Row = &'static Key<NamesrvConfig>;

#[derive(Debug)]
pub struct NamesrvDesk {
    /// Guards what holds now. Never held across disk work, so that 319 does not wait for it.
    written: Mutex<Written<NamesrvConfig>>,
    /// Guards the file: one change at a time.
    changing: Mutex<()>,
}

impl NamesrvDesk {
    pub fn new(written: Written<NamesrvConfig>) -> Self {
        NamesrvDesk { written: Mutex::new(written), changing: Mutex::new(()) }
    }

    fn written(&self) -> MutexGuard<'_, Written<NamesrvConfig>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConfigDesk for NamesrvDesk {
    fn text(&self) -> String {
        self.written().text()
    }

    fn update(&self, text: &str) -> Result<Settings, UpdateRefused> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.written().clone();
        let changes = changes(&old, text)?;
        let mut new = old.clone();
        for (key, value) in &changes {
            new.set(key, value, Origin::Request).map_err(|expected| {
                UpdateRefused::Malformed(format!("{} cannot be {}: {expected}", key.name, quoted(value)))
            })?;
        }
        if !changes.is_empty() {
            keep(&old, &new, &changes)?;
        }
        let settings = new.config().settings.clone();
        *self.written() = new;
        Ok(settings)
    }
}

/// The keys that `text` names, all of which may change by request. A key that is named twice gets its last value.
fn changes(written: &Written<NamesrvConfig>, text: &str) -> Result<Vec<(Row, String)>, UpdateRefused> {
    if text.len() > REQUEST_BYTES_MAX {
        return Err(UpdateRefused::Malformed(format!("the text is longer than {REQUEST_BYTES_MAX} bytes")));
    }
    let properties = properties::read(text.as_bytes());
    if let Some(fault) = properties.faults.first() {
        return Err(UpdateRefused::Malformed(format!("line {}: {}", fault.line, fault.reason)));
    }
    let forbidden: Vec<&str> = written.config().config_black_list.split(';').map(str::trim).collect();
    let mut changes: Vec<(Row, String)> = Vec::new();
    for entry in properties.entries {
        let Some(key) = written.keys().iter().find(|key| key.is(&entry.key)) else {
            return Err(UpdateRefused::UnknownKey(unknown(written, &entry.key)));
        };
        let is_allowed = matches!(key.class, Class::Effective { change: Change::ByRequest, .. });
        if !is_allowed || forbidden.iter().any(|name| key.is(name)) {
            return Err(UpdateRefused::NotByRequest(key.name.to_string()));
        }
        changes.retain(|(known, _)| known.name != key.name);
        changes.push((key, entry.value));
    }
    Ok(changes)
}

fn unknown(written: &Written<NamesrvConfig>, word: &str) -> String {
    match nearest(written.keys(), word) {
        Some(nearest) => format!("{} is an unknown key; did you mean \"{nearest}\"?", quoted(word)),
        None => format!("{} is an unknown key", quoted(word)),
    }
}

/// Writes the changed values into the file, so that the next start finds them.
fn keep(
    old: &Written<NamesrvConfig>,
    new: &Written<NamesrvConfig>,
    changes: &[(Row, String)],
) -> Result<(), UpdateRefused> {
    let path = &old.config().config_store_path;
    let refused = |reason: String| UpdateRefused::NotWritten { path: path.clone(), reason };
    for (key, _) in changes {
        // The file could not win over these at the next start.
        if let Some(origin @ (Origin::Environment { .. } | Origin::CommandLine)) = old.origin(key.name) {
            return Err(refused(format!("{} is set by the {origin}, which wins over the file", key.name)));
        }
    }
    let mut text = read_or_new(path).map_err(|error| refused(error.to_string()))?;
    if let Some(fault) = properties::read(&text).faults.first() {
        return Err(refused(format!(
            "its line {} cannot be read ({}); mend it first",
            fault.line, fault.reason
        )));
    }
    for (key, _) in changes {
        let value = new.value(key.name).map(|value| value.text.as_str()).unwrap_or_default();
        text = properties::set(&text, key.name, |spelling| key.is(spelling), value);
    }
    stored_file::replace(path, &text).map_err(|error| refused(shown(&error.to_string())))
}

fn read_or_new(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(b"# Changes made by request (mqadmin updateNamesrvConfig). Read at the start unless -c names another file.\n".to_vec())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
