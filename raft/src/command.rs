//! Commands in the body of a frame, each as a record of its own kind: size, magic, payload.
//!
//! A frame of messages may end with them: what they say then happens with the messages or not at all.

use bytes::{BufMut, Bytes, BytesMut};
use ferrymq_storage::frame::COMMAND_MAGIC;

pub(crate) const MEMBERSHIP_MAGIC: i32 = i32::from_be_bytes(*b"RQM1");
/// Before the payload.
pub(crate) const PREFIX_BYTES: usize = 8;

pub(crate) fn put(out: &mut BytesMut, payload: &[u8]) {
    put_record(out, COMMAND_MAGIC, payload);
}

pub(crate) fn put_record(out: &mut BytesMut, magic: i32, payload: &[u8]) {
    // Frames are not longer than what fits.
    out.put_i32((PREFIX_BYTES + payload.len()) as i32);
    out.put_i32(magic);
    out.put_slice(payload);
}

/// The commands in a body, behind whatever else is there. `None` when its records do not add up.
pub(crate) fn commands_of(body: &Bytes) -> Option<Vec<Bytes>> {
    records_of(body, COMMAND_MAGIC)
}

/// The payloads of the records of one kind.
pub(crate) fn records_of(body: &Bytes, wanted: i32) -> Option<Vec<Bytes>> {
    let mut found = Vec::new();
    let mut rest = body.clone();
    while !rest.is_empty() {
        let (size, magic) = head_of(&rest)?;
        let record = if size <= rest.len() { rest.split_to(size) } else { return None };
        if magic == wanted {
            found.push(record.slice(PREFIX_BYTES..));
        }
    }
    Some(found)
}

/// Size and magic of the record at the front, which is at least as long as these.
pub(crate) fn head_of(bytes: &[u8]) -> Option<(usize, i32)> {
    let [s0, s1, s2, s3, m0, m1, m2, m3] = *bytes.first_chunk::<PREFIX_BYTES>()?;
    let size = usize::try_from(i32::from_be_bytes([s0, s1, s2, s3])).ok()?;
    (size >= PREFIX_BYTES).then_some((size, i32::from_be_bytes([m0, m1, m2, m3])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_behind_other_records() {
        let mut body = BytesMut::new();
        put_record(&mut body, 7, b"something else");
        put(&mut body, b"one");
        put(&mut body, b"");
        let body = body.freeze();
        assert_eq!(commands_of(&body), Some(vec![Bytes::from("one"), Bytes::new()]));
        assert_eq!(commands_of(&body.slice(..body.len() - 1)), None);
        assert_eq!(commands_of(&Bytes::new()), Some(Vec::new()));
        for size in [-1, 0, 7, i32::MAX] {
            let mut wrong = BytesMut::from(&body[..]);
            wrong[..4].copy_from_slice(&i32::to_be_bytes(size));
            assert_eq!(commands_of(&wrong.freeze()), None, "{size}");
        }
    }
}
