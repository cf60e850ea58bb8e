//! The stored message.
//!
//! A record is the bytes of one message: what the log keeps and what consumers receive, byte for byte. [`NewRecord`] encodes
//! one before its place in the log is known and [`stamp()`] fills in the place; [`Record`] is a view of one; [`scan()`] tells a
//! recovering log what lies before it. Beside them stand the forms within a record and around it: [`properties`], the
//! entries of a [`batch`], the two kinds of [`message_id`], and the hashes by which messages are found ([`tag`]).
//!
//! Any bytes may be given to the readers: they do not panic, and allocate nothing but the text of properties that are not
//! UTF-8. Bodies are never inflated here.

pub mod batch;
mod decode;
mod encode;
mod layout;
pub mod message_id;
mod outline;
pub mod properties;
mod scan;
pub mod tag;

pub use decode::{Record, RecordError, Records};
pub use encode::{EncodeError, NewRecord, NotARecord, set_prepared_offset, stamp};
pub use layout::{
    BLANK_MAGIC, Compression, LOG_OFFSET_AT, QUEUE_OFFSET_AT, SysFlag, TransactionState, Version, checksum,
    stored_at,
};
pub use properties::{Properties, PropertyError, PropertyList, names as property};
pub use scan::{Found, scan};

#[cfg(test)]
mod tests;
