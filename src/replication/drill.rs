//! A replicator for tests of services that store messages: a small log on a simulated disk, written and dispatched by whoever
//! calls, at a time that the test says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};
use ferrymq_proto::record::{PropertyList, SysFlag};
use ferrymq_storage::cold::ColdReads;
use ferrymq_storage::disk::SimulatedDisk;
use ferrymq_storage::dispatch::{Derived, DerivedSettings, Dispatcher, NoArrivals};
use ferrymq_storage::queues::DelayLevels;
use ferrymq_storage::stamp::{Stamped, Stamper};
use ferrymq_storage::{Appender, BootId, Chain, FatalHook, FlushMode, Layout, Mark, Settings, recovery};

use super::pair::Copied;
use super::{Batch, Changed, Done, NotStored, Replicator, SharedTables, Stored, Wait, Writer};
use crate::services::archive::Archive;
use crate::services::message::Message;
use crate::state::{Command, Tables};

const SEGMENT_BYTES: u64 = 64 << 10;

#[derive(Debug)]
pub struct Drill {
    parts: Mutex<Parts>,
    tables: SharedTables,
    now: AtomicI64,
}

#[derive(Debug)]
struct Parts {
    appender: Appender,
    stamper: Stamper,
    dispatcher: Dispatcher,
    is_dispatched_at_once: bool,
}

/// A broker's store, without the broker.
#[derive(Debug)]
pub struct Site {
    pub disk: SimulatedDisk,
    pub drill: Arc<Drill>,
    pub writer: Writer,
    pub tables: SharedTables,
    pub archive: Archive,
}

/// A message as a client may have sent it.
pub fn message(topic: &str, queue: i32, body: &str) -> Message {
    let host = SocketAddr::from(([127, 0, 0, 1], 10911));
    Message {
        topic: TopicName::parse(topic).expect("a name"),
        queue_id: QueueId(queue),
        flag: 7,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(1),
        born_host: host,
        store_host: host,
        reconsume_times: 2,
        prepared_offset: LogOffset(0),
        properties: PropertyList::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
    }
}

impl Site {
    pub fn new() -> Self {
        Self::open(SimulatedDisk::default(), SharedTables::new(Tables::default()))
    }

    fn open(disk: SimulatedDisk, tables: SharedTables) -> Self {
        let settings = Settings {
            folder: "/store".into(),
            layout: Layout::Classic,
            segment_bytes: SEGMENT_BYTES,
            mode: FlushMode::Sync,
            flush_interval: std::time::Duration::from_secs(1),
            boot: BootId([1; 16]),
            on_fatal: FatalHook::new(|_| ()),
        };
        let appender = recovery::open(Arc::new(disk.clone()), settings).expect("a store").appender;
        let log = appender.log().clone();
        log.confirm(Mark { offset: log.written(), chain: Chain::default() });
        let settings = DerivedSettings {
            queue_file_entries: 1024,
            index_slots: 100,
            index_entries: 100,
            index_enabled: false,
            delay_levels: DelayLevels::apaches(),
            open_files_max: 16,
            unwritten_bytes_max: 1 << 20,
            rebuild: false,
        };
        let (derived, mut dispatcher) = Derived::open(&log, settings, Box::new(NoArrivals)).expect("queues");
        dispatcher.run_to_confirmed().expect("dispatch");
        let stamper = Stamper::new(&derived).expect("a stamper");
        let drill = Arc::new(Drill {
            parts: Mutex::new(Parts { appender, stamper, dispatcher, is_dispatched_at_once: true }),
            tables: tables.clone(),
            now: AtomicI64::new(0),
        });
        let writer = Writer(Arc::clone(&drill) as Arc<dyn Replicator>);
        let archive = Archive::new(log, derived, ColdReads::start(1, 16).expect("a thread"));
        Self { disk, drill, writer, tables, archive }
    }

    pub fn store(&self, batch: Batch) {
        let is_stored = |done: Result<Vec<Stored>, NotStored>| drop(done.expect("room on the disk"));
        self.writer.append(batch, Wait::AsConfigured, Box::new(is_stored));
    }

    /// The process is killed and starts again. The tables are those whose changes were made.
    pub fn restart(self) -> Self {
        let Self { disk, tables, .. } = self;
        Self::open(disk.process_loss(), tables)
    }
}

impl Drill {
    pub fn set_now(&self, now: Timestamp) {
        self.now.store(now.0, Ordering::SeqCst);
    }

    /// What is written from now on is not dispatched.
    pub fn hold_dispatch(&self) {
        self.parts().is_dispatched_at_once = false;
    }

    /// Dispatches what is written, now and from now on.
    pub fn dispatch(&self) {
        let mut parts = self.parts();
        parts.is_dispatched_at_once = true;
        parts.dispatcher.run_to_confirmed().expect("dispatch");
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut batch: Batch) -> Result<Vec<Stored>, NotStored> {
        let mut parts = self.parts();
        let Parts { appender, stamper, dispatcher, is_dispatched_at_once } = &mut *parts;
        let now = Timestamp(self.now.load(Ordering::SeqCst));
        let outcome = stamper.append(appender, &mut batch.records, now);
        if let Some(error) = outcome.error {
            return Err(NotStored::Disk(error.to_string()));
        }
        let log = appender.log();
        log.flush().map_err(|_| NotStored::Stopping)?;
        log.confirm(Mark { offset: log.written(), chain: Chain::default() });
        if *is_dispatched_at_once {
            dispatcher.run_to_confirmed().map_err(|error| NotStored::Disk(error.to_string()))?;
        }
        if let Some(change) = batch.change {
            self.tables.write().apply(change);
        }
        let stored = |stamped: Stamped| Stored {
            queue_offset: stamped.queue_offset,
            log_offset: stamped.span.start,
            bytes: stamped.span.bytes as u32,
            store_timestamp: stamped.store_time,
            copied: Copied::Enough,
        };
        Ok(outcome.stamped.into_iter().map(stored).collect())
    }
}

impl Replicator for Drill {
    fn append(&self, batch: Batch, _wait: Wait, done: Done) {
        done(self.write(batch));
    }

    fn change(&self, command: Command, done: Changed) {
        done(Ok(self.tables.write().apply(command)));
    }

    fn is_leader(&self) -> bool {
        true
    }

    fn is_current(&self) -> bool {
        true
    }

    fn term(&self) -> i64 {
        0
    }

    fn stop(&self) {}
}
