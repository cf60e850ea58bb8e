//! Typed headers: the fields of one code as a struct, one row per field.
//!
//! ```
//! ferrymq_proto::header! {
//!     /// Where a topic can be found.
//!     pub struct GetRoute: 105 => ferrymq_proto::header::NoFields {
//!         /// The topic asked for.
//!         topic: ferrymq_proto::text::Text = "topic",
//!         /// An optional field may be missing.
//!         standard_json_only: Option<bool> = "acceptStandardJsonOnly",
//!         /// A field with a default is always written.
//!         batch: bool = "batch" or false,
//!     }
//! }
//! ```
//!
//! The code and the header of the answer (`: 105 => …`) are left out where a struct is itself an answer. Codes that share
//! their fields share a struct: `: 11 or 361 => …`.
//!
//! `Default` takes the default of a field's row, or of its type; it is a start for the fields one does not care for.

use crate::fields::{FieldText, Fields};
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use crate::text::Text;

/// A struct that is carried as the fields of a command.
pub trait Header: Sized {
    /// Name and kind of each field, in written order.
    const ROWS: &'static [(&'static str, &'static str)];

    fn decode(fields: &Fields) -> Result<Self, HeaderError>;

    /// Appends the fields.
    fn append_to(&self, fields: &mut Fields);

    fn to_fields(&self) -> Fields {
        let mut fields = Fields::empty();
        self.append_to(&mut fields);
        fields
    }
}

/// A header that asks for something.
pub trait Request: Header {
    const CODE: crate::code::RequestCode;
    /// `CODE`, and the others that carry the same fields.
    const CODES: &'static [crate::code::RequestCode];
    type Reply: Header;
}

/// The first clause is what Java says; clients and runbooks know it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("the custom field <{0}> is null")]
    Missing(&'static str),
    #[error("the custom field <{name}> is illegal: \"{value}\" is no {expected}")]
    Illegal { name: &'static str, value: Text, expected: &'static str },
}

/// A type that one field can hold.
pub trait FieldValue: Sized {
    /// What to call it in an error.
    const KIND: &'static str;

    fn parse(text: FieldText<'_>) -> Option<Self>;
    fn write(&self, out: &mut String);
}

/// A field as a struct declares it: required, or optional.
pub trait Slot: Sized {
    const KIND: &'static str;

    /// What stands in for a missing field; `None` when it is required.
    fn missing() -> Option<Self>;
    fn read(name: &'static str, text: FieldText<'_>) -> Result<Self, HeaderError>;
    /// Appends the value. `false`: there is none, and the field is left out.
    fn write(&self, out: &mut String) -> bool;
}

impl<T: FieldValue> Slot for T {
    const KIND: &'static str = T::KIND;

    fn missing() -> Option<Self> {
        None
    }

    fn read(name: &'static str, text: FieldText<'_>) -> Result<Self, HeaderError> {
        let expected = <T as FieldValue>::KIND;
        T::parse(text).ok_or_else(|| HeaderError::Illegal { name, value: text.to_text(), expected })
    }

    fn write(&self, out: &mut String) -> bool {
        FieldValue::write(self, out);
        true
    }
}

impl<T: FieldValue> Slot for Option<T> {
    const KIND: &'static str = T::KIND;

    fn missing() -> Option<Self> {
        Some(None)
    }

    /// Empty text where none can be is as good as none: some clients write what they do not know so.
    fn read(name: &'static str, text: FieldText<'_>) -> Result<Self, HeaderError> {
        match T::parse(text) {
            Some(value) => Ok(Some(value)),
            None if text.is_empty() => Ok(None),
            None => T::read(name, text).map(Some),
        }
    }

    fn write(&self, out: &mut String) -> bool {
        self.as_ref().map(|value| FieldValue::write(value, out)).is_some()
    }
}

impl FieldValue for Text {
    const KIND: &'static str = "text";

    fn parse(text: FieldText<'_>) -> Option<Self> {
        Some(text.to_text())
    }

    fn write(&self, out: &mut String) {
        out.push_str(self);
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl FieldValue for $integer {
            const KIND: &'static str = "whole number in range";

            fn parse(text: FieldText<'_>) -> Option<Self> {
                text.parse().ok()
            }

            fn write(&self, out: &mut String) {
                out.push_str(itoa::Buffer::new().format(*self));
            }
        }
    )*};
}

integers!(i32, i64);

macro_rules! positions {
    ($($position:ident),*) => {$(
        impl FieldValue for $position {
            const KIND: &'static str = "whole number in range";

            fn parse(text: FieldText<'_>) -> Option<Self> {
                text.parse().ok().map($position)
            }

            fn write(&self, out: &mut String) {
                FieldValue::write(&self.0, out);
            }
        }
    )*};
}

positions!(QueueId, QueueOffset, LogOffset, Timestamp);

/// As Java's `Boolean.parseBoolean`: whatever is not "true" is false.
impl FieldValue for bool {
    const KIND: &'static str = "boolean";

    fn parse(text: FieldText<'_>) -> Option<Self> {
        Some(text.eq_ignore_ascii_case("true"))
    }

    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

/// Declares a typed header; see the module.
#[macro_export]
macro_rules! header {
    ($(
        $(#[$doc:meta])*
        $visibility:vis struct $name:ident $(: $code:literal $(or $also:literal)* => $reply:ty)? {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal $(or $default:expr)?,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        $visibility struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $crate::header!(@default $type $(, $default)?),)* }
            }
        }

        impl $crate::header::Header for $name {
            const ROWS: &'static [(&'static str, &'static str)] =
                &[$(($key, <$type as $crate::header::Slot>::KIND),)*];

            fn decode(fields: &$crate::fields::Fields) -> Result<Self, $crate::header::HeaderError> {
                $(let mut $field: Option<$type> = None;)*
                #[allow(unused_mut)]
                let mut first_error: Option<$crate::header::HeaderError> = None;
                fields.for_each(|name, _value| match name {
                    $($key => match <$type as $crate::header::Slot>::read($key, _value) {
                        Ok(value) => $field = Some(value),
                        Err(error) => first_error = first_error.take().or(Some(error)),
                    },)*
                    _ => {}
                });
                match first_error {
                    Some(error) => Err(error),
                    None => Ok(Self {
                        $($field: $field
                            $(.or_else(|| Some($default)))?
                            .or_else(<$type as $crate::header::Slot>::missing)
                            .ok_or($crate::header::HeaderError::Missing($key))?,)*
                    }),
                }
            }

            fn append_to(&self, _fields: &mut $crate::fields::Fields) {
                $(_fields.put($key, &self.$field);)*
            }
        }

        $(impl $crate::header::Request for $name {
            const CODE: $crate::code::RequestCode = $crate::code::RequestCode($code);
            const CODES: &'static [$crate::code::RequestCode] =
                &[Self::CODE, $($crate::code::RequestCode($also),)*];
            type Reply = $reply;
        })?
    )*};
    (@default $type:ty) => { <$type as Default>::default() };
    (@default $type:ty, $default:expr) => { $default };
}

header! {
    /// Nothing but the code.
    pub struct NoFields {}
}

#[cfg(test)]
mod tests;
