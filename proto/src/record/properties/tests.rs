use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn listed(encoded: &[u8]) -> Vec<(String, String)> {
    let owned = |(name, value): (Cow<'_, str>, Cow<'_, str>)| (name.into_owned(), value.into_owned());
    Properties::new(encoded).iter().map(owned).collect()
}

/// Each checked with `MessageDecoder.string2messageProperties` of Apache RocketMQ 5.5.0.
#[test]
fn pairs_are_javas() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("", &[]),
        ("a\u{1}b\u{2}", &[("a", "b")]),
        ("a\u{1}b", &[("a", "b")]),
        ("a\u{1}b\u{2}c\u{1}d\u{2}", &[("a", "b"), ("c", "d")]),
        ("\u{2}\u{2}a\u{1}b\u{2}\u{2}", &[("a", "b")]),
        ("\u{1}b\u{2}", &[]),
        ("a\u{1}\u{2}", &[]),
        ("é\u{1}\u{2}c\u{1}d", &[("c", "d")]),
        ("abc\u{2}c\u{1}d\u{2}", &[("c", "d")]),
        ("a\u{1}b\u{1}c\u{2}", &[("a", "b\u{1}c")]),
        ("a\u{1}\u{1}\u{2}", &[("a", "\u{1}")]),
        ("\u{1}\u{1}x\u{2}", &[]),
        ("标签\u{1}订单\u{2}", &[("标签", "订单")]),
        ("a\u{1}b\u{2}a\u{1}c\u{2}", &[("a", "b"), ("a", "c")]),
    ];
    for (encoded, pairs) in cases {
        let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(listed(encoded.as_bytes()), pairs, "{encoded:?}");
    }
}

#[test]
fn the_last_one_counts() {
    let properties = Properties::new(b"a\x011\x02b\x012\x02a\x013\x02a\x01\x02");
    assert_eq!(properties.get("a").as_deref(), Some("3"));
    assert_eq!(properties.get("b").as_deref(), Some("2"));
    assert_eq!(properties.get("c"), None);
    assert_eq!(properties.get(""), None);
}

#[test]
fn text_that_is_not_utf8() {
    let properties = Properties::new(b"a\x01\xFFb\x02\xC3\x01x\x02");
    assert_eq!(properties.get("a").as_deref(), Some("\u{fffd}b"));
    assert_eq!(listed(properties.as_bytes())[1], ("\u{fffd}".to_owned(), "x".to_owned()));

    // A copy is not mended: what consumers receive is what was sent.
    let list = PropertyList::read(properties).expect("few and short");
    assert_eq!(list.into_bytes(), properties.as_bytes());
}

