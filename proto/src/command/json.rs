//! The JSON form of a header.

use bytes::{Bytes, BytesMut};

use super::{Command, HeaderForm};
use crate::fields::Fields;
use crate::json::{FromJson, JsonError, Kind, Out, Reader, write_string};
use crate::language::Language;
use crate::text::Text;

pub(super) fn decode(header: &Bytes, body: Bytes) -> Result<Command, JsonError> {
    let mut command = Command {
        code: 0,
        language: Language::Java,
        version: 0,
        opaque: 0,
        flag: 0,
        remark: None,
        fields: Fields::default(),
        body,
        form: HeaderForm::Json,
    };
    let mut reader = Reader::from_utf8(header)?;
    reader.object(|reader, key| {
        if reader.null()? {
            return Ok::<(), JsonError>(());
        }
        match key.as_str() {
            "code" => command.code = i32::read(reader)?,
            "language" => command.language = read_language(reader)?,
            "version" => command.version = i32::read(reader)?,
            "opaque" => command.opaque = i32::read(reader)?,
            "flag" => command.flag = i32::read(reader)?,
            "remark" => command.remark = Some(Text::part_of(header, reader.string()?)),
            "extFields" => command.fields = Fields::read_json(header, reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    reader.end()?;
    Ok(command)
}

/// By name; some old clients send the number.
fn read_language(reader: &mut Reader<'_>) -> Result<Language, JsonError> {
    match reader.kind()? {
        Kind::Number => {
            let number = i32::read(reader)?;
            Ok(u8::try_from(number).map_or(Language::Other, Language::from_number))
        }
        _ => Ok(Language::from_name(&reader.string()?)),
    }
}

/// Room for most answers.
const HEADER_BYTES: usize = 512;

/// In the order of Java's encoder: keys ascending, absent parts left out.
pub(super) fn encode(command: &Command, out: &mut BytesMut) {
    out.reserve(HEADER_BYTES);
    let mut digits = itoa::Buffer::new();
    out.push_str("{\"code\":");
    out.push_str(digits.format(command.code));
    if !command.fields.is_absent() {
        out.push_str(",\"extFields\":{");
        let mut first = true;
        command.fields.for_each(|name, value| {
            if !std::mem::replace(&mut first, false) {
                out.push_str(",");
            }
            write_string(out, name);
            out.push_str(":");
            write_string(out, &value);
        });
        out.push_str("}");
    }
    out.push_str(",\"flag\":");
    out.push_str(digits.format(command.flag));
    out.push_str(",\"language\":\"");
    out.push_str(command.language.name());
    out.push_str("\",\"opaque\":");
    out.push_str(digits.format(command.opaque));
    if let Some(remark) = &command.remark {
        out.push_str(",\"remark\":");
        write_string(out, remark);
    }
    out.push_str(",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    out.push_str(digits.format(command.version));
    out.push_str("}");
}
