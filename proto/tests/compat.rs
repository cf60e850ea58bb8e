//! Frames recorded from official clients, brokers and tools: each is read, and written again to the same bytes.
//!
//! Our encoder writes as Java does. The other clients order the members of a header, and escape text, in ways of their own, which
//! this test knows; what it writes comes from the decoded command alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::{Command, HeaderForm};
use ferrymq_proto::fields::Fields;
use ferrymq_proto::frame::{self, FRAME_BYTES_MAX};
use ferrymq_proto::headers;

struct Recording {
    file: PathBuf,
    /// The folder's name: who spoke, and in which version.
    peer: String,
    /// `request`, `response` or `push`, and the code of the request.
    direction: String,
    code: RequestCode,
    frames: Vec<(Vec<u8>, Command)>,
}

fn recordings() -> Vec<Recording> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/compat/frames");
    let mut recordings = Vec::new();
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let (direction, code) = name.split_once('-').unwrap();
            recordings.push(Recording {
                peer: folder.file_name().unwrap().to_str().unwrap().to_owned(),
                direction: direction.to_owned(),
                code: RequestCode(code.parse().unwrap()),
                frames: frames_of(&fs::read(&file).unwrap()),
                file,
            });
        }
    }
    recordings
}

fn frames_of(bytes: &[u8]) -> Vec<(Vec<u8>, Command)> {
    let mut rest = BytesMut::from(bytes);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let before = rest.clone();
        let frame = frame::take(&mut rest, FRAME_BYTES_MAX).unwrap().expect("a whole frame");
        let length = before.len() - rest.len();
        frames.push((before[..length].to_vec(), Command::decode(frame).unwrap()));
    }
    frames
}

fn encoded(command: &Command) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes.to_vec()
}

#[test]
fn what_was_read_is_written_to_the_same_bytes() {
    let (mut same, mut peers) = (0, std::collections::BTreeSet::new());
    for recording in recordings() {
        for (bytes, command) in &recording.frames {
            // A client's answers come from Apache's broker, so only what it sends is in its own hand.
            let asks = recording.direction == "request";
            let written = match recording.peer.split('-').next().unwrap() {
                "go" if asks => in_another_hand(command, &go_header(command)),
                "python" if asks => in_another_hand(command, &cpp_header(command)),
                _ => encoded(command),
            };
            assert_eq!(
                String::from_utf8_lossy(&written),
                String::from_utf8_lossy(bytes),
                "{}",
                recording.file.display()
            );
            assert_eq!(&written, bytes, "{}", recording.file.display());
            same += 1;
            peers.insert(recording.peer.clone());
        }
    }
    assert!(same >= 150 && peers.len() >= 8, "only {same} frames of {peers:?}");
}

#[test]
fn every_recorded_request_has_a_typed_header_that_reads_it() {
    let mut read = 0;
    for recording in recordings().iter().filter(|recording| recording.direction != "response") {
        for (_, command) in &recording.frames {
            let code = RequestCode(command.code);
            assert_eq!(code, recording.code, "{}", recording.file.display());
            let decoded = headers::decode_any(code, &command.fields);
            assert!(matches!(decoded, Some(Ok(()))), "{code}: {decoded:?} in {}", recording.file.display());
            read += 1;
        }
    }
    assert!(read >= 70, "only {read} requests");
}

/// A frame with a JSON header that another encoder would have written.
fn in_another_hand(command: &Command, header: &str) -> Vec<u8> {
    assert_eq!(command.form, HeaderForm::Json);
    let length = u32::try_from(header.len()).unwrap();
    let total = 4 + length + u32::try_from(command.body.len()).unwrap();
    [&total.to_be_bytes()[..], &length.to_be_bytes(), header.as_bytes(), &command.body].concat()
}

fn listed(fields: &Fields) -> Vec<(String, String)> {
    let mut list = Vec::new();
    fields.for_each(|name, value| list.push((name.to_owned(), value.to_string())));
    list
}

/// Go writes members in the order of its struct; `<`, `>` and `&` are escaped.
fn go_header(command: &Command) -> String {
    let fields: Vec<_> = listed(&command.fields)
        .iter()
        .map(|(name, value)| format!("{}:{}", go_string(name), go_string(value)))
        .collect();
    format!(
        "{{\"code\":{},\"language\":\"{}\",\"version\":{},\"opaque\":{},\"flag\":{},\"remark\":{},\"extFields\":{{{}}}}}",
        command.code,
        command.language.name(),
        command.version,
        command.opaque,
        command.flag,
        go_string(command.remark.as_deref().unwrap_or_default()),
        fields.join(",")
    )
}

fn go_string(text: &str) -> String {
    json_string(text, |character| {
        matches!(character, '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}')
    })
}

/// A string with the escapes that all encoders share, and `\\uXXXX` for what this one escapes besides.
fn json_string(text: &str, escapes: impl Fn(char) -> bool) -> String {
    let mut written = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            '\r' => written.push_str("\\r"),
            '\t' => written.push_str("\\t"),
            other if escapes(other) => written.push_str(&format!("\\u{:04x}", u32::from(other))),
            plain => written.push(plain),
        }
    }
    written + "\""
}

/// Fields that C++ writes as JSON numbers, not as strings: all that are 32 bits wide.
const CPP_NUMBERS: [&str; 5] = ["defaultTopicQueueNums", "flag", "maxMsgNums", "queueId", "sysFlag"];

/// C++ (jsoncpp) sorts all keys, and ends with a line feed.
fn cpp_header(command: &Command) -> String {
    let fields: Vec<_> = listed(&command.fields)
        .iter()
        .map(|(name, value)| {
            let is_number = CPP_NUMBERS.contains(&name.as_str());
            format!("{}:{}", cpp_string(name), if is_number { value.clone() } else { cpp_string(value) })
        })
        .collect();
    let fields = match (command.fields.is_absent(), fields.is_empty()) {
        (true, _) => String::new(),
        (false, _) => format!("\"extFields\":{{{}}},", fields.join(",")),
    };
    let remark = command.remark.as_deref().map(|remark| format!("\"remark\":{},", cpp_string(remark)));
    format!(
        "{{\"code\":{},{fields}\"flag\":{},\"language\":\"{}\",\"opaque\":{},{}\"version\":{}}}\n",
        command.code,
        command.flag,
        command.language.name(),
        command.opaque,
        remark.unwrap_or_default(),
        command.version
    )
}

fn cpp_string(text: &str) -> String {
    json_string(text, |character| character < ' ')
}
