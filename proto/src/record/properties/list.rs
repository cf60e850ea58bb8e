//! Properties that are being changed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::{PAIR_END, PROPERTIES_BYTES_MAX, Properties, PropertyError, VALUE_SEPARATOR, value_of};

/// Owned properties, which stay encoded all the time and in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PropertyList {
    /// Invariant: whole pairs, each with its end; no more and no longer than a message may carry.
    encoded: Vec<u8>,
}

impl PropertyList {
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of what `properties` reads, without the pairs that are passed over.
    pub fn read(properties: Properties<'_>) -> Result<Self, PropertyError> {
        properties.check()?;
        let mut encoded = Vec::with_capacity(properties.as_bytes().len() + 1);
        for (name, value) in properties.pairs() {
            put_pair(&mut encoded, name, value);
        }
        // The end that the last pair may have been given can be one byte too much.
        Properties::new(&encoded).check()?;
        Ok(Self { encoded })
    }

    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_properties().get(name)
    }

    /// Puts `value` in the place of the one that counts for `name`, or at the end. On an error nothing has changed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), PropertyError> {
        if !may_be_part(name) {
            return Err(PropertyError::BadName);
        }
        if !may_be_part(value) {
            return Err(PropertyError::BadValue);
        }
        let place = self.find(name);
        let replaced = place.as_ref().map_or(0, Range::len);
        let bytes = self.encoded.len() - replaced + name.len() + value.len() + 2;
        if bytes > PROPERTIES_BYTES_MAX {
            return Err(PropertyError::TooLong(bytes));
        }
        match place {
            Some(place) => {
                let mut pair = Vec::with_capacity(name.len() + value.len() + 2);
                put_pair(&mut pair, name.as_bytes(), value.as_bytes());
                self.encoded.splice(place, pair);
            }
            None => {
                let before = self.encoded.len();
                put_pair(&mut self.encoded, name.as_bytes(), value.as_bytes());
                if let Err(error) = self.as_properties().check() {
                    self.encoded.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.encoded.len();
        while let Some(place) = self.find(name) {
            self.encoded.drain(place);
        }
        self.encoded.len() < before
    }

    pub fn as_properties(&self) -> Properties<'_> {
        Properties::new(&self.encoded)
    }

    /// Their form of the wire.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.encoded)
    }

    /// Where the pair that counts for `name` lies.
    fn find(&self, name: &str) -> Option<Range<usize>> {
        let mut end = self.encoded.len();
        for pair in self.encoded.split_inclusive(|byte| *byte == PAIR_END).rev() {
            let start = end - pair.len();
            if value_of(pair.strip_suffix(&[PAIR_END]).unwrap_or(pair), name).is_some() {
                return Some(start..end);
            }
            end = start;
        }
        None
    }
}

impl fmt::Debug for PropertyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.as_properties().iter()).finish()
    }
}

fn put_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.push(VALUE_SEPARATOR);
    out.extend_from_slice(value);
    out.push(PAIR_END);
}

fn may_be_part(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte == VALUE_SEPARATOR || byte == PAIR_END)
}
