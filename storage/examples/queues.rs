//! What many queues cost: how fast messages are appended and dispatched to 16 and to 50,000 queues, the memory and the open files
//! that takes, how long a restart takes and making everything anew.
//!
//! ```text
//! queues FOLDER [QUEUES] [MESSAGES_PER_QUEUE] [ROUNDS] [RECORD_BYTES]
//! ```
//! Each case sends the same number of messages in all, each with a unique key, to each queue in turn. The first one of each queue
//! makes it, with its folder and its file, and is counted apart. Both cases send from equally many prepared messages, so that
//! those who send cost the same. Prints one line a case, and the medians of the rates at the end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs};

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
/// The arguments that make this program measure one case: what is sent, and what was sent before.
const SEND: &str = "--send";
const REOPEN: &str = "--reopen";
/// Before a figure of a case.
const RATE: &str = "rate ";
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(3600);
const BOOT: BootId = BootId([1; 16]);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = Path::new(arguments.first().expect("a folder")).join("queues-example");
    let (queues, each, rounds) = (number(1, 50_000), number(2, 60), number(3, 1));
    let record_bytes = number(4, RECORD_BYTES);
    let case = Case { samples: queues, record_bytes, messages: queues * each };
    for (stage, run) in [(SEND, Case::send as fn(&Case, &Path, usize)), (REOPEN, Case::reopen)] {
        if let Some(at) = arguments.iter().position(|argument| argument == stage) {
            return run(&case, &folder, number(at + 1, queues));
        }
    }
    let mut rates: BTreeMap<(usize, String), Vec<f64>> = BTreeMap::new();
    drop(fs::remove_dir_all(&folder));
    for round in 0..rounds {
        for queues in [FEW_QUEUES, queues] {
            // A folder that is new: ext4 takes far longer to make a file where it has just removed others. So only the log goes
            // before the end.
            let folder = folder.join(format!("{round}-{queues}"));
            for stage in [SEND, REOPEN] {
                let arguments = [case.samples, each, 1, record_bytes].map(|number| number.to_string());
                for (name, rate) in measured_alone(&arguments, stage, &folder, queues) {
                    rates.entry((queues, name)).or_default().push(rate);
                }
            }
            drop(fs::remove_dir_all(folder.join("queues-example").join("commitlog")));
        }
    }
    drop(fs::remove_dir_all(&folder));
    for ((queues, name), mut rates) in rates {
        rates.sort_by(f64::total_cmp);
        let (low, middle, high) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        println!(
            "median (slowest to fastest) of {queues} queues, {name}: {middle:.0} ({low:.0} to {high:.0}) a second"
        );
    }
}

/// Measures a stage of one case in a process of its own, whose memory is only what that takes.
fn measured_alone(arguments: &[String], stage: &str, folder: &Path, queues: usize) -> Vec<(String, f64)> {
    fs::create_dir_all(folder).unwrap();
    rustix::fs::sync();
    // Whoever finds no free memory takes back pages of the case before, and that is not to be measured. Only root may ask for it.
    drop(fs::write("/proc/sys/vm/drop_caches", "1"));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.arg(folder).args(arguments).args([stage, &queues.to_string()]);
    let output = child.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    let mut rates = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.strip_prefix(RATE).and_then(|figure| figure.split_once(' ')) {
            Some((rate, name)) => rates.push((name.to_owned(), rate.parse().unwrap())),
            None => println!("{line}"),
        }
    }
    rates
}

/// One of those that are compared.
struct Case {
    record_bytes: usize,
    messages: usize,
    samples: usize,
}

impl Case {
    fn send(&self, folder: &Path, queues: usize) {
        let (mut appender, log_threads, derived, dispatcher) = open(folder, false);
        let threads = DerivedThreads::start(&derived, dispatcher).unwrap();
        let mut stamper = Stamper::new(&derived).unwrap();
        let samples = Samples::new(self.samples, queues, self.record_bytes);
        let mut send = |numbers: Range<usize>| {
            let (begun, busy, count) = (Instant::now(), Busy::now(), numbers.len() as f64);
            let rate = || count / begun.elapsed().as_secs_f64();
            send(&mut appender, &mut stamper, &samples, numbers);
            let appended = rate();
            assert!(derived.wait_dispatched(appender.log().written(), PATIENCE));
            let dispatched = rate();
            appender.log().flush().unwrap();
            derived.flush().unwrap();
            (appended, dispatched, rate(), Busy::now().since(&busy))
        };
        let (appended, dispatched, made, busy) = send(0..queues);
        println!(
            "{queues} queues, the first message of each: appended {appended:.0} a second, and dispatched {dispatched:.0}, and written {made:.0}, {}; {busy}",
            usage()
        );
        let (appended, dispatched, written, busy) = send(queues..self.messages);
        println!(
            "{queues} queues, {} messages: appended {appended:.0} a second, and dispatched {dispatched:.0}, and written {written:.0}, {}; {busy}",
            self.messages - queues,
            usage()
        );
        let begun = Instant::now();
        drop(threads);
        derived.close().unwrap();
        drop((derived, log_threads, stamper));
        appender.close().unwrap();
        println!("{queues} queues: synced and closed in {:.2?}, {}", begun.elapsed(), usage());
        for (name, rate) in [
            ("made", made),
            ("appended", appended),
            ("appended and dispatched", dispatched),
            ("appended, dispatched and written", written),
        ] {
            println!("{RATE}{rate} {name}");
        }
    }

