//! A server's configuration while it runs: shown by requests 26 and 319, changed by requests 25 and 318.
//!
//! Whoever reaches the port may ask, so the answer to "may this key change?" is a list of the keys that may, each with a
//! type and a range (CVE-2023-33246 and CVE-2023-37582 came from the opposite list). A change is checked as a whole,
//! then kept on disk, then made: it happens in full or not at all.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrymq_namesrv::settings::{ConfigDesk, Settings, UpdateRefused};
use ferrymq_namesrv::stored_file;
use tokio::sync::watch;

use super::broker::BrokerConfig;
use super::diagnostic::{quoted, shown};
use super::keys::{Change, Class, Key, nearest};
use super::namesrv_keys::NamesrvConfig;
use super::properties;
use super::server::Server;
use super::written::{Origin, Written};

/// A request with all keys takes a few kilobytes; past this it is refused unread.
const REQUEST_BYTES_MAX: usize = 64 << 10;

pub type NamesrvDesk = Desk<NamesrvConfig>;
pub type BrokerDesk = Desk<BrokerConfig>;

#[derive(Debug)]
pub struct Desk<C: 'static> {
    server: &'static Server<C>,
    /// Guards what holds now. Never held across disk work, so that a request to see it does not wait for that.
    written: Mutex<Written<C>>,
    /// How often something was changed.
    changes: AtomicI64,
    /// Guards the file: one change at a time.
    changing: Mutex<()>,
    /// What holds now, for those who run by it.
    published: watch::Sender<Arc<C>>,
}

type Changes<C> = Vec<(&'static Key<C>, String)>;

impl<C: Clone> Desk<C> {
    pub fn new(server: &'static Server<C>, written: Written<C>) -> Self {
        let published = watch::Sender::new(Arc::new(written.config().clone()));
        Desk {
            server,
            written: Mutex::new(written),
            changes: AtomicI64::new(0),
            changing: Mutex::new(()),
            published,
        }
    }

    fn written(&self) -> MutexGuard<'_, Written<C>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All listed keys with their present values, one `key=value` a line.
    pub fn text(&self) -> String {
        self.written().text()
    }

    /// The same, and how often something was changed.
    pub fn shown(&self) -> (String, i64) {
        let written = self.written();
        (written.text(), self.changes.load(Ordering::Relaxed))
    }

    /// One key as text, if there is such a key.
    pub fn value(&self, key: &str) -> Option<String> {
        self.written().value(key).map(|value| value.text.clone())
    }

    /// The configuration as it holds, now and after each change.
    pub fn follow(&self) -> watch::Receiver<Arc<C>> {
        self.published.subscribe()
    }

    /// Changes the keys named in `text` (properties syntax), all or none, and keeps them over a restart. Gives what holds
    /// from now on.
    pub fn change(&self, text: &str) -> Result<C, UpdateRefused> {
        let _turn = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.written().clone();
        let changes = changes(self.server, &old, text)?;
        let mut new = old.clone();
        for (key, value) in &changes {
            new.set(key, value, Origin::Request).map_err(|expected| {
                UpdateRefused::Malformed(format!("{} cannot be {}: {expected}", key.name, quoted(value)))
            })?;
        }
        if !changes.is_empty() {
            keep(self.server, &old, &new, &changes)?;
        }
        let config = new.config().clone();
        {
            let mut written = self.written();
            *written = new;
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
        self.published.send_replace(Arc::new(config.clone()));
        Ok(config)
    }
}

impl ConfigDesk for NamesrvDesk {
    fn text(&self) -> String {
        Desk::text(self)
    }

    fn update(&self, text: &str) -> Result<Settings, UpdateRefused> {
        self.change(text).map(|config| config.settings)
    }
}

/// The keys that `text` names, all of which may change by request. A key that is named twice gets its last value.
fn changes<C>(server: &Server<C>, written: &Written<C>, text: &str) -> Result<Changes<C>, UpdateRefused> {
    if text.len() > REQUEST_BYTES_MAX {
        return Err(UpdateRefused::Malformed(format!("the text is longer than {REQUEST_BYTES_MAX} bytes")));
    }
    let properties = properties::read(text.as_bytes());
    if let Some(fault) = properties.faults.first() {
        return Err(UpdateRefused::Malformed(format!("line {}: {}", fault.line, fault.reason)));
    }
    let forbidden: Vec<&str> = (server.black_list)(written.config()).split(';').map(str::trim).collect();
    let mut changes: Changes<C> = Vec::new();
    for entry in properties.entries {
        let Some(key) = server.keys.find(&entry.key) else {
            return Err(UpdateRefused::UnknownKey(unknown(server, &entry.key)));
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

fn unknown<C>(server: &Server<C>, word: &str) -> String {
    match nearest(server.keys, word) {
        Some(nearest) => format!("{} is an unknown key; did you mean \"{nearest}\"?", quoted(word)),
        None => format!("{} is an unknown key", quoted(word)),
    }
}

/// Writes the changed values into the file, so that the next start finds them.
fn keep<C>(
    server: &Server<C>,
    old: &Written<C>,
    new: &Written<C>,
    changes: &[(&'static Key<C>, String)],
) -> Result<(), UpdateRefused> {
    let path = (server.file)(old.config());
    let refused = |reason: String| UpdateRefused::NotWritten { path: path.to_path_buf(), reason };
    for (key, _) in changes {
        // The file could not win over these at the next start.
        if let Some(origin @ (Origin::Environment { .. } | Origin::CommandLine)) = old.origin(key.name) {
            return Err(refused(format!("{} is set by the {origin}, which wins over the file", key.name)));
        }
    }
    let mut text = read_or_new(server, path).map_err(|error| refused(error.to_string()))?;
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

fn read_or_new<C>(server: &Server<C>, path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let verb = server.update_verb;
            let opening = format!(
                "# Changes made by request (mqadmin {verb}). Read at the start unless -c names another file.\n"
            );
            Ok(opening.into_bytes())
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests;
