//! What is done with any bytes: the bodies of the fuzz targets, which `cargo test` runs over their corpus as well.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::{Command, HeaderForm};
use ferrymq_proto::filter::{Filter, SQL92, SqlFilter, TAG};
use ferrymq_proto::frame::{self, Frame, FrameError};
use ferrymq_proto::record::batch::BatchEntries;
use ferrymq_proto::record::tag::TagCode;
use ferrymq_proto::record::{
    Found, NewRecord, Properties, PropertyList, Record, Records, property, scan, stamp,
};
use ferrymq_proto::{bodies, headers, name};

/// Frames of the corpus are small; a low limit lets the check of the limit be found.
const FRAME_BYTES_MAX: usize = 4096;

/// However a stream is cut into pieces, the same frames come out, and the same error at the same place.
pub fn frame(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let mut buffer = BytesMut::from(stream);
    let whole = frames(&mut buffer);
    let mut grown = BytesMut::new();
    let mut pieced = (Vec::new(), None);
    for bytes in stream.chunks(usize::from(*piece) + 1) {
        grown.extend_from_slice(bytes);
        let (more, error) = frames(&mut grown);
        pieced.0.extend(more);
        pieced.1 = error;
        if pieced.1.is_some() {
            break;
        }
    }
    assert_eq!(whole, pieced);
}

