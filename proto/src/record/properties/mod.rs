//! The properties of a message: names and values, in one run of bytes.
//!
//! A pair is its name, 0x01, its value, 0x02; the last 0x02 may be missing. A pair without a name, a separator or a value is
//! passed over, and when a name comes twice the last one counts. Readers see the bytes as they came: [`Properties`] looks a
//! name up in them and builds no map, [`PropertyList`] owns a copy and changes it in place.

mod list;
pub mod names;

use std::borrow::Cow;

pub use list::PropertyList;

/// Between a name and its value.
const VALUE_SEPARATOR: u8 = 1;
/// Behind every pair.
const PAIR_END: u8 = 2;

/// As long as the record's length of 2 bytes can say.
pub const PROPERTIES_BYTES_MAX: usize = i16::MAX as usize;
/// Pairs of one message. No client sets more than about 20 of its own; the rest is room for users.
pub const PROPERTIES_MAX: usize = 256;

/// Why properties are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    #[error("properties of {0} bytes are longer than the {PROPERTIES_BYTES_MAX} allowed")]
    TooLong(usize),
    #[error("there are more than the {PROPERTIES_MAX} properties allowed")]
    TooMany,
    #[error("the name of a property is empty or has a separator")]
    BadName,
    #[error("the value of a property is empty or has a separator")]
    BadValue,
}

/// A view of encoded properties. Text that is not UTF-8 reads as it does in Java, with U+FFFD in it; only for a surrogate that
/// was encoded by itself we have three of them and Java one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a>(&'a [u8]);

impl<'a> Properties<'a> {
    pub fn new(encoded: &'a [u8]) -> Self {
        Self(encoded)
    }

    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    pub fn get(self, wanted: &str) -> Option<Cow<'a, str>> {
        let value = self.0.rsplit(|byte| *byte == PAIR_END).find_map(|pair| value_of(pair, wanted))?;
        Some(text(value))
    }

    /// All names and values, in order. A name that comes twice is there twice.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.pairs().map(|(name, value)| (text(name), text(value)))
    }

    /// Whether a message may carry them.
    pub fn check(self) -> Result<(), PropertyError> {
        if self.0.len() > PROPERTIES_BYTES_MAX {
            return Err(PropertyError::TooLong(self.0.len()));
        }
        match self.pairs().nth(PROPERTIES_MAX) {
            Some(_) => Err(PropertyError::TooMany),
            None => Ok(()),
        }
    }

    /// As [`Self::iter`], before anything is made of the bytes: for those who look for a few names among many.
    pub fn pairs(self) -> impl DoubleEndedIterator<Item = (&'a [u8], &'a [u8])> {
        self.0.split(|byte| *byte == PAIR_END).filter_map(split_pair)
    }
}

/// Nearly always it is UTF-8, and looking for what is not takes longer.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// The value of a pair that has this name: as [`split_pair`] finds it, but quicker where there is another name.
fn value_of<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let behind = pair.strip_prefix(name.as_bytes())?;
    let value = behind.strip_prefix(&[VALUE_SEPARATOR])?;
    let is_one = !value.is_empty() && !name.is_empty() && !name.as_bytes().contains(&VALUE_SEPARATOR);
    is_one.then_some(value)
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let separator = pair.iter().position(|byte| *byte == VALUE_SEPARATOR)?;
    let (name, value) = pair.split_at_checked(separator)?;
    let value = value.get(1..)?;
    (!name.is_empty() && !value.is_empty()).then_some((name, value))
}

#[cfg(test)]
mod tests;
