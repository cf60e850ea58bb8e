//! Which messages a subscription asks for: those with one of its tags, or those whose properties meet a condition.
//!
//! An expression is compiled once, when a client subscribes, and is then asked about each message. What Java accepts is
//! accepted and means the same, within limits that have names; an expression that is refused says in one line where and why.
//! A filter reads properties only, never a body, and whatever it costs per message is bounded.

mod sql;
mod tags;

use std::borrow::Cow;

pub use sql::{
    DEPTH_MAX, EvaluationError, NODES_MAX, SQL_BYTES_MAX, STEP_BYTES, STEPS_MAX, SqlError, SqlFilter,
};
pub use tags::{TAGS_BYTES_MAX, TagError, TagFilter};

use crate::record::tag::TagCode;
use crate::record::{Properties, PropertyList, property};

/// What a subscription calls its language when it lists tags.
pub const TAG: &str = "TAG";
/// What a subscription calls its language when it states a condition.
pub const SQL92: &str = "SQL92";

/// Characters of an expression that an error quotes, at most.
const QUOTE_CHARS_MAX: usize = 24;

/// The properties of one message.
pub trait Lookup {
    /// The value of a property; `None` when the message has none of that name.
    fn get(&self, name: &str) -> Option<Cow<'_, str>>;

    /// How many bytes one look-up goes through, at most: they count against the steps of a message.
    fn bytes(&self) -> usize;
}

impl Lookup for Properties<'_> {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        Properties::get(*self, name)
    }

    fn bytes(&self) -> usize {
        self.as_bytes().len()
    }
}

impl Lookup for PropertyList {
    fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        Self::get(self, name)
    }

    fn bytes(&self) -> usize {
        self.as_properties().as_bytes().len()
    }
}

/// A compiled subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    Tags(TagFilter),
    Sql(SqlFilter),
}

/// Why a subscription is refused. One line each, for the remark of the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    #[error("filters are of the type {TAG} or {SQL92}, not {0}")]
    UnknownType(String),
    #[error(transparent)]
    Tags(#[from] TagError),
    #[error(transparent)]
    Sql(#[from] SqlError),
}

impl Filter {
    /// `expression_type` is the name the subscription gives; left empty, it means [`TAG`].
    pub fn compile(expression_type: &str, text: &str) -> Result<Self, FilterError> {
        match expression_type {
            TAG | "" => Ok(Self::Tags(TagFilter::parse(text)?)),
            SQL92 => Ok(Self::Sql(SqlFilter::compile(text)?)),
            other => Err(FilterError::UnknownType(quote(other))),
        }
    }

    /// The most that a compiled subscription takes in memory, by the length of its text.
    pub fn bytes_max(expression_type: &str, text_bytes: usize) -> usize {
        match expression_type {
            TAG | "" => TagFilter::bytes_max(text_bytes),
            SQL92 => SqlFilter::bytes_max(text_bytes),
            _ => 0,
        }
    }

    /// Whether a message with this hash in the consume queue may match. `false` is certain, `true` is not: [`Self::matches`]
    /// looks at the message itself.
    pub fn matches_code(&self, code: TagCode) -> bool {
        match self {
            Self::Tags(tags) => tags.matches_code(code),
            Self::Sql(_) => true,
        }
    }

    /// Whether the subscription asks for a message with these properties.
    pub fn matches(&self, properties: &impl Lookup) -> bool {
        match self {
            Self::Tags(tags) => tags.is_all() || tags.matches(properties.get(property::TAGS).as_deref()),
            Self::Sql(sql) => sql.matches(properties),
        }
    }
}

/// A part of an expression, for an error: short, and without characters that are not seen.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (index, char) in text.chars().enumerate() {
        if index == QUOTE_CHARS_MAX {
            quoted.push_str("...");
            break;
        }
        // Quotes in the text stand for themselves.
        match char {
            '"' | '\'' => quoted.push(char),
            char => quoted.extend(char.escape_debug()),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
