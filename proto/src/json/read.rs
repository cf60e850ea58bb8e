//! Reading: a cursor over the text that hands out strings, numbers, members and elements, and can skip any value.

use std::borrow::Cow;

/// Values may nest this deep. The deepest body of the protocol needs 6.
const DEPTH_MAX: u32 = 32;

/// Room for most strings that have escapes: the properties of a message.
const ESCAPED_BYTES: usize = 256;
/// No 64 bits have more digits.
const PLAIN_DIGITS_MAX: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    #[error("the text is not UTF-8")]
    NotUtf8,
    #[error("{expected} expected at byte {at}")]
    Expected { expected: &'static str, at: usize },
    #[error("values nest deeper than {DEPTH_MAX} at byte {at}")]
    TooDeep { at: usize },
    #[error("a number at byte {at} does not fit its field")]
    OutOfRange { at: usize },
}

/// What the next value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    True,
    False,
    Null,
}

/// The key of a member: its text, or the source of the object literal that stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    Text(Cow<'a, str>),
    Literal(&'a str),
}

impl Key<'_> {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Literal(source) => source,
        }
    }
}

/// How many bytes stand before the first quote or backslash. Eight are looked at together.
fn before_end_or_escape(bytes: &[u8], quote: u8) -> Option<usize> {
    let (quotes, escapes) = (u64::from_le_bytes([quote; 8]), u64::from_le_bytes([b'\\'; 8]));
    let (words, rest) = bytes.as_chunks();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ quotes) | zero_bytes(word ^ escapes);
        if found != 0 {
            return Some(index * size_of::<u64>() + found.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| *byte == quote || *byte == b'\\');
    found.map(|at| bytes.len() - rest.len() + at)
}

/// The highest bit of each byte that is zero, right up to the lowest of them: what is borrowed may mark some above it.
fn zero_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHEST: u64 = u64::from_le_bytes([0x80; 8]);
    word.wrapping_sub(ONES) & !word & HIGHEST
}

