//! Lays the sources over the built-in values, one assignment at a time, and says what is wrong with each.

use std::path::Path;

use super::assignment::Assignment;
use super::conflict::Conflict;
use super::diagnostic::{Diagnostic, Pointer, Severity, quoted, shown};
use super::field::WrongValue;
use super::keys::{Class, Ignored, Key, nearest};
use super::machine::described;
use super::properties::{self, Fault};
use super::report::Report;
use super::server::Server;
use super::sources::StoreFile;
use super::written::{Origin, Value, Written};
use crate::errors::{
    DUPLICATE_KEY, KEY_WITHOUT_EFFECT, MALFORMED_LINE, Problem, STORE_PATH_NOT_OBEYED, UNKNOWN_KEY,
    WRONG_VALUE,
};

/// A family of ignored keys names its members up to this; past it, it only counts them.
const IGNORED_NAMED_MAX: usize = 4;

#[derive(Debug)]
pub struct Check<'a, C: 'static> {
    server: &'static Server<C>,
    written: Written<C>,
    report: Report,
    store: &'a StoreFile,
    is_strict: bool,
    /// Each key that was set, with the last place.
    set: Vec<(&'static Key<C>, Origin, Pointer)>,
    /// Keys whose last value was none, or asked for what is not offered.
    wrong: Vec<&'static str>,
}

impl<'a, C> Check<'a, C> {
    pub fn new(
        server: &'static Server<C>,
        written: Written<C>,
        report: Report,
        store: &'a StoreFile,
        is_strict: bool,
    ) -> Self {
        Check { server, written, report, store, is_strict, set: Vec::new(), wrong: Vec::new() }
    }

    /// The entries of a file and what could not be read in it, from top to bottom.
    pub fn assign_file(&mut self, path: &Path, text: &[u8]) {
        let properties = properties::read(text);
        let mut faults = properties.faults.iter().peekable();
        for entry in properties.entries {
            while let Some(fault) = faults.next_if(|fault| fault.span.start < entry.key_span.start) {
                self.malformed(path, text, fault);
            }
            self.assign(&Assignment::in_file(path, text, entry));
        }
        faults.for_each(|fault| self.malformed(path, text, fault));
    }

    fn malformed(&mut self, path: &Path, text: &[u8], fault: &Fault) {
        let place = shown(&path.to_string_lossy());
        let label = fault.reason.to_string();
        let pointer = Pointer::new(place, Some(fault.line), text, &fault.span, label).without_rest();
        let error = error(&MALFORMED_LINE, "this escape cannot be read");
        self.report.add(error.at(pointer).help("write \\\\ for a backslash that begins no escape"));
    }

    pub fn assign(&mut self, assignment: &Assignment) {
        let Some(key) = assignment.row(self.written.keys()) else {
            self.unknown(assignment);
            return;
        };
        self.duplicate(key, assignment);
        self.wrong.retain(|wrong| *wrong != key.name);
        match self.written.set(key, &assignment.value, assignment.origin.clone()) {
            Err(expected) => self.wrong_value(key, assignment, &expected),
            Ok(()) if key.name == self.server.file_key => self.other_store_path(assignment),
            Ok(()) => self.refused(key, assignment),
        }
    }

    fn unknown(&mut self, assignment: &Assignment) {
        if assignment.key.is_empty() {
            let error = error(&MALFORMED_LINE, "this line has no key");
            self.report.add(error.at(assignment.key_pointer("expected a key")).help("write key=value"));
            return;
        }
        let nearest = nearest(self.written.keys(), &assignment.key);
        let name = quoted(assignment.spelling());
        if self.is_strict {
            let error =
                error(&UNKNOWN_KEY, format!("unknown key {name}")).at(assignment.key_pointer("unknown"));
            self.report.add(error.help(match nearest {
                Some(nearest) => format!("did you mean \"{nearest}\"?"),
                None => "remove it, or leave --strict away to ignore it".to_string(),
            }));
            return;
        }
        let hint = nearest.map(|nearest| format!("; did you mean \"{nearest}\"?")).unwrap_or_default();
        let place = match &assignment.origin {
            Origin::Environment { .. } => "environment".to_string(),
            origin => origin.to_string(),
        };
        let message = format!("unknown key {name} ({}) — ignored{hint}", shown(&place));
        self.report.add(Diagnostic::new(Severity::Warning, &UNKNOWN_KEY, message));
    }

