//! The seam to whoever gives records their offsets.

use std::fmt;

use ferrymq_storage::stamp::StampError;
use ferrymq_storage::{AppendedFrame, FramedAppender, NewFrame};

/// Stamps the records of a frame while they are appended, on the leader. One lives as long as a leadership.
pub trait Stamps: fmt::Debug + Send {
    /// Appends the body as one frame. The first `frame.records` records of it are messages, which get their offsets and
    /// their time; what follows stays as it is.
    fn append(
        &mut self,
        appender: &mut FramedAppender,
        frame: NewFrame,
        body: &mut [u8],
    ) -> Result<AppendedFrame, StampError>;

    /// A command stands in the log now. It is not applied yet, but whatever is stamped from now on comes behind it.
    fn commanded(&mut self, command: &[u8]) {
        let _ = command;
    }
}
