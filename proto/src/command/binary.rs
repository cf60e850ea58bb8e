//! The ROCKETMQ form of a header: fixed fields, then two blocks that say their length, remark and map.

use std::mem::size_of;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{Command, HeaderForm};
use crate::fields::{FIELDS_MAX, Fields};
use crate::language::Language;
use crate::text::Text;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BinaryError {
    #[error("{0} is cut off")]
    CutOff(&'static str),
    #[error("{0} has a negative length")]
    NegativeLength(&'static str),
    #[error("{0} is not UTF-8")]
    NotUtf8(&'static str),
    #[error("more than {FIELDS_MAX} fields")]
    TooManyFields,
}

pub(super) fn decode(header: &Bytes, body: Bytes) -> Result<Command, BinaryError> {
    let mut rest = header.clone();
    let fixed = size_of::<i16>() + size_of::<u8>() + size_of::<i16>() + 2 * size_of::<i32>();
    if rest.len() < fixed {
        return Err(BinaryError::CutOff("the fixed part"));
    }
    let code = i32::from(rest.get_i16());
    let language = Language::from_number(rest.get_u8());
    let version = i32::from(rest.get_i16());
    let opaque = rest.get_i32();
    let flag = rest.get_i32();
    let remark = match take_block(&mut rest, "the remark")? {
        block if block.is_empty() => None,
        block => Some(Text::from_utf8(block).ok_or(BinaryError::NotUtf8("the remark"))?),
    };
    let fields = match take_block(&mut rest, "the map")? {
        block if block.is_empty() => Fields::default(),
        block => {
            check_map(&block)?;
            Fields::from_binary(block)
        }
    };
    Ok(Command { code, language, version, opaque, flag, remark, fields, body, form: HeaderForm::Binary })
}

/// A block of a 4-byte length and as many bytes.
fn take_block(rest: &mut Bytes, what: &'static str) -> Result<Bytes, BinaryError> {
    let length = rest.try_get_i32().map_err(|_| BinaryError::CutOff(what))?;
    let length = usize::try_from(length).map_err(|_| BinaryError::NegativeLength(what))?;
    if length > rest.len() {
        return Err(BinaryError::CutOff(what));
    }
    Ok(rest.split_to(length))
}

fn take_entry(rest: &mut Bytes) -> Result<(Bytes, Bytes), BinaryError> {
    let length = rest.try_get_i16().map_err(|_| BinaryError::CutOff("a field's name"))?;
    let length = usize::try_from(length).map_err(|_| BinaryError::NegativeLength("a field's name"))?;
    if length > rest.len() {
        return Err(BinaryError::CutOff("a field's name"));
    }
    let name = rest.split_to(length);
    Ok((name, take_block(rest, "a field's value")?))
}

fn check_map(map: &Bytes) -> Result<(), BinaryError> {
    let mut rest = map.clone();
    let mut count = 0;
    while !rest.is_empty() {
        let (name, value) = take_entry(&mut rest)?;
        if std::str::from_utf8(&name).is_err() || std::str::from_utf8(&value).is_err() {
            return Err(BinaryError::NotUtf8("a field"));
        }
        count += 1;
        if count > FIELDS_MAX {
            return Err(BinaryError::TooManyFields);
        }
    }
    Ok(())
}

/// Visits the entries of a checked map.
pub(crate) fn for_each_entry(map: &Bytes, mut visit: impl FnMut(&str, Text)) {
    let mut rest = map.clone();
    while let Ok((name, value)) = take_entry(&mut rest) {
        if let (Ok(name), Some(value)) = (std::str::from_utf8(&name), Text::from_utf8(value)) {
            visit(name, value);
        }
    }
}

/// Codes past 16 bits lose their upper half: this form has no room for them, and no client asks for them in it.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn encode(command: &Command, out: &mut BytesMut) {
    out.put_i16(command.code as i16);
    out.put_u8(command.language.number());
    out.put_i16(command.version as i16);
    out.put_i32(command.opaque);
    out.put_i32(command.flag);
    let remark = command.remark.as_deref().unwrap_or_default();
    put_length(out, remark.len());
    out.extend_from_slice(remark.as_bytes());
    let hole = out.len();
    out.put_i32(0);
    command.fields.for_each(|name, value| {
        let Ok(name_length) = i16::try_from(name.len()) else { return };
        out.put_i16(name_length);
        out.extend_from_slice(name.as_bytes());
        put_length(out, value.len());
        out.extend_from_slice(value.as_bytes());
    });
    let length = out.len() - hole - size_of::<i32>();
    if let Some(hole) = out.get_mut(hole..hole + size_of::<i32>()) {
        hole.copy_from_slice(&(length as i32).to_be_bytes());
    }
}

#[allow(clippy::cast_possible_truncation)]
fn put_length(out: &mut BytesMut, length: usize) {
    out.put_i32(length as i32);
}