    /// Remembers where a key was set, and warns if the same file did it before.
    fn duplicate(&mut self, key: &'static Key<C>, assignment: &Assignment) {
        let pointer = assignment.value_pointer("");
        let Some((_, earlier, place)) = self.set.iter_mut().find(|(set, ..)| set.name == key.name) else {
            self.set.push((key, assignment.origin.clone(), pointer));
            return;
        };
        *place = pointer;
        let earlier = std::mem::replace(earlier, assignment.origin.clone());
        if let (Origin::File { .. }, Origin::File { line, .. }) = (&earlier, &assignment.origin) {
            let message =
                format!("{} is set twice ({earlier} and line {line}) — the last one counts", key.name);
            self.report.add(Diagnostic::new(Severity::Warning, &DUPLICATE_KEY, shown(&message)));
        }
    }

    fn wrong_value(&mut self, key: &Key<C>, assignment: &Assignment, expected: &WrongValue) {
        self.wrong.push(key.name);
        let message = format!("{} cannot be {}", key.name, quoted(assignment.value.trim()));
        let error = error(&WRONG_VALUE, message).at(assignment.value_pointer(expected.to_string()));
        // Only keys with a type can be wrong, and these have a sentence.
        let Class::Effective { about, .. } = &key.class else { return self.report.add(error) };
        self.report.add(error.help(format!("{about} Built in: {}.", described(key.default))));
    }

    fn other_store_path(&mut self, assignment: &Assignment) {
        let kept = self.store.absolute();
        let is_same = |value: &str| std::path::absolute(value).is_ok_and(|path| path == kept);
        if self.written.value(self.server.file_key).is_some_and(|value| is_same(&value.text)) {
            return;
        }
        let kept = shown(&kept.to_string_lossy());
        let key = self.server.file_key;
        let message = format!("{key} is not obeyed: changes by request are kept in {kept}");
        let pointer = assignment.value_pointer("another file than the one that is read");
        self.report.add(Diagnostic::new(Severity::Warning, &STORE_PATH_NOT_OBEYED, message).at(pointer));
    }

    /// Reports a key that asks for what we do not have.
    fn refused(&mut self, key: &Key<C>, assignment: &Assignment) {
        let Class::Refused { harmless, problem, reason } = &key.class else { return };
        let value = assignment.value.trim();
        if value.is_empty() || harmless.iter().any(|harmless| harmless.eq_ignore_ascii_case(value)) {
            return;
        }
        self.wrong.push(key.name);
        let (name, default) = (key.name, key.default);
        self.report.add(if harmless.is_empty() {
            let pointer = assignment.key_pointer("not offered");
            error(problem, format!("{name} cannot be set: {reason}")).at(pointer).help("remove this key")
        } else {
            let pointer = assignment.value_pointer(format!("expected {}", harmless.join(" or ")));
            let error = error(problem, format!("{name} cannot be {}: {reason}", quoted(value))).at(pointer);
            error.help(format!("remove this key, or set it to {default}"))
        });
    }

    /// Java's own options have no meaning here, but those that ask for security must not be lost in silence.
    pub fn refuse_java_options(&mut self, variable: &str, options: &str) {
        for option in options.split_whitespace() {
            let Some(mut assignment) = option.strip_prefix("-D").and_then(Assignment::on_command_line) else {
                continue;
            };
            if let Some(key) = assignment.row(self.written.keys()) {
                assignment.origin = Origin::Environment { variable: variable.to_string() };
                self.refused(key, &assignment);
            }
        }
    }

