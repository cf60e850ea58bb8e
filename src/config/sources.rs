//! Where values come from, last wins: built in, the file, the environment, the command line.
//!
//! [`load`] reads them all and reports every mistake in them, so that a user mends a file once and not line by line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::assignment::Assignment;
use super::check::Check;
use super::diagnostic::{Diagnostic, Severity, quoted, shown};
use super::machine::Machine;
use super::report::Report;
use super::server::Server;
use super::written::{Origin, Written};
use crate::errors::{MALFORMED_SETTING, UNREADABLE_FILE};

/// A configuration file is written by hand; past this it is something else.
const FILE_BYTES_MAX: u64 = 1 << 20;
const JAVA_OPTIONS: &str = "JAVA_OPT_EXT";

#[derive(Debug, Default)]
pub struct Sources {
    /// `-c`: must be readable. Without it the file that the server's own key names is read if it exists.
    pub file: Option<PathBuf>,
    /// Of the process. Only variables with the server's prefix count, and few of Apache's.
    pub environment: Vec<(String, String)>,
    /// `--set`: `KEY=VALUE` each.
    pub settings: Vec<String>,
    pub machine: Machine,
    /// Unknown keys are errors.
    pub is_strict: bool,
}

#[derive(Debug)]
pub struct Loaded<C: 'static> {
    pub written: Written<C>,
    pub report: Report,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// How many keys the sources set.
    pub keys_set: usize,
}

/// Reads all sources of a server.
pub fn load<C>(server: &'static Server<C>, sources: &Sources) -> Loaded<C> {
    let mut report = Report::default();
    let mut outside = variables(server.prefix, &sources.environment);
    for text in &sources.settings {
        match Assignment::on_command_line(text) {
            Some(setting) => outside.push(setting),
            None => report.add(malformed_setting(text)),
        }
    }
    let mut written = Written::built_in(server.keys, (server.blank)(), sources.machine.clone());
    let store = StoreFile::choose(server, &mut written, sources, &outside);
    let text = store.read().unwrap_or_else(|diagnostic| {
        report.add(diagnostic);
        None
    });

    let mut check = Check::new(server, written, report, &store, sources.is_strict);
    for (name, value) in &sources.environment {
        if server.variables.contains(&name.as_str()) && !value.trim().is_empty() {
            check.assign(&Assignment::in_environment("", name, value));
        }
    }
    if let Some(text) = &text {
        check.assign_file(&store.path, text);
    }
    for assignment in &outside {
        check.assign(assignment);
    }
    for (_, options) in sources.environment.iter().filter(|(name, _)| name == JAVA_OPTIONS) {
        check.refuse_java_options(JAVA_OPTIONS, options);
    }
    let (written, report, keys_set) = check.finish();
    Loaded { written, report, file: text.map(|_| store.path), keys_set }
}

/// The variables that name keys, in a fixed order.
fn variables(prefix: &str, environment: &[(String, String)]) -> Vec<Assignment<'static>> {
    let mut variables: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(prefix)?, value)))
        .filter(|(key, _)| !is_of_kubernetes(key))
        .map(|(key, value)| Assignment::in_environment(prefix, key, value))
        .collect();
    variables.sort_by(|one, other| one.key.cmp(&other.key));
    variables
}

/// Kubernetes puts such variables into every container when a service has the name that our prefix spells
/// (`ferrymq-namesrv`): nobody meant them for us.
fn is_of_kubernetes(key: &str) -> bool {
    key == "PORT" || ["PORT_", "SERVICE_HOST", "SERVICE_PORT"].iter().any(|start| key.starts_with(start))
}

fn malformed_setting(text: &str) -> Diagnostic {
    // What stands in front of the equals sign shows the mistake; what stands behind it may be a secret.
    let key = text.split_once('=').map_or(text, |(key, _)| key);
    let message = format!("--set {} has no key and value", quoted(key));
    Diagnostic::new(Severity::Error, &MALFORMED_SETTING, message).help("write --set KEY=VALUE")
}

/// The file that is read, and that keeps what is changed by request.
#[derive(Debug)]
pub struct StoreFile {
    pub path: PathBuf,
    pub origin: Origin,
    is_demanded: bool,
}

impl StoreFile {
    /// `-c`, else what the sources outside the file say, else the built-in path.
    fn choose<C>(
        server: &Server<C>,
        written: &mut Written<C>,
        sources: &Sources,
        outside: &[Assignment],
    ) -> Self {
        if let Some(path) = &sources.file {
            return StoreFile { path: path.clone(), origin: Origin::CommandLine, is_demanded: true };
        }
        for assignment in outside {
            if let Some(key) = assignment.row(written.keys()).filter(|key| key.name == server.file_key) {
                // A wrong value is reported when all values are checked; the file is then looked for elsewhere.
                let _ = written.set(key, &assignment.value, assignment.origin.clone());
            }
        }
        let (path, origin) = match written.value(server.file_key) {
            Some(value) => (PathBuf::from(&value.text), value.origin.clone()),
            None => (PathBuf::new(), Origin::BuiltIn),
        };
        StoreFile { path, origin, is_demanded: false }
    }

    /// The path from the root, as it is kept and compared.
    pub fn absolute(&self) -> PathBuf {
        std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    /// The text; none if there is no file and none was asked for.
    fn read(&self) -> Result<Option<Vec<u8>>, Diagnostic> {
        if self.path.as_os_str().is_empty() {
            return Ok(None);
        }
        match read_to_limit(&self.path) {
            Ok(text) if text.len() as u64 > FILE_BYTES_MAX => {
                Err(self.unreadable("it is larger than 1 MiB, so it is no configuration file"))
            }
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_demanded => Ok(None),
            Err(error) => Err(self.unreadable(&error.to_string())),
        }
    }

    fn unreadable(&self, reason: &str) -> Diagnostic {
        let message = format!("cannot read {}: {reason}", shown(&self.path.to_string_lossy()));
        let help = if self.is_demanded {
            "check the path behind -c and its permissions"
        } else {
            "mend its permissions, move it away, or name another file with -c"
        };
        Diagnostic::new(Severity::Error, &UNREADABLE_FILE, message).help(help)
    }
}

fn read_to_limit(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests;
