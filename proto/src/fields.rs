//! The named values of a command (RocketMQ: `extFields`), in the order of the wire.
//!
//! A received command keeps them as the slice of its header that holds them; they are read in one pass when a typed header
//! asks for them, and no map is ever built. A command of our own holds the list that is to be written.

use std::borrow::Cow;

use bytes::Bytes;

use crate::command::binary;
use crate::header::Slot;
use crate::json::{JsonError, Key, Kind, Reader};
use crate::text::Text;

#[derive(Clone, Debug, Default)]
pub struct Fields(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    /// The command has no such part at all, which some clients tell apart from an empty one.
    #[default]
    Absent,
    /// A JSON object. Invariant: well-formed UTF-8, checked by [`Fields::read_json`].
    Json(Bytes),
    /// A ROCKETMQ map. Invariant: well-formed, checked by [`Fields::from_binary`].
    Binary(Bytes),
    Listed(List),
}

/// Names, and their values one behind the other: a list costs two buffers, however long it is.
#[derive(Clone, Debug, Default)]
struct List {
    /// Each with the place where its value ends, which begins where the one before does.
    names: Vec<(Cow<'static, str>, usize)>,
    values: String,
}

/// Room for the values of most answers.
const VALUES_BYTES: usize = 160;
const NAMES: usize = 8;

impl List {
    fn for_each(&self, mut visit: impl FnMut(&str, &str)) {
        let mut from = 0;
        for (name, to) in &self.names {
            visit(name, self.values.get(from..*to).unwrap_or_default());
            from = *to;
        }
    }
}

impl Fields {
    /// No values, but present.
    pub fn empty() -> Self {
        Self(Source::Listed(List::default()))
    }

    /// Steps over the object that is next, and keeps it. What is read must lie in `header`.
    pub(crate) fn read_json(header: &Bytes, reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut count = 0;
        let object = reader.source_of(|reader| {
            reader.object(|reader, _| {
                count += usize::from(reader.kind()? != Kind::Null);
                reader.skip()
            })
        })?;
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
            Source::Listed(list) => list.for_each(|name, value| visit(name, Text::from(value))),
        }
    }

    /// As [`Self::for_each`], for those who only look.
    pub(crate) fn for_each_str(&self, mut visit: impl FnMut(&str, &str)) {
        match &self.0 {
            Source::Listed(list) => list.for_each(visit),
            _ => self.for_each(|name, value| visit(name, &value)),
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
        self.put(name, &value.into());
    }

    /// Adds a value at the end, if there is one.
    pub fn put(&mut self, name: impl Into<Cow<'static, str>>, value: &impl Slot) {
        if !matches!(self.0, Source::Listed(_)) {
            let mut list = List::default();
            self.for_each_str(|name, value| {
                list.values.push_str(value);
                list.names.push((Cow::Owned(name.to_owned()), list.values.len()));
            });
            self.0 = Source::Listed(list);
        }
        let Source::Listed(List { names, values }) = &mut self.0 else { return };
        if names.is_empty() {
            names.reserve(NAMES);
            values.reserve(VALUES_BYTES);
        }
        if value.write(values) {
            names.push((name.into(), values.len()));
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
            Key::Text(name) => visit(name, value),
            Key::Literal(source) => visit(Cow::Borrowed(source), value),
        }
        Ok(())
    })
}
