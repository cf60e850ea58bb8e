//! How fast the log takes and gives records of 1 KiB, beside what the disk gives to plain calls in the same run.
//!
//! ```text
//! append FOLDER [SECONDS] [ROUNDS]
//! ```
//! Each round runs all cases one after the other, each plain one right behind the one it stands beside. Prints one line a case and
//! round; at the end the medians, the slowest and the fastest round, and what the log reaches of the plain calls.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, SysFlag, stamp};
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::disk::simulated::Dice;
use ferrymq_storage::{Appender, BootId, FatalHook, FlushMode, Layout, Log, LogThreads, Settings, recovery};

const RECORD_BYTES: usize = 1024;
const WRITERS: [usize; 4] = [1, 8, 64, 256];
/// Records that one write takes at most: those that wait.
const BATCH_MAX: usize = 64;
/// That writers share, when they write directly.
const THREADS: usize = 2;
/// Of the length of a segment, for plain writes.
const PLAIN_FILES: u64 = 8;
/// Of the log that is read.
const READ_BYTES: usize = 256 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = Path::new(arguments.first().expect("a folder")).join("append-example");
    let bench = Bench { folder, time: Duration::from_secs(number(1, 2)) };
    let mut figures = Figures::default();
    for round in 0..number(2, 1) {
        figures.round = round;
        bench.appends(&mut figures);
        bench.reads(&mut figures);
    }
    drop(fs::remove_dir_all(&bench.folder));
    figures.print();
}

/// Records a second, by case and round.
#[derive(Default)]
struct Figures {
    round: u64,
    rates: BTreeMap<String, Vec<f64>>,
    /// Cases, and what they are measured by.
    shares: Vec<(String, String)>,
}

impl Figures {
    fn note(&mut self, case: &str, rate: f64) {
        println!("{} {case}: {rate:.0} records/s, {:.1} MB/s", self.round, rate * RECORD_BYTES as f64 / 1e6);
        self.rates.entry(case.to_owned()).or_default().push(rate);
    }

    fn compare(&mut self, case: &str, with: &str) {
        let share = (case.to_owned(), with.to_owned());
        if !self.shares.contains(&share) {
            self.shares.push(share);
        }
    }

    fn print(&self) {
        println!("\nmedian (slowest to fastest round), records/s:");
        for (case, rates) in &self.rates {
            let (low, middle, high) = spread(rates);
            let megabytes = middle * RECORD_BYTES as f64 / 1e6;
            println!("{case:44} {middle:9.0} ({low:.0} to {high:.0}), {megabytes:.1} MB/s");
        }
        println!("\nshare in the same round, median (lowest to highest):");
        for (case, with) in &self.shares {
            let rounds = self.rates[case].iter().zip(&self.rates[with]);
            let shares: Vec<_> = rounds.map(|(rate, plain)| rate / plain).collect();
            let (low, middle, high) = spread(&shares);
            println!("{case:44} {middle:6.2} ({low:.2} to {high:.2}) of {with}");
        }
    }
}

fn spread(figures: &[f64]) -> (f64, f64, f64) {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[0], sorted[sorted.len() / 2], sorted[sorted.len() - 1])
}

struct Bench {
    folder: PathBuf,
    time: Duration,
}

impl Bench {
    /// An empty folder. What earlier cases wrote is out of the way.
    fn fresh(&self) -> &Path {
        drop(fs::remove_dir_all(&self.folder));
        fs::create_dir_all(&self.folder).unwrap();
        rustix::fs::sync();
        &self.folder
    }

    fn appends(&self, figures: &mut Figures) {
        let cached = |records: usize| format!("plain pwrite of {:3} KiB", records * RECORD_BYTES / 1024);
        let synced = "plain pwrite of 1 KiB + fdatasync, one by one";
        figures.note(&cached(1), self.plain(1, false));
        figures.note("the log alone, page cache, 64 KiB", self.alone(BATCH_MAX));
        figures.note(&cached(BATCH_MAX), self.plain(BATCH_MAX, false));
        figures.compare("the log alone, page cache, 64 KiB", &cached(BATCH_MAX));
        for writers in WRITERS {
            let case = format!("the log, page cache, {writers:3} writers");
            let (rate, batch) = self.log(writers, FlushMode::Async);
            println!("  {batch:.1} records a write");
            figures.note(&case, rate);
            // Behind it, what the disk gives to writes of the same size.
            let with = format!("plain pwrite as of {writers:3} writers");
            figures.note(&with, self.plain((batch.round() as usize).max(1), false));
            figures.compare(&case, &with);
            figures.compare(&case, &cached(1));
            self.direct_appends(writers, figures);
        }
        figures.note(synced, self.plain(1, true));
        for writers in WRITERS {
            let case = format!("the log, fsync,      {writers:3} writers");
            let (rate, batch) = self.log(writers, FlushMode::Sync);
            println!("  {batch:.1} records a write");
            figures.note(&case, rate);
            figures.compare(&case, synced);
            if writers > 1 {
                figures.compare(&case, "the log, fsync,        1 writers");
            }
        }
    }

