//! Acknowledging many popped messages at once.

use crate::json::{FromJson, JsonError, Reader, ToJson, Writer};
use crate::position::{QueueId, QueueOffset, Timestamp};

family! {
    /// RocketMQ: BatchAckMessageRequestBody.
    pub struct BatchAck {
        acks: Vec<Ack> = "acks",
        broker_name: String = "brokerName",
    }

    /// Messages of one pop. The short names are written, either is read.
    pub struct Ack {
        /// Bit i: the message at the start offset plus i.
        bits: BitSet = "b" | "bitSet",
        consumer_group: String = "c" | "consumerGroup",
        invisible_millis: i64 = "it" | "invisibleTime",
        pop_time: Timestamp = "pt" | "popTime",
        queue_id: QueueId = "q" | "queueId",
        /// `0` the topic itself, `1` or `2` its retry topic.
        retry: String = "r" | "retry",
        revive_queue_id: QueueId = "rq" | "reviveQueueId",
        start_offset: QueueOffset = "so" | "startOffset",
        topic: String = "t" | "topic",
    }
}

/// Java's BitSet as text: its bytes, lowest bit first, in base 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BitSet(Vec<u8>);

impl BitSet {
    /// The numbers of the bits that are set, ascending.
    pub fn ones(&self) -> impl Iterator<Item = usize> {
        let bits = |(at, byte): (usize, &u8)| {
            let byte = *byte;
            (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit)
        };
        self.0.iter().enumerate().flat_map(bits)
    }
}

impl FromIterator<usize> for BitSet {
    fn from_iter<I: IntoIterator<Item = usize>>(ones: I) -> Self {
        let mut bytes = Vec::new();
        for one in ones {
            let at = one / 8;
            if bytes.len() <= at {
                bytes.resize(at + 1, 0);
            }
            if let Some(byte) = bytes.get_mut(at) {
                *byte |= 1 << (one % 8);
            }
        }
        Self(bytes)
    }
}

impl FromJson for BitSet {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        let at = reader.position();
        let text = reader.string()?;
        let mut bytes = decode_base64(&text).ok_or(JsonError::Expected { expected: "base 64", at })?;
        // As Java: bits past the highest one that is set are not there.
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(Self(bytes))
    }
}

impl ToJson for BitSet {
    fn write(&self, writer: &mut Writer) {
        writer.string(&encode_base64(&self.0));
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode_base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit) & 63) as usize;
            let letter = ALPHABET.get(index).filter(|_| digit <= three.len());
            text.push(char::from(*letter.unwrap_or(&b'=')));
        }
    }
    text
}

/// `None` when it is not base 64. Padding may be missing.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for four in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in four {
            let value = ALPHABET.iter().position(|letter| letter == digit)?;
            bits = bits << 6 | u32::try_from(value).ok()?;
        }
        bits <<= 6 * (4 - four.len());
        let [_, three @ ..] = bits.to_be_bytes();
        bytes.extend_from_slice(three.get(..four.len() - 1).filter(|known| !known.is_empty())?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_is_the_common_one() {
        for (plain, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(encode_base64(plain.as_bytes()), text);
            assert_eq!(decode_base64(text).as_deref(), Some(plain.as_bytes()), "{text}");
        }
        assert_eq!(decode_base64("Zg").as_deref(), Some(&b"f"[..]));
        for broken in ["Z", "Zm9vY", "Z===", "Zg==Zg", "Zm 9v", "é"] {
            assert_eq!(decode_base64(broken), None, "{broken}");
        }
    }

    #[test]
    fn bits_are_counted_from_the_lowest() {
        let bits = BitSet::from_iter([0, 9, 3]);
        assert_eq!(bits.ones().collect::<Vec<_>>(), [0, 3, 9]);
        assert_eq!(crate::json::from_str::<BitSet>("\"CQIA\""), Ok(bits));
    }
}
