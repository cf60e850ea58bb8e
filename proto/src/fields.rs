//! The named values of a command (RocketMQ: `extFields`), in the order of the wire.
//!
//! A received command keeps them as the slice of its header that holds them; they are read in one pass when a typed header
//! asks for them, and no map is ever built. A command of our own holds the list that is to be written.

use std::borrow::Cow;

use bytes::Bytes;

use crate::command::binary;
use crate::json::{JsonError, Kind, Reader};
use crate::text::Text;

#[derive(Clone, Debug, Default)]
pub struct Fields(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    /// The command has no such part at all, which some clients tell apart from an empty one.
    #[default]
    Absent,
    /// A JSON object. Invariant: well-formed UTF-8, checked by [`Fields::from_json`].
    Json(Bytes),
    /// A ROCKETMQ map. Invariant: well-formed, checked by [`Fields::from_binary`].
    Binary(Bytes),
    Listed(Vec<(Cow<'static, str>, Text)>),
}

impl Fields {
    /// No values, but present.
    pub fn empty() -> Self {
        Self(Source::Listed(Vec::new()))
    }

    /// `object` must have been stepped over by a [`Reader`] and lie in `header`.
    pub(crate) fn from_json(header: &Bytes, object: &str) -> Result<Self, JsonError> {
        let mut count = 0;
        for_each_member(object, |_, _| count += 1)?;
        if count > FIELDS_MAX {
            return Err(JsonError::Expected { expected: "at most 256 fields", at: 0 });
        }
        Ok(Self(Source::Json(header.slice_ref(object.as_bytes()))))
    }

    /// `map` must have been checked by [`binary`].
    pub(crate) fn from_binary(map: Bytes) -> Self {
        Self(Source::Binary(map))
    }

    pub fn is_absent(&self) -> bool {
        matches!(self.0, Source::Absent)
    }

    /// Calls `visit` with each name and value, in order. A name that comes twice is visited twice: the last one counts.
    pub fn for_each(&self, mut visit: impl FnMut(&str, Text)) {
        match &self.0 {
            Source::Absent => {}
            Source::Json(object) => {
                let text = std::str::from_utf8(object).unwrap_or_default();
                let visited = for_each_member(text, |name, value| visit(&name, Text::part_of(object, value)));
                debug_assert!(visited.is_ok(), "checked fields no longer parse: {visited:?}");
            }
            Source::Binary(map) => binary::for_each_entry(map, visit),
            Source::Listed(list) => list.iter().for_each(|(name, value)| visit(name, value.clone())),
        }
    }

    pub fn get(&self, wanted: &str) -> Option<Text> {
        let mut found = None;
        self.for_each(|name, value| {
            if name == wanted {
                found = Some(value);
            }
        });
        found
    }

    /// Adds a value at the end.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Text>) {
        if !matches!(self.0, Source::Listed(_)) {
            let mut list = Vec::new();
            self.for_each(|name, value| list.push((Cow::Owned(name.to_owned()), value)));
            self.0 = Source::Listed(list);
        }
        if let Source::Listed(list) = &mut self.0 {
            list.push((name.into(), value.into()));
        }
    }
}

/// Two commands carry the same fields when they list the same names and values in the same order.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        let listed = |fields: &Self| {
            let mut list = Vec::new();
            fields.for_each(|name, value| list.push((name.to_owned(), value)));
            list
        };
        self.is_absent() == other.is_absent() && listed(self) == listed(other)
    }
}

impl Eq for Fields {}

/// Fields one command may carry. The richest request of any client has about 20.
pub(crate) const FIELDS_MAX: usize = 256;

/// Values should be strings; Java also takes numbers and booleans by their source, and so do we. Nulls are skipped.
fn for_each_member<'a>(
    object: &'a str,
    mut visit: impl FnMut(Cow<'a, str>, Cow<'a, str>),
) -> Result<(), JsonError> {
    Reader::new(object).object(|reader, key| {
        let value = match reader.kind()? {
            Kind::String => reader.string()?,
            Kind::Null => return reader.skip(),
            _ => Cow::Borrowed(reader.source()?),
        };
        match key {
            crate::json::Key::Text(name) => visit(name, value),
            crate::json::Key::Literal(source) => visit(Cow::Borrowed(source), value),
        }
        Ok(())
    })
}