#[test]
fn changes_keep_the_order() {
    let mut list =
        PropertyList::read(Properties::new(b"a\x011\x02junk\x02b\x012\x02c\x013")).expect("properties");
    list.set("b", "two").expect("room");
    list.set("d", "4").expect("room");
    assert!(list.remove("a"));
    assert!(!list.remove("a"));
    assert_eq!(list.get("b").as_deref(), Some("two"));
    assert_eq!(format!("{list:?}"), r#"{"b": "two", "c": "3", "d": "4"}"#);
    assert_eq!(list.into_bytes(), &b"b\x01two\x02c\x013\x02d\x014\x02"[..]);
}

#[test]
fn changes_reach_the_one_that_counts() {
    let mut list =
        PropertyList::read(Properties::new(b"a\x011\x02b\x012\x02a\x013\x02")).expect("properties");
    list.set("a", "4").expect("room");
    assert_eq!(list.get("a").as_deref(), Some("4"));
    assert_eq!(list.as_properties().as_bytes(), b"a\x011\x02b\x012\x02a\x014\x02");
    assert!(list.remove("a"));
    assert_eq!(list.as_properties().as_bytes(), b"b\x012\x02");
}

#[test]
fn what_cannot_be_set() {
    let mut list = PropertyList::new();
    for bad in ["", "\u{1}", "a\u{2}b"] {
        assert_eq!(list.set(bad, "v"), Err(PropertyError::BadName));
        assert_eq!(list.set("n", bad), Err(PropertyError::BadValue));
    }
    assert_eq!(list, PropertyList::new());
}

#[test]
fn a_list_has_a_longest_form() {
    let mut list = PropertyList::new();
    let value = |bytes| "v".repeat(bytes);
    list.set("n", &value(PROPERTIES_BYTES_MAX - 3)).expect("exactly as long as allowed");
    assert_eq!(list.set("m", "v"), Err(PropertyError::TooLong(PROPERTIES_BYTES_MAX + 4)));
    assert_eq!(list.set("n", &value(PROPERTIES_BYTES_MAX - 2)), Err(PropertyError::TooLong(32_768)));
    list.set("n", "short").expect("room again");
    list.set("m", "v").expect("room again");

    // 32,767 bytes that end without the last separator do not leave room for it.
    let unended = format!("n\u{1}{}", value(PROPERTIES_BYTES_MAX - 2));
    assert_eq!(PropertyList::read(Properties::new(unended.as_bytes())), Err(PropertyError::TooLong(32_768)));
    let longer = vec![PAIR_END; PROPERTIES_BYTES_MAX + 1];
    assert_eq!(PropertyList::read(Properties::new(&longer)), Err(PropertyError::TooLong(32_768)));
}

#[test]
fn a_list_has_a_largest_count() {
    let mut list = PropertyList::new();
    for index in 0..PROPERTIES_MAX {
        list.set(&format!("n{index}"), "v").expect("room");
    }
    let full = list.clone();
    assert_eq!(list.set("one more", "v"), Err(PropertyError::TooMany));
    assert_eq!(list, full);
    list.set("n7", "another").expect("no more than before");

    let many = [full.as_properties().as_bytes(), b"n\x01v"].concat();
    assert_eq!(Properties::new(&many).check(), Err(PropertyError::TooMany));
    assert_eq!(PropertyList::read(Properties::new(&many)), Err(PropertyError::TooMany));
}

#[derive(Clone, Debug)]
enum Change {
    Set(String, String),
    Remove(String),
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => ("[a-c]", "[a-z\u{1}é]{0,3}").prop_map(|(name, value)| Change::Set(name, value)),
        1 => "[a-c]".prop_map(Change::Remove),
    ]
}

/// Bytes that are likely to be pairs.
fn encoded() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(1), Just(2), b'a'..=b'c', any::<u8>()], 0..60)
}

proptest! {
    #[test]
    fn any_bytes(bytes in encoded()) {
        let properties = Properties::new(&bytes);
        let list = PropertyList::read(properties).expect("few and short");
        prop_assert_eq!(listed(list.as_properties().as_bytes()), listed(&bytes));
        for name in ["a", "b", "c", "ab"] {
            let last = listed(&bytes).into_iter().rev().find(|(found, _)| found == name).map(|(_, value)| value);
            prop_assert_eq!(properties.get(name).map(Cow::into_owned), last.clone());
            prop_assert_eq!(list.get(name).map(Cow::into_owned), last);
        }
    }

    /// Against a list of pairs.
    #[test]
    fn changes_are_those_of_a_list(bytes in encoded(), changes in vec(changes(), 0..20)) {
        let mut list = PropertyList::read(Properties::new(&bytes)).expect("few and short");
        let mut model = listed(&bytes);
        for change in changes {
            match change {
                Change::Set(name, value) => {
                    if list.set(&name, &value).is_err() {
                        let bad = value.is_empty() || value.contains('\u{1}');
                        prop_assert!(bad);
                        continue;
                    }
                    match model.iter_mut().rev().find(|(found, _)| *found == name) {
                        Some((_, place)) => *place = value,
                        None => model.push((name, value)),
                    }
                }
                Change::Remove(name) => {
                    prop_assert_eq!(list.remove(&name), model.iter().any(|(found, _)| *found == name));
                    model.retain(|(found, _)| *found != name);
                }
            }
        }
        prop_assert_eq!(listed(list.as_properties().as_bytes()), model);
    }
}