fn frames(buffer: &mut BytesMut) -> (Vec<Frame>, Option<FrameError>) {
    let mut frames = Vec::new();
    loop {
        match frame::take(buffer, FRAME_BYTES_MAX) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

pub fn json_header(data: &[u8]) {
    header(data, 0);
}

pub fn binary_header(data: &[u8]) {
    header(data, 1);
}

/// What was read is written and read again, in either form, without a change.
fn header(data: &[u8], form: u8) {
    let frame = Frame { form, header: Bytes::copy_from_slice(data), body: Bytes::from_static(b"body") };
    let Ok(command) = Command::decode(frame) else { return };
    let again = round_trip(&command);
    assert_eq!(command, again);
    assert_eq!(encoded(&command), encoded(&again), "writing is not stable");
    let mut other = command.clone();
    other.form = match command.form {
        HeaderForm::Json => HeaderForm::Binary,
        HeaderForm::Binary => HeaderForm::Json,
    };
    let fits_binary = i16::try_from(command.code).is_ok() && i16::try_from(command.version).is_ok();
    let mut names_fit = true;
    command.fields.for_each(|name, _| names_fit &= i16::try_from(name.len()).is_ok());
    if other.form == HeaderForm::Json || (fits_binary && names_fit) {
        let again = round_trip(&other);
        let carried = |command: &Command| {
            let mut list = Vec::new();
            command.fields.for_each(|name, value| list.push((name.to_owned(), value.to_text())));
            (command.code, command.opaque, command.flag, command.language, list)
        };
        assert_eq!(carried(&other), carried(&again));
    }
}

fn encoded(command: &Command) -> BytesMut {
    let mut bytes = BytesMut::new();
    command.encode(&mut bytes);
    bytes
}

fn round_trip(command: &Command) -> Command {
    // A header of many characters that need an escape grows when it is written; the frame's own limits are another target's.
    let mut bytes = encoded(command);
    match frame::take(&mut bytes, frame::FRAME_BYTES_MAX) {
        Ok(Some(frame)) => Command::decode(frame).expect("what we write can be read"),
        Ok(None) => panic!("we wrote half a frame"),
        Err(FrameError::HeaderTooLong(_)) => command.clone(),
        Err(error) => panic!("{error}"),
    }
}

/// The first two bytes choose the code, the rest are its fields, in either form.
pub fn typed_headers(data: &[u8]) {
    let Some((choice, rest)) = data.split_first_chunk::<2>() else { return };
    let code = RequestCode::ALL[usize::from(u16::from_be_bytes(*choice)) % RequestCode::ALL.len()];
    for form in [0, 1] {
        let header =
            if form == 0 { [b"{\"extFields\":", rest, b"}"].concat() } else { binary_with_map(rest) };
        let frame = Frame { form, header: header.into(), body: Bytes::new() };
        if let Ok(command) = Command::decode(frame) {
            let _ = headers::decode_any(code, &command.fields);
        }
    }
}

fn binary_with_map(map: &[u8]) -> Vec<u8> {
    let fixed = [0; 17];
    [&fixed[..], &u32::try_from(map.len()).unwrap().to_be_bytes(), map].concat()
}

/// A record that can be read is written again to the same bytes where our writer could have made it.
pub fn record(data: &[u8]) {
    let found = scan(data);
    let decoded = Record::decode(data);
    if let Ok((record, size)) = &decoded {
        assert!(*size <= data.len());
        assert!(
            matches!(found, Found::Record { size: s } | Found::BadCrc { size: s } if s == *size),
            "{found:?} disagrees with a record of {size}"
        );
        let _ = record.message_id();
        rewrite(record, &data[..*size]);
    }
    let total: usize = Records::new(data).filter_map(Result::ok).map(|record| record.body.len()).sum();
    assert!(total <= data.len());
    let entries: usize = BatchEntries::new(data).filter_map(Result::ok).map(|entry| entry.body.len()).sum();
    assert!(entries <= data.len());
}

fn rewrite(record: &Record<'_>, bytes: &[u8]) {
    let Ok(topic) = name::TopicName::parse(record.topic) else { return };
    let new = NewRecord {
        topic,
        queue_id: record.queue_id,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared_offset: record.prepared_offset,
        properties: Bytes::copy_from_slice(record.properties.as_bytes()),
        body: Bytes::copy_from_slice(record.body),
    };
    let mut out = BytesMut::new();
    if new.encode(usize::MAX, &mut out).is_err() {
        return;
    }
    stamp(&mut out, record.queue_offset, record.log_offset, record.store_timestamp)
        .expect("we wrote a record");
    let (again, size) = Record::decode(&out).expect("what we write can be read");
    assert_eq!(size, out.len());
    assert_eq!(
        (again.topic, again.body, again.queue_offset),
        (record.topic, record.body, record.queue_offset)
    );
    let same_shape = again.version == record.version && again.sys_flag == record.sys_flag;
    if same_shape && again.body_crc == record.body_crc {
        assert_eq!(&out[..], bytes);
    }
}

/// Editing keeps what was not edited.
pub fn properties(data: &[u8]) {
    let view = Properties::new(data);
    for (name, value) in view.iter() {
        assert!(!name.is_empty() && !value.is_empty());
        // Names that are not UTF-8 are shown as well as they can be, and found by nobody.
        assert!(view.get(&name).is_some() || name.contains(char::REPLACEMENT_CHARACTER));
    }
    let Ok(mut list) = PropertyList::read(view) else { return };
    let before: Vec<_> = view.iter().map(|(name, _)| name.into_owned()).collect();
    if list.set("ferry", "boat").is_ok() {
        assert_eq!(list.get("ferry").as_deref(), Some("boat"));
        let edited = list.clone().into_bytes();
        for name in before.iter().filter(|name| *name != "ferry") {
            assert_eq!(Properties::new(&edited).get(name), view.get(name), "{name:?}");
        }
        list.remove("ferry");
        assert_eq!(list.get("ferry"), None);
    }
}

pub fn bodies(data: &[u8]) {
    let _ = bodies::decode_any(data);
}

/// What stands before the first zero is an expression, the rest are properties.
pub fn filter(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let text = String::from_utf8_lossy(&data[..end]);
    let properties = Properties::new(data.get(end + 1..).unwrap_or_default());
    for expression_type in [TAG, SQL92] {
        match Filter::compile(expression_type, &text) {
            Ok(filter) => {
                let tag = properties.get(property::TAGS).unwrap_or_default();
                assert!(!filter.matches(&properties) || filter.matches_code(TagCode::of(&tag)));
            }
            Err(error) => {
                let remark = error.to_string();
                assert!(!remark.contains(char::is_control) && remark.len() < 400, "{remark}");
            }
        }
    }
    opposites(&text, properties);
}

/// What is true of an expression is not true of its opposite, and neither is true of what is unknown.
fn opposites(text: &str, properties: Properties<'_>) {
    let Ok(filter) = SqlFilter::compile(text) else { return };
    let opposite = SqlFilter::compile(&format!("NOT ({text})"));
    let unknown = SqlFilter::compile(&format!("({text}) IS NULL"));
    if let (Ok(opposite), Ok(unknown), None) = (opposite, unknown, filter.unread_from()) {
        let answers = [&filter, &opposite, &unknown].map(|filter| filter.evaluate(&properties));
        if let [Ok(answer), Ok(opposite), Ok(unknown)] = answers {
            assert_eq!(opposite, answer.map(|truth| !truth));
            assert_eq!(unknown, Some(answer.is_none()));
        }
    }
}
