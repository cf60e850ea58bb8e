//! Subscriptions to tags: `a || b`, or `*` for all messages.
//!
//! The rules are Java's (`FilterAPI`). The consume queue holds the hash of each message's tag, so most of the work is to look a
//! number up in a set; that two tags may have the same hash is settled by the tag itself.

use std::collections::BTreeSet;

use crate::record::tag::{TagCode, hash_code};

/// A longer list is refused. Far more tags than anybody lists, and few enough that no subscription is large.
pub const TAGS_BYTES_MAX: usize = 16 * 1024;

const ALL: &str = "*";
const SEPARATOR: &str = "||";
/// What a tag takes in memory besides its letters, in nodes of sets that may be half empty.
const TAG_BYTES: usize = 3 * (size_of::<String>() + size_of::<i32>());
/// Each set has a node with room for eleven.
const SETS_BYTES: usize = 12 * (size_of::<String>() + size_of::<i32>()) + 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    #[error("the list of tags has {0} bytes, more than the {TAGS_BYTES_MAX} allowed")]
    TooLong(usize),
    #[error("the list of tags holds separators only; * asks for all messages")]
    NoTags,
}

/// The tags a subscription asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilter {
    all: bool,
    tags: BTreeSet<String>,
    /// Invariant: the hashes of `tags`.
    codes: BTreeSet<i32>,
}

impl TagFilter {
    /// An empty text means all messages, as `*` does. A text of blanks names no tag, so nothing matches it.
    pub fn parse(text: &str) -> Result<Self, TagError> {
        if text.len() > TAGS_BYTES_MAX {
            return Err(TagError::TooLong(text.len()));
        }
        let all = text.is_empty() || text == ALL;
        if !all && text.split(SEPARATOR).all(str::is_empty) {
            return Err(TagError::NoTags);
        }
        let mut tags = BTreeSet::new();
        if !all {
            tags.extend(text.split(SEPARATOR).map(trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
        }
        let codes = tags.iter().map(|tag| hash_code(tag)).collect();
        Ok(Self { all, tags, codes })
    }

    /// The most that a compiled list takes, by the length of its text: a tag of one letter has a place in both sets.
    pub fn bytes_max(text_bytes: usize) -> usize {
        if text_bytes > TAGS_BYTES_MAX {
            return 0;
        }
        size_of::<Self>() + SETS_BYTES + text_bytes + text_bytes.div_ceil(SEPARATOR.len() + 1) * TAG_BYTES
    }

    /// All messages are asked for, whatever their tag.
    pub fn is_all(&self) -> bool {
        self.all
    }

    /// What Java's clients send as `tagsSet`: empty for all messages.
    pub fn tags(&self) -> &BTreeSet<String> {
        &self.tags
    }

    /// What Java's clients send as `codeSet`: empty for all messages.
    pub fn codes(&self) -> &BTreeSet<i32> {
        &self.codes
    }

    /// Whether a message with this hash in the consume queue may match. Like Java we look at its low 32 bits only.
    pub fn matches_code(&self, code: TagCode) -> bool {
        self.all || self.codes.contains(&(code.0 as i32))
    }

    /// Whether the message with this tag matches.
    pub fn matches(&self, tag: Option<&str>) -> bool {
        self.all || tag.is_some_and(|tag| self.tags.contains(tag))
    }
}

/// As Java's `String.trim`: no other blanks than those up to the space.
fn trim(text: &str) -> &str {
    text.trim_matches(|char| char <= ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asked of `FilterAPI.build` of Apache RocketMQ 5.5.0: the text, `tagsSet`, `codeSet`.
    #[test]
    fn tags_are_javas() {
        let cases: &[(&str, &[&str], &[i32])] = &[
            ("a", &["a"], &[97]),
            ("a || b", &["a", "b"], &[97, 98]),
            ("a||b||a", &["a", "b"], &[97, 98]),
            (" a\t||\n b ", &["a", "b"], &[97, 98]),
            ("a|b", &["a|b"], &[97_159]),
            ("a|||b", &["a", "|b"], &[97, 3942]),
            ("|||", &["|"], &[124]),
            ("||a", &["a"], &[97]),
            ("a||", &["a"], &[97]),
            (" ", &[], &[]),
            ("|| ||", &[], &[]),
            (" * ", &["*"], &[42]),
            ("a ||* ", &["*", "a"], &[42, 97]),
            ("TagA || 标签 || 😀x", &["TagA", "标签", "😀x"], &[857_175, 2_598_919, 54_959_989]),
            ("Aa || BB", &["Aa", "BB"], &[2112]),
            ("\u{a0}a", &["\u{a0}a"], &[5057]),
            ("a b||c", &["a b", "c"], &[99, 94_307]),
            ("a\0", &["a"], &[97]),
        ];
        for (text, tags, codes) in cases {
            let filter = TagFilter::parse(text).expect("a list of tags");
            assert!(!filter.is_all(), "{text:?}");
            assert!(filter.tags().iter().eq(tags.iter()), "{text:?}: {:?}", filter.tags());
            assert!(filter.codes().iter().eq(codes.iter()), "{text:?}: {:?}", filter.codes());
        }
        for text in ["", "*"] {
            let filter = TagFilter::parse(text).expect("all");
            assert!(filter.is_all() && filter.tags().is_empty() && filter.codes().is_empty());
        }
        for text in ["||", "||||"] {
            assert_eq!(TagFilter::parse(text), Err(TagError::NoTags));
        }
    }

    #[test]
    fn the_hash_may_match_where_the_tag_does_not() {
        let filter = TagFilter::parse("Aa").expect("a tag");
        assert!(filter.matches_code(TagCode::of("BB")) && !filter.matches(Some("BB")));
        assert!(filter.matches_code(TagCode::of("Aa")) && filter.matches(Some("Aa")));
        assert!(filter.matches_code(TagCode(2112 + (1 << 32))));
        assert!(!filter.matches_code(TagCode::NONE) && !filter.matches(None) && !filter.matches(Some("")));

        let all = TagFilter::parse("*").expect("all");
        assert!(all.matches_code(TagCode::NONE) && all.matches(None));
        let none = TagFilter::parse(" ").expect("nothing");
        assert!(!none.matches_code(TagCode::NONE) && !none.matches(None) && !none.matches(Some("")));
    }

    #[test]
    fn a_list_has_a_longest_form() {
        let longest = "a||".repeat(TAGS_BYTES_MAX / 3);
        assert!(TagFilter::parse(&longest).is_ok());
        assert_eq!(TagFilter::parse(&format!("{longest}||a")), Err(TagError::TooLong(TAGS_BYTES_MAX + 2)));
    }
}
