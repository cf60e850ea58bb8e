//! Cutting a stream of bytes into frames.
//!
//! A frame is its length (4 bytes, not counting themselves), the form of its header (1 byte), the header's length
//! (3 bytes), the header, the body. Lengths are checked before anything is allocated: the buffer grows with the bytes that
//! arrive, never with the bytes that are promised.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes before the header.
pub(crate) const PREFIX: usize = 8;
/// Bytes of the length, which it does not count.
const LENGTH: usize = 4;

/// The longest frame any Java peer accepts, and so the longest we send.
pub const FRAME_BYTES_MAX: usize = 16_777_216;
/// The longest header. A pull may bring an expression of 2 MiB along; properties take 32 KiB, six times that when every byte is escaped.
pub const HEADER_BYTES_MAX: usize = 4_194_304;

/// One frame, cut but not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub form: u8,
    pub header: Bytes,
    pub body: Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {length} bytes is longer than the {max} allowed")]
    TooLong { length: usize, max: usize },
    #[error("a frame of {0} bytes has no room for a header")]
    TooShort(i32),
    #[error("a header of {header} bytes does not fit its frame of {frame}")]
    HeaderPastFrame { header: usize, frame: usize },
    #[error("a header of {0} bytes is longer than the {HEADER_BYTES_MAX} allowed")]
    HeaderTooLong(usize),
}

/// Takes the next frame off the front of `buffer`, or `None` while it is incomplete. An error is final: what follows in the
/// stream cannot be told apart any more.
pub fn take(buffer: &mut BytesMut, frame_bytes_max: usize) -> Result<Option<Frame>, FrameError> {
    let Some(length) = buffer.first_chunk::<LENGTH>().map(|bytes| i32::from_be_bytes(*bytes)) else {
        return Ok(None);
    };
    let length = usize::try_from(length).map_err(|_| FrameError::TooShort(length))?;
    if length > frame_bytes_max {
        return Err(FrameError::TooLong { length, max: frame_bytes_max });
    }
    if length < PREFIX - LENGTH {
        return Err(FrameError::TooShort(length as i32));
    }
    let Some(word) = buffer.get(LENGTH..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
    let [form, header_length @ ..] = *word;
    let [a, b, c] = header_length.map(usize::from);
    let header_length = a << 16 | b << 8 | c;
    let after_prefix = length - (PREFIX - LENGTH);
    if header_length > after_prefix {
        return Err(FrameError::HeaderPastFrame { header: header_length, frame: length });
    }
    if header_length > HEADER_BYTES_MAX {
        return Err(FrameError::HeaderTooLong(header_length));
    }
    if buffer.len() < LENGTH + length {
        return Ok(None);
    }
    buffer.advance(PREFIX);
    let header = buffer.split_to(header_length).freeze();
    let body = buffer.split_to(after_prefix - header_length).freeze();
    Ok(Some(Frame { form, header, body }))
}

/// The bytes before a header.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn prefix(form: u8, header_length: usize, body_length: usize) -> [u8; PREFIX] {
    let total = (PREFIX - LENGTH + header_length + body_length) as u32;
    let word = u32::from(form) << 24 | (header_length as u32 & 0x00FF_FFFF);
    let mut prefix = [0; PREFIX];
    let (length, header) = prefix.split_at_mut(LENGTH);
    length.copy_from_slice(&total.to_be_bytes());
    header.copy_from_slice(&word.to_be_bytes());
    prefix
}

#[cfg(test)]
mod tests;
