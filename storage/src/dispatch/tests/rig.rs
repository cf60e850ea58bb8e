//! A small store that sends messages to itself, and everything that can be asked of it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, PropertyList, Record, SysFlag};

use crate::disk::{Disk, SimulatedDisk};
use crate::dispatch::*;
use crate::index::KeyQuery;
use crate::queues::entry::is_queued;
use crate::queues::{Boundary, DelayLevels, QueueEntry};
use crate::scan::records::Window;
use crate::stamp::{StampError, Stamped, Stamper};
use crate::*;

pub const SEGMENT_BYTES: u64 = 4096;
pub const FILE_ENTRIES: u64 = 8;
pub const START_TIME: i64 = 1_700_000_000_000;

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Message {
    pub topic: String,
    pub queue: i32,
    pub sys_flag: SysFlag,
    pub properties: Vec<(&'static str, String)>,
    pub body_bytes: usize,
}

pub fn message(topic: &str, queue: i32) -> Message {
    Message { topic: topic.to_owned(), queue, sys_flag: SysFlag(0), properties: Vec::new(), body_bytes: 10 }
}

pub fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

impl Message {
    pub fn encode(&self, out: &mut BytesMut) {
        let host = SocketAddr::from(([127, 0, 0, 1], 10911));
        let mut properties = PropertyList::new();
        self.properties.iter().for_each(|(name, value)| properties.set(name, value).unwrap());
        let new = NewRecord {
            topic: topic(&self.topic),
            queue_id: QueueId(self.queue),
            flag: 0,
            sys_flag: self.sys_flag,
            born_timestamp: Timestamp(START_TIME),
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_offset: LogOffset(0),
            properties: Bytes::copy_from_slice(properties.as_properties().as_bytes()),
            body: vec![b'.'; self.body_bytes].into(),
        };
        new.encode(1 << 20, out).unwrap();
    }
}

pub fn log_settings(layout: Layout, boot: u8) -> Settings {
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

pub fn settings() -> DerivedSettings {
    DerivedSettings {
        queue_file_entries: FILE_ENTRIES,
        index_slots: 5,
        index_entries: 12,
        index_enabled: true,
        delay_levels: DelayLevels::apaches(),
        open_files_max: 4,
        unwritten_bytes_max: 1 << 20,
        rebuild: false,
    }
}

#[derive(Debug)]
enum Writer {
    Classic(Appender),
    Framed(FramedAppender),
}

/// An open store, without threads.
#[derive(Debug)]
pub struct Store {
    writer: Writer,
    pub derived: Derived,
    dispatcher: Option<Dispatcher>,
    /// `None` until all of the log was dispatched.
    stamper: Option<Stamper>,
}

impl Store {
    pub fn open(
        disk: &SimulatedDisk,
        layout: Layout,
        boot: u8,
        settings: DerivedSettings,
        arrivals: Box<dyn Arrivals>,
    ) -> Result<Self, io::Error> {
        let opened = recovery::open(Arc::new(disk.clone()), log_settings(layout, boot));
        let opened = opened.map_err(io::Error::other)?;
        let writer = match layout {
            Layout::Classic => Writer::Classic(opened.appender),
            Layout::Framed => Writer::Framed(opened.framed().0),
        };
        let log = match &writer {
            Writer::Classic(appender) => appender.log(),
            Writer::Framed(appender) => appender.log(),
        };
        let (derived, dispatcher) = Derived::open(log, settings, arrivals).map_err(io::Error::other)?;
        Ok(Self { writer, derived, dispatcher: Some(dispatcher), stamper: None })
    }

    pub fn log(&self) -> &Log {
        self.derived.log()
    }

    pub fn end(&self) -> Mark {
        match &self.writer {
            Writer::Classic(appender) => Mark { offset: appender.log().written(), chain: Chain::default() },
            Writer::Framed(appender) => appender.end(),
        }
    }

    pub fn stamper(&mut self) -> Result<&mut Stamper, StampError> {
        if self.stamper.is_none() {
            self.stamper = Some(Stamper::new(&self.derived)?);
        }
        Ok(self.stamper.as_mut().unwrap())
    }

    /// Appends messages at once.
    pub fn send(&mut self, messages: &[Message], now: i64) -> Result<Vec<Stamped>, StampError> {
        let mut batch = BytesMut::new();
        messages.iter().for_each(|message| message.encode(&mut batch));
        self.stamper()?;
        let stamper = self.stamper.as_mut().unwrap();
        match &mut self.writer {
            Writer::Classic(appender) => {
                let done = stamper.append(appender, &mut batch, Timestamp(now));
                done.error.map_or(Ok(done.stamped), Err)
            }
            Writer::Framed(appender) => {
                let chain = appender.end().chain;
                let frame = NewFrame {
                    kind: frame::FrameKind::Messages,
                    index: Index(chain.index.0 + 1),
                    term: Term(chain.term.0.max(1)),
                    records: 0,
                    appended_at: Timestamp(now),
                };
                stamper.append_frame(appender, frame, &mut batch).map(|(_, stamped)| stamped)
            }
        }
    }

    /// What is in the log is final.
    pub fn confirm(&self) {
        self.log().confirm(self.end());
    }

    /// Makes the log durable, and dispatches all of it.
    pub fn catch_up(&mut self) -> Result<(), DispatchError> {
        self.log().flush()?;
        self.confirm();
        self.dispatch()
    }

    /// Dispatches what is final.
    pub fn dispatch(&mut self) -> Result<(), DispatchError> {
        self.dispatcher.as_mut().unwrap().run_to_confirmed()
    }

    /// The one who dispatches, for a thread.
    pub fn split(mut self) -> (Self, Dispatcher) {
        let dispatcher = self.dispatcher.take().unwrap();
        (self, dispatcher)
    }

    pub fn forget(&mut self, topic: &TopicName) {
        if let Some(stamper) = &mut self.stamper {
            stamper.forget(topic);
        }
    }

    /// Ends in order.
    pub fn close(self) -> Result<(), DispatchError> {
        self.log().flush()?;
        drop(self.dispatcher);
        self.derived.close()?;
        drop(self.derived);
        match self.writer {
            Writer::Classic(appender) => appender.close()?,
            Writer::Framed(appender) => appender.close()?,
        }
        Ok(())
    }
}

/// One queue, as readers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub min: i64,
    pub max: i64,
    pub entries: Vec<QueueEntry>,
}

/// All answers of a store: queues, searches and queries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    pub queues: BTreeMap<(String, i32), Seen>,
    pub searches: Vec<i64>,
    pub found: BTreeMap<String, Vec<LogOffset>>,
}

