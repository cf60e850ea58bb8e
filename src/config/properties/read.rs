//! Bytes into entries: natural lines are joined into logical lines, and these are cut into key and value.

use std::ops::Range;

use super::{Entry, Fault, FaultReason, Properties};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a whole text. Lines with a [`Fault`] give no entry.
pub fn read(text: &[u8]) -> Properties {
    let mut properties = Properties::default();
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let mut lines = NaturalLines { text, next: start }.enumerate();
    while let Some(line) = logical_line(text, &mut lines) {
        match entry(&line) {
            Ok(entry) => properties.entries.push(entry),
            Err((span, reason)) => {
                let line = line_number(text, line.number, line.start(), span.start);
                properties.faults.push(Fault { line, span, reason });
            }
        }
    }
    properties
}

/// The bytes of the natural line around `offset`, without the line's end.
pub fn natural_line(text: &[u8], offset: usize) -> Range<usize> {
    let is_end = |&byte: &u8| byte == b'\n' || byte == b'\r';
    let (before, after) = text.split_at_checked(offset).unwrap_or((text, &[]));
    let start = before.iter().rposition(is_end).map_or(0, |end| end + 1);
    start..before.len() + after.iter().position(is_end).unwrap_or(after.len())
}

/// The number of the natural line with `offset`, counted from the start of line `number` at `start`.
pub fn line_number(text: &[u8], number: usize, start: usize, offset: usize) -> usize {
    let lines = NaturalLines { text, next: start };
    number + lines.take_while(|line| line.end < offset).count()
}

/// The lines of a text as editors show them: up to `\n`, `\r` or `\r\n`.
struct NaturalLines<'a> {
    text: &'a [u8],
    next: usize,
}

impl Iterator for NaturalLines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let start = self.next;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = rest.iter().position(|&byte| byte == b'\n' || byte == b'\r').unwrap_or(rest.len());
        let end = start + length;
        let ending = match (self.text.get(end), self.text.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(_), _) => 1,
            (None, _) => 0,
        };
        self.next = end + ending;
        Some(start..end)
    }
}

/// One entry's characters, each with its place, without what continues the line.
struct LogicalLine {
    /// Of the natural line with its first character, from 1.
    number: usize,
    characters: Vec<(Range<usize>, char)>,
    /// Where the last natural line of it ends, which may be behind a backslash that continues nothing.
    end: usize,
}

impl LogicalLine {
    fn start(&self) -> usize {
        self.characters.first().map_or(self.end, |(place, _)| place.start)
    }
}

type Flaw = (Range<usize>, FaultReason);

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\x0c')
}

/// The next line that is neither blank nor a comment, joined with those that continue it.
fn logical_line(text: &[u8], lines: &mut impl Iterator<Item = (usize, Range<usize>)>) -> Option<LogicalLine> {
    let mut kept: Vec<(usize, u8)> = Vec::new();
    let (mut number, mut end) = (0, 0);
    for (index, line) in lines {
        let bytes = text.get(line.clone()).unwrap_or_default();
        let blanks = bytes.iter().take_while(|&&byte| is_blank(byte)).count();
        let content = bytes.get(blanks..).unwrap_or_default();
        match content.first() {
            None if kept.is_empty() => continue,
            None => break,
            Some(b'#' | b'!') if kept.is_empty() => continue,
            Some(_) => {}
        }
        if kept.is_empty() {
            number = index + 1;
        }
        end = line.end;
        let backslashes = content.iter().rev().take_while(|&&byte| byte == b'\\').count();
        let is_continued = backslashes % 2 == 1;
        let length = content.len() - usize::from(is_continued);
        kept.extend(
            content.iter().take(length).enumerate().map(|(i, &byte)| (line.start + blanks + i, byte)),
        );
        if !is_continued {
            break;
        }
    }
    (!kept.is_empty()).then(|| LogicalLine { number, characters: characters(&kept), end })
}

