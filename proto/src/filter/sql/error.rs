//! Why an expression is refused, and why a message has no answer.

use winnow::error::ParserError;

use super::expression::Rule;
use super::grammar::{Input, next};
use super::tokens::{Kind, Token};
use super::{DEPTH_MAX, NODES_MAX, SQL_BYTES_MAX, STEPS_MAX};
use crate::filter::quote;

/// Why an expression does not compile. Characters are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SqlError {
    #[error("the expression has {0} bytes, more than the {SQL_BYTES_MAX} allowed")]
    TooLong(usize),
    #[error("the expression nests deeper than the {DEPTH_MAX} levels allowed at character {at}")]
    TooDeep { at: usize },
    #[error("the expression has more than the {NODES_MAX} parts allowed at character {at}")]
    TooManyParts { at: usize },
    #[error("{expected} is expected at character {at}, not {found}")]
    Expected { expected: &'static str, found: String, at: usize },
    #[error("the text that begins at character {at} has no closing quote")]
    UnclosedText { at: usize },
    #[error("the comment that begins at character {at} has no end")]
    UnclosedComment { at: usize },
    #[error("no part of an expression begins with {found}, as character {at} does")]
    Stray { found: String, at: usize },
    #[error("{found} at character {at} is out of range: {range}")]
    OutOfRange { found: String, range: &'static str, at: usize },
    #[error("{rule}; see character {at}")]
    Misuse { rule: &'static str, at: usize },
}

/// Why it cannot be said whether a message matches; it does not, then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    #[error("a text that is no number was compared with a number")]
    NotANumber,
    #[error("a condition was compared with a text")]
    NotComparable,
    #[error("the message takes more than the {STEPS_MAX} steps allowed")]
    TooManySteps,
}

/// An error while it is still about a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault<'a> {
    pub(super) cause: Cause,
    pub(super) token: Token<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// The token is another than was asked for. Not an error yet: the grammar may have another use for it.
    Mismatch,
    TooDeep,
    TooManyParts,
    Expected(&'static str),
    OutOfRange(&'static str),
    Misuse(Rule),
}

impl<'a> ParserError<Input<'_, 'a>> for Fault<'a> {
    type Inner = Self;

    fn from_input(input: &Input<'_, 'a>) -> Self {
        Self { cause: Cause::Mismatch, token: next(input) }
    }

    fn is_backtrack(&self) -> bool {
        matches!(self.cause, Cause::Mismatch)
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

impl From<Fault<'_>> for SqlError {
    fn from(fault: Fault<'_>) -> Self {
        let Token { kind, source, at } = fault.token;
        let found = || if kind == Kind::End { "the end".to_owned() } else { quote(source) };
        let expected = match fault.cause {
            Cause::Mismatch => "something else",
            Cause::Expected(expected) => expected,
            Cause::TooDeep => return Self::TooDeep { at },
            Cause::TooManyParts => return Self::TooManyParts { at },
            Cause::OutOfRange(range) => return Self::OutOfRange { found: found(), range, at },
            Cause::Misuse(rule) => return Self::Misuse { rule, at },
        };
        match kind {
            Kind::Excess => Self::TooManyParts { at },
            Kind::UnclosedText => Self::UnclosedText { at },
            Kind::UnclosedComment => Self::UnclosedComment { at },
            Kind::Stray => Self::Stray { found: found(), at },
            _ => Self::Expected { expected, found: found(), at },
        }
    }
}
