//! Calling a timer message off.
//!
//! Its sender holds a handle: `v1`, topic, broker, due time and unique key, separated by blanks, in base 64 for URLs.

use ferrymq_proto::position::Timestamp;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What the sender of a timer message is given.
pub fn handle(topic: &str, broker: &str, due: Timestamp, unique_key: &str) -> String {
    encode(format!("v1 {topic} {broker} {due} {unique_key}").as_bytes())
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) as usize & 0x3F;
            let letter = ALPHABET.get(index).copied().unwrap_or(b'=');
            text.push(if place <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_what_java_makes() {
        assert_eq!(
            handle("topic", "broker", Timestamp(1_700_000_000_000), "7F0000010001"),
            "djEgdG9waWMgYnJva2VyIDE3MDAwMDAwMDAwMDAgN0YwMDAwMDEwMDAx"
        );
        assert_eq!(encode(b"ab"), "YWI=");
        assert_eq!(encode(b"a"), "YQ==");
        assert_eq!(encode(&[0xFB, 0xFF, 0xFE]), "-__-");
    }
}
