//! One `key=value` of any source, with the text it stands in, so that a mistake in it can be pointed at.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use super::diagnostic::{Pointer, shown};
use super::keys::{Key, KeyTable};
use super::properties::{self, Entry};
use super::written::Origin;

#[derive(Clone, Debug)]
pub struct Assignment<'a> {
    pub key: String,
    pub value: String,
    pub origin: Origin,
    text: Cow<'a, [u8]>,
    key_span: Range<usize>,
    value_span: Range<usize>,
}

impl<'a> Assignment<'a> {
    /// An entry of the file at `path`, whose text is `text`.
    pub fn in_file(path: &Path, text: &'a [u8], entry: Entry) -> Self {
        let Entry { key, value, line, key_span, value_span, .. } = entry;
        let origin = Origin::File { path: path.to_path_buf(), line };
        Assignment { key, value, origin, text: Cow::Borrowed(text), key_span, value_span }
    }

    /// The variable `prefix` + `key` of the environment.
    pub fn in_environment(prefix: &str, key: &str, value: &str) -> Assignment<'static> {
        let variable = format!("{prefix}{key}");
        let text = format!("{variable}={value}");
        Assignment {
            key: key.to_string(),
            value: value.to_string(),
            key_span: 0..variable.len(),
            value_span: variable.len() + 1..text.len(),
            text: Cow::Owned(text.into_bytes()),
            origin: Origin::Environment { variable },
        }
    }

    /// `KEY=VALUE`, or none if there is no key or no equals sign.
    pub fn on_command_line(text: &str) -> Option<Assignment<'static>> {
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty())?;
        Some(Assignment {
            key: key.to_string(),
            value: value.to_string(),
            key_span: 0..key.len(),
            value_span: key.len() + 1..text.len(),
            text: Cow::Owned(text.as_bytes().to_vec()),
            origin: Origin::CommandLine,
        })
    }

    /// The row that is meant. Environment variables spell keys in their own way.
    pub fn row<C>(&self, keys: KeyTable<C>) -> Option<&'static Key<C>> {
        match self.origin {
            Origin::Environment { .. } => keys.iter().find(|key| key.is_variable(&self.key)),
            _ => keys.find(&self.key),
        }
    }

    /// What the user wrote for the key: an environment variable with its prefix.
    pub fn spelling(&self) -> &str {
        match &self.origin {
            Origin::Environment { variable } => variable,
            _ => &self.key,
        }
    }

    /// Points at the key and shows nothing behind it: the value may be a secret.
    pub fn key_pointer(&self, label: impl Into<String>) -> Pointer {
        self.pointer(&self.key_span, label.into()).without_rest()
    }

    pub fn value_pointer(&self, label: impl Into<String>) -> Pointer {
        self.pointer(&self.value_span, label.into())
    }

    fn pointer(&self, span: &Range<usize>, label: String) -> Pointer {
        match &self.origin {
            Origin::File { path, line } => {
                let line = properties::line_number(&self.text, *line, self.key_span.start, span.start);
                Pointer::new(shown(&path.to_string_lossy()), Some(line), &self.text, span, label)
            }
            origin => Pointer::new(origin.to_string(), None, &self.text, span, label),
        }
    }
}
