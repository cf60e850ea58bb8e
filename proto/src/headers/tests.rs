//! Every header, in both forms of a command.

use std::collections::BTreeSet;
use std::fmt::Debug;

use bytes::BytesMut;

use super::*;
use crate::command::{Command, HeaderForm};
use crate::frame;

/// Codes that are defined but that no client sends any more, and no broker answers.
const WITHOUT_HEADER: [RequestCode; 3] =
    [RequestCode::QUERY_BROKER_OFFSET, RequestCode::GET_CLIENT_CONFIG, RequestCode::REGISTER_FILTER_SERVER];

/// A value of the kind; `turn` makes those of one header differ.
fn sample(kind: &str, turn: usize) -> String {
    match kind {
        "text" => format!("t\u{1}é\"{turn}"),
        "whole number in range" => format!("{}", 7 + turn),
        "boolean" => "true".to_owned(),
        // The kind of a word lists the words.
        words => words.split(" or ").nth(1).unwrap().to_owned(),
    }
}

fn full<H: Header>() -> Fields {
    let mut fields = Fields::empty();
    for (turn, (name, kind)) in H::ROWS.iter().enumerate() {
        fields.push(*name, sample(kind, turn));
    }
    fields
}

fn name_of<H>() -> &'static str {
    std::any::type_name::<H>().rsplit("::").next().unwrap()
}

struct RoundTrip;

impl Visitor for RoundTrip {
    fn visit<H: Header + Default + Clone + PartialEq + Debug>(&mut self, _codes: &'static [RequestCode]) {
        let fields = full::<H>();
        let header = H::decode(&fields).unwrap();
        assert_eq!(header.to_fields(), fields, "{}", name_of::<H>());
        for form in [HeaderForm::Json, HeaderForm::Binary] {
            let mut command = Command::request(RequestCode(1));
            (command.form, command.fields) = (form, fields.clone());
            let mut bytes = BytesMut::new();
            command.encode(&mut bytes);
            let frame = frame::take(&mut bytes, frame::FRAME_BYTES_MAX).unwrap().unwrap();
            let decoded = Command::decode(frame).unwrap();
            assert_eq!(H::decode(&decoded.fields), Ok(header.clone()), "{} in {form:?}", name_of::<H>());
        }
    }
}

#[test]
fn headers_give_back_what_went_in() {
    for_each(&mut RoundTrip);
}

struct Omission;

impl Visitor for Omission {
    fn visit<H: Header + Default + Clone + PartialEq + Debug>(&mut self, _codes: &'static [RequestCode]) {
        for (omitted, _) in H::ROWS {
            let mut fields = Fields::empty();
            full::<H>().for_each(|name, value| {
                if name != *omitted {
                    fields.push(name.to_owned(), value.to_text());
                }
            });
            match H::decode(&fields) {
                // An optional field stays out, one with a default comes back.
                Ok(header) => assert_eq!(H::decode(&header.to_fields()), Ok(header), "{}", name_of::<H>()),
                Err(error) => assert_eq!(error, HeaderError::Missing(omitted), "{}", name_of::<H>()),
            }
        }
        let names: BTreeSet<_> = H::ROWS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), H::ROWS.len(), "{} has a name twice", name_of::<H>());
        let default = H::default();
        assert_eq!(H::decode(&default.to_fields()), Ok(default), "{}", name_of::<H>());
    }
}

#[test]
fn what_is_missing_is_named_or_has_a_default() {
    for_each(&mut Omission);
}

#[test]
fn every_code_has_its_header() {
    for code in RequestCode::ALL {
        let decoded = decode_any(*code, &Fields::empty());
        assert_eq!(decoded.is_none(), WITHOUT_HEADER.contains(code), "{code}: {decoded:?}");
    }
    assert_eq!(decode_any(RequestCode(0), &Fields::empty()), None);
}

struct Codes(BTreeSet<RequestCode>);

impl Visitor for Codes {
    fn visit<H: Header>(&mut self, codes: &'static [RequestCode]) {
        for code in codes {
            assert!(code.name().is_some(), "{code} of {} is unknown", name_of::<H>());
            assert!(self.0.insert(*code), "{code} has two headers");
        }
    }
}

#[test]
fn no_code_has_two_headers() {
    for_each(&mut Codes(BTreeSet::new()));
}

#[test]
fn a_send_is_the_same_by_short_and_by_long_names() {
    let short = SendMessageV2::decode(&full::<SendMessageV2>()).unwrap();
    let long = SendMessage::from(short.clone());
    assert_eq!(
        (&long.producer_group, long.max_reconsume_times),
        (&short.producer_group, short.max_reconsume_times)
    );
    assert_eq!(SendMessageV2::from(long), short);
}

#[test]
fn words_are_read_as_java_reads_them() {
    let boundary = |word: &str| {
        let mut fields = full::<SearchOffset>();
        fields.push("boundaryType", word);
        SearchOffset::decode(&fields).unwrap().boundary
    };
    assert_eq!(boundary("upper"), Boundary::Upper);
    assert_eq!(boundary("LOWER"), Boundary::Lower);
    assert_eq!(boundary("nonsense"), Boundary::Lower);
    let mut fields = full::<UpdateTopic>();
    fields.push("topicFilterType", "NONSENSE");
    let error = UpdateTopic::decode(&fields).unwrap_err().to_string();
    assert_eq!(
        error,
        "the custom field <topicFilterType> is illegal: \"NONSENSE\" is no SINGLE_TAG or MULTI_TAG"
    );
}