    fn direct_appends(&self, writers: usize, figures: &mut Figures) {
        let case = format!("the log, page cache, {writers:3} writers directly");
        figures.note(&case, self.direct(writers));
        let each = (writers / THREADS).clamp(1, BATCH_MAX);
        let with = format!("plain pwrite as of {writers:3} writers directly");
        figures.note(&with, self.plain(each, false));
        figures.compare(&case, &with);
    }

    /// Writes into files that have their room already, as segments have, and each byte of them once: to write what is in memory
    /// already would cost no disk and hardly any memory.
    fn plain(&self, records: usize, sync: bool) -> f64 {
        let folder = self.fresh();
        let length = Settings::SEGMENT_BYTES_DEFAULT;
        let file = |number: u64| {
            let file = new_file(&folder.join(format!("plain{number}")));
            rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length).unwrap();
            file.sync_all().unwrap();
            file
        };
        let files: Vec<File> = (0..PLAIN_FILES).map(file).collect();
        let bytes = vec![7; records * RECORD_BYTES];
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < self.time {
            let at = (count * RECORD_BYTES) as u64;
            let file = files.get((at / length) as usize).expect("a disk that is slower than that");
            file.write_all_at(&bytes, at % length).unwrap();
            if sync {
                file.sync_data().unwrap();
            }
            count += records;
        }
        count as f64 / begun.elapsed().as_secs_f64()
    }

    /// Batches one behind the other, as the plain case: what the log itself costs, without the ways of the writers.
    fn alone(&self, records: usize) -> f64 {
        let mut appender = open(self.fresh(), FlushMode::Async);
        let threads = LogThreads::start(appender.log()).unwrap();
        let mut batch = Batch::new(records);
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < self.time {
            batch.append(&mut appender, records);
            count += records;
        }
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        drop(threads);
        appender.close().unwrap();
        rate
    }

    /// Each writer has one record under way, and sends the next one when that is acknowledged. One thread stands for them all, as
    /// the tasks of a runtime do; this one appends what waits, as a proposer does. Says how many records a write took.
    fn log(&self, writers: usize, mode: FlushMode) -> (f64, f64) {
        let mut appender = open(self.fresh(), mode);
        let threads = LogThreads::start(appender.log()).unwrap();
        let (sender, records) = mpsc::sync_channel::<()>(writers);
        let (acknowledge, acknowledged) = mpsc::sync_channel::<usize>(writers);
        acknowledge.send(writers).unwrap();
        let (time, begun) = (self.time, Instant::now());
        let counted = std::thread::scope(|scope| {
            let clients = scope.spawn(move || write_until(begun + time, &sender, &acknowledged));
            let mut batch = Batch::new(BATCH_MAX);
            let mut writes = 0;
            while records.recv().is_ok() {
                let count = 1 + records.try_iter().take(BATCH_MAX - 1).count();
                let end = batch.append(&mut appender, count);
                let acknowledge = acknowledge.clone();
                // At the end nobody may be there to hear it.
                let done = move |result: Result<(), _>| {
                    let _ = result.map(|()| acknowledge.send(count));
                };
                appender.log().acknowledge(end, Box::new(done));
                writes += 1;
            }
            (clients.join().unwrap() as f64, f64::from(writes))
        });
        let rate = counted.0 / begun.elapsed().as_secs_f64();
        drop(threads);
        appender.close().unwrap();
        (rate, counted.0 / counted.1)
    }

    /// Each writer appends under the lock of the appender, as classic mode does: nobody wakes another thread. Writers that share a
    /// thread have their records written together.
    fn direct(&self, writers: usize) -> f64 {
        let appender = Mutex::new(open(self.fresh(), FlushMode::Async));
        let threads = LogThreads::start(appender.lock().unwrap().log()).unwrap();
        let each = (writers / THREADS).clamp(1, BATCH_MAX);
        let begun = Instant::now();
        let write = || {
            let (mut batch, acknowledged) = (Batch::new(each), Arc::new(AtomicUsize::new(0)));
            while begun.elapsed() < self.time {
                let mut appender = appender.lock().unwrap();
                let end = batch.append(&mut appender, each);
                let acknowledged = Arc::clone(&acknowledged);
                let done = move |result: Result<(), _>| {
                    let _ = result.map(|()| acknowledged.fetch_add(each, Ordering::Relaxed));
                };
                appender.log().acknowledge(end, Box::new(done));
            }
            acknowledged.load(Ordering::Relaxed)
        };
        let count: usize = std::thread::scope(|scope| {
            let running: Vec<_> = (0..THREADS.min(writers)).map(|_| scope.spawn(write)).collect();
            running.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let rate = count as f64 / begun.elapsed().as_secs_f64();
        drop(threads);
        appender.into_inner().unwrap().close().unwrap();
        rate
    }

    fn reads(&self, figures: &mut Figures) {
        let mut appender = open(self.fresh(), FlushMode::Async);
        let mut batch = Batch::new(BATCH_MAX);
        while (appender.log().written().0 as usize) < READ_BYTES {
            batch.append(&mut appender, BATCH_MAX);
        }
        let log = appender.log().clone();
        let plain = File::open(self.folder.join("commitlog").join(format!("{:020}", 0))).unwrap();
        let mut buffer = vec![0; BATCH_MAX * RECORD_BYTES];
        let mut case = |name: &str, records: usize, is_random: bool| {
            let read = self.read(records, is_random, |at| read_log(&log, at, records));
            figures.note(&format!("the log, {name}"), read);
            let read = self.read(records, is_random, |at| {
                plain.read_exact_at(&mut buffer[..records * RECORD_BYTES], at as u64).unwrap();
            });
            figures.note(&format!("plain pread, {name}"), read);
            figures.compare(&format!("the log, {name}"), &format!("plain pread, {name}"));
        };
        case("sequential read of 64 KiB", BATCH_MAX, false);
        case("random read of 1 KiB", 1, true);
    }

    fn read(&self, records: usize, is_random: bool, mut read: impl FnMut(usize)) -> f64 {
        let bytes = records * RECORD_BYTES;
        let places = READ_BYTES / bytes;
        let mut dice = Dice::new(1);
        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < self.time {
            let place = if is_random { dice.below(places as u64) as usize } else { count % places };
            read(place * bytes);
            count += 1;
        }
        (count * records) as f64 / begun.elapsed().as_secs_f64()
    }
}

fn read_log(log: &Log, at: usize, records: usize) {
    let bytes = log.read(LogOffset(at as i64), records * RECORD_BYTES).unwrap();
    assert_eq!(bytes.len(), records * RECORD_BYTES);
}

/// Sends a record for each acknowledged one, and says how many were.
fn write_until(end: Instant, sender: &SyncSender<()>, acknowledged: &Receiver<usize>) -> usize {
    let mut total = 0;
    while Instant::now() < end {
        let count = acknowledged.recv().unwrap() + acknowledged.try_iter().sum::<usize>();
        total += count;
        (0..count).for_each(|_| sender.send(()).unwrap());
    }
    total
}

fn new_file(path: &Path) -> File {
    OpenOptions::new().create_new(true).read(true).write(true).open(path).unwrap()
}

fn open(folder: &Path, mode: FlushMode) -> Appender {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Classic,
        segment_bytes: Settings::SEGMENT_BYTES_DEFAULT,
        mode,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot: BootId::default(),
        on_fatal: FatalHook::abort(),
    };
    recovery::open(Arc::new(RealDisk), settings).unwrap().appender
}

/// Records that are stamped and appended again and again.
struct Batch {
    bytes: Vec<u8>,
}

impl Batch {
    fn new(records: usize) -> Self {
        Self { bytes: template().repeat(records) }
    }

    fn append(&mut self, appender: &mut Appender, records: usize) -> LogOffset {
        let bytes = &mut self.bytes[..records * RECORD_BYTES];
        let place = appender.place(bytes.len() as u64).unwrap();
        for (number, record) in bytes.chunks_mut(RECORD_BYTES).enumerate() {
            let offset = LogOffset(place.offset().0 + (number * RECORD_BYTES) as i64);
            stamp(record, QueueOffset(1), offset, Timestamp(1)).unwrap();
        }
        place.write(&mut [IoSlice::new(bytes)]).unwrap().end()
    }
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