#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub fn from_utf8(bytes: &'a [u8]) -> Result<Self, JsonError> {
        std::str::from_utf8(bytes).map(Self::new).map_err(|_| JsonError::NotUtf8)
    }

    /// The byte position of the next unread byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The text from the next value on.
    pub(crate) fn rest_from_value(&mut self) -> &'a str {
        self.peek();
        self.slice(self.at, self.text.len())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.rest().first() {
            if !byte.is_ascii_whitespace() {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    pub(super) fn expected<T>(&self, expected: &'static str) -> Result<T, JsonError> {
        Err(JsonError::Expected { expected, at: self.at })
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn slice(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    pub fn kind(&mut self) -> Result<Kind, JsonError> {
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"' | b'\'') => Ok(Kind::String),
            Some(b'-' | b'+' | b'0'..=b'9' | b'.') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            _ => self.expected("a value"),
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        let tail = self.rest();
        let ends = tail.get(word.len()).is_none_or(|next| !next.is_ascii_alphanumeric());
        if !tail.starts_with(word.as_bytes()) || !ends {
            return self.expected("a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Consumes a `null` when one is next.
    pub fn null(&mut self) -> Result<bool, JsonError> {
        if self.kind()? != Kind::Null {
            return Ok(false);
        }
        self.word("null").map(|()| true)
    }

    pub fn boolean(&mut self) -> Result<bool, JsonError> {
        match self.kind()? {
            Kind::True => self.word("true").map(|()| true),
            Kind::False => self.word("false").map(|()| false),
            Kind::String => match self.string()?.as_ref() {
                "true" | "TRUE" | "1" => Ok(true),
                "false" | "FALSE" | "0" | "" => Ok(false),
                _ => self.expected("a boolean"),
            },
            Kind::Number => Ok(self.number()? != "0"),
            _ => self.expected("a boolean"),
        }
    }

    /// The source of a number.
    pub fn number(&mut self) -> Result<&'a str, JsonError> {
        if self.kind()? != Kind::Number {
            return self.expected("a number");
        }
        let from = self.at;
        let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
        let length = self.rest().iter().take_while(|byte| is_part(byte)).count();
        let number = self.slice(from, from + length);
        // Of plain digits so few are always a number, and nearly all are that.
        let is_plain = length <= PLAIN_DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit());
        let well_formed = length > 0 && is_plain || number.parse::<f64>().is_ok_and(f64::is_finite);
        if !well_formed {
            return self.expected("a number");
        }
        self.at += length;
        // fastjson marks the Java type of a number with a letter: 12L, 1.5F.
        if let Some(b'L' | b'S' | b'B' | b'F' | b'D') = self.rest().first() {
            self.at += 1;
        }
        Ok(number)
    }

    /// A string, unescaped; borrowed when it holds no escape.
    pub fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let quote = match self.peek() {
            Some(quote @ (b'"' | b'\'')) => quote,
            _ => return self.expected("a string"),
        };
        self.at += 1;
        let from = self.at;
        match before_end_or_escape(self.rest(), quote) {
            None => self.expected("the end of a string"),
            Some(length) if self.rest().get(length) == Some(&quote) => {
                self.at += length + 1;
                Ok(Cow::Borrowed(self.slice(from, from + length)))
            }
            Some(_) => self.escaped_string(quote).map(Cow::Owned),
        }
    }

    fn escaped_string(&mut self, quote: u8) -> Result<String, JsonError> {
        let mut text = String::with_capacity(self.rest().len().min(ESCAPED_BYTES));
        loop {
            let from = self.at;
            let Some(length) = before_end_or_escape(self.rest(), quote) else {
                return self.expected("the end of a string");
            };
            text.push_str(self.slice(from, from + length));
            self.at += length + 1;
            if self.text.as_bytes().get(self.at - 1) == Some(&quote) {
                return Ok(text);
            }
            text.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(letter) = self.rest().first().copied() else { return self.expected("an escape") };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' | b'\'' => char::from(letter),
            b'b' => '\u{8}',
            b'f' | b'F' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'v' => '\u{b}',
            digit @ b'0'..=b'7' => char::from(digit - b'0'),
            b'x' => char::from_u32(self.hex(2)?).unwrap_or(char::REPLACEMENT_CHARACTER),
            b'u' => self.unicode_escape()?,
            _ => {
                self.at -= 1;
                return self.expected("an escape");
            }
        })
    }

    /// One UTF-16 unit, or two when they are a pair. A lone half, which UTF-8 cannot hold, becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let unit = self.hex(4)?;
        if !(0xD800..0xDC00).contains(&unit) || !self.rest().starts_with(b"\\u") {
            return Ok(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before_low = self.at;
        self.at += 2;
        let low = self.hex(4)?;
        if !(0xDC00..0xE000).contains(&low) {
            self.at = before_low;
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let pair = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        Ok(char::from_u32(pair).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self, digits: usize) -> Result<u32, JsonError> {
        let source = self.rest().get(..digits).unwrap_or_default();
        let digit = |value, byte: &u8| char::from(*byte).to_digit(16).map(|digit| value << 4 | digit);
        match source.iter().try_fold(0, digit) {
            Some(value) if source.len() == digits => {
                self.at += digits;
                Ok(value)
            }
            _ => self.expected("hexadecimal digits"),
        }
    }

    fn enter(&mut self) -> Result<(), JsonError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(JsonError::TooDeep { at: self.at });
        }
        Ok(())
    }

    /// Reads an object: `member` is called with each key and must consume its value.
    pub fn object<E: From<JsonError>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Key<'a>) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.take(b'{') {
            return Ok(self.expected("an object")?);
        }
        self.enter()?;
        while !self.take(b'}') {
            let key = self.key()?;
            if !self.take(b':') {
                return Ok(self.expected("a colon")?);
            }
            member(self, key)?;
            if !self.take(b',') && self.peek() != Some(b'}') {
                return Ok(self.expected("a comma or the end of the object")?);
            }
        }
        self.depth -= 1;
        Ok(())
    }

    fn key(&mut self) -> Result<Key<'a>, JsonError> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string().map(Key::Text),
            Some(b'{') => {
                let from = self.at;
                self.skip()?;
                Ok(Key::Literal(self.slice(from, self.at)))
            }
            _ => {
                let from = self.at;
                let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$.-+".contains(byte);
                let length = self.rest().iter().take_while(|byte| is_part(byte)).count();
                if length == 0 {
                    return self.expected("a key");
                }
                self.at += length;
                Ok(Key::Text(Cow::Borrowed(self.slice(from, self.at))))
            }
        }
    }

    /// Reads an array: `element` is called at each value and must consume it.
    pub fn array<E: From<JsonError>>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if !self.take(b'[') {
            return Ok(self.expected("an array")?);
        }
        self.enter()?;
        while !self.take(b']') {
            element(self)?;
            if !self.take(b',') && self.peek() != Some(b']') {
                return Ok(self.expected("a comma or the end of the array")?);
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Steps over one value of any kind.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        match self.kind()? {
            Kind::Object => self.object(|reader, _| reader.skip()),
            Kind::Array => self.array(Self::skip),
            Kind::String => self.skip_string(),
            Kind::Number => self.number().map(|_| ()),
            Kind::True => self.word("true"),
            Kind::False => self.word("false"),
            Kind::Null => self.word("null"),
        }
    }

    /// As `string`, without building it.
    fn skip_string(&mut self) -> Result<(), JsonError> {
        let Some(quote) = self.peek() else { return self.expected("a string") };
        self.at += 1;
        loop {
            match before_end_or_escape(self.rest(), quote) {
                None => return self.expected("the end of a string"),
                Some(length) => self.at += length + 1,
            }
            if self.text.as_bytes().get(self.at - 1) == Some(&quote) {
                return Ok(());
            }
            self.escape()?;
        }
    }

    /// Steps over one value and returns its source.
    pub fn source(&mut self) -> Result<&'a str, JsonError> {
        self.source_of(Self::skip)
    }

    /// Steps over one value as `read` does, and returns its source.
    pub fn source_of(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), JsonError>,
    ) -> Result<&'a str, JsonError> {
        self.peek();
        let from = self.at;
        read(self)?;
        Ok(self.slice(from, self.at))
    }

    /// Nothing but white space may follow.
    pub fn end(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => self.expected("the end of the text"),
        }
    }
}