/// UTF-8 if it is, else Latin-1, in which every byte is a character.
fn characters(kept: &[(usize, u8)]) -> Vec<(Range<usize>, char)> {
    let bytes: Vec<u8> = kept.iter().map(|&(_, byte)| byte).collect();
    let place = |index: usize| kept.get(index).map_or(0, |&(offset, _)| offset);
    match std::str::from_utf8(&bytes) {
        Ok(text) => text
            .char_indices()
            .map(|(index, character)| {
                let last = place(index + character.len_utf8() - 1);
                (place(index)..last + 1, character)
            })
            .collect(),
        Err(_) => kept.iter().map(|&(offset, byte)| (offset..offset + 1, char::from(byte))).collect(),
    }
}

fn entry(line: &LogicalLine) -> Result<Entry, Flaw> {
    let is_separator = |character: char| matches!(character, '=' | ':' | ' ' | '\t' | '\x0c');
    let mut is_escaped = false;
    let key_length = line
        .characters
        .iter()
        .position(|&(_, character)| {
            let ends_key = is_separator(character) && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            ends_key
        })
        .unwrap_or(line.characters.len());
    let (key, rest) = line.characters.split_at_checked(key_length).unwrap_or((&line.characters, &[]));

    // Blanks around at most one `=` or `:` are the separator.
    let mut has_sign = false;
    let separator_length = rest
        .iter()
        .take_while(|&&(_, character)| match character {
            '=' | ':' => !std::mem::replace(&mut has_sign, true),
            character => is_separator(character),
        })
        .count();
    let value = rest.get(separator_length..).unwrap_or_default();

    let content_end = line.characters.last().map_or(line.end, |(place, _)| place.end);
    let value_start = value.first().map_or(content_end, |(place, _)| place.start);
    Ok(Entry {
        key: unescaped(key)?,
        value: unescaped(value)?,
        line: line.number,
        key_span: line.start()..key.last().map_or(line.start(), |(place, _)| place.end),
        value_span: value_start..line.end,
        separated: separator_length > 0,
    })
}

fn unescaped(characters: &[(Range<usize>, char)]) -> Result<String, Flaw> {
    let mut text = String::with_capacity(characters.len());
    // The first half of a pair that waits for its second.
    let mut high: Option<(u16, Range<usize>)> = None;
    let mut characters = characters.iter();
    while let Some((place, character)) = characters.next() {
        let escaped = if *character == '\\' { characters.next() } else { None };
        if let Some((escape, 'u')) = escaped {
            let (unit, span) = code_unit(&mut characters, place.start..escape.end)?;
            match (high.take(), unit) {
                (None, 0xd800..0xdc00) => high = Some((unit, span)),
                (None, _) => push_unit(&mut text, &[unit], span)?,
                (Some((first, start)), _) => push_unit(&mut text, &[first, unit], start.start..span.end)?,
            }
            continue;
        }
        if let Some((_, span)) = high {
            return Err((span, FaultReason::LoneSurrogate));
        }
        text.push(match escaped {
            None => *character,
            Some((_, 't')) => '\t',
            Some((_, 'n')) => '\n',
            Some((_, 'r')) => '\r',
            Some((_, 'f')) => '\x0c',
            Some((_, other)) => *other,
        });
    }
    match high {
        None => Ok(text),
        Some((_, span)) => Err((span, FaultReason::LoneSurrogate)),
    }
}

/// The four digits behind `\u`, whose place is `span`.
fn code_unit<'a>(
    characters: &mut impl Iterator<Item = &'a (Range<usize>, char)>,
    span: Range<usize>,
) -> Result<(u16, Range<usize>), Flaw> {
    let mut unit = 0;
    let mut end = span.end;
    for _ in 0..4 {
        let digit = characters.next().and_then(|(place, digit)| {
            end = place.end;
            digit.to_digit(16)
        });
        let Some(digit) = digit.and_then(|digit| u16::try_from(digit).ok()) else {
            return Err((span.start..end, FaultReason::NoCodeUnit));
        };
        unit = unit << 4 | digit;
    }
    Ok((unit, span.start..end))
}

fn push_unit(text: &mut String, units: &[u16], span: Range<usize>) -> Result<(), Flaw> {
    match String::from_utf16(units) {
        Ok(character) => {
            text.push_str(&character);
            Ok(())
        }
        Err(_) => Err((span, FaultReason::LoneSurrogate)),
    }
}
