//! Words, numbers, texts and signs: what an expression is written with.

use winnow::Result;
use winnow::ascii::{digit0, digit1};
use winnow::combinator::{alt, dispatch, empty, eof, fail, opt, repeat};
use winnow::error::EmptyError;
use winnow::prelude::*;
use winnow::token::{any, one_of, rest, take_till, take_until, take_while};

use super::TOKENS_MAX;

/// Between tokens, besides comments.
const BLANKS: [char; 5] = [' ', '\t', '\n', '\r', '\u{c}'];
const LINE_ENDS: [char; 2] = ['\n', '\r'];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// Of a property.
    Name(&'a str),
    /// What stands between the quotes. One that belongs to the text is still doubled.
    Text(&'a str),
    /// Digits, without the letter that may mark a long.
    Whole(&'a str),
    /// With a point or an exponent.
    Decimal(&'a str),
    And,
    Between,
    Contains,
    EndsWith,
    False,
    In,
    Is,
    Not,
    Null,
    Or,
    StartsWith,
    True,
    Close,
    Comma,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Minus,
    NotEqual,
    Open,
    Plus,
    End,
    UnclosedText,
    UnclosedComment,
    /// Nothing begins with this character.
    Stray,
    /// There are too many.
    Excess,
}

impl Kind<'_> {
    /// No token follows.
    fn is_last(self) -> bool {
        self == Self::End || self.is_none()
    }

    /// Something that is not a token.
    pub(super) fn is_none(self) -> bool {
        matches!(self, Self::UnclosedText | Self::UnclosedComment | Self::Stray | Self::Excess)
    }

    fn is_operand(self) -> bool {
        let literal = matches!(self, Self::Text(_) | Self::Whole(_) | Self::Decimal(_));
        literal || matches!(self, Self::Name(_) | Self::True | Self::False | Self::Null)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) source: &'a str,
    /// The number of its first character, from 1.
    pub(super) at: usize,
}

/// Cuts an expression into tokens. The last one is the end, or whatever is no token: Java does not look at what it has no need
/// to read, so that is an error only when the parser arrives there. Nor do we look past two operands in a row, between which
/// an expression ends if it is one.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    // A line comment has an end, or it is two minus signs. Knowing where no line ends any more saves looking for it each time.
    let ended = text.bytes().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    let unended = ended.map_or(text.len(), |last| text.len() - last - 1);
    let mut tokens = Vec::new();
    let mut input = text;
    let mut at = 1;
    let mut after_operand = false;
    loop {
        let Ok(skipped) = blanks(&mut input, unended) else { return tokens };
        at += skipped.chars().count();
        if tokens.len() == TOKENS_MAX {
            tokens.push(Token { kind: Kind::Excess, source: "", at });
            return tokens;
        }
        let Ok((kind, source)) = kind.with_taken().parse_next(&mut input) else { return tokens };
        tokens.push(Token { kind, source, at });
        at += source.chars().count();
        if kind.is_last() || (after_operand && kind.is_operand()) {
            return tokens;
        }
        after_operand = kind.is_operand();
    }
}

fn blanks<'a>(input: &mut &'a str, unended: usize) -> Result<&'a str, EmptyError> {
    let blank = take_while(1.., BLANKS);
    let comment = ("/*", take_until(0.., "*/"), "*/").take();
    let line_comment = |input: &mut &'a str| {
        if input.len() <= unended {
            return Err(EmptyError);
        }
        ("--", take_till(0.., LINE_ENDS), alt(("\r\n", "\n", "\r"))).take().parse_next(input)
    };
    repeat::<_, _, (), _, _>(0.., alt((blank, comment, line_comment))).take().parse_next(input)
}

/// The longest token that begins here.
fn kind<'a>(input: &mut &'a str) -> Result<Kind<'a>, EmptyError> {
    alt((word, decimal.map(Kind::Decimal), whole.map(Kind::Whole), text, sign, stray)).parse_next(input)
}

fn word<'a>(input: &mut &'a str) -> Result<Kind<'a>, EmptyError> {
    let first = one_of(('a'..='z', 'A'..='Z', '_', '$'));
    let more = take_while(0.., ('a'..='z', 'A'..='Z', '0'..='9', '_', '$'));
    (first, more).take().map(|word| keyword(word).unwrap_or(Kind::Name(word))).parse_next(input)
}

fn keyword(word: &str) -> Option<Kind<'static>> {
    const KEYWORDS: [(&str, Kind<'static>); 12] = [
        ("AND", Kind::And),
        ("BETWEEN", Kind::Between),
        ("CONTAINS", Kind::Contains),
        ("ENDSWITH", Kind::EndsWith),
        ("FALSE", Kind::False),
        ("IN", Kind::In),
        ("IS", Kind::Is),
        ("NOT", Kind::Not),
        ("NULL", Kind::Null),
        ("OR", Kind::Or),
        ("STARTSWITH", Kind::StartsWith),
        ("TRUE", Kind::True),
    ];
    KEYWORDS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, kind)| *kind)
}

fn decimal<'a>(input: &mut &'a str) -> Result<&'a str, EmptyError> {
    let exponent = || (one_of(['e', 'E']), opt(one_of(['+', '-'])), digit1);
    alt((
        (digit1, '.', digit0, opt(exponent())).take(),
        ('.', digit1, opt(exponent())).take(),
        (digit1, exponent()).take(),
    ))
    .parse_next(input)
}

/// A zero is a number by itself, whatever digits follow.
fn whole<'a>(input: &mut &'a str) -> Result<&'a str, EmptyError> {
    let long = (one_of('1'..='9'), digit0).take();
    alt(("0", (long, opt(one_of(['l', 'L']))).map(|(digits, _)| digits))).parse_next(input)
}

fn text<'a>(input: &mut &'a str) -> Result<Kind<'a>, EmptyError> {
    '\''.parse_next(input)?;
    match closing_quote(input) {
        Some(length) => {
            let content = input.next_slice(length);
            '\''.parse_next(input)?;
            Ok(Kind::Text(content))
        }
        None => rest.value(Kind::UnclosedText).parse_next(input),
    }
}

/// The first quote that is not doubled. When all are, the last pair is taken apart, as the longest text that has an end counts.
fn closing_quote(text: &str) -> Option<usize> {
    let mut doubled = None;
    let mut quotes = text.match_indices('\'').map(|(at, _)| at);
    while let Some(quote) = quotes.next() {
        if !text.get(quote + 1..).is_some_and(|rest| rest.starts_with('\'')) {
            return Some(quote);
        }
        doubled = Some(quote);
        quotes.next();
    }
    doubled
}

fn sign<'a>(input: &mut &'a str) -> Result<Kind<'a>, EmptyError> {
    dispatch! { any;
        '<' => alt(('>'.value(Kind::NotEqual), '='.value(Kind::LessOrEqual), empty.value(Kind::Less))),
        '>' => alt(('='.value(Kind::GreaterOrEqual), empty.value(Kind::Greater))),
        '=' => empty.value(Kind::Equal),
        '(' => empty.value(Kind::Open),
        ')' => empty.value(Kind::Close),
        ',' => empty.value(Kind::Comma),
        '+' => empty.value(Kind::Plus),
        '-' => empty.value(Kind::Minus),
        _ => fail,
    }
    .parse_next(input)
}

fn stray<'a>(input: &mut &'a str) -> Result<Kind<'a>, EmptyError> {
    alt((("/*", rest).value(Kind::UnclosedComment), any.value(Kind::Stray), eof.value(Kind::End)))
        .parse_next(input)
}
