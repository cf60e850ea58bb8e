//! What Apache's files have no place for.

use std::collections::BTreeMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

ferrymq_proto::body! {
    #[doc(hidden)]
    pub struct OwnTables {
        /// Registers that hold bytes, in hexadecimal.
        bytes: BTreeMap<String, String> = "bytes",
        numbers: BTreeMap<String, i64> = "numbers",
        /// By `topic@group`.
        resets: BTreeMap<String, BTreeMap<QueueId, QueueOffset>> = "resets",
        settings: BTreeMap<String, BTreeMap<String, String>> = "settings",
    }
}

pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()
        .filter(|bytes: &Vec<u8>| bytes.len() * 2 == text.len())
}
