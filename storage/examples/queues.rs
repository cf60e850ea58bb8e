//! What many queues cost: how fast messages are appended and dispatched to 16 and to 50,000 queues, the memory and the open files
//! that takes, how long a restart takes and making everything anew.
//!
//! ```text
//! queues FOLDER [QUEUES] [MESSAGES_PER_QUEUE] [ROUNDS]
//! ```
//! Each case sends the same number of messages of 256 bytes in all, each with a unique key. Prints one line a case.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, PropertyList, SysFlag, property};
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::dispatch::{Derived, DerivedSettings, DerivedThreads, Dispatcher, NoArrivals};
use ferrymq_storage::stamp::Stamper;
use ferrymq_storage::{
    Appender, BootId, Chain, FatalHook, FlushMode, Layout, LogThreads, Mark, Settings, recovery,
};

const RECORD_BYTES: usize = 256;
const BATCH: usize = 64;
const QUEUES_PER_TOPIC: usize = 50;
const FEW_QUEUES: usize = 16;
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(3600);
const BOOT: BootId = BootId([1; 16]);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = Path::new(arguments.first().expect("a folder")).join("queues-example");
    let (queues, each, rounds) = (number(1, 50_000), number(2, 200), number(3, 1));
    for _ in 0..rounds {
        for queues in [FEW_QUEUES, queues] {
            drop(fs::remove_dir_all(&folder));
            run(&folder, queues, number(1, 50_000) * each);
        }
    }
    drop(fs::remove_dir_all(&folder));
}

fn run(folder: &Path, queues: usize, messages: usize) {
    let (mut appender, log_threads, derived, dispatcher) = open(folder, false);
    let threads = DerivedThreads::start(&derived, dispatcher).unwrap();
    let begun = Instant::now();
    send(&mut appender, &derived, queues, messages);
    let appended = messages as f64 / begun.elapsed().as_secs_f64();
    let end = appender.log().written();
    assert!(derived.wait_dispatched(end, PATIENCE));
    let time = begun.elapsed();
    let rate = messages as f64 / time.as_secs_f64();
    println!(
        "{queues} queues, {messages} messages: appended {appended:.0} a second, and dispatched in {time:.2?}, {rate:.0} a second, {}",
        usage()
    );
    let begun = Instant::now();
    drop(threads);
    derived.close().unwrap();
    drop((derived, log_threads));
    appender.close().unwrap();
    println!("{queues} queues: synced and closed in {:.2?}, {}", begun.elapsed(), usage());
    reopen(folder, queues, messages / queues, end);
}

fn reopen(folder: &Path, queues: usize, each: usize, end: LogOffset) {
    read_all(folder, queues, each);
    let begun = Instant::now();
    let (appender, log_threads, derived, mut dispatcher) = open(folder, true);
    dispatcher.run_to_confirmed().unwrap();
    derived.flush().unwrap();
    let time = begun.elapsed();
    let rate = end.0 as f64 / time.as_secs_f64() / 1e9;
    println!("{queues} queues: all made anew in {time:.2?}, {rate:.2} GB/s of the log, {}", usage());
    drop((appender, log_threads));
}

/// Opens the store as it was closed, and reads every queue whole.
fn read_all(folder: &Path, queues: usize, each: usize) {
    let begun = Instant::now();
    let (appender, log_threads, derived, _) = open(folder, false);
    println!("{queues} queues: restarted in {:.2?}, {}", begun.elapsed(), usage());
    let begun = Instant::now();
    let mut found = 0;
    for number in 0..queues {
        let (topic, queue) = name(number);
        found += derived.queues().read(&topic, queue, QueueOffset(0), usize::MAX).unwrap().len();
    }
    assert_eq!(found, queues * each);
    println!("{queues} queues: all read in {:.2?}, {}", begun.elapsed(), usage());
    derived.close().unwrap();
    drop((derived, log_threads));
    appender.close().unwrap();
}

fn open(folder: &Path, rebuild: bool) -> (Appender, LogThreads, Derived, Dispatcher) {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Classic,
        segment_bytes: Settings::SEGMENT_BYTES_DEFAULT,
        mode: FlushMode::Async,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot: BOOT,
        on_fatal: FatalHook::abort(),
    };
    let appender = recovery::open(Arc::new(RealDisk), settings).unwrap().appender;
    let threads = LogThreads::start(appender.log()).unwrap();
    let settings = DerivedSettings { rebuild, ..DerivedSettings::default() };
    let (derived, dispatcher) = Derived::open(appender.log(), settings, Box::new(NoArrivals)).unwrap();
    (appender, threads, derived, dispatcher)
}

fn name(queue: usize) -> (TopicName, QueueId) {
    let topic = TopicName::parse(&format!("topic-{}", queue / QUEUES_PER_TOPIC)).unwrap();
    (topic, QueueId((queue % QUEUES_PER_TOPIC) as i32))
}

/// One message to each queue in turn, in batches.
fn send(appender: &mut Appender, derived: &Derived, queues: usize, messages: usize) {
    let mut stamper = Stamper::new(derived).unwrap();
    let templates: Vec<Bytes> = (0..queues).map(template).collect();
    let mut batch = BytesMut::with_capacity(BATCH * RECORD_BYTES);
    for number in 0..messages {
        let template = &templates[number % queues];
        batch.extend_from_slice(template);
        // The unique key is the last thing in a record.
        let key_at = batch.len() - 9;
        batch[key_at..key_at + 8].copy_from_slice(format!("{number:08x}").as_bytes());
        if (number + 1) % BATCH == 0 || number + 1 == messages {
            let done = stamper.append(appender, &mut batch, Timestamp(1_700_000_000_000));
            assert!(done.error.is_none(), "{:?}", done.error);
            appender.log().confirm(Mark { offset: appender.log().written(), chain: Chain::default() });
            batch.clear();
        }
    }
}

fn template(queue: usize) -> Bytes {
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], 10911));
    let (topic, queue_id) = name(queue);
    let mut properties = PropertyList::new();
    properties.set(property::UNIQUE_KEY, "01234567").unwrap();
    let mut record = NewRecord {
        topic,
        queue_id,
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

fn usage() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or_default() >> 10
    };
    let files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    format!("RSS {} MiB (peak {}), {files} open files", of("VmRSS"), of("VmHWM"))
}
