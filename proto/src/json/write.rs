//! Writing: compact, because one client's route parser cannot bear white space.

use bytes::BytesMut;

/// How map keys that are not strings are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As fastjson does: numbers unquoted, objects as literals.
    Fastjson,
    /// Numbers quoted. (Objects as keys have no standard form; they stay literals.)
    Standard,
}

/// Appends JSON to a string. Commas and colons are placed by the writer.
#[derive(Debug)]
pub struct Writer {
    text: String,
    dialect: Dialect,
    /// A comma is due before the next member or element.
    comma: bool,
}

impl Writer {
    pub fn new(dialect: Dialect) -> Self {
        Self { text: String::new(), dialect, comma: false }
    }

    /// Makes room for text of about this length.
    pub fn reserve(&mut self, bytes: usize) {
        self.text.reserve(bytes);
    }

    pub fn finish(self) -> String {
        self.text
    }

    fn next(&mut self) {
        if std::mem::replace(&mut self.comma, true) {
            self.text.push(',');
        }
    }

    /// Writes an object; `members` calls `key` and then one value, as often as it likes.
    pub fn object(&mut self, members: impl FnOnce(&mut Self)) {
        self.text.push('{');
        self.comma = false;
        members(self);
        self.text.push('}');
        self.comma = true;
    }

    pub fn key(&mut self, key: &str) {
        self.next();
        write_string(&mut self.text, key);
        self.text.push(':');
    }

    pub fn integer_key(&mut self, key: i64) {
        self.next();
        let quote = if self.dialect == Dialect::Standard { "\"" } else { "" };
        self.text.push_str(quote);
        self.text.push_str(itoa::Buffer::new().format(key));
        self.text.push_str(quote);
        self.text.push(':');
    }

    /// A key that is itself an object.
    pub fn object_key(&mut self, members: impl FnOnce(&mut Self)) {
        self.next();
        self.object(members);
        self.text.push(':');
    }

    /// Writes an array; `elements` calls `element` before each value.
    pub fn array(&mut self, elements: impl FnOnce(&mut Self)) {
        self.text.push('[');
        self.comma = false;
        elements(self);
        self.text.push(']');
        self.comma = true;
    }

    pub fn element(&mut self) {
        self.next();
    }

    pub fn string(&mut self, value: &str) {
        write_string(&mut self.text, value);
    }

    pub fn integer(&mut self, value: i64) {
        self.text.push_str(itoa::Buffer::new().format(value));
    }

    /// Always with a decimal point, as Java prints a double below ten million; above, where Java turns to an exponent, any
    /// JSON reader takes the plain digits as well. NaN and infinities, which JSON lacks, become null.
    pub fn double(&mut self, value: f64) {
        if value.is_finite() {
            self.text.push_str(&format!("{value:?}"));
        } else {
            self.null();
        }
    }

    pub fn boolean(&mut self, value: bool) {
        self.text.push_str(if value { "true" } else { "false" });
    }

    pub fn null(&mut self) {
        self.text.push_str("null");
    }

    /// A value that is JSON already.
    pub fn source(&mut self, json: &str) {
        self.text.push_str(json);
    }
}

/// What JSON is appended to.
pub(crate) trait Out {
    fn push_str(&mut self, text: &str);
}

impl Out for String {
    fn push_str(&mut self, text: &str) {
        Self::push_str(self, text);
    }
}

impl Out for BytesMut {
    fn push_str(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// Appends `value` in quotes, escaping what fastjson escapes.
pub(crate) fn write_string(out: &mut impl Out, value: &str) {
    out.push_str("\"");
    // Of all bytes, without a way out, which is quicker for short strings; and nearly every string of the protocol is plain.
    let is_odd = |byte| !matches!(byte, b' '..=b'~') || byte == b'"' || byte == b'\\';
    if !value.bytes().fold(false, |found, byte| found | is_odd(byte)) {
        out.push_str(value);
        out.push_str("\"");
        return;
    }
    let mut plain_from = 0;
    for (at, character) in value.char_indices() {
        if !needs_escape(character) {
            continue;
        }
        out.push_str(value.get(plain_from..at).unwrap_or_default());
        plain_from = at + character.len_utf8();
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            other => out.push_str(&format!("\\u{:04X}", u32::from(other))),
        }
    }
    out.push_str(value.get(plain_from..).unwrap_or_default());
    out.push_str("\"");
}

fn needs_escape(character: char) -> bool {
    matches!(character, '\0'..='\u{1f}' | '"' | '\\' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}')
}
