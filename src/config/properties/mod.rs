//! The text form of configuration: what `java.util.Properties` reads, byte for byte.
//!
//! [`read()`] gives every entry with its place in the text, so that a mistake can be pointed at and a value can be
//! replaced where it stands; [`set`] does the latter and leaves all other bytes alone; [`escape_key`] and
//! [`escape_value`] write what Java reads back. Text is UTF-8; a line that is not is Latin-1, as Java takes it.
//! No bytes make this module panic: what cannot be read is a [`Fault`] with its line, and reading goes on behind it.

use std::ops::Range;

mod read;
#[cfg(test)]
mod tests;
mod write;

pub use read::{line_number, natural_line, read};
pub use write::{escape_key, escape_value, set};

/// What a text holds: its entries in order, and what could not be read.
#[derive(Debug, Default)]
pub struct Properties {
    pub entries: Vec<Entry>,
    pub faults: Vec<Fault>,
}

/// One `key=value` of a text. A key may stand there more than once: the last one counts.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// Where the key stands, from 1. A continued value may stand further down.
    pub line: usize,
    /// The key's bytes in the text, escapes included.
    pub key_span: Range<usize>,
    /// The value's bytes in the text; over several lines if it is continued. Empty, behind the key, without a value.
    pub value_span: Range<usize>,
    /// Whether anything stands between key and value. If not, a value to be written needs a separator.
    pub separated: bool,
}

/// An escape that Java refuses too, or that stands for no character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    /// The escape's bytes in the text.
    pub span: Range<usize>,
    pub reason: FaultReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultReason {
    #[error("\\u needs four hexadecimal digits")]
    NoCodeUnit,
    #[error("half of a surrogate pair, which is no character")]
    LoneSurrogate,
}
