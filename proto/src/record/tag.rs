//! The hashes by which messages are found.
//!
//! Consumers compute them too, so they are Java's: `String.hashCode` over UTF-16 code units.

/// In the place of the tag in the consume queue. A subscription carries the same numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagCode(pub i64);

impl TagCode {
    /// Of a message without a tag. No subscription but one to all tags asks for it, unless by chance.
    pub const NONE: Self = Self(0);

    pub fn of(tag: &str) -> Self {
        Self(hash_code(tag).into())
    }
}

/// Where the index looks for a key. Never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(i32);

impl KeyHash {
    pub fn of(topic: &str, key: &str) -> Self {
        // `abs` of the least number is itself in Java, which Apache then replaces by zero.
        let hash = extend(extend(hash_code(topic), "#"), key);
        Self(hash.checked_abs().unwrap_or(0))
    }

    pub fn get(self) -> i32 {
        self.0
    }
}

/// Java's `String.hashCode`.
pub fn hash_code(text: &str) -> i32 {
    extend(0, text)
}

/// The hash of a text that goes on with `text`.
fn extend(hash: i32, text: &str) -> i32 {
    text.encode_utf16().fold(hash, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of Java 17.
    #[test]
    fn hashes_are_javas() {
        let cases = [
            ("", 0),
            ("a", 97),
            ("TagA", 2_598_919),
            ("TagA || TagB", 1_359_775_119),
            ("标签", 857_175),
            ("😀x", 54_959_989),
            ("polygenelubricants", i32::MIN),
            ("orders#key-1", -686_946_011),
        ];
        for (text, hash) in cases {
            assert_eq!(hash_code(text), hash, "{text}");
            assert_eq!(TagCode::of(text), TagCode(hash.into()), "{text}");
        }
    }

    #[test]
    fn key_hashes_are_not_negative() {
        assert_eq!(KeyHash::of("orders", "key-1").get(), 686_946_011);
        assert_eq!(KeyHash::of("", "").get(), i32::from(b'#'));
        // Its own opposite, as Java and Apache see it.
        assert_eq!(hash_code("ORDERS#SPZQRUU"), i32::MIN);
        assert_eq!(KeyHash::of("ORDERS", "SPZQRUU").get(), 0);
    }
}
