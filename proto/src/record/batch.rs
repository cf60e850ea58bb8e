//! The body of a batch: entries that share topic, queue and all else a request's header says.
//!
//! An entry is its size, a magic and a checksum (4 bytes each), the user's flag (4), the body behind a length of 4 bytes, the
//! properties behind one of 2. As in Apache, only the last two lengths count: clients leave magic and checksum zero, and no
//! broker looks at the size.

use bytes::{BufMut, BytesMut};

use super::encode::{EncodeError, properties_length};
use super::layout::{i16_length, i32_length, take_part};
use super::properties::Properties;

/// Messages of one batch. Each becomes a record of its own, which may be ten times as long as the smallest entry: so many of them
/// still fit into one frame.
pub const BATCH_ENTRIES_MAX: usize = 16_384;

/// Size, magic and checksum.
const IGNORED: usize = 12;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchEntry<'a> {
    pub flag: i32,
    pub body: &'a [u8],
    pub properties: Properties<'a>,
}

/// Why a body is no batch: the whole of it is to be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    #[error("the batch is damaged at byte {at}")]
    Damaged { at: usize },
    #[error("the batch has more than the {BATCH_ENTRIES_MAX} messages allowed")]
    TooMany,
}

/// The entries of a body, in order. An error is the last item.
#[derive(Clone, Debug)]
pub struct BatchEntries<'a> {
    body: &'a [u8],
    rest: &'a [u8],
    taken: usize,
}

impl<'a> BatchEntries<'a> {
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, rest: body, taken: 0 }
    }
}

impl<'a> Iterator for BatchEntries<'a> {
    type Item = Result<BatchEntry<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.body.len() - self.rest.len();
        let rest = std::mem::take(&mut self.rest);
        if self.taken == BATCH_ENTRIES_MAX {
            return Some(Err(BatchError::TooMany));
        }
        let Some((entry, rest)) = split_entry(rest) else { return Some(Err(BatchError::Damaged { at })) };
        self.taken += 1;
        self.rest = rest;
        Some(Ok(entry))
    }
}

fn split_entry(bytes: &[u8]) -> Option<(BatchEntry<'_>, &[u8])> {
    let (flag, mut rest) = bytes.get(IGNORED..)?.split_first_chunk()?;
    let body = take_part(&mut rest, i32_length)?;
    let properties = Properties::new(take_part(&mut rest, i16_length)?);
    Some((BatchEntry { flag: i32::from_be_bytes(*flag), body, properties }, rest))
}

impl BatchEntry<'_> {
    /// Appends the entry to `out`. On an error `out` is as before.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), EncodeError> {
        let properties = self.properties.as_bytes();
        let properties_length = properties_length(properties)?;
        let lengths = size_of::<i32>() + size_of::<i16>();
        let size = IGNORED + size_of::<i32>() + lengths + self.body.len() + properties.len();
        let too_long = EncodeError::BodyTooLong { bytes: self.body.len(), max: i32::MAX as usize };
        let total_size = i32::try_from(size).map_err(|_| too_long)?;

        out.reserve(size);
        out.put_i32(total_size);
        out.put_i32(0);
        out.put_i32(0);
        out.put_i32(self.flag);
        // Less than the total size, so it fits as well.
        out.put_i32(self.body.len() as i32);
        out.put_slice(self.body);
        out.put_i16(properties_length);
        out.put_slice(properties);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
