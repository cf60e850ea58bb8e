//! Our half of the comparison with Apache's own decoders; `tests/interop/run decode` runs both halves.
//!
//! ```text
//! decode generate command|record SEED COUNT    writes inputs to standard output, each behind its length
//! decode command|record                        reads inputs and prints a line for each, in the form of Decode.java
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{BufMut, Bytes, BytesMut};
use ferrymq_proto::code::RequestCode;
use ferrymq_proto::command::{Command, HeaderForm};
use ferrymq_proto::frame::{Frame, HEADER_BYTES_MAX};
use ferrymq_proto::language::Language;
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, PropertyList, Record, SysFlag, stamp, tag};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["generate", kind, seed, count] => generate(kind, seed.parse().unwrap(), count.parse().unwrap()),
        [kind @ ("command" | "record")] => print_all(kind),
        _ => panic!("usage: decode generate command|record SEED COUNT, or decode command|record"),
    }
}

fn generate(kind: &str, seed: u64, count: usize) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut out = BytesMut::new();
    for _ in 0..count {
        let input = match kind {
            "record" => dice.record(),
            _ if dice.below(2) == 0 => dice.foreign_json(),
            _ => dice.own_command(),
        };
        out.put_u32(u32::try_from(input.len()).unwrap());
        out.extend_from_slice(&input);
    }
    io::stdout().write_all(&out).unwrap();
}