    fn reopen(&self, folder: &Path, queues: usize) {
        read_all(folder, queues, self.messages / queues);
        let rebuilt = rebuild(folder, queues);
        println!("{RATE}{} rebuilt", self.messages as f64 / rebuilt.as_secs_f64());
    }
}

fn rebuild(folder: &Path, queues: usize) -> Duration {
    let begun = Instant::now();
    let (appender, log_threads, derived, mut dispatcher) = open(folder, true);
    dispatcher.run_to_confirmed().unwrap();
    derived.flush().unwrap();
    let time = begun.elapsed();
    let rate = appender.log().written().0 as f64 / time.as_secs_f64() / 1e9;
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
    let topic = TopicName::parse(&format!("topic-{:06}", queue / QUEUES_PER_TOPIC)).unwrap();
    (topic, QueueId((queue % QUEUES_PER_TOPIC) as i32))
}

/// One message to each queue in turn, in batches.
fn send(appender: &mut Appender, stamper: &mut Stamper, samples: &Samples, numbers: Range<usize>) {
    let mut batch = BytesMut::with_capacity(BATCH * samples.record_bytes());
    let end = numbers.end;
    for number in numbers {
        samples.write(number, &mut batch);
        if (number + 1) % BATCH == 0 || number + 1 == end {
            let done = stamper.append(appender, &mut batch, Timestamp(1_700_000_000_000));
            assert!(done.error.is_none(), "{:?}", done.error);
            appender.log().confirm(Mark { offset: appender.log().written(), chain: Chain::default() });
            batch.clear();
        }
    }
}

/// Prepared messages, without the body that all have in common: they would take more memory than what is measured.
struct Samples {
    count: usize,
    /// What stands before the body of each message, and what stands behind it.
    heads: Vec<u8>,
    body: Vec<u8>,
    tails: Vec<u8>,
}

/// What stands before the body of a record.
const HEAD_BYTES: usize = 88;

impl Samples {
    fn new(count: usize, queues: usize, record_bytes: usize) -> Self {
        let mut samples = Self { count, heads: Vec::new(), body: Vec::new(), tails: Vec::new() };
        for number in 0..count {
            let (record, body_bytes) = sample(number % queues, record_bytes);
            let (body, tail) = record[HEAD_BYTES..].split_at(body_bytes);
            samples.heads.extend(&record[..HEAD_BYTES]);
            samples.tails.extend(tail);
            samples.body = body.to_vec();
        }
        samples
    }

    fn record_bytes(&self) -> usize {
        self.body.len() + (self.heads.len() + self.tails.len()) / self.count
    }

    fn write(&self, number: usize, out: &mut BytesMut) {
        let sample = number % self.count;
        let of = |all: &[u8]| {
            let bytes = all.len() / self.count;
            sample * bytes..(sample + 1) * bytes
        };
        out.extend_from_slice(&self.heads[of(&self.heads)]);
        out.extend_from_slice(&self.body);
        out.extend_from_slice(&self.tails[of(&self.tails)]);
        // The unique key is the last thing in a record.
        let key_at = out.len() - 9;
        out[key_at..key_at + 8].copy_from_slice(format!("{number:08x}").as_bytes());
    }
}

/// A record, and how long its body is: the same for all queues.
fn sample(queue: usize, record_bytes: usize) -> (BytesMut, usize) {
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
    let body_bytes = record_bytes - overhead;
    record.body = vec![7; body_bytes].into();
    bytes.clear();
    record.encode(record_bytes, &mut bytes).unwrap();
    (bytes, body_bytes)
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

/// How long each thread has worked, in seconds: what a figure cost, also where others took the time.
struct Busy(BTreeMap<String, f64>);

/// Of the times in `/proc`.
const TICKS_PER_SECOND: f64 = 100.0;

impl Busy {
    fn now() -> Self {
        let mut times: BTreeMap<String, f64> = BTreeMap::new();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.split_once(") ")) else {
                continue;
            };
            // Of user and system, as the words 14 and 15 of the line.
            let ticks: f64 =
                rest.split(' ').skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
            *times.entry(name.to_owned()).or_default() += ticks / TICKS_PER_SECOND;
        }
        Self(times)
    }

    fn since(mut self, earlier: &Self) -> Self {
        for (name, time) in &mut self.0 {
            *time -= earlier.0.get(name).copied().unwrap_or_default();
        }
        self.0.retain(|_, time| *time > 0.0);
        self
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.0.iter().map(|(name, time)| format!("{name} {time:.2} s")).collect();
        write!(f, "work of {}", parts.join(", "))
    }
}
