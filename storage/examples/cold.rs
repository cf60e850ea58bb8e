//! What a consumer that reads old messages from the disk costs those that read new ones, and how fast it reads.
//!
//! ```text
//! cold FOLDER [MEBIBYTES] [ROUNDS]
//! ```
//! Writes a log and puts it out of memory. Then one reader goes over all of it while another one reads the newest record again
//! and again, on the same thread, as a runtime's thread serves both: with plain reads, and with a `LogReader`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::cold::{Attempt, ColdReads, LogReader, Reach};
use ferrymq_storage::disk::{Access, Disk, RealDisk};
use ferrymq_storage::frame::FrameKind;
use ferrymq_storage::{
    BootId, FatalHook, FlushMode, Index, Layout, Log, Mark, NewFrame, Settings, Term, recovery,
};

const PIECE_BYTES: usize = 64 << 10;
const SEGMENT_BYTES: u64 = 256 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let folder = Path::new(arguments.first().expect("a folder")).join("cold-example");
    let rounds = number(2, 3);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    let (log, last) = write(&folder, number(1, 1024) << 20);
    let reads = ColdReads::start(2, 64).unwrap();
    for round in 0..rounds {
        forget(&folder);
        report(round, "plain reads", &plain(&log, last));
        forget(&folder);
        report(round, "a reader for each", &apart(&log, last, &reads));
    }
    drop(fs::remove_dir_all(&folder));
}

/// What a round took, and each of the hot reads in it.
struct Taken {
    bytes: usize,
    time: Duration,
    hot: Vec<Duration>,
}

fn report(round: u64, case: &str, taken: &Taken) {
    let mut hot = taken.hot.clone();
    hot.sort();
    let at = |share: f64| hot[((hot.len() - 1) as f64 * share) as usize].as_micros();
    let rate = taken.bytes as f64 / 1e6 / taken.time.as_secs_f64();
    println!(
        "{round} {case}: {rate:.0} MB/s cold; {} hot reads, of which half took up to {} us, 99% {} us, all {} us",
        hot.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

fn write(folder: &Path, bytes: u64) -> (Log, LogOffset) {
    let settings = Settings {
        folder: folder.to_owned(),
        layout: Layout::Framed,
        segment_bytes: SEGMENT_BYTES,
        mode: FlushMode::Async,
        flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
        boot: BootId::default(),
        on_fatal: FatalHook::abort(),
    };
    let (mut appender, _) = recovery::open(Arc::new(RealDisk), settings).unwrap().framed();
    let body = vec![7; PIECE_BYTES - 64];
    let mut index = 0;
    loop {
        index += 1;
        let frame = NewFrame {
            kind: FrameKind::Command,
            index: Index(index),
            term: Term(1),
            records: 1,
            appended_at: ferrymq_proto::position::Timestamp(0),
        };
        let appended = appender.place(body.len() as u64).unwrap().write(frame, &body).unwrap();
        let end: Mark = appended.mark();
        if end.offset.0.unsigned_abs() >= bytes {
            let log = appender.log().clone();
            log.confirm(end);
            appender.close().unwrap();
            return (log, appended.span.start);
        }
    }
}

/// Puts all of the log out of memory but its last piece.
fn forget(folder: &Path) {
    let folder = folder.join("commitlog");
    let segments = RealDisk.list(&folder).unwrap();
    for segment in &segments {
        let file = RealDisk.open(&folder.join(&segment.name), Access::Write).unwrap();
        file.sync_data().unwrap();
        file.let_go(0, segment.bytes);
    }
}

fn plain(log: &Log, last: LogOffset) -> Taken {
    log.read(last, 1024).unwrap();
    let (begun, mut hot, mut at) = (Instant::now(), Vec::new(), LogOffset(0));
    while at < last {
        // Whoever comes now has to wait for both.
        let turn = Instant::now();
        let bytes = log.read(at, PIECE_BYTES).unwrap();
        at = LogOffset(at.0 + bytes.len() as i64);
        log.read(last, 1024).unwrap();
        hot.push(turn.elapsed());
    }
    Taken { bytes: at.0.unsigned_abs() as usize, time: begun.elapsed(), hot }
}

fn apart(log: &Log, last: LogOffset, reads: &ColdReads) -> Taken {
    let mut cold = LogReader::new(log.clone(), reads.clone(), Reach::Confirmed);
    let mut warm = LogReader::new(log.clone(), reads.clone(), Reach::Confirmed);
    log.read(last, 1024).unwrap();
    let (sender, receiver) = mpsc::channel();
    let (begun, mut hot, mut at, mut is_waiting) = (Instant::now(), Vec::new(), LogOffset(0), false);
    let (mut cold_reads, mut ready) = (0, 0);
    while at < last {
        let turn = Instant::now();
        if is_waiting {
            if let Ok(bytes) = receiver.try_recv() {
                let bytes: Result<bytes::Bytes, _> = bytes;
                at = LogOffset(at.0 + bytes.unwrap().len() as i64);
                is_waiting = false;
            }
        } else {
            match cold.try_read(at, PIECE_BYTES).unwrap() {
                Attempt::Ready(bytes) => {
                    ready += 1;
                    at = LogOffset(at.0 + bytes.len() as i64);
                }
                Attempt::Cold(read) => {
                    cold_reads += 1;
                    let sender = sender.clone();
                    read.begin(move |bytes| drop(sender.send(bytes))).unwrap();
                    is_waiting = true;
                }
            }
        }
        match warm.try_read(last, 1024).unwrap() {
            Attempt::Ready(_) => hot.push(turn.elapsed()),
            Attempt::Cold(_) => panic!("the newest record is not in memory"),
        }
    }
    println!("  {cold_reads} pieces had to wait for the disk, {ready} were there in time");
    Taken { bytes: at.0.unsigned_abs() as usize, time: begun.elapsed(), hot }
}
