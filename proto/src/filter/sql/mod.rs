//! Conditions on properties, in the SQL of Apache RocketMQ.
//!
//! `price BETWEEN 10 AND 20 AND region IN ('north', 'east') OR urgent = TRUE`: comparisons, ranges, sets, searches, tests for
//! NULL, joined by AND, OR and NOT; there is no arithmetic, no LIKE and no function. Properties are texts, and are read as numbers
//! where they are compared with numbers. The grammar and the meaning are those of Java's `SelectorParser`, oddities included:
//! a consumer that worked there gets the same messages here.
//!
//! A compiled condition is a tree of bounded height and size. Looking at a message allocates nothing as long as its properties
//! are UTF-8, takes a bounded number of steps, and ends in true, false, unknown, or in an error where Java throws.

mod error;
mod evaluation;
mod expression;
mod grammar;
mod numbers;
mod tokens;

pub use error::{EvaluationError, SqlError};
use evaluation::Evaluation;
use expression::Condition;

use super::Lookup;

/// A longer expression is refused before it is read. Texts in it may be long, as with Java, which has no limit.
pub const SQL_BYTES_MAX: usize = 2 << 20;
/// Parentheses and signs within each other, and operators above each other. It bounds how deep we call ourselves.
pub const DEPTH_MAX: usize = 64;
/// Operators, properties and values of an expression.
pub const NODES_MAX: usize = 1024;
/// Words and signs that are read: no expression of so many parts has more.
const TOKENS_MAX: usize = 8 * NODES_MAX;
/// What a part takes in memory, besides its text; vectors have room for twice as many as they hold.
const NODE_BYTES: usize = 2 * size_of::<Condition>();
/// What one message may cost: going through 1 MiB of text, a millisecond at worst. A message that takes more does not match.
pub const STEPS_MAX: usize = 16 * 1024;
/// Bytes of text that are looked at in one step.
pub const STEP_BYTES: usize = 64;

/// Properties whose value is looked up once per message; others each time they are named.
const SLOTS: usize = 8;

/// A compiled condition.
#[derive(Clone, Debug, PartialEq)]
pub struct SqlFilter {
    condition: Condition,
    unread_from: Option<usize>,
}

impl SqlFilter {
    pub fn compile(text: &str) -> Result<Self, SqlError> {
        if text.len() > SQL_BYTES_MAX {
            return Err(SqlError::TooLong(text.len()));
        }
        let (condition, unread_from) = grammar::parse(&tokens::tokens(text))?;
        Ok(Self { condition, unread_from })
    }

    /// The most that a compiled expression takes, by the length of its text.
    pub fn bytes_max(text_bytes: usize) -> usize {
        if text_bytes > SQL_BYTES_MAX {
            return 0;
        }
        text_bytes + text_bytes.min(NODES_MAX) * NODE_BYTES
    }

    /// The character, counted from 1, from which on the text was not read. Java stops without an error behind what is an
    /// expression, and so do we: `a LIKE 'x'` is `a`, which is never true. Worth a warning to whoever wrote it.
    pub fn unread_from(&self) -> Option<usize> {
        self.unread_from
    }

    /// Whether the condition is true. Unknown is not, nor is a message that has no answer.
    pub fn matches(&self, properties: &impl Lookup) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    /// `None` is unknown: a property is missing.
    pub fn evaluate(&self, properties: &impl Lookup) -> Result<Option<bool>, EvaluationError> {
        Evaluation::new(properties).condition(&self.condition)
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
