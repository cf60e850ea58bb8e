//! The writer of a log of frames: it chains them.

use std::io::IoSlice;

use ferrymq_proto::position::{LogOffset, Timestamp};

use crate::append::{AppendError, Appender, Place, ResetError, TruncateError};
use crate::flush::Broken;
use crate::frame::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES, FrameError, FrameHeader, FrameKind};
use crate::log::Log;
use crate::position::{Chain, Index, LogSpan, Mark, Term, behind};

/// What a leader decides about a frame. All else follows from its body and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewFrame {
    pub kind: FrameKind,
    pub index: Index,
    pub term: Term,
    /// In the body.
    pub records: u32,
    pub appended_at: Timestamp,
}

/// A frame that lies in the log now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendedFrame {
    pub header: FrameHeader,
    pub span: LogSpan,
}

impl AppendedFrame {
    /// Behind the frame.
    pub fn mark(&self) -> Mark {
        Mark { offset: self.span.end(), chain: self.header.chain() }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FrameAppendError {
    /// It must not be appended: it is damaged, or belongs elsewhere.
    #[error("the frame does not belong here: {0}")]
    Misplaced(#[from] FrameError),
    #[error("the frame has {found} bytes, not {expected}")]
    BadLength { found: u64, expected: u64 },
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl FrameAppendError {
    /// See [`AppendError::is_no_room`].
    pub fn is_no_room(&self) -> bool {
        matches!(self, Self::Append(error) if error.is_no_room())
    }
}

#[derive(Debug)]
pub struct FramedAppender {
    appender: Appender,
    /// Of the last frame of the log.
    chain: Chain,
}

/// Where a frame will lie.
#[derive(Debug)]
pub struct FramePlace<'a> {
    place: Place<'a>,
    chain: &'a mut Chain,
}

impl FramedAppender {
    /// The writer of a log that ends with this chain.
    pub(crate) fn new(appender: Appender, chain: Chain) -> Self {
        Self { appender, chain }
    }

    pub fn log(&self) -> &Log {
        self.appender.log()
    }

    /// Behind the last frame.
    pub fn end(&self) -> Mark {
        Mark { offset: self.log().written(), chain: self.chain }
    }

    /// Finds the place of a frame with a body of so many bytes.
    pub fn place(&mut self, body_bytes: u64) -> Result<FramePlace<'_>, FrameAppendError> {
        let bytes = body_bytes.saturating_add(FRAME_HEADER_BYTES as u64);
        if bytes > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong(bytes).into());
        }
        let place = self.appender.place(bytes)?;
        Ok(FramePlace { place, chain: &mut self.chain })
    }

    /// Appends a frame that a leader made, as it is.
    pub fn copy(&mut self, frame: &[u8]) -> Result<AppendedFrame, FrameAppendError> {
        let found = frame.len() as u64;
        let bad_length = |expected| FrameAppendError::BadLength { found, expected };
        let split = frame.split_first_chunk();
        let (header_bytes, body) = split.ok_or_else(|| bad_length(FRAME_HEADER_BYTES as u64))?;
        let header = FrameHeader::decode(header_bytes)?;
        if found != header.frame_bytes() {
            return Err(bad_length(header.frame_bytes()));
        }
        if !header.covers(body) {
            return Err(FrameError::BadBodyCrc.into());
        }
        header.follows(self.chain)?;
        if self.appender.offset_of(found) != header.offset {
            return Err(FrameError::BadOffset(header.offset).into());
        }
        let span = self.appender.place(found)?.write(&mut [IoSlice::new(frame)])?;
        self.chain = header.chain();
        Ok(AppendedFrame { header, span })
    }

    /// Cuts the log behind a frame. See [`Appender::truncate`].
    pub fn truncate(&mut self, to: Mark) -> Result<(), TruncateError> {
        self.appender.truncate(to.offset)?;
        self.chain = to.chain;
        Ok(())
    }

    /// Begins anew at a mark, which the next frame must follow. See [`Appender::reset`].
    pub fn reset(&mut self, to: Mark) -> Result<(), ResetError> {
        self.appender.reset(to)?;
        self.chain = to.chain;
        Ok(())
    }

    /// See [`Appender::close`].
    pub fn close(self) -> Result<(), Broken> {
        self.appender.close()
    }
}

impl FramePlace<'_> {
    /// Where the first record of the body will lie.
    pub fn body_offset(&self) -> LogOffset {
        behind(self.place.offset(), FRAME_HEADER_BYTES as u64)
    }

    /// Appends the frame, with one write. Its records are stamped by now.
    ///
    /// # Panics
    /// When the body is not as long as the place, or the frame does not follow the one before it.
    pub fn write(self, frame: NewFrame, body: &[u8]) -> Result<AppendedFrame, FrameAppendError> {
        let header = FrameHeader {
            kind: frame.kind,
            flags: 0,
            // Places are not longer than what fits.
            body_bytes: body.len() as u32,
            index: frame.index,
            term: frame.term,
            offset: self.place.offset(),
            records: frame.records,
            previous_crc: self.chain.header_crc,
            appended_at: frame.appended_at,
            body_crc: crc32fast::hash(body),
        };
        let follows = header.follows(*self.chain);
        assert!(follows.is_ok(), "a frame was made that does not belong to the end of the log: {follows:?}");
        let encoded = header.encode();
        let span = self.place.write(&mut [IoSlice::new(&encoded), IoSlice::new(body)])?;
        *self.chain = header.chain();
        Ok(AppendedFrame { header, span })
    }
}
