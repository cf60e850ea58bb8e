//! What many queues cost: how fast messages are appended and dispatched to 16 and to 50,000 queues, the memory and the open files
//! that takes, how long a restart takes and making everything anew.
//!
//! ```text
//! queues FOLDER [QUEUES] [MESSAGES_PER_QUEUE] [ROUNDS] [RECORD_BYTES]
//! ```
//! Each case sends the same number of messages in all, each with a unique key, to each queue in turn: the first one of each queue
//! makes it, and is counted apart. Prints one line a case, and the medians of the rates at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
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

const RECORD_BYTES: usize = 1024;
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
    let (queues, each, rounds) = (number(1, 50_000), number(2, 60), number(3, 1));
    let bench = Bench { folder, record_bytes: number(4, RECORD_BYTES), messages: queues * each };
    let mut rates: BTreeMap<(usize, &str), Vec<f64>> = BTreeMap::new();
    for _ in 0..rounds {
        for queues in [FEW_QUEUES, queues] {
            bench.clear();
            for (name, rate) in bench.run(queues) {
                rates.entry((queues, name)).or_default().push(rate);
            }
        }
    }
    bench.clear();
    for ((queues, name), mut rates) in rates {
        rates.sort_by(f64::total_cmp);
        let (low, middle, high) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        println!(
            "median (slowest to fastest) of {queues} queues, {name}: {middle:.0} ({low:.0} to {high:.0}) a second"
        );
    }
}

struct Bench {
    folder: PathBuf,
    record_bytes: usize,
    messages: usize,
}

impl Bench {
    /// What earlier cases wrote is out of the way.
    fn clear(&self) {
        drop(fs::remove_dir_all(&self.folder));
        drop(fs::create_dir_all(self.folder.parent().unwrap()));
        rustix::fs::sync();
    }

    fn run(&self, queues: usize) -> Vec<(&'static str, f64)> {
        let (mut appender, log_threads, derived, dispatcher) = open(&self.folder, false);
        let threads = DerivedThreads::start(&derived, dispatcher).unwrap();
        let mut stamper = Stamper::new(&derived).unwrap();
        let templates: Vec<Bytes> = (0..queues).map(|queue| self.template(queue)).collect();
        let mut send = |numbers: Range<usize>| {
            let (begun, count) = (Instant::now(), numbers.len() as f64);
            send(&mut appender, &mut stamper, &templates, numbers);
            let appended = count / begun.elapsed().as_secs_f64();
            assert!(derived.wait_dispatched(appender.log().written(), PATIENCE));
            (appended, count / begun.elapsed().as_secs_f64(), begun.elapsed())
        };
        let (_, first_rate, first_time) = send(0..queues);
        println!(
            "{queues} queues: the first message of each in {first_time:.2?}, {first_rate:.0} a second, {}",
            usage()
        );
        let (appended, dispatched, time) = send(queues..self.messages);
        println!(
            "{queues} queues, {} messages: appended {appended:.0} a second, and dispatched in {time:.2?}, {dispatched:.0} a second, {}",
            self.messages - queues,
            usage()
        );
        let end = appender.log().written();
        let begun = Instant::now();
        drop(threads);
        derived.close().unwrap();
        drop((derived, log_threads, stamper));
        appender.close().unwrap();
        println!("{queues} queues: synced and closed in {:.2?}, {}", begun.elapsed(), usage());
        let rebuilt = reopen(&self.folder, queues, self.messages / queues, end);
        vec![
            ("appended", appended),
            ("appended and dispatched", dispatched),
            ("rebuilt", self.messages as f64 / rebuilt.as_secs_f64()),
        ]
    }

    fn template(&self, queue: usize) -> Bytes {
        template(queue, self.record_bytes)
    }
}

fn reopen(folder: &Path, queues: usize, each: usize, end: LogOffset) -> Duration {
    read_all(folder, queues, each);
    let begun = Instant::now();
    let (appender, log_threads, derived, mut dispatcher) = open(folder, true);
    dispatcher.run_to_confirmed().unwrap();
    derived.flush().unwrap();
    let time = begun.elapsed();
    let rate = end.0 as f64 / time.as_secs_f64() / 1e9;
    println!("{queues} queues: all made anew in {time:.2?}, {rate:.2} GB/s of the log, {}", usage());
    drop((appender, log_threads));
    time
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
fn send(appender: &mut Appender, stamper: &mut Stamper, templates: &[Bytes], numbers: Range<usize>) {
    let mut batch = BytesMut::with_capacity(BATCH * templates[0].len());
    let end = numbers.end;
    for number in numbers {
        let template = &templates[number % templates.len()];
        batch.extend_from_slice(template);
        // The unique key is the last thing in a record.
        let key_at = batch.len() - 9;
        batch[key_at..key_at + 8].copy_from_slice(format!("{number:08x}").as_bytes());
        if (number + 1) % BATCH == 0 || number + 1 == end {
            let done = stamper.append(appender, &mut batch, Timestamp(1_700_000_000_000));
            assert!(done.error.is_none(), "{:?}", done.error);
            appender.log().confirm(Mark { offset: appender.log().written(), chain: Chain::default() });
            batch.clear();
        }
    }
}

fn template(queue: usize, record_bytes: usize) -> Bytes {
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
    let overhead = record.encode(record_bytes, &mut bytes).unwrap();
    record.body = vec![7; record_bytes - overhead].into();
    bytes.clear();
    record.encode(record_bytes, &mut bytes).unwrap();
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
