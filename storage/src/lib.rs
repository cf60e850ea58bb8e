//! Bytes on disk.
//!
//! [`Log`] is the one thing that is written: segments of records, or of frames of records, each byte once and in order.
//! [`recovery::open`] finds after any crash what of it is whole. Everything goes through the seams [`disk`] and [`clock`], so
//! that a simulator can stand in for both.
//!
//! What is promised: what was reported durable is there after any crash, byte for byte; what lies behind the last whole unit is
//! gone for good; damage before the confirmed mark is reported with its place and never cut away.
//!
//! This crate knows no peers, topics or roles.
#![forbid(unsafe_code)]

mod apaches;
mod append;
mod checkpoint;
pub mod clock;
pub mod cold;
mod copied;
pub mod disk;
pub mod dispatch;
mod files;
mod fill;
mod flush;
pub mod frame;
mod framed;
pub mod index;
mod log;
pub mod look;
pub mod mend;
mod meta;
mod near;
mod position;
mod prepare;
pub mod queues;
pub mod recovery;
pub mod retention;
mod room;
mod scan;
mod segment;
pub mod stamp;
mod sums;
mod threads;
pub mod unsafe_modes;
pub mod verify;

pub use apaches::Evidence;
pub use append::{AppendError, Appender, Place, ResetError, TruncateError};
pub use copied::{COPIED_UNIT_BYTES_MAX, CopyError};
pub use files::Keeper;
pub use flush::{Broken, Completion, FatalError, FatalHook, FlushMode};
pub use framed::{AppendedFrame, FrameAppendError, FramePlace, FramedAppender, NewFrame};
pub use log::{DropError, Log, ReadError};
pub use meta::{BootId, Layout, MetaError, StoreMeta};
pub use position::{Chain, Index, LogSpan, Mark, Term};
pub use recovery::{
    ApachesDamage, Corruption, Cut, LastStop, OpenError, OpenLog, Report, SegmentFault, Settings, SurveyError,
};
pub use room::Room;
pub use scan::Damage;
pub use scan::records::{Pieces, PlacedRecord, RecordsError, Window};
pub use threads::LogThreads;
pub use verify::verify;

#[cfg(test)]
mod tests;
