//! A log that writes records that can be told apart, and remembers them.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, SysFlag, stamp};

use crate::disk::SimulatedDisk;
use crate::frame::FrameKind;
use crate::position::{behind, distance};
use crate::*;

pub const SEGMENT_BYTES: u64 = 4096;

/// Bytes of a record without its body.
pub const RECORD_OVERHEAD: usize = 91 + 1;

pub fn settings(layout: Layout, boot: u8) -> Settings {
    Settings {
        folder: "/store".into(),
        layout,
        segment_bytes: SEGMENT_BYTES,
        mode: FlushMode::Sync,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot: BootId([boot; 16]),
        on_fatal: FatalHook::new(|_| ()),
    }
}

/// One thing that was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    pub span: LogSpan,
    pub end: Mark,
    pub bytes: Vec<u8>,
}

#[derive(Debug)]
pub enum Writer {
    Classic(Appender),
    Framed(FramedAppender),
}

/// A record with this body, as it will lie at an offset.
pub fn record(body: &[u8], offset: LogOffset) -> Vec<u8> {
    let host = SocketAddr::from(([127, 0, 0, 1], 10911));
    let new = NewRecord {
        topic: TopicName::parse("t").unwrap(),
        queue_id: QueueId(1),
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(1_700_000_000_000),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(0),
        properties: Bytes::new(),
        body: Bytes::copy_from_slice(body),
    };
    let mut bytes = BytesMut::new();
    new.encode(1 << 20, &mut bytes).unwrap();
    stamp(&mut bytes, QueueOffset(5), offset, Timestamp(1_700_000_000_001)).unwrap();
    bytes.to_vec()
}

/// The frame that follows a chain, around one record.
fn new_frame(chain: Chain) -> NewFrame {
    NewFrame {
        kind: FrameKind::Messages,
        index: Index(chain.index.0 + 1),
        term: Term(chain.term.0.max(1)),
        records: 1,
        appended_at: Timestamp(1_700_000_000_002),
    }
}

/// What a record with this body becomes behind the end of a log. Computed apart from the code under test.
pub fn expected_unit(layout: Layout, end: Mark, body: &[u8]) -> Unit {
    let header: u64 = if layout == Layout::Framed { 64 } else { 0 };
    let bytes = header + (RECORD_OVERHEAD + body.len()) as u64;
    let in_segment = end.offset.0 as u64 % SEGMENT_BYTES;
    let rolls = in_segment + bytes + 8 > SEGMENT_BYTES;
    let start = if rolls { behind(end.offset, SEGMENT_BYTES - in_segment) } else { end.offset };
    let span = LogSpan { start, bytes };
    let record = record(body, behind(start, header));
    if layout == Layout::Classic {
        return Unit { span, end: Mark { offset: span.end(), chain: Chain::default() }, bytes: record };
    }
    let NewFrame { kind, index, term, records, appended_at } = new_frame(end.chain);
    let header = frame::FrameHeader {
        kind,
        flags: 0,
        body_bytes: record.len() as u32,
        index,
        term,
        offset: start,
        records,
        previous_crc: end.chain.header_crc,
        appended_at,
        body_crc: crc32fast::hash(&record),
    };
    let end = Mark { offset: span.end(), chain: header.chain() };
    Unit { span, end, bytes: [header.encode().as_slice(), &record].concat() }
}

impl Writer {
    pub fn open(disk: &SimulatedDisk, settings: Settings) -> Result<(Self, Report), OpenError> {
        let layout = settings.layout;
        let opened = recovery::open(Arc::new(disk.clone()), settings)?;
        Ok(match layout {
            Layout::Classic => (Self::Classic(opened.appender), opened.report),
            Layout::Framed => {
                let (appender, report) = opened.framed();
                (Self::Framed(appender), report)
            }
        })
    }

    pub fn log(&self) -> &Log {
        match self {
            Self::Classic(appender) => appender.log(),
            Self::Framed(appender) => appender.log(),
        }
    }

    pub fn end(&self) -> Mark {
        match self {
            Self::Classic(appender) => Mark { offset: appender.log().written(), chain: Chain::default() },
            Self::Framed(appender) => appender.end(),
        }
    }

    /// Appends a record with this body; in a frame of its own, if there are frames.
    pub fn append(&mut self, body: &[u8]) -> Result<Unit, FrameAppendError> {
        let bytes = (RECORD_OVERHEAD + body.len()) as u64;
        match self {
            Self::Classic(appender) => {
                let place = appender.place(bytes)?;
                let record = record(body, place.offset());
                let span = place.write(&mut [IoSlice::new(&record)])?;
                Ok(Unit { span, end: Mark { offset: span.end(), chain: Chain::default() }, bytes: record })
            }
            Self::Framed(appender) => {
                let frame = new_frame(appender.end().chain);
                let place = appender.place(bytes)?;
                let record = record(body, place.body_offset());
                let appended = place.write(frame, &record)?;
                let bytes = [appended.header.encode().as_slice(), &record].concat();
                Ok(Unit { span: appended.span, end: appended.mark(), bytes })
            }
        }
    }

    pub fn truncate(&mut self, to: Mark) -> Result<(), TruncateError> {
        match self {
            Self::Classic(appender) => appender.truncate(to.offset),
            Self::Framed(appender) => appender.truncate(to),
        }
    }

    pub fn reset(&mut self, to: Mark) -> Result<(), ResetError> {
        match self {
            Self::Classic(appender) => appender.reset(to),
            Self::Framed(appender) => appender.reset(to),
        }
    }

    pub fn close(self) -> Result<(), Broken> {
        match self {
            Self::Classic(appender) => appender.close(),
            Self::Framed(appender) => appender.close(),
        }
    }

    /// Makes everything durable, and says what was reported.
    pub fn flush(&self) -> Option<LogOffset> {
        let reported = Arc::new(Mutex::new(None));
        let end = self.log().written();
        let report = Arc::clone(&reported);
        let done = Box::new(move |result: Result<(), Broken>| {
            if result.is_ok() {
                *report.lock().unwrap() = Some(end);
            }
        });
        self.log().when_durable(end, done);
        let _ = self.log().flush();
        reported.lock().unwrap().take()
    }
}

/// What lies in the files of the log behind an offset, if anything.
pub fn remains_behind(disk: &SimulatedDisk, end: LogOffset) -> Option<String> {
    for (path, bytes) in disk.files().into_iter().filter(|(path, _)| path.starts_with("/store/commitlog")) {
        let Some(base) = segment::parse_name(path.file_name()?.to_str()?) else { continue };
        let kept = distance(base, end) as usize;
        if let Some(at) = bytes.iter().skip(kept).position(|byte| *byte != 0) {
            return Some(format!("{} has bytes at {}", path.display(), behind(base, (kept + at) as u64)));
        }
    }
    None
}

pub fn segment_path(number: u64) -> PathBuf {
    Path::new("/store/commitlog").join(segment::name(LogOffset((number * SEGMENT_BYTES) as i64)))
}

/// Bodies that can be told apart.
pub fn numbered_body(number: u64, bytes: usize) -> Vec<u8> {
    number.to_be_bytes().into_iter().cycle().take(bytes.max(8)).collect()
}
