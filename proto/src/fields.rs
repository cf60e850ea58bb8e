//! The named values of a command (RocketMQ: `extFields`), in the order of the wire.
//!
//! A received command keeps them as the slice of its header that holds them, and where they lie in it; a typed header takes
//! from there what it wants, and no map is ever built. A command of our own holds the list that is to be written.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

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
    Json(Object),
    /// A ROCKETMQ map. Invariant: well-formed, checked by [`Fields::from_binary`].
    Binary(Bytes),
    Listed(List),
}

/// A JSON object and its members. One that is null is none.
#[derive(Clone, Debug)]
struct Object {
    source: Bytes,
    /// What had escapes, without them.
    unescaped: Text,
    members: Vec<(Place, Place)>,
}

/// Where a name or a value lies. No header is so long that a place in it would not fit.
#[derive(Clone, Copy, Debug)]
enum Place {
    Source(u32, u32),
    Unescaped(u32, u32),
}

impl Place {
    /// Of what was read from `source`.
    fn of(source: &str, part: Cow<'_, str>, unescaped: &mut String) -> Self {
        match part {
            Cow::Borrowed(part) => {
                let from = part.as_ptr().addr().saturating_sub(source.as_ptr().addr());
                Self::Source(from as u32, (from + part.len()) as u32)
            }
            Cow::Owned(part) => {
                let from = unescaped.len();
                if from == 0 {
                    *unescaped = part;
                } else {
                    unescaped.push_str(&part);
                }
                Self::Unescaped(from as u32, unescaped.len() as u32)
            }
        }
    }
}

impl Object {
    fn for_each(&self, mut visit: impl FnMut(&str, FieldText<'_>)) {
        let (source, unescaped) = (str::from_utf8(&self.source).unwrap_or_default(), self.unescaped.as_str());
        let text = |place| {
            let (whole, text, from, to) = match place {
                Place::Source(from, to) => (&self.source, source, from, to),
                Place::Unescaped(from, to) => (self.unescaped.as_shared(), unescaped, from, to),
            };
            let text = text.get(from as usize..to as usize).unwrap_or_default();
            FieldText { text, origin: Origin::PartOf(whole) }
        };
        for (name, value) in &self.members {
            visit(&text(*name), text(*value));
        }
    }
}

/// The value of a field for those who look at it. It becomes a [`Text`] only where somebody keeps it.
#[derive(Clone, Copy, Debug)]
pub struct FieldText<'a> {
    text: &'a str,
    origin: Origin<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    PartOf(&'a Bytes),
    Whole(&'a Text),
    Elsewhere,
}

impl FieldText<'_> {
    pub fn to_text(self) -> Text {
        match self.origin {
            Origin::PartOf(whole) => Text::part_of(whole, Cow::Borrowed(self.text)),
            Origin::Whole(text) => text.clone(),
            Origin::Elsewhere => Text::from(self.text),
        }
    }
}

impl Deref for FieldText<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        self.text
    }
}

impl fmt::Display for FieldText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl<'a> From<&'a Text> for FieldText<'a> {
    fn from(text: &'a Text) -> Self {
        Self { text: text.as_str(), origin: Origin::Whole(text) }
    }
}

impl<'a> From<&'a str> for FieldText<'a> {
    fn from(text: &'a str) -> Self {
        Self { text, origin: Origin::Elsewhere }
    }
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
/// Room for the members of most requests.
const MEMBERS: usize = 16;

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

    /// Reads the object that is next, and keeps it. What is read must lie in `header`.
    ///
    /// Values should be strings; Java also takes numbers and booleans by their source, and so do we. Nulls are skipped.
    pub(crate) fn read_json(header: &Bytes, reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let rest = reader.rest_from_value();
        let (mut members, mut unescaped) = (Vec::with_capacity(MEMBERS), String::new());
        let object = reader.source_of(|reader| {
            reader.object(|reader, key| {
                let value = match reader.kind()? {
                    Kind::String => reader.string()?,
                    Kind::Null => return reader.skip(),
                    _ => Cow::Borrowed(reader.source()?),
                };
                if members.len() == FIELDS_MAX {
                    return Err(JsonError::Expected { expected: "at most 256 fields", at: 0 });
                }
                let name = match key {
                    Key::Text(name) => name,
                    Key::Literal(source) => Cow::Borrowed(source),
                };
                let name = Place::of(rest, name, &mut unescaped);
                members.push((name, Place::of(rest, value, &mut unescaped)));
                Ok(())
            })
        })?;
        let source = header.slice_ref(object.as_bytes());
        Ok(Self(Source::Json(Object { source, unescaped: unescaped.into(), members })))
    }

    /// `map` must have been checked by [`binary`].
    pub(crate) fn from_binary(map: Bytes) -> Self {
        Self(Source::Binary(map))
    }

    pub fn is_absent(&self) -> bool {
        matches!(self.0, Source::Absent)
    }

    /// Calls `visit` with each name and value, in order. A name that comes twice is visited twice: the last one counts.
    pub fn for_each(&self, mut visit: impl FnMut(&str, FieldText<'_>)) {
        match &self.0 {
            Source::Absent => {}
            Source::Json(object) => object.for_each(visit),
            Source::Binary(map) => binary::for_each_entry(map, |name, value| visit(name, (&value).into())),
            Source::Listed(list) => list.for_each(|name, value| visit(name, value.into())),
        }
    }

    pub fn get(&self, wanted: &str) -> Option<Text> {
        let mut found = None;
        self.for_each(|name, value| {
            if name == wanted {
                found = Some(value.to_text());
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
            self.for_each(|name, value| {
                list.values.push_str(&value);
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
            fields.for_each(|name, value| list.push((name.to_owned(), value.to_text())));
            list
        };
        self.is_absent() == other.is_absent() && listed(self) == listed(other)
    }
}

impl Eq for Fields {}

/// Fields one command may carry. The richest request of any client has about 20.
pub(crate) const FIELDS_MAX: usize = 256;
