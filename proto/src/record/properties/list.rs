//! Properties that are being changed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::{
    PAIR_END, PROPERTIES_BYTES_MAX, PROPERTIES_MAX, Properties, PropertyError, VALUE_SEPARATOR, split_pair,
    text,
};

/// Room for what a broker adds to a message.
const ROOM_BYTES: usize = 128;
const ROOM_PAIRS: usize = 16;

/// Owned properties, which stay encoded all the time and in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PropertyList {
    /// Invariant: whole pairs, each with its end; no more and no longer than a message may carry.
    encoded: Vec<u8>,
    /// Where they lie, in order: a message is asked for many names on its way, and most of them are not there.
    pairs: Vec<Pair>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Pair {
    start: usize,
    name_bytes: usize,
    /// With its end.
    bytes: usize,
}

impl Pair {
    fn name(&self) -> Range<usize> {
        self.start..self.start + self.name_bytes
    }

    /// Between the two separators.
    fn value(&self) -> Range<usize> {
        self.start + self.name_bytes + 1..self.start + self.bytes - 1
    }
}

impl PropertyList {
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of what `properties` reads, without the pairs that are passed over.
    pub fn read(properties: Properties<'_>) -> Result<Self, PropertyError> {
        let bytes = properties.as_bytes();
        if bytes.len() > PROPERTIES_BYTES_MAX {
            return Err(PropertyError::TooLong(bytes.len()));
        }
        let encoded = Vec::with_capacity(bytes.len() + ROOM_BYTES);
        let mut list = Self { encoded, pairs: Vec::with_capacity(ROOM_PAIRS) };
        for (name, value) in bytes.split(|byte| *byte == PAIR_END).filter_map(split_pair) {
            if list.pairs.len() == PROPERTIES_MAX {
                return Err(PropertyError::TooMany);
            }
            list.put(name, value);
        }
        // The end that the last pair may have been given can be one byte too much.
        if list.encoded.len() > PROPERTIES_BYTES_MAX {
            return Err(PropertyError::TooLong(list.encoded.len()));
        }
        Ok(list)
    }

    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let pair = self.pairs.get(self.find(name)?)?;
        Some(text(self.encoded.get(pair.value())?))
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
        let replaced = place.and_then(|place| self.pairs.get(place)).map_or(0, |pair| pair.bytes);
        let bytes = self.encoded.len() - replaced + name.len() + value.len() + 2;
        if bytes > PROPERTIES_BYTES_MAX {
            return Err(PropertyError::TooLong(bytes));
        }
        match place {
            Some(place) => self.replace(place, value),
            None if self.pairs.len() == PROPERTIES_MAX => return Err(PropertyError::TooMany),
            None => self.put(name.as_bytes(), value.as_bytes()),
        }
        Ok(())
    }

    /// Whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.pairs.len();
        while let Some(place) = self.find(name) {
            let pair = self.pairs.remove(place);
            self.encoded.drain(pair.start..pair.start + pair.bytes);
            self.pairs.iter_mut().skip(place).for_each(|later| later.start -= pair.bytes);
        }
        self.pairs.len() < before
    }

    pub fn as_properties(&self) -> Properties<'_> {
        Properties::new(&self.encoded)
    }

    /// Their form of the wire.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.encoded)
    }

    /// Which pair counts for `name`.
    fn find(&self, name: &str) -> Option<usize> {
        let is_it = |pair: &Pair| {
            pair.name_bytes == name.len() && self.encoded.get(pair.name()) == Some(name.as_bytes())
        };
        self.pairs.iter().rposition(is_it)
    }

    fn replace(&mut self, place: usize, value: &str) {
        let Some(pair) = self.pairs.get_mut(place) else { return };
        self.encoded.splice(pair.value(), value.bytes());
        let before = pair.bytes;
        pair.bytes = pair.name_bytes + value.len() + 2;
        let now = pair.bytes;
        self.pairs.iter_mut().skip(place + 1).for_each(|later| later.start = later.start + now - before);
    }

    fn put(&mut self, name: &[u8], value: &[u8]) {
        let bytes = name.len() + value.len() + 2;
        self.pairs.push(Pair { start: self.encoded.len(), name_bytes: name.len(), bytes });
        self.encoded.extend_from_slice(name);
        self.encoded.push(VALUE_SEPARATOR);
        self.encoded.extend_from_slice(value);
        self.encoded.push(PAIR_END);
    }
}

impl fmt::Debug for PropertyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.as_properties().iter()).finish()
    }
}

fn may_be_part(text: &str) -> bool {
    !text.is_empty() && !text.bytes().any(|byte| byte == VALUE_SEPARATOR || byte == PAIR_END)
}