/// Xorshift: repeatable, and good enough to vary inputs.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len() as u64) as usize]
    }

    /// Numbers near the ends of their range as often as others.
    fn i32(&mut self) -> i32 {
        match self.below(4) {
            0 => self.pick(&[0, 1, -1, i32::MAX, i32::MIN]),
            1 => self.below(1000) as i32,
            _ => self.next() as i32,
        }
    }

    fn i64(&mut self) -> i64 {
        match self.below(4) {
            0 => self.pick(&[0, 1, -1, i64::MAX, i64::MIN]),
            _ => self.next() as i64,
        }
    }

    fn character(&mut self) -> char {
        match self.below(12) {
            0 => self.pick(&[
                '"', '\\', '/', '\n', '\r', '\t', '\u{8}', '\u{c}', '\u{1}', '\u{2}', '\u{7f}', '\u{85}',
            ]),
            1 => char::from_u32(0xA0 + self.below(0xD000 - 0xA0) as u32).unwrap_or('?'),
            2 => char::from_u32(0x1_0000 + self.below(0x1_0000) as u32).unwrap_or('?'),
            3 => self.pick(&['\u{2028}', '\u{2029}', '\u{fffd}', '\u{feff}', '{', '}', ':', ',', '\'']),
            _ => char::from(b' ' + self.below(95) as u8),
        }
    }

    fn text(&mut self, longest: u64) -> String {
        let length = self.below(longest + 1);
        (0..length).map(|_| self.character()).collect()
    }

    /// Text that is not empty: the binary form cannot tell empty from absent.
    fn some_text(&mut self, longest: u64) -> String {
        format!("{}{}", self.text(longest), self.pick(&['x', 'é', '0']))
    }

    /// The name of a field. None in use has a character that needs an escape; and Java's reader fails on a name that has one
    /// beside a character past U+FFFF.
    fn name(&mut self) -> String {
        (0..=self.below(10))
            .map(|_| self.pick(&['a', 'Z', '_', '-', '.', '%', '$', ' ', 'é', '名', '\u{1F6A2}']))
            .collect()
    }

    /// A command as our encoder writes it, in either form.
    fn own_command(&mut self) -> Vec<u8> {
        let mut command = Command::request(RequestCode(i32::from(self.i32() as i16)));
        command.language = Language::from_number(self.below(14) as u8);
        command.version = self.below(600) as i32;
        command.opaque = self.i32();
        command.flag = self.pick(&[0, 1, 2, 3]);
        if self.below(3) == 0 {
            command.remark = Some(self.some_text(60).into());
        }
        for n in 0..self.below(12) {
            let name = format!("{}{n}", self.name());
            command.fields.push(name, self.some_text(40));
        }
        let body = self.text(60);
        command = command.with_body(body.into_bytes());
        command.form = self.pick(&[HeaderForm::Json, HeaderForm::Binary]);
        let mut bytes = BytesMut::new();
        command.encode(&mut bytes);
        bytes.split_off(4).to_vec()
    }

    /// A command as other clients might write it: members in any order, white space, escapes, members nobody knows.
    fn foreign_json(&mut self) -> Vec<u8> {
        // Where no number is given, Java counts up its own: it is always there.
        let mut members = vec![
            format!("\"opaque\":{}", self.i32()),
            format!("\"code\":{}", self.i32()),
            format!("\"flag\":{}", self.below(4)),
            format!("\"version\":{}", self.below(600)),
            format!("\"language\":\"{}\"", Language::from_number(self.below(14) as u8).name()),
            format!("\"serializeTypeCurrentRPC\":\"{}\"", self.pick(&["JSON", "ROCKETMQ"])),
        ];
        members.truncate(2 + self.below(5) as usize);
        match self.below(3) {
            0 => members.push("\"remark\":null".to_owned()),
            1 => members.push(format!("\"remark\":{}", self.json_string(40))),
            _ => {}
        }
        if self.below(4) > 0 {
            let fields: Vec<_> = (0..self.below(10))
                .map(|n| format!("\"f{n}\"{}:{}{}", self.space(), self.space(), self.json_string(40)))
                .collect();
            members.push(format!("\"extFields\":{{{}}}", fields.join(",")));
        }
        if self.below(4) == 0 {
            members.push("\"unknown\":[1,{\"a\":[true,null,-1.5e3]},\"x\"]".to_owned());
        }
        for at in (1..members.len()).rev() {
            let other = self.below(at as u64 + 1) as usize;
            members.swap(at, other);
        }
        let mut header = String::from("{");
        for (n, member) in members.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(header, "{comma}{}{member}{}", self.space(), self.space()).unwrap();
        }
        header.push('}');
        let body = self.text(20);
        let mut bytes = (header.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(body.as_bytes());
        bytes
    }

    fn space(&mut self) -> &'static str {
        self.pick(&["", "", "", " ", "\n", "\t", "  "])
    }

    /// Characters as themselves where they may, or as one of their escapes.
    fn json_string(&mut self, longest: u64) -> String {
        let mut text = String::from("\"");
        for character in self.text(longest).chars() {
            let must = character < ' ' || character == '"' || character == '\\';
            if !must && self.below(4) > 0 {
                text.push(character);
            } else if character == '/' {
                text.push_str("\\/");
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").unwrap();
                }
            }
        }
        text.push('"');
        text
    }

    fn host(&mut self) -> SocketAddr {
        let ip = if self.below(3) == 0 {
            IpAddr::from(Ipv6Addr::from((u128::from(self.next() | 1 << 63) << 64) | u128::from(self.next())))
        } else {
            IpAddr::from(Ipv4Addr::from(self.next() as u32))
        };
        SocketAddr::new(ip, self.next() as u16)
    }

    fn record(&mut self) -> Vec<u8> {
        let long = self.pick(&[1, 20, 126, 127, 128, 200, 255]);
        let topic: String = (0..=self.below(long)).map(|_| self.pick(b"abcXYZ019_-%|") as char).collect();
        let mut properties = PropertyList::new();
        for _ in 0..self.below(8) {
            let plain = |text: String| text.replace(['\u{1}', '\u{2}'], "_");
            let name = self.pick(&["KEYS", "TAGS", "WAIT", "UNIQ_KEY", "DELAY", "own"]);
            properties.set(name, &plain(self.some_text(30))).unwrap();
        }
        let new = NewRecord {
            topic: TopicName::parse(topic.get(..255.min(topic.len())).unwrap()).unwrap(),
            queue_id: QueueId(self.i32()),
            flag: self.i32(),
            sys_flag: SysFlag(self.next() as i32 & 0x7ce),
            born_timestamp: Timestamp(self.i64()),
            born_host: self.host(),
            store_host: self.host(),
            reconsume_times: self.i32(),
            prepared_offset: LogOffset(self.i64()),
            properties: properties.into_bytes(),
            body: self.text(100).into_bytes().into(),
        };
        let mut bytes = BytesMut::new();
        new.encode(usize::MAX, &mut bytes).unwrap();
        let (queue, log, stored) = (QueueOffset(self.i64()), LogOffset(self.i64()), Timestamp(self.i64()));
        stamp(&mut bytes, queue, log, stored).unwrap();
        bytes.to_vec()
    }
}

