//! Which Rust types are read from and written to JSON, and how leniently.

use std::collections::{BTreeMap, BTreeSet};

use super::{Dialect, JsonError, Key, Kind, Reader, Writer};
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use crate::text::Text;

pub trait FromJson: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError>;
}

pub trait ToJson {
    fn write(&self, writer: &mut Writer);

    /// An absent member is left out of its object.
    fn is_absent(&self) -> bool {
        false
    }
}

/// A type that can stand before the colon of a map entry.
pub trait MapKey: Sized + Ord {
    fn read_key(key: Key<'_>) -> Result<Self, JsonError>;
    fn write_key(&self, writer: &mut Writer);
}

pub fn from_str<T: FromJson>(text: &str) -> Result<T, JsonError> {
    let mut reader = Reader::new(text);
    let value = T::read(&mut reader)?;
    reader.end().map(|()| value)
}

pub fn from_slice<T: FromJson>(bytes: &[u8]) -> Result<T, JsonError> {
    from_str(std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?)
}

pub fn to_string<T: ToJson + ?Sized>(value: &T, dialect: Dialect) -> String {
    let mut writer = Writer::new(dialect);
    value.write(&mut writer);
    writer.finish()
}

/// Whole numbers: also from a string, as Java reads them.
fn read_integer(reader: &mut Reader<'_>) -> Result<i64, JsonError> {
    let at = reader.position();
    let out_of_range = |_| JsonError::OutOfRange { at };
    match reader.kind()? {
        Kind::String => reader.string()?.trim().parse().map_err(out_of_range),
        _ => reader.number()?.parse().map_err(out_of_range),
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl FromJson for $integer {
            fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
                let at = reader.position();
                Self::try_from(read_integer(reader)?).map_err(|_| JsonError::OutOfRange { at })
            }
        }

        impl ToJson for $integer {
            fn write(&self, writer: &mut Writer) {
                writer.integer(i64::from(*self));
            }
        }

        impl MapKey for $integer {
            fn read_key(key: Key<'_>) -> Result<Self, JsonError> {
                key.as_str().parse().map_err(|_| JsonError::OutOfRange { at: 0 })
            }

            fn write_key(&self, writer: &mut Writer) {
                writer.integer_key(i64::from(*self));
            }
        }
    )*};
}

integers!(i32, i64, u32);

macro_rules! positions {
    ($($position:ident),*) => {$(
        impl FromJson for $position {
            fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
                FromJson::read(reader).map($position)
            }
        }

        impl ToJson for $position {
            fn write(&self, writer: &mut Writer) {
                self.0.write(writer);
            }
        }

        impl MapKey for $position {
            fn read_key(key: Key<'_>) -> Result<Self, JsonError> {
                MapKey::read_key(key).map($position)
            }

            fn write_key(&self, writer: &mut Writer) {
                MapKey::write_key(&self.0, writer);
            }
        }
    )*};
}

positions!(QueueId, QueueOffset, LogOffset, Timestamp);

impl FromJson for f64 {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let at = reader.position();
        reader.number()?.parse().map_err(|_| JsonError::OutOfRange { at })
    }
}

impl ToJson for f64 {
    fn write(&self, writer: &mut Writer) {
        writer.double(*self);
    }
}

impl FromJson for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        reader.boolean()
    }
}

impl ToJson for bool {
    fn write(&self, writer: &mut Writer) {
        writer.boolean(*self);
    }
}

/// Text: also from a number or a boolean, by its source, as Java reads them.
fn read_text<T: for<'s> From<&'s str>>(reader: &mut Reader<'_>) -> Result<T, JsonError> {
    match reader.kind()? {
        Kind::String => Ok(T::from(&reader.string()?)),
        Kind::Object | Kind::Array | Kind::Null => reader.expected("a string"),
        Kind::Number | Kind::True | Kind::False => Ok(T::from(reader.source()?)),
    }
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl FromJson for $text {
            fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
                read_text(reader)
            }
        }

        impl ToJson for $text {
            fn write(&self, writer: &mut Writer) {
                writer.string(self);
            }
        }

        impl MapKey for $text {
            fn read_key(key: Key<'_>) -> Result<Self, JsonError> {
                Ok(Self::from(key.as_str()))
            }

            fn write_key(&self, writer: &mut Writer) {
                writer.key(self);
            }
        }
    )*};
}

texts!(String, Text);

impl<T: FromJson> FromJson for Option<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        if reader.null()? { Ok(None) } else { T::read(reader).map(Some) }
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, writer: &mut Writer) {
        match self {
            Some(value) => value.write(writer),
            None => writer.null(),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut list = Self::new();
        reader.array(|reader| {
            if !reader.null()? {
                list.push(T::read(reader)?);
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(list)
    }
}

fn write_array<'v, T: ToJson + 'v>(values: impl IntoIterator<Item = &'v T>, writer: &mut Writer) {
    writer.array(|writer| {
        for value in values {
            writer.element();
            value.write(writer);
        }
    });
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, writer: &mut Writer) {
        write_array(self, writer);
    }
}

impl<T: FromJson + Ord> FromJson for BTreeSet<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        Vec::read(reader).map(Self::from_iter)
    }
}

impl<T: ToJson> ToJson for BTreeSet<T> {
    fn write(&self, writer: &mut Writer) {
        write_array(self, writer);
    }
}

impl<K: MapKey, V: FromJson> FromJson for BTreeMap<K, V> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let mut map = Self::new();
        reader.object(|reader, key| {
            if !reader.null()? {
                map.insert(K::read_key(key)?, V::read(reader)?);
            }
            Ok::<(), JsonError>(())
        })?;
        Ok(map)
    }
}

impl<K: MapKey, V: ToJson> ToJson for BTreeMap<K, V> {
    fn write(&self, writer: &mut Writer) {
        writer.object(|writer| {
            for (key, value) in self {
                key.write_key(writer);
                value.write(writer);
            }
        });
    }
}