/// Asks everything.
pub fn answers(store: &Store, keys: &[String]) -> Result<Answers, io::Error> {
    let queues = store.derived.queues();
    let mut answers = Answers::default();
    for topic in queues.topics().map_err(io::Error::other)? {
        for queue in queues.queues_of(&topic).map_err(io::Error::other)? {
            let Some(range) = queues.range(&topic, queue).map_err(io::Error::other)? else { continue };
            let entries = queues.read(&topic, queue, range.min, 1000).map_err(io::Error::other)?;
            for time in [0, 3, 9].map(|seconds| Timestamp(START_TIME + seconds * 1000)) {
                for boundary in [Boundary::Lower, Boundary::Upper] {
                    let found =
                        queues.search_time(&topic, queue, time, boundary).map_err(io::Error::other)?;
                    answers.searches.push(found.unwrap().0);
                }
            }
            let seen = Seen { min: range.min.0, max: range.max.0, entries };
            answers.queues.insert((topic.to_string(), queue.0), seen);
        }
        for key in keys {
            let query = KeyQuery {
                topic: &topic,
                key,
                records_max: 100,
                begin: Timestamp(0),
                end: Timestamp(i64::MAX),
            };
            let mut found = store.derived.index().query(query).map_err(io::Error::other)?;
            // Of files that are gone as a whole, or not yet, nothing can be said.
            found.records.retain(|offset| *offset >= store.log().start());
            answers.found.insert(format!("{topic}#{key}"), found.records);
        }
    }
    Ok(answers)
}

/// What the queues must hold, told by the log itself, in the simplest way.
pub fn expected_queues(store: &Store) -> BTreeMap<(String, i32), Vec<(i64, LogOffset)>> {
    let mut queues: BTreeMap<(String, i32), Vec<(i64, LogOffset)>> = BTreeMap::new();
    let (mut at, end) = (store.log().start(), store.log().confirmed().offset);
    while at < end {
        let window = Window::read(store.log(), at, end).unwrap();
        let mut pieces = window.pieces();
        while let Some(placed) = pieces.next_record().unwrap() {
            let Record { topic, queue_id, queue_offset: QueueOffset(offset), .. } = placed.record;
            if is_queued(placed.record.sys_flag) {
                let queue = queues.entry((topic.to_owned(), queue_id.0)).or_default();
                // A topic that was made again.
                if queue.last().is_some_and(|(last, _)| last + 1 != offset) {
                    queue.clear();
                }
                queue.push((offset, placed.offset));
            }
        }
        at = pieces.position();
    }
    queues
}

/// Takes a folder away with all that is in it.
pub fn uproot(disk: &SimulatedDisk, folder: &Path) {
    for entry in disk.list(folder).unwrap_or_default() {
        let path = folder.join(entry.name);
        if entry.is_folder { uproot(disk, &path) } else { disk.uproot(&path) }
    }
    let _ = disk.remove_folder(folder);
}
