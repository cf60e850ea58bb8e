//! Entries into text: escapes, and one value replaced in place.

use super::read;

/// Two line endings of two bytes are enough to end any text; past this there is nothing to wait for.
const GAP_BYTES_MAX: usize = 6;

/// A key as Java reads it back: pure ASCII, with nothing that would end it.
pub fn escape_key(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for character in key.chars() {
        if matches!(character, ' ' | '=' | ':' | '#' | '!') {
            text.push('\\');
        }
        push_escaped(&mut text, character);
    }
    text
}

/// A value as Java reads it back: pure ASCII on one line.
pub fn escape_value(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for (index, character) in value.chars().enumerate() {
        // In front of the value these would belong to the separator.
        if index == 0 && matches!(character, ' ' | '=' | ':') {
            text.push('\\');
        }
        push_escaped(&mut text, character);
    }
    text
}

fn push_escaped(text: &mut String, character: char) {
    match character {
        '\\' => text.push_str("\\\\"),
        '\t' => text.push_str("\\t"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\x0c' => text.push_str("\\f"),
        ' '..='~' => text.push(character),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04X}"));
            }
        }
    }
}

/// The text with `name` set to `value`: in place where the entry that counts stands, else in a new line at the end.
///
/// `is_key` tells which keys mean `name` (it has other spellings). Comments, order, line endings stay as they are.
pub fn set(text: &[u8], name: &str, is_key: impl Fn(&str) -> bool, value: &str) -> Vec<u8> {
    let entries = read(text).entries;
    let Some(entry) = entries.iter().rfind(|entry| is_key(&entry.key)) else {
        return appended(text, name, value);
    };
    let before = text.get(..entry.value_span.start).unwrap_or_default();
    let after = text.get(entry.value_span.end..).unwrap_or_default();
    let separator: &[u8] = if entry.separated { b"" } else { b"=" };
    [before, separator, escape_value(value).as_bytes(), after].concat()
}

fn appended(text: &[u8], name: &str, value: &str) -> Vec<u8> {
    let ending = line_ending(text);
    let line = format!("{}={}{ending}", escape_key(name), escape_value(value));
    let is_ended = matches!(text.last(), None | Some(b'\n' | b'\r'));
    let mut gap = if is_ended { String::new() } else { ending.to_string() };
    loop {
        let new = [text, gap.as_bytes(), line.as_bytes()].concat();
        let start = text.len() + gap.len();
        // A backslash at the end of the text would continue it into our line: an empty line in between ends it.
        if gap.len() > GAP_BYTES_MAX
            || read(&new).entries.last().is_some_and(|last| last.key_span.start == start)
        {
            return new;
        }
        gap.push_str(ending);
    }
}

/// How the first line ends, so that a new line ends the same way.
fn line_ending(text: &[u8]) -> &'static str {
    let mut rest = text.iter().skip_while(|&&byte| byte != b'\n' && byte != b'\r');
    match (rest.next(), rest.next()) {
        (Some(b'\r'), Some(b'\n')) => "\r\n",
        (Some(b'\r'), _) => "\r",
        _ => "\n",
    }
}