fn print_all(kind: &str) {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).unwrap();
    let mut rest = &input[..];
    let mut lines = String::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (input, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        rest = tail;
        let line = if kind == "command" { command_line(input) } else { record_line(input) };
        lines.push_str(&line.unwrap_or_else(|| "error".to_owned()));
        lines.push('\n');
    }
    io::stdout().write_all(lines.as_bytes()).unwrap();
}

/// The input is a frame without its length.
fn command_line(input: &[u8]) -> Option<String> {
    let (word, rest) = input.split_first_chunk::<4>()?;
    let length = u32::from_be_bytes(*word) as usize & 0x00FF_FFFF;
    if length > rest.len() || length > HEADER_BYTES_MAX {
        return None;
    }
    let (header, body) = rest.split_at(length);
    let frame =
        Frame { form: word[0], header: Bytes::copy_from_slice(header), body: Bytes::copy_from_slice(body) };
    let command = Command::decode(frame).ok()?;
    let mut fields = Vec::new();
    command.fields.for_each(|name, value| {
        // Java reads a value of no bytes as none.
        let is_null = command.form == HeaderForm::Binary && value.is_empty();
        fields.push((name.to_owned(), (!is_null).then(|| value.to_string())));
    });
    Some(format!(
        "{}|{}|{}|{}|{}|{}|{}|{}",
        command.code,
        command.language.name(),
        command.version,
        command.opaque,
        command.flag,
        command.remark.as_ref().map_or("null".to_owned(), |remark| string(remark)),
        if command.fields.is_absent() { "null".to_owned() } else { map(fields) },
        if body.is_empty() { "null".to_owned() } else { hex(body) },
    ))
}

fn record_line(input: &[u8]) -> Option<String> {
    let (record, size) = Record::decode(input).ok()?;
    let properties =
        record.properties.iter().map(|(name, value)| (name.into_owned(), Some(value.into_owned())));
    let tags = record.properties.get("TAGS").map_or(0, |tags| tag::hash_code(&tags));
    Some(format!(
        "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
        string(record.topic),
        record.queue_id,
        record.flag,
        record.queue_offset,
        record.log_offset,
        record.sys_flag.0,
        record.born_timestamp,
        host(record.born_host),
        record.store_timestamp,
        host(record.store_host),
        record.reconsume_times,
        record.prepared_offset,
        record.body_crc,
        size,
        if record.body.is_empty() { "null".to_owned() } else { hex(record.body) },
        if record.properties.as_bytes().is_empty() { "null".to_owned() } else { map(properties.collect()) },
        string(&record.message_id().to_string()),
        tags,
    ))
}

fn string(text: &str) -> String {
    let mut escaped = String::from("\"");
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(plain @ b' '..=b'~') if plain != b'"' && plain != b'\\' => escaped.push(char::from(plain)),
            _ => write!(escaped, "\\u{unit:04x}").unwrap(),
        }
    }
    escaped.push('"');
    escaped
}

/// Sorted by the UTF-16 units of the name, as Java sorts; of two with one name the last counts.
fn map(mut entries: Vec<(String, Option<String>)>) -> String {
    entries.reverse();
    entries.sort_by_cached_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
    entries.dedup_by(|later, first| later.0 == first.0);
    let written = entries.iter().map(|(name, value)| {
        let value = value.as_deref().map_or("null".to_owned(), string);
        format!("{}={value}", string(name))
    });
    format!("{{{}}}", written.collect::<Vec<_>>().join(","))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn host(address: SocketAddr) -> String {
    let ip = match address.ip().to_canonical() {
        IpAddr::V4(ip) => hex(&ip.octets()),
        IpAddr::V6(ip) => hex(&ip.octets()),
    };
    format!("{ip}:{}", address.port())
}
