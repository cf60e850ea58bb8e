//! JSON as Apache RocketMQ's Java side writes and reads it.
//!
//! Its library (fastjson) has a dialect: map keys that are numbers stand unquoted, keys that are objects stand as object
//! literals, null members are left out. We read all of that, and single quotes and bare keys besides, and write either the
//! dialect or standard JSON. There is no tree in between: values are read straight into their types and written from them.

mod read;
mod value;
mod write;

pub use read::{JsonError, Key, Kind, Reader};
pub use value::{FromJson, MapKey, ToJson, from_slice, from_str, to_string};
pub use write::{Dialect, Writer};
pub(crate) use write::{Out, write_string};

#[cfg(test)]
mod tests;
