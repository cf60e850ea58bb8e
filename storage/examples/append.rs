//! How fast the log takes records of 1 KiB, beside what the disk gives to plain calls in the same run.
//!
//! ```text
//! append FOLDER [SECONDS] [ROUNDS]
//! ```
//! Prints one line a case and round, and the medians at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, SysFlag, stamp};
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::{Appender, BootId, FatalHook, FlushMode, Layout, LogThreads, Settings, recovery};

const RECORD_BYTES: usize = 1024;
const WRITERS: [usize; 4] = [1, 8, 64, 256];
/// Records that one write takes at most: those that wait.
const BATCH_MAX: usize = 64;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = Path::new(arguments.first().expect("a folder")).join("append-example");
    let time = Duration::from_secs(number(1, 2));
    let mut results: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for round in 0..number(2, 1) {
        let mut case = |name: String, run: &dyn Fn(&Path) -> f64| {
            drop(fs::remove_dir_all(&folder));
            fs::create_dir_all(&folder).unwrap();
            let rate = run(&folder);
            println!("{round} {name}: {rate:.0} records/s, {:.1} MB/s", rate * RECORD_BYTES as f64 / 1e6);
            results.entry(name).or_default().push(rate);
        };
        case("raw pwrite".into(), &|folder| raw(folder, time, BATCH_MAX, false));
        case("raw pwrite + fdatasync".into(), &|folder| raw(folder, time, 1, true));
        case("page cache, no writers but the log".into(), &|folder| alone(folder, time));
        for writers in WRITERS {
            case(format!("page cache, {writers:3} writers"), &|folder| {
                log(folder, time, writers, FlushMode::Async)
            });
            case(format!("fsync,      {writers:3} writers"), &|folder| {
                log(folder, time, writers, FlushMode::Sync)
            });
        }
    }
    drop(fs::remove_dir_all(&folder));
    println!("medians:");
    for (name, mut rates) in results {
        rates.sort_by(f64::total_cmp);
        let rate = rates[rates.len() / 2];
        println!("{name}: {rate:.0} records/s, {:.1} MB/s", rate * RECORD_BYTES as f64 / 1e6);
    }
}

/// Writes into a file that has its room already, as segments have.
fn raw(folder: &Path, time: Duration, records: usize, sync: bool) -> f64 {
    let file = OpenOptions::new().create_new(true).read(true).write(true).open(folder.join("raw")).unwrap();
    let length = Settings::SEGMENT_BYTES_DEFAULT;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length).unwrap();
    file.sync_all().unwrap();
    let bytes = vec![7; records * RECORD_BYTES];
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        file.write_all_at(&bytes, (count * RECORD_BYTES) as u64 % length).unwrap();
        if sync {
            file.sync_data().unwrap();
        }
        count += records;
    }
    count as f64 / begun.elapsed().as_secs_f64()
}

fn open(folder: &Path, mode: FlushMode) -> Appender {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Classic,
        segment_bytes: Settings::SEGMENT_BYTES_DEFAULT,
        mode,
        boot: BootId::default(),
        on_fatal: FatalHook::abort(),
    };
    recovery::open(Arc::new(RealDisk), settings).unwrap().appender
}

/// Full batches one behind the other, as the raw case: what the log itself costs, without the ways of the writers.
fn alone(folder: &Path, time: Duration) -> f64 {
    let mut appender = open(folder, FlushMode::Async);
    let threads = LogThreads::start(appender.log()).unwrap();
    let template = template();
    let (begun, mut count) = (Instant::now(), 0);
    while begun.elapsed() < time {
        append(&mut appender, &template, Vec::new(), BATCH_MAX);
        count += BATCH_MAX;
    }
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    drop(threads);
    appender.close().unwrap();
    rate
}

/// Writers send one record at a time and wait for it. One thread appends what waits, as a proposer does.
fn log(folder: &Path, time: Duration, writers: usize, mode: FlushMode) -> f64 {
    let mut appender = open(folder, mode);
    let threads = LogThreads::start(appender.log()).unwrap();
    let (sender, receiver) = mpsc::sync_channel::<SyncSender<()>>(writers);
    let (begun, total) = (Instant::now(), Mutex::new(0));
    let template = template();
    std::thread::scope(|scope| {
        for _ in 0..writers {
            let (sender, total) = (sender.clone(), &total);
            scope.spawn(move || {
                let (done, acknowledged) = mpsc::sync_channel(1);
                let mut count = 0;
                while begun.elapsed() < time {
                    sender.send(done.clone()).unwrap();
                    acknowledged.recv().unwrap();
                    count += 1;
                }
                *total.lock().unwrap() += count;
            });
        }
        drop(sender);
        while let Ok(first) = receiver.recv() {
            let waiting = receiver.try_iter().take(BATCH_MAX - 1);
            let waiting: Vec<_> = std::iter::once(first).chain(waiting).collect();
            let records = waiting.len();
            append(&mut appender, &template, waiting, records);
        }
    });
    let rate = f64::from(*total.lock().unwrap()) / begun.elapsed().as_secs_f64();
    drop(threads);
    appender.close().unwrap();
    rate
}

fn append(appender: &mut Appender, template: &[u8], waiting: Vec<SyncSender<()>>, records: usize) {
    let place = appender.place((records * RECORD_BYTES) as u64).unwrap();
    let mut bytes = template.repeat(records);
    for (number, record) in bytes.chunks_mut(RECORD_BYTES).enumerate() {
        let offset = LogOffset(place.offset().0 + (number * RECORD_BYTES) as i64);
        stamp(record, QueueOffset(1), offset, Timestamp(1)).unwrap();
    }
    let end = place.write(&mut [IoSlice::new(&bytes)]).unwrap().end();
    let done = move |result: Result<(), _>| {
        result.unwrap();
        waiting.iter().for_each(|waiting| waiting.send(()).unwrap());
    };
    appender.log().acknowledge(end, Box::new(done));
}

fn template() -> Vec<u8> {
    let host = std::net::SocketAddr::from(([127, 0, 0, 1], 10911));
    let record = |body_bytes| NewRecord {
        topic: TopicName::parse("orders").unwrap(),
        queue_id: QueueId(0),
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(0),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(0),
        properties: Bytes::new(),
        body: vec![7; body_bytes].into(),
    };
    let encode = |body_bytes| {
        let mut bytes = BytesMut::new();
        record(body_bytes).encode(RECORD_BYTES, &mut bytes).unwrap();
        bytes.to_vec()
    };
    let overhead = encode(0).len();
    encode(RECORD_BYTES - overhead)
}
