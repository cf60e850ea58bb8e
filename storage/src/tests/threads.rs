//! The log with its threads, on a real disk.

use std::io::IoSlice;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use ferrymq_proto::position::LogOffset;

use super::rig::*;
use crate::disk::simulated::Fault;
use crate::disk::{RealDisk, SimulatedDisk};
use crate::*;

fn append(appender: &mut Appender, number: u64) -> LogSpan {
    let body = numbered_body(number, 300);
    let place = appender.place((RECORD_OVERHEAD + body.len()) as u64).unwrap();
    let record = record(&body, place.offset());
    place.write(&mut [IoSlice::new(&record)]).unwrap()
}

#[test]
fn waiters_are_served_in_order_and_what_they_hear_is_true() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { folder: folder.path().to_owned(), ..settings(Layout::Classic, 1) };
    let mut appender = recovery::open(Arc::new(RealDisk), settings).unwrap().appender;
    let log = appender.log().clone();
    let threads = LogThreads::start(&log).unwrap();
    let (sender, receiver) = mpsc::channel();
    for number in 0..500 {
        let end = append(&mut appender, number).end();
        let (sender, log) = (sender.clone(), log.clone());
        let done =
            move |result: Result<(), Broken>| sender.send((number, result, log.durable() >= end)).unwrap();
        log_acknowledge(appender.log(), end, done);
    }
    for number in 0..500 {
        assert_eq!(receiver.recv().unwrap(), (number, Ok(()), true));
    }
    drop(threads);
    assert_eq!(log.durable(), log.written());
    appender.close().unwrap();
}

fn log_acknowledge(log: &Log, end: LogOffset, done: impl FnOnce(Result<(), Broken>) + Send + 'static) {
    log.acknowledge(end, Box::new(done));
}

#[test]
fn without_waiting_the_log_becomes_durable_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, mode) = (folder.path().to_owned(), FlushMode::Async);
    let settings = Settings { folder, mode, ..settings(Layout::Classic, 1) };
    let mut appender = recovery::open(Arc::new(RealDisk), settings).unwrap().appender;
    let log = appender.log().clone();
    let _threads = LogThreads::start(&log).unwrap();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    for number in 0..100 {
        let end = append(&mut appender, number).end();
        let count = Arc::clone(&acknowledged);
        log_acknowledge(&log, end, move |result| {
            result.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert_eq!(acknowledged.load(Ordering::Relaxed), 100, "nobody had to wait");
    let end = log.written();
    while log.durable() < end {
        std::thread::yield_now();
    }
}

#[test]
fn a_failed_sync_is_fatal_and_all_who_wait_hear_of_it() {
    let disk = SimulatedDisk::default();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&told);
    let on_fatal = FatalHook::new(move |error| hook.lock().unwrap().push(error.to_string()));
    let settings = Settings { on_fatal, ..settings(Layout::Classic, 1) };
    let mut appender = recovery::open(Arc::new(disk.clone()), settings).unwrap().appender;
    let log = appender.log().clone();
    let (sender, receiver) = mpsc::channel();
    for number in 0..3 {
        let end = append(&mut appender, number).end();
        let sender = sender.clone();
        log_acknowledge(&log, end, move |result| sender.send(result).unwrap());
    }
    // Nothing is left to fill, so that the fault strikes the thread that flushes.
    log.fill_ahead().unwrap();
    disk.fail_call(disk.calls(), Fault::Io);
    let threads = LogThreads::start(&log).unwrap();
    for _ in 0..3 {
        assert_eq!(receiver.recv().unwrap(), Err(Broken));
    }
    drop(threads);
    assert_eq!(log.durable(), LogOffset(0));
    assert!(matches!(appender.place(10), Err(AppendError::Broken(Broken))));
    assert_eq!(
        *told.lock().unwrap(),
        ["cannot make /store/commitlog/00000000000000000000 durable: Input/output error (os error 5); \
          what is on the disk is unknown, and only a restart reads it anew"]
    );
}

/// The zeros that are written ahead never meet what is appended.
#[test]
fn zeros_ahead_and_appends_never_meet() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        segment_bytes: 64 << 10,
        ..settings(Layout::Classic, 1)
    };
    let mut appender = recovery::open(Arc::new(RealDisk), settings).unwrap().appender;
    let log = appender.log().clone();
    let threads = LogThreads::start(&log).unwrap();
    let spans: Vec<_> = (0..3000).map(|number| append(&mut appender, number)).collect();
    let (cut, kept) = (spans[2500].start, &spans[..2500]);
    appender.truncate(cut).unwrap();
    let more: Vec<_> = (2500..3000).map(|number| append(&mut appender, number)).collect();
    for (number, span) in (0..).zip(kept.iter().chain(&more)) {
        let expected = record(&numbered_body(number, 300), span.start);
        assert_eq!(log.read(span.start, expected.len()).unwrap(), expected, "record {number}");
    }
    drop(threads);
    appender.close().unwrap();
}
