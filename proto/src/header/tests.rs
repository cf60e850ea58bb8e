use super::*;
use crate::code::RequestCode;

crate::header! {
    /// One field of each kind.
    struct Sample: 105 => NoFields {
        topic: Text = "topic",
        queue: QueueId = "queueId",
        size: Option<i64> = "size",
        batch: bool = "batch" or false,
    }
}

fn fields(pairs: &[(&'static str, &str)]) -> Fields {
    let mut fields = Fields::empty();
    for (name, value) in pairs {
        fields.push(*name, *value);
    }
    fields
}

#[test]
fn fields_become_a_struct_and_back() {
    let decoded = Sample::decode(&fields(&[("queueId", "3"), ("unknown", "x"), ("topic", "T")])).unwrap();
    assert_eq!(decoded, Sample { topic: "T".into(), queue: QueueId(3), size: None, batch: false });
    assert_eq!(decoded.to_fields(), fields(&[("topic", "T"), ("queueId", "3"), ("batch", "false")]));
    assert_eq!(Sample::CODE, RequestCode::GET_ROUTEINFO_BY_TOPIC);
}

#[test]
fn an_empty_optional_number_is_none() {
    let decoded = Sample::decode(&fields(&[("queueId", "3"), ("topic", ""), ("size", "")])).unwrap();
    assert_eq!((decoded.topic, decoded.size), (Text::default(), None));
    assert!(Sample::decode(&fields(&[("queueId", ""), ("topic", "T")])).is_err());
}

#[test]
fn the_last_of_two_values_counts() {
    let decoded = Sample::decode(&fields(&[("queueId", "3"), ("topic", "a"), ("topic", "b")])).unwrap();
    assert_eq!(decoded.topic, "b");
}

#[test]
fn a_missing_or_illegal_field_is_named() {
    let missing = Sample::decode(&fields(&[("topic", "T")]));
    assert_eq!(missing, Err(HeaderError::Missing("queueId")));
    let illegal =
        Sample::decode(&fields(&[("topic", "T"), ("queueId", "1"), ("size", "9223372036854775808")]));
    let text = illegal.unwrap_err().to_string();
    assert_eq!(
        text,
        "the custom field <size> is illegal: \"9223372036854775808\" is no whole number in range"
    );
}
