use std::collections::BTreeMap;

use super::*;

fn skipped(text: &str) -> Result<(), JsonError> {
    let mut reader = Reader::new(text);
    reader.skip()?;
    reader.end()
}

#[test]
fn the_dialect_is_read() {
    let accepted = [
        "{}",
        "[]",
        "null",
        "true",
        "0",
        "-1.5e3",
        "\"\"",
        "'single \"quoted\"'",
        "{a:1,'b':2,\"c\":3,}",
        "[1,2,]",
        "{0:\"a\",1:\"b\"}",
        "{{\"brokerName\":\"b\",\"queueId\":0}:{\"offset\":1}}",
        "12L",
        " { \"a\" : [ ] } ",
        r#""\u0001\n\/\x41\7""#,
    ];
    for text in accepted {
        assert_eq!(skipped(text), Ok(()), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    let refused = [
        ("", 0),
        ("{", 1),
        ("[1 2]", 3),
        ("{\"a\"}", 4),
        ("{:1}", 1),
        ("\"abc", 1),
        ("\"\\q\"", 2),
        ("\"\\u12\"", 3),
        ("nul", 0),
        ("truex", 0),
        ("-", 0),
        ("1e999", 0),
        ("{} {}", 3),
        ("]", 0),
        ("[,]", 1),
    ];
    for (text, at) in refused {
        match skipped(text) {
            Err(JsonError::Expected { at: found, .. }) => assert_eq!(found, at, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(skipped(&"[".repeat(33)), Err(JsonError::TooDeep { at: 33 })));
    assert!(matches!(skipped(&"{{".repeat(40)), Err(JsonError::TooDeep { .. })));
}

#[test]
fn strings_are_unescaped() {
    let cases = [
        (r#""plain""#, "plain"),
        (r#""tab\tquote\"slash\/""#, "tab\tquote\"slash/"),
        (r#""\u00e9\ud83d\ude00""#, "é\u{1F600}"),
        (r#""\ud83d alone""#, "\u{FFFD} alone"),
        (r#""\ud83d\u0041""#, "\u{FFFD}A"),
        ("'it is \"so\"'", "it is \"so\""),
    ];
    for (text, expected) in cases {
        assert_eq!(from_str::<String>(text).unwrap(), expected, "{text}");
    }
}

#[test]
fn numbers_fit_or_are_refused() {
    assert_eq!(from_str::<i32>("2147483647"), Ok(i32::MAX));
    assert_eq!(from_str::<i64>("'-9223372036854775808'"), Ok(i64::MIN));
    assert_eq!(from_str::<i32>("2147483648"), Err(JsonError::OutOfRange { at: 0 }));
    assert_eq!(from_str::<i32>("1.5"), Err(JsonError::OutOfRange { at: 0 }));
    assert_eq!(from_str::<String>("17"), Ok("17".to_owned()));
    assert_eq!(from_str::<bool>("'true'"), Ok(true));
}

#[test]
fn maps_are_written_in_either_dialect() {
    let map = BTreeMap::from([(0_i64, "a".to_owned()), (10, "b\"\u{2}\u{7f}".to_owned())]);
    assert_eq!(to_string(&map, Dialect::Fastjson), "{0:\"a\",10:\"b\\\"\\u0002\\u007F\"}");
    let standard = to_string(&map, Dialect::Standard);
    assert_eq!(standard, "{\"0\":\"a\",\"10\":\"b\\\"\\u0002\\u007F\"}");
    for text in [to_string(&map, Dialect::Fastjson), standard] {
        assert_eq!(from_str::<BTreeMap<i64, String>>(&text), Ok(map.clone()));
    }
}

#[test]
fn the_last_of_two_members_counts_and_null_is_no_value() {
    assert_eq!(
        from_str::<BTreeMap<String, i32>>("{a:1,a:2,b:null}"),
        Ok(BTreeMap::from([("a".to_owned(), 2)]))
    );
    assert_eq!(from_str::<Option<i32>>("null"), Ok(None));
    assert_eq!(from_str::<Vec<i32>>("[1,null,2]"), Ok(vec![1, 2]));
}

#[test]
fn strings_of_every_length_end_where_they_end() {
    for length in 0..20 {
        let plain = "a\u{80}\u{7f}b!#[]\u{ff}".repeat(3).chars().take(length).collect::<String>();
        for (text, expected) in [
            (format!("\"{plain}\",\"\\\""), plain.clone()),
            (format!("'{plain}\"'\\\\"), format!("{plain}\"")),
            (format!("\"{plain}\\\"{plain}\"\""), format!("{plain}\"{plain}")),
        ] {
            assert_eq!(Reader::new(&text).string().unwrap(), expected, "{text}");
        }
        let mut written = String::new();
        write_string(&mut written, &format!("{plain}\\"));
        assert_eq!(Reader::new(&written).string().unwrap(), format!("{plain}\\"), "{written}");
    }
}
