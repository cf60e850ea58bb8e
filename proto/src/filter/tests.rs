use super::*;

fn properties() -> PropertyList {
    let mut list = PropertyList::new();
    for (name, value) in [("TAGS", "TagA"), ("price", "17"), ("region", "north")] {
        list.set(name, value).expect("room");
    }
    list
}

#[test]
fn the_type_chooses_the_language() {
    let list = properties();
    let cases = [
        (TAG, "TagA || TagB", true),
        (TAG, "TagB", false),
        (TAG, "*", true),
        ("", "TagA", true),
        ("", "", true),
        (SQL92, "price > 10", true),
        (SQL92, "price > 17", false),
        (SQL92, "TAGS = 'TagA'", true),
        (SQL92, "missing > 10", false),
        (SQL92, "region > 10", false),
    ];
    for (expression_type, text, matches) in cases {
        let filter = Filter::compile(expression_type, text).expect("an expression");
        assert_eq!(filter.matches(&list), matches, "{text}");
        assert_eq!(filter.matches(&list.as_properties()), matches, "{text}");
        assert!(!matches || filter.matches_code(TagCode::of("TagA")), "{text}");
    }
}

#[test]
fn tags_of_a_message_that_has_none() {
    let none = PropertyList::new();
    assert!(Filter::compile(TAG, "*").expect("all").matches(&none));
    assert!(!Filter::compile(TAG, "a").expect("a tag").matches(&none));
}

#[test]
fn errors_are_one_line() {
    let cases = [
        ("tag", "a", "filters are of the type TAG or SQL92, not \"tag\""),
        ("sql92", "a", "filters are of the type TAG or SQL92, not \"sql92\""),
        ("a\n\u{1b}[2J", "a", "filters are of the type TAG or SQL92, not \"a\\n\\u{1b}[2J\""),
        (TAG, "||", "the list of tags holds separators only; * asks for all messages"),
        (SQL92, "", "a property, a value or an opening parenthesis is expected at character 1, not the end"),
    ];
    for (expression_type, text, message) in cases {
        let error = Filter::compile(expression_type, text).expect_err("no filter");
        assert_eq!(error.to_string(), message);
    }
    let long = Filter::compile(&"é\u{7}".repeat(1000), "a").expect_err("no type").to_string();
    assert!(long.ends_with("é\\u{7}...\""), "{long}");
}
