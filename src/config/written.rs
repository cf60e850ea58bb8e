//! The configuration as it is written: each key's value as text, and where it came from, beside what the server is told.
//!
//! The text is what people and Apache's tools see, the typed configuration is what runs; [`Written::set`] changes both
//! or neither.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::field::WrongValue;
use super::keys::{Class, Key, KeyTable, Listing};
use super::machine::Machine;
use super::properties::{escape_key, escape_value};

/// Stands for a secret.
const HIDDEN: &str = "******";

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    BuiltIn,
    File { path: PathBuf, line: usize },
    Environment { variable: String },
    CommandLine,
    Request,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Origin::BuiltIn => f.write_str("built in"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment { variable } => write!(f, "environment {variable}"),
            Origin::CommandLine => f.write_str("command line"),
            Origin::Request => f.write_str("changed by request"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    pub text: String,
    pub origin: Origin,
}

#[derive(Clone, Debug)]
pub struct Written<C: 'static> {
    keys: KeyTable<C>,
    config: C,
    /// By name. Invariant: every key has one.
    values: BTreeMap<&'static str, Value>,
    machine: Machine,
}

impl<C> Written<C> {
    /// The built-in values of all keys, laid over `blank`. Those that the machine cannot give are missing.
    pub fn built_in(keys: KeyTable<C>, blank: C, machine: Machine) -> Self {
        let mut written = Written { keys, config: blank, values: BTreeMap::new(), machine };
        for key in keys.iter() {
            let default = written.machine.filled(key.default);
            if written.set(key, &default, Origin::BuiltIn).is_err() {
                let missing = Value { text: String::new(), origin: Origin::BuiltIn };
                written.values.insert(key.name, missing);
            }
        }
        written
    }

    /// Gives `key` the value that `text` means, or says what was expected.
    pub fn set(&mut self, key: &'static Key<C>, text: &str, origin: Origin) -> Result<(), WrongValue> {
        let text = match &key.class {
            Class::Effective { field, .. } => field.put(&mut self.config, text, &self.machine)?,
            Class::Ignored(_) | Class::Refused { .. } => text.trim().to_string(),
        };
        self.values.insert(key.name, Value { text, origin });
        Ok(())
    }

    pub fn keys(&self) -> KeyTable<C> {
        self.keys
    }

    pub fn config(&self) -> &C {
        &self.config
    }

    /// What follows from several keys is worked out last.
    pub fn settle<T>(&mut self, settle: impl FnOnce(&mut C) -> T) -> T {
        settle(&mut self.config)
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.value(name).map(|value| &value.origin)
    }

    /// The listed keys as `key=value` lines, in the order of their names: what Apache's tools read.
    pub fn text(&self) -> String {
        self.listed().map(|(key, value)| format!("{}\n", line(key, value))).collect()
    }

    /// The same with the origin of each value behind it, for people.
    pub fn text_with_origins(&self) -> String {
        let lines: Vec<_> = self.listed().map(|(key, value)| (line(key, value), &value.origin)).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
        lines.into_iter().map(|(line, origin)| format!("{line:width$}   {origin}\n")).collect()
    }

    /// The few that say what the server is.
    pub fn important_text(&self) -> String {
        let important = self.listed().filter(|(key, _)| key.is_important);
        important.map(|(key, value)| format!("{}\n", line(key, value))).collect()
    }

    fn listed(&self) -> impl Iterator<Item = (&'static Key<C>, &Value)> {
        let values = self.values.iter().filter_map(|(name, value)| Some((self.keys.find(name)?, value)));
        values.filter(|(key, value)| match key.listing {
            Listing::Always => true,
            Listing::IfSet => !value.text.is_empty(),
            Listing::Never => false,
        })
    }
}

fn line<C>(key: &Key<C>, value: &Value) -> String {
    let is_hidden = key.is_secret && value.text != key.default;
    let text = if is_hidden { HIDDEN } else { &value.text };
    format!("{}={}", escape_key(key.name), escape_value(text))
}
