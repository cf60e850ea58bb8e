use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;

use super::reference;
use super::*;
use crate::record::PropertyList;

/// Properties by name, in any form: also such as no message can carry.
#[derive(Debug)]
struct Message(Vec<(String, String)>);

impl Lookup for Message {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let found = self.0.iter().rfind(|(known, _)| known == name);
        found.map(|(_, value)| Cow::Borrowed(value.as_str()))
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len() + 2).sum()
    }
}

fn message<const N: usize>(properties: [(&str, &str); N]) -> Message {
    Message(properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec())
}

fn compile(text: &str) -> SqlFilter {
    SqlFilter::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The text of the records without its escapes.
fn plain(text: &str) -> String {
    let escapes =
        [("\\s", " "), ("\\e", ""), ("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("\\u{c}", "\u{c}")];
    let escapes = escapes.into_iter().chain([("\\u{a0}", "\u{a0}"), ("\\u{1}", "\u{1}")]);
    let text = text.replace("\\\\", "\0");
    escapes.fold(text, |text, (escape, char)| text.replace(escape, char)).replace('\0', "\\")
}

#[test]
fn answers_are_javas() {
    let mut answers = 0;
    let mut filter = Err(SqlError::TooLong(0));
    let mut expression = String::new();
    for line in include_str!("java-5.5.0.txt").lines() {
        let Some(record) = line.strip_prefix("  ") else {
            if !line.is_empty() && !line.starts_with('#') {
                expression = plain(line);
                filter = SqlFilter::compile(&expression);
            }
            continue;
        };
        answers += 1;
        if record == "refused" {
            assert!(filter.is_err(), "Java refuses {expression:?}");
            continue;
        }
        let filter = filter.as_ref().unwrap_or_else(|error| panic!("Java accepts {expression:?}: {error}"));
        let (verdict, properties) = record.split_at_checked(11).unwrap_or((record, ""));
        let pairs = properties.split(' ').filter_map(|pair| pair.split_once('='));
        let message = Message(pairs.map(|(name, value)| (name.to_owned(), plain(value))).collect());
        let expected = match verdict.trim_end() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            "unknown" => Ok(None),
            "no answer" => Err(()),
            other => panic!("{other:?} is no verdict"),
        };
        assert_eq!(filter.evaluate(&message).map_err(|_| ()), expected, "{expression:?} of {message:?}");
        assert_eq!(filter.matches(&message), expected == Ok(Some(true)));
    }
    assert_eq!(answers, 636);
}

#[test]
fn errors_say_where_and_what() {
    let cases = [
        ("a >", "a property, a value or an opening parenthesis is expected at character 4, not the end"),
        ("a = = 1", "a property, a value or an opening parenthesis is expected at character 5, not \"=\""),
        ("标签 = 1", "no part of an expression begins with \"标\", as character 1 does"),
        (
            "a = '标签' AND AND b",
            "a property, a value or an opening parenthesis is expected at character 14, not \"AND\"",
        ),
        ("(a = 1", "an operator or a closing parenthesis is expected at character 7, not the end"),
        ("(a = 1 b", "an operator or a closing parenthesis is expected at character 8, not \"b\""),
        ("a IS 5", "NULL or NOT NULL is expected at character 6, not \"5\""),
        ("a IS NOT 5", "NULL is expected at character 10, not \"5\""),
        ("a NOT 5", "BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH is expected at character 7, not \"5\""),
        ("a BETWEEN 1 OR 2", "AND is expected at character 13, not \"OR\""),
        ("a IN 'x'", "an opening parenthesis is expected at character 6, not \"'x'\""),
        ("a IN ('x' 'y')", "a comma or a closing parenthesis is expected at character 11, not \"'y'\""),
        ("a IN (1)", "a text in single quotes is expected at character 7, not \"1\""),
        ("a CONTAINS b", "a text in single quotes is expected at character 12, not \"b\""),
        ("a = 'x", "the text that begins at character 5 has no closing quote"),
        ("a = 1 /* x", "the comment that begins at character 7 has no end"),
        ("a != 1", "no part of an expression begins with \"!\", as character 3 does"),
        ("a = 1;", "no part of an expression begins with \";\", as character 6 does"),
        ("a = \"x\"", "no part of an expression begins with \"\"\", as character 5 does"),
        ("a = \u{1b}", "no part of an expression begins with \"\\u{1b}\", as character 5 does"),
        (
            "a > 9223372036854775808",
            "\"9223372036854775808\" at character 5 is out of range: whole numbers go up to 9223372036854775807",
        ),
        (
            "a > 0.0",
            "\"0.0\" at character 5 is out of range: numbers with a point go from 4.9E-324 to 1.7976931348623157E308; zero is 0",
        ),
        ("a AND 5", "a number or a text alone is no condition; see character 7"),
        ("NOT -a", "a number or a text alone is no condition; see character 5"),
        ("a = NULL", "nothing equals NULL: write IS NULL or IS NOT NULL; see character 3"),
        ("TRUE = 'x'", "TRUE and FALSE equal no number and no text; see character 6"),
        (
            "a > 'x'",
            "only = and <> compare texts, TRUE and FALSE; the others compare numbers; see character 5",
        ),
        ("NOT a > 1", "only = and <> compare conditions; the others compare numbers; see character 1"),
        ("a BETWEEN 2 AND 1", "the bounds of BETWEEN are the wrong way round; see character 3"),
        ("'x' IN ('x')", "IN takes a property on its left; see character 5"),
    ];
    for (text, message) in cases {
        assert_eq!(SqlFilter::compile(text).expect_err(text).to_string(), message, "{text}");
    }
    let long = SqlFilter::compile(&format!("a IS {}", "x".repeat(1000))).expect_err("a long name");
    let message = "NULL or NOT NULL is expected at character 6, not \"xxxxxxxxxxxxxxxxxxxxxxxx...\"";
    assert_eq!(long.to_string(), message);
}

#[test]
fn what_is_not_read_is_told() {
    let cases = [
        ("a = 1", None),
        ("a = 1 /* end */ ", None),
        ("a LIKE 'x'", Some(3)),
        ("a = '标签' ) OR b = 1", Some(10)),
    ];
    for (text, from) in cases {
        assert_eq!(compile(text).unread_from(), from, "{text}");
    }
}

#[test]
fn an_expression_has_a_longest_form() {
    let longest = format!("a = '{}'", "x".repeat(SQL_BYTES_MAX - 6));
    assert!(SqlFilter::compile(&longest).is_ok());
    assert_eq!(SqlFilter::compile(&(longest + " ")), Err(SqlError::TooLong(SQL_BYTES_MAX + 1)));
    let no_end = "(".repeat(SQL_BYTES_MAX + 1);
    assert_eq!(SqlFilter::compile(&no_end), Err(SqlError::TooLong(SQL_BYTES_MAX + 1)));
}

/// Two mebibytes of anything are read in a moment, or refused.
#[test]
fn an_expression_may_be_long() {
    let long = |part: &str| part.repeat((SQL_BYTES_MAX - 100) / part.len());
    let message = message([("n", "1"), ("text", "xyz")]);
    for (text, matches) in [
        (format!("n = '{}' OR n = 1", long("x")), true),
        (format!("text CONTAINS '{}' OR n = 1", long("''")), true),
        (format!("{} IS NULL", long("x")), true),
        (format!("n = 1 /* {} */", long("/* * / ")), true),
        (format!("n = 1{}", long("-- \n")), true),
        (long(" ") + "n = 1", true),
        (format!("n BETWEEN 1.{} AND 2", long("0")), true),
        (format!("text IN ('{}', 'x')", long("y")), false),
        ("n = 1 ".to_owned() + &long("z "), true),
    ] {
        assert_eq!(compile(&text).matches(&message), matches, "{}...", text.get(..20).unwrap_or_default());
    }
    for (text, error) in [
        (long("("), "nests deeper"),
        (long("-"), "nests deeper"),
        (long("NOT "), "nests deeper"),
        (format!("n = 1{}", long(" OR n = 1")), "more than the 1024 parts"),
        (format!("n IN ('1'{})", long(",'1'")), "more than the 1024 parts"),
        (format!("n = {}", long("9")), "out of range"),
        (format!("n = '{}", long("x")), "no closing quote"),
        (format!("n = 1 /* {}", long("* ")), "has no end"),
        (format!("n = {}", long("é")), "no part"),
    ] {
        let told = SqlFilter::compile(&text).expect_err(error).to_string();
        assert!(told.contains(error) && told.len() < 200, "{told}");
    }
}

#[test]
fn an_expression_has_a_largest_depth() {
    let message = message([("a", "1")]);
    let wrapped = |before: &str, inner: &str, after: &str, times| {
        format!("{}{inner}{}", before.repeat(times), after.repeat(times))
    };
    let cases = [
        ("(", "a = 1", ")"),
        ("NOT ", "(a IS NULL)", ""),
        ("- ", "a", ""),
        ("+", "a", ""),
        ("", "a", " IS NULL"),
    ];
    for (before, inner, after) in cases {
        let deepest = (0..200).rfind(|times| {
            let text = wrapped(before, inner, after, *times);
            let text = if before == "- " { format!("{text} IS NULL") } else { text };
            let Ok(filter) = SqlFilter::compile(&text) else { return false };
            filter.evaluate(&message).expect("few steps");
            true
        });
        let deepest = deepest.expect("some depth");
        assert!((DEPTH_MAX - 3..=DEPTH_MAX).contains(&deepest), "{before}{inner}{after}: {deepest}");
        let error = SqlFilter::compile(&wrapped(before, inner, after, 200)).expect_err("too deep");
        assert!(matches!(error, SqlError::TooDeep { .. }), "{error}");
    }
    // What stands side by side is not deep.
    assert!(compile(&["a=1"; 255].join(" AND ")).matches(&message));
    assert!(compile(&["(NOT(a=2))"; 100].join(" AND ")).matches(&message));
}

#[test]
fn an_expression_has_most_parts() {
    let texts = |count| format!("a IN ({})", vec!["''"; count].join(","));
    assert!(SqlFilter::compile(&texts(NODES_MAX - 2)).is_ok());
    let error = SqlFilter::compile(&texts(NODES_MAX + 10)).expect_err("too many parts");
    assert_eq!(error, SqlError::TooManyParts { at: 7 + 3 * (NODES_MAX - 1) });
}

#[test]
fn a_message_takes_most_steps() {
    let search = vec!["a CONTAINS 'xy'"; 200].join(" OR ");
    let value = "x".repeat(32_000);
    let large = message([("a", &value)]);
    let filter = compile(&search);
    assert_eq!(filter.evaluate(&large), Err(EvaluationError::TooManySteps));
    assert!(!filter.matches(&large));
    assert!(compile(&format!("NOT ({search})")).evaluate(&large).is_err());
    assert_eq!(filter.evaluate(&message([("a", "x")])), Ok(Some(false)));
    assert_eq!(compile("a CONTAINS 'xy'").evaluate(&large), Ok(Some(false)));

    // Names beyond the first few are looked up again each time, and that costs as well.
    let names: Vec<_> = (0..200).map(|index| format!("a{index} IS NULL")).collect();
    let names = compile(&names.join(" AND "));
    assert_eq!(names.evaluate(&large), Err(EvaluationError::TooManySteps));
    assert_eq!(names.evaluate(&message([])), Ok(Some(true)));
}

#[test]
fn text_that_is_not_utf8_is_mended() {
    let mut list = PropertyList::new();
    list.set("b", "2").expect("room");
    let bytes = [list.as_properties().as_bytes(), b"a\x01\xFFx\x02"].concat();
    let properties = crate::record::Properties::new(&bytes);
    assert!(compile("a ENDSWITH 'x' AND a = '\u{fffd}x' AND b = 2").matches(&properties));
}

#[test]
fn numbers_are_javas() {
    // Asked of Java 17: the text, and the bits of `Double.valueOf`.
    let doubles = [
        ("0x1.8p-1075", 1),
        ("0x1p-1075", 0),
        ("0x1p-1074", 1),
        ("0x1.fffffffffffff7p1023", 0x7fef_ffff_ffff_ffff),
        ("0x1.fffffffffffff8p1023", 0x7ff0_0000_0000_0000),
        ("0x1.00000000000008p0", 0x3ff0_0000_0000_0000),
        ("0x1.000000000000081p0", 0x3ff0_0000_0000_0001),
        ("0x1.000000000000018p-1022", 0x0010_0000_0000_0000),
        ("0x0p99999999999", 0),
        ("0x1p99999999999", 0x7ff0_0000_0000_0000),
        ("-0x0p0", 0x8000_0000_0000_0000),
        ("0X1P+2D", 0x4010_0000_0000_0000),
        ("1e99999999999", 0x7ff0_0000_0000_0000),
        ("4.9e-324", 1),
        ("\u{1f}7\0", 0x401c_0000_0000_0000),
        ("000000000000000000000000000000000000000001e-2", 0x3f84_7ae1_47ae_147b),
    ];
    for (text, bits) in doubles {
        assert_eq!(numbers::double(text).map(f64::to_bits), Some(bits), "{text}");
    }
    for text in [
        "", " ", ".", "e5", "1e", "1e+", "NaNd", "nan", "inf", "infinity", "--5", "+-5", "0x1", "0xp1",
        "1dd", "1_0", "5\u{a0}", "٥",
    ] {
        assert_eq!(numbers::double(text), None, "{text}");
    }
    assert_eq!(numbers::integer("-2147483648"), Some(i32::MIN));
    assert_eq!(numbers::integer("2147483648"), None);
    assert_eq!(numbers::long("-9223372036854775808"), Some(i64::MIN));
    assert_eq!(numbers::long("9223372036854775808"), None);
    assert_eq!(numbers::long("+५２٥0"), Some(5250));
    for text in ["", "+", "-", " 1", "1 ", "1L", "0x1", "1.0", "\u{1D7D8}"] {
        assert_eq!(numbers::long(text), None, "{text}");
    }
}

fn values() -> impl Strategy<Value = Message> {
    let value =
        prop_oneof!["-?[0-9]{1,3}", "[0-9]{1,2}\\.[0-9]{1,2}", "[abx']{0,3}", "true|FALSE", "[0-9]{10}"];
    vec(("[abc]", value), 0..5).prop_map(Message)
}

/// What is likely to look like an expression.
fn soup() -> impl Strategy<Value = String> {
    let tokens = "a|b|1|2\\.5|'x'|''|TRUE|NULL|NOT|AND|OR|IS|IN|BETWEEN|CONTAINS|=|<>|<|>=|\\(|\\)|,|-|\\+|--|/\\*|\\*/|\n|é|'|#";
    vec(prop_oneof![9 => tokens, 1 => ".{0,3}"], 0..20).prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_compiled_or_refused_in_one_line(text in prop_oneof![soup(), ".*"], message in values()) {
        match SqlFilter::compile(&text) {
            Ok(filter) => {
                prop_assert_eq!(filter.evaluate(&message) == Ok(Some(true)), filter.matches(&message));
            }
            Err(error) => {
                let error = error.to_string();
                prop_assert!(!error.contains(char::is_control) && error.len() < 400, "{}", error);
            }
        }
    }

    #[test]
    fn expressions_mean_what_the_reference_says(tree in reference::trees(), messages in vec(values(), 8)) {
        let text = tree.to_string();
        let filter = match SqlFilter::compile(&text) {
            Ok(filter) => filter,
            Err(SqlError::TooLong(_) | SqlError::TooManyParts { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("{text}: {error}"))),
        };
        prop_assert_eq!(filter.unread_from(), None);
        for message in messages {
            let answer = filter.evaluate(&message).map_err(|_| reference::NoAnswer);
            prop_assert_eq!(answer, tree.truth(&|name| message.get(name)), "{} of {:?}", &text, &message);
        }
    }

    #[test]
    fn blanks_and_comments_change_nothing(tree in reference::trees(), message in values()) {
        let text = tree.to_string();
        let spaced = text.replace(' ', " /* ' */\t-- \" (\n");
        if let (Ok(filter), Ok(spaced)) = (SqlFilter::compile(&text), SqlFilter::compile(&spaced)) {
            prop_assert_eq!(filter.evaluate(&message), spaced.evaluate(&message));
        }
    }
}
