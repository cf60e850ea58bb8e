//! How long a start takes with a large store, after an end in order and after a process was killed; and with the segments of
//! another broker, whose log is walked as a whole, and all derived from it.
//!
//! ```text
//! start FOLDER [GIBIBYTES] [ROUNDS]
//! ```
//! Each round, a child process fills a store and kills itself, without any of what an orderly end does. A start counts until all
//! of the log was dispatched, so that a broker would serve. Prints one line a start.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};
use ferrymq_proto::record::{NewRecord, PropertyList, SysFlag, property};
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::dispatch::{Derived, DerivedSettings, DerivedThreads, Dispatcher, NoArrivals};
use ferrymq_storage::stamp::Stamper;
use ferrymq_storage::{
    Appender, Chain, FatalHook, FlushMode, LastStop, Layout, LogThreads, Mark, Settings, recovery,
};

const RECORD_BYTES: usize = 1024;
const BATCH: usize = 64;
const QUEUES: usize = 64;
const PATIENCE: Duration = Duration::from_secs(600);
/// The argument that makes this program the child.
const FILL: &str = "--fill";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = Path::new(arguments.first().expect("a folder")).join("start-example");
    if arguments.iter().any(|argument| argument == FILL) {
        fill(&folder, number(1, 10) << 30);
    }
    for _ in 0..number(2, 1) {
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap());
        let killed =
            child.args(&arguments[..1]).args([&number(1, 10).to_string(), "1", FILL]).status().unwrap();
        assert!(!killed.success(), "the child has killed itself");
        start(&folder, LastStop::Process);
        start(&folder, LastStop::InOrder);
        keep_segments(&folder);
        start(&folder, LastStop::New);
    }
    drop(fs::remove_dir_all(&folder));
}

fn start(folder: &Path, expected: LastStop) {
    let begun = Instant::now();
    let (appender, last_stop, derived, mut dispatcher) = open(folder);
    let opened = begun.elapsed();
    dispatcher.run_to_confirmed().unwrap();
    let served = begun.elapsed();
    assert_eq!(last_stop, expected);
    let bytes = appender.log().written().0 - appender.log().start().0;
    let gibibytes = bytes as f64 / f64::from(1 << 30);
    let rate = |time: Duration| bytes as f64 / 1e9 / time.as_secs_f64();
    println!(
        "{gibibytes:.1} GiB, last stop {last_stop:?}: opened in {opened:.2?} ({:.2} GB/s), served in {served:.2?} ({:.2} GB/s)",
        rate(opened),
        rate(served)
    );
    drop(dispatcher);
    derived.close().unwrap();
    drop(derived);
    appender.close().unwrap();
}

/// Leaves of a store what another broker's has too.
fn keep_segments(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_name().is_some_and(|name| name == "commitlog") {
            true => {}
            false if path.is_dir() => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }
}

fn open(folder: &Path) -> (Appender, LastStop, Derived, Dispatcher) {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Classic,
        segment_bytes: Settings::SEGMENT_BYTES_DEFAULT,
        mode: FlushMode::Async,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot: RealDisk::boot_id().unwrap(),
        on_fatal: FatalHook::abort(),
    };
    let open = recovery::open(Arc::new(RealDisk), settings).unwrap();
    let last_stop = open.report.last_stop;
    let log = open.log().clone();
    // As a broker that decides alone: what is written is final.
    log.confirm(Mark { offset: log.written(), chain: Chain::default() });
    let (derived, dispatcher) =
        Derived::open(&log, DerivedSettings::default(), Box::new(NoArrivals)).unwrap();
    (open.appender, last_stop, derived, dispatcher)
}

/// Does not return.
fn fill(folder: &Path, bytes: i64) -> ! {
    let (mut appender, _, derived, dispatcher) = open(folder);
    let _threads =
        (LogThreads::start(appender.log()).unwrap(), DerivedThreads::start(&derived, dispatcher).unwrap());
    let mut stamper = Stamper::new(&derived).unwrap();
    let templates: Vec<Bytes> = (0..QUEUES).map(template).collect();
    let mut batch = BytesMut::with_capacity(BATCH * RECORD_BYTES);
    for number in (0..).step_by(BATCH) {
        for number in number..number + BATCH {
            batch.extend_from_slice(&templates[number % QUEUES]);
            let key_at = batch.len() - 9;
            batch[key_at..key_at + 8].copy_from_slice(format!("{number:08x}").as_bytes());
        }
        let done = stamper.append(&mut appender, &mut batch, Timestamp(1_700_000_000_000 + number as i64));
        assert!(done.error.is_none(), "{:?}", done.error);
        let end = appender.log().written();
        appender.log().confirm(Mark { offset: end, chain: Chain::default() });
        batch.clear();
        if end.0 >= bytes {
            assert!(derived.wait_dispatched(end, PATIENCE));
            std::process::abort();
        }
    }
    unreachable!("numbers do not end")
}

fn template(queue: usize) -> Bytes {
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], 10911));
    let mut properties = PropertyList::new();
    properties.set(property::UNIQUE_KEY, "01234567").unwrap();
    let mut record = NewRecord {
        topic: TopicName::parse("orders").unwrap(),
        queue_id: QueueId(queue as i32),
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(0),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(0),
        properties: Bytes::copy_from_slice(properties.as_properties().as_bytes()),
        body: Bytes::new(),
    };
    let mut bytes = BytesMut::new();
    let overhead = record.encode(RECORD_BYTES, &mut bytes).unwrap();
    record.body = vec![7; RECORD_BYTES - overhead].into();
    bytes.clear();
    record.encode(RECORD_BYTES, &mut bytes).unwrap();
    bytes.freeze()
}
