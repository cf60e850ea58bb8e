//! The messages that the harness sends. Each has an id of its own, and its body can be told from every other's.

use std::fmt;

use bytes::Bytes;
use ferrymq_proto::json::{FromJson, JsonError, Reader, ToJson, Writer};

/// Who sent a message, and the how-manieth of that sender it is. Never used twice in a run; counters start at 1, so the
/// default is nobody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    pub producer: u32,
    pub counter: u64,
}

/// Of a message's body and of the property that repeats its id.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct BodyHash(pub u64);

impl MessageId {
    pub fn parse(text: &str) -> Option<Self> {
        let (producer, counter) = text.split_once('.')?;
        Some(Self { producer: producer.parse().ok()?, counter: counter.parse().ok()? })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.producer, self.counter)
    }
}

impl fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Declares how a type stands in JSON as text.
macro_rules! json_text {
    ($type:ty, $parse:expr, $expected:literal) => {
        impl FromJson for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
                let at = reader.position();
                let parse: fn(&str) -> Option<Self> = $parse;
                parse(&String::read(reader)?).ok_or(JsonError::Expected { expected: $expected, at })
            }
        }

        impl ToJson for $type {
            fn write(&self, writer: &mut Writer) {
                writer.string(&self.to_string());
            }
        }
    };
}
pub(crate) use json_text;

impl fmt::Display for BodyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

json_text!(MessageId, MessageId::parse, "a message id");
json_text!(BodyHash, |text| u64::from_str_radix(text, 16).ok().map(BodyHash), "a hash");

/// FNV-1a: stable, and any flipped bit changes it.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    fold(0xCBF2_9CE4_8422_2325, bytes)
}

fn fold(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3))
}

/// What stands between the id and the filler of a body.
const ID_END: u8 = b' ';

/// A body of `length` bytes, or as long as the id needs: the id, then filler that depends on it.
pub fn body(id: MessageId, length: usize) -> Bytes {
    let mut body = id.to_string().into_bytes();
    body.push(ID_END);
    let mut state = fnv1a(&body) | 1;
    while body.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        body.push(b'a' + (state % 26) as u8);
    }
    Bytes::from(body)
}

/// The id that a body begins with.
pub fn id_in(body: &[u8]) -> Option<MessageId> {
    let end = body.iter().position(|byte| *byte == ID_END)?;
    MessageId::parse(std::str::from_utf8(body.get(..end)?).ok()?)
}

/// The hash of what belongs to a message: its body, and the key it was sent with.
pub fn hash(body: &[u8], key: &str) -> BodyHash {
    BodyHash(fold(fnv1a(body), key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_its_message() {
        let id = MessageId { producer: 4, counter: 912 };
        for length in [0, 1, 100, 4096] {
            let body = body(id, length);
            assert_eq!(id_in(&body), Some(id));
            assert!(body.len() >= length);
        }
        assert_eq!(id_in(b"no id"), None);
        assert_eq!(id_in(b""), None);
    }

    #[test]
    fn every_flipped_bit_changes_the_hash() {
        let id = MessageId { producer: 1, counter: 2 };
        let body = body(id, 64);
        let sent = hash(&body, "1.2");
        for bit in 0..body.len() * 8 {
            let mut flipped = body.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash(&flipped, "1.2"), sent, "bit {bit}");
        }
        assert_ne!(hash(&body, "1.3"), sent);
    }
}
