//! The configuration as it is written: each key's value as text, and where it came from, beside what the server is told.
//!
//! The text is what people and Apache's tools see, the typed configuration is what runs; [`Written::set`] changes both
//! or neither.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::field::WrongValue;
use super::keys::{Class, Key};
use super::properties::{escape_key, escape_value};

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
    keys: &'static [Key<C>],
    config: C,
    /// By name. Invariant: every key has one.
    values: BTreeMap<&'static str, Value>,
    home: Option<PathBuf>,
}

impl<C> Written<C> {
    /// The built-in values of all keys, laid over `blank`. Those that need the home folder are missing without it.
    pub fn built_in(keys: &'static [Key<C>], blank: C, home: Option<PathBuf>) -> Self {
        let mut written = Written { keys, config: blank, values: BTreeMap::new(), home };
        for key in keys {
            if written.set(key, key.default, Origin::BuiltIn).is_err() {
                let missing = Value { text: String::new(), origin: Origin::BuiltIn };
                written.values.insert(key.name, missing);
            }
        }
        written
    }

    /// Gives `key` the value that `text` means, or says what was expected.
    pub fn set(&mut self, key: &'static Key<C>, text: &str, origin: Origin) -> Result<(), WrongValue> {
        let text = match &key.class {
            Class::Effective { field, .. } => field.put(&mut self.config, text, self.home.as_deref())?,
            Class::Ignored(_) | Class::Refused { .. } => text.trim().to_string(),
        };
        self.values.insert(key.name, Value { text, origin });
        Ok(())
    }

    pub fn keys(&self) -> &'static [Key<C>] {
        self.keys
    }

    pub fn config(&self) -> &C {
        &self.config
    }

    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.value(name).map(|value| &value.origin)
    }

    /// The listed keys as `key=value` lines, in the order of their names: what Apache's tools read.
    pub fn text(&self) -> String {
        self.listed().map(|(name, value)| format!("{}\n", line(name, value))).collect()
    }

    /// The same with the origin of each value behind it, for people.
    pub fn text_with_origins(&self) -> String {
        let lines: Vec<_> = self.listed().map(|(name, value)| (line(name, value), &value.origin)).collect();
        let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
        lines.into_iter().map(|(line, origin)| format!("{line:width$}   {origin}\n")).collect()
    }

    fn listed(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        let is_listed = |name: &str| self.keys.iter().any(|key| key.is_listed && key.name == name);
        self.values.iter().map(|(name, value)| (*name, value)).filter(move |(name, _)| is_listed(name))
    }
}

fn line(name: &str, value: &Value) -> String {
    format!("{}={}", escape_key(name), escape_value(&value.text))
}
