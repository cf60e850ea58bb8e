use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

#[test]
fn existing_names() {
    for name in
        ["a", "TBW102", "%RETRY%group+topic", "broker-a.example.org", "x@y", "$1", "*", "a|b", "-", "a.."]
    {
        assert_eq!(TopicName::parse(name).expect(name), name);
        assert_eq!(BrokerName::parse(name).expect(name).to_string(), name);
    }
    let longest = "n".repeat(NAME_BYTES_MAX);
    assert_eq!(ClusterName::parse(&longest).expect("at the limit").as_str(), longest);
}

#[test]
fn no_names() {
    let character = |character, position| NameError::Character { kind: NameKind::Topic, character, position };
    let cases = [
        ("", NameError::Empty(NameKind::Topic)),
        (".", character('.', 0)),
        ("..", character('.', 0)),
        (".hidden", character('.', 0)),
        ("../../topic", character('.', 0)),
        ("a/b", character('/', 1)),
        ("a\\b", character('\\', 1)),
        ("c:", character(':', 1)),
        ("a\0", character('\0', 1)),
        ("a b", character(' ', 1)),
        ("a\tb", character('\t', 1)),
        ("ab\n", character('\n', 2)),
        ("\u{1b}[31m", character('\u{1b}', 0)),
        ("a\"", character('"', 1)),
        ("it's", character('\'', 2)),
        ("abc標", character('標', 3)),
        ("a\u{202e}b", character('\u{202e}', 1)),
    ];
    for (text, error) in cases {
        assert_eq!(TopicName::parse(text), Err(error), "{text:?}");
        assert!(TopicName::parse_new(text).is_err(), "{text:?}");
        assert!(GroupName::parse_new(text).is_err(), "{text:?}");
    }
    let long = "n".repeat(NAME_BYTES_MAX + 1);
    let error = NameError::TooLong { kind: NameKind::Group, bytes: 256, max: 255 };
    assert_eq!(GroupName::parse(&long), Err(error));
}

/// The limits of Apache RocketMQ 5.5.0, asked of its `TopicValidator`.
#[test]
fn new_names_are_those_apache_creates() {
    let of_length = |prefix: &str, length: usize| format!("{prefix}{}", "a".repeat(length - prefix.len()));
    let cases = [("", 127), (RETRY_PREFIX, 255), (DEAD_LETTER_PREFIX, 255)];
    for (prefix, max) in cases {
        assert!(TopicName::parse_new(&of_length(prefix, max)).is_ok());
        let error = NameError::TooLong { kind: NameKind::Topic, bytes: max + 1, max };
        assert_eq!(TopicName::parse_new(&of_length(prefix, max + 1)), Err(error));
    }
    assert!(GroupName::parse_new(&of_length("", 120)).is_ok());
    assert!(GroupName::parse_new(&of_length("", 121)).is_err());

    let allowed: String =
        ('\0'..='\u{ffff}').filter(|c| TopicName::parse_new(&c.to_string()).is_ok()).collect();
    assert_eq!(allowed, "%-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz|");
}

#[test]
fn errors_repeat_no_control_characters() {
    let cases = [
        (TopicName::parse("").map(drop), "the name of a topic must not be empty"),
        (GroupName::parse("g\u{1b}").map(drop), "the name of a group must not have '\\u{1b}' at position 1"),
        (
            ClusterName::parse(&"c".repeat(300)).map(drop),
            "the name of a cluster has 300 bytes, more than the 255 allowed",
        ),
    ];
    for (parsed, message) in cases {
        assert_eq!(parsed.expect_err(message).to_string(), message);
    }
}

#[test]
fn topics_of_groups() {
    let group = GroupName::parse_new("orders").expect("a group");
    let retry = TopicName::retry(&group).expect("a retry topic");
    let dead_letter = TopicName::dead_letter(&group).expect("a dead letter topic");
    assert_eq!(retry, "%RETRY%orders");
    assert_eq!(dead_letter, "%DLQ%orders");
    assert!(retry.is_retry() && !retry.is_dead_letter());
    assert!(dead_letter.is_dead_letter() && !dead_letter.is_retry());

    let longest_new = GroupName::parse_new(&"g".repeat(NEW_GROUP_BYTES_MAX)).expect("a group");
    assert!(TopicName::retry(&longest_new).is_ok());
    let longest = GroupName::parse(&"g".repeat(NAME_BYTES_MAX)).expect("a group");
    assert!(TopicName::retry(&longest).is_err());
}

#[test]
fn system_names() {
    for topic in SystemTopic::ALL {
        let name = TopicName::from(*topic);
        assert_eq!(TopicName::parse_new(topic.as_str()), Ok(name.clone()));
        assert_eq!(SystemTopic::find(&name), Some(*topic));
        assert!(name.is_system());
    }
    let system = |text| TopicName::parse(text).expect(text).is_system();
    assert!(system("rmq_sys_wheel_timer"));
    assert!(!system("RMQ_SYS_other"));
    assert!(!system("tbw102"));

    let brokers_only: Vec<_> =
        SystemTopic::ALL.iter().filter(|topic| topic.senders() == Senders::BrokersOnly).collect();
    assert_eq!(brokers_only.len(), 8, "as many as Apache 5.5.0 forbids: {brokers_only:?}");
    assert!(GroupName::parse("CID_RMQ_SYS_TRANS").expect("a group").is_system());
}

#[test]
fn a_table_is_asked_with_borrowed_text() {
    let table = HashMap::from([(TopicName::parse("orders").expect("a topic"), 7)]);
    assert_eq!(table.get("orders"), Some(&7));
}

proptest! {
    #[test]
    fn a_name_joined_to_a_directory_stays_there(text in any::<String>()) {
        if let Ok(name) = TopicName::parse(&text) {
            let path = std::path::Path::new("/store").join(name.as_str());
            prop_assert_eq!(path.parent(), Some(std::path::Path::new("/store")));
            prop_assert_eq!(path.file_name(), Some(name.as_str().as_ref()));
        }
    }

    #[test]
    fn new_names_are_names(text in "[%|a-zA-Z0-9_.+@/ -]{0,140}") {
        if TopicName::parse_new(&text).is_ok() || GroupName::parse_new(&text).is_ok() {
            prop_assert!(TopicName::parse(&text).is_ok());
        }
    }
}