    /// What was written, what is to be said about it, and how many keys were set.
    pub fn finish(mut self) -> (Written<C>, Report, usize) {
        self.missing_built_in();
        for (name, text) in (self.server.dependent)(self.written.config()) {
            let key = self.written.keys().find(name);
            if let Some(key) = key.filter(|_| self.written.origin(name) == Some(&Origin::BuiltIn)) {
                // A value of our own is a right one.
                let _ = self.written.set(key, text, Origin::BuiltIn);
            }
        }
        for conflict in self.written.settle(self.server.settle) {
            self.conflict(conflict);
        }
        self.summarise_ignored();
        if let Some(key) = self.written.keys().find(self.server.file_key) {
            // Nothing is lost if it fails: then the path is missing, which was reported.
            let path = self.store.absolute();
            let _ = self.written.set(key, &path.to_string_lossy(), self.store.origin.clone());
        }
        (self.written, self.report, self.set.len())
    }

    fn conflict(&mut self, conflict: Conflict) {
        let Conflict { severity, problem, keys, message, label, help } = conflict;
        if keys.iter().any(|key| self.wrong.contains(key)) {
            return;
        }
        let diagnostic = Diagnostic::new(severity, problem, message).help(help);
        let pointer_of = |name: &&str| self.set.iter().find(|(key, ..)| key.name == *name);
        self.report.add(match keys.iter().find_map(pointer_of) {
            Some((_, _, pointer)) => diagnostic.at(pointer.clone().labelled(label)),
            None => diagnostic,
        });
    }

    /// Without a home folder some built-in paths do not exist; without a proper host name there is no name.
    fn missing_built_in(&mut self) {
        for key in self.written.keys().iter() {
            let is_missing = |value: &Value| value.text.is_empty() && value.origin == Origin::BuiltIn;
            let is_missing = self.written.value(key.name).is_some_and(is_missing);
            let is_needed = matches!(key.class, Class::Effective { .. }) && !key.default.is_empty();
            let is_given = key.name == self.server.file_key && !self.store.path.as_os_str().is_empty();
            if is_missing && is_needed && !is_given {
                let (name, default) = (key.name, key.default);
                let is_path = default.starts_with("~/");
                let why = if is_path { "needs a home folder" } else { "cannot be used" };
                let message = format!("{name} has no value: {} {why}", described(default));
                let error = error(&WRONG_VALUE, message);
                self.report.add(error.help(if is_path {
                    format!("set HOME, or {name}")
                } else {
                    format!("set {name}")
                }));
            }
        }
    }

    /// One line for all keys without effect.
    fn summarise_ignored(&mut self) {
        let mut families: Vec<(&'static Ignored, Vec<&'static str>)> = Vec::new();
        for (key, ..) in &self.set {
            let Class::Ignored(family) = &key.class else { continue };
            match families.iter_mut().find(|(known, _)| known.plural == family.plural) {
                Some((_, names)) => names.push(key.name),
                None => families.push((family, vec![key.name])),
            }
        }
        let have = match families.iter().map(|(_, names)| names.len()).sum() {
            0 => return,
            1 => "1 key has".to_string(),
            count => format!("{count} keys have"),
        };
        let parts: Vec<String> = families
            .iter()
            .map(|(family, names)| match names.len() {
                0..=IGNORED_NAMED_MAX => format!("{} ({})", family.plural, names.join(", ")),
                many => format!("{many} {}", family.plural),
            })
            .collect();
        let message = format!("{have} no effect here: {}", parts.join(", "));
        self.report.add(Diagnostic::new(Severity::Note, &KEY_WITHOUT_EFFECT, message));
    }
}

fn error(problem: &'static Problem, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Severity::Error, problem, message)
}
