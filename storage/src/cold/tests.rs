use std::sync::mpsc;

use super::*;
use crate::disk::SimulatedDisk;
use crate::tests::rig::{Unit, Writer, numbered_body, segment_path, settings};
use crate::{Broken, Layout};

/// Three segments with a record each, all final.
fn log() -> (SimulatedDisk, Writer, Vec<Unit>) {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(Layout::Classic, 1)).unwrap();
    let units = (0..3).map(|number| writer.append(&numbered_body(number, 3000)).unwrap()).collect();
    writer.log().confirm(writer.end());
    writer.flush().unwrap();
    (disk, writer, units)
}

fn ready(attempt: Attempt) -> Bytes {
    match attempt {
        Attempt::Ready(bytes) => bytes,
        Attempt::Cold(read) => panic!("{read:?}"),
    }
}

fn cold(attempt: Attempt) -> ColdRead {
    match attempt {
        Attempt::Cold(read) => read,
        Attempt::Ready(bytes) => panic!("{} bytes", bytes.len()),
    }
}

fn read(reader: &mut LogReader, unit: &Unit) -> Attempt {
    reader.try_read(unit.span.start, unit.bytes.len()).unwrap()
}

#[test]
fn hot_reads_and_appends_go_on_while_cold_ones_wait() {
    let (disk, mut writer, units) = log();
    let reads = ColdReads::start(1, 2).unwrap();
    let new_reader = || LogReader::new(writer.log().clone(), reads.clone(), Reach::Confirmed);
    let mut reader = new_reader();
    assert_eq!(ready(read(&mut reader, &units[0])), units[0].bytes);

    disk.chill(&segment_path(0));
    let (sender, receiver) = mpsc::channel();
    let begin = |read: ColdRead| {
        let sender = sender.clone();
        read.begin(move |bytes| sender.send(bytes.unwrap()).unwrap())
    };
    begin(cold(read(&mut reader, &units[0]))).unwrap();
    while disk.waiting_reads() == 0 {
        std::thread::yield_now();
    }
    // The thread waits, and two more wait for the thread.
    begin(cold(read(&mut reader, &units[0]))).unwrap();
    begin(cold(read(&mut reader, &units[0]))).unwrap();
    assert_eq!(begin(cold(read(&mut reader, &units[0]))), Err(Busy { waiting: 2 }));

    let mut hot = new_reader();
    assert_eq!(ready(read(&mut hot, &units[1])), units[1].bytes);
    let unit = writer.append(b"meanwhile").unwrap();
    assert_eq!(writer.flush(), Some(unit.end.offset));
    writer.log().confirm(unit.end);
    assert_eq!(ready(read(&mut hot, &unit)), unit.bytes);

    assert!(receiver.try_recv().is_err());
    disk.warm(&segment_path(0));
    for _ in 0..3 {
        assert_eq!(receiver.recv().unwrap(), units[0].bytes);
    }
}

#[test]
fn who_catches_up_is_read_ahead() {
    let (disk, writer, units) = log();
    let reads = ColdReads::start(2, 16).unwrap();
    let mut reader = LogReader::new(writer.log().clone(), reads, Reach::Written);
    (0..3).for_each(|segment| disk.chill(&segment_path(segment)));
    let first = cold(read(&mut reader, &units[0]));
    let second = cold(read(&mut reader, &units[1]));
    (0..3).for_each(|segment| disk.warm(&segment_path(segment)));
    assert_eq!(first.wait().unwrap(), units[0].bytes);
    let (sender, receiver) = mpsc::channel();
    second.begin(move |bytes| sender.send(bytes.unwrap()).unwrap()).unwrap();
    assert_eq!(receiver.recv().unwrap(), units[1].bytes);
    // From behind the second record to the end of what is written, in both segments.
    let end = units[2].span.bytes;
    assert_eq!(disk.read_aheads(), [(units[1].span.bytes, 4096 - units[1].span.bytes), (0, end)]);
}

#[test]
fn errors_come_as_errors() {
    let (_disk, mut writer, units) = log();
    let reads = ColdReads::start(1, 2).unwrap();
    let mut reader = LogReader::new(writer.log().clone(), reads.clone(), Reach::Confirmed);
    let tail = writer.append(b"not final").unwrap();
    let past = reader.try_read(tail.span.start, 10);
    assert!(matches!(past, Err(ReadError::PastEnd { .. })), "{past:?}");
    let mut follower = LogReader::new(writer.log().clone(), reads, Reach::Written);
    assert_eq!(ready(read(&mut follower, &tail)), tail.bytes);
    writer.log().drop_before(units[1].span.start).unwrap();
    let before = reader.try_read(LogOffset(0), 10);
    assert!(matches!(before, Err(ReadError::BeforeStart { .. })), "{before:?}");
}

#[test]
fn a_segment_that_is_dropped_meanwhile_is_an_error_or_read_to_the_end() {
    let (disk, writer, units) = log();
    let reads = ColdReads::start(1, 2).unwrap();
    let mut reader = LogReader::new(writer.log().clone(), reads, Reach::Confirmed);
    disk.chill(&segment_path(0));
    let (sender, receiver) = mpsc::channel();
    let begin = |read: ColdRead| {
        let sender = sender.clone();
        read.begin(move |bytes| sender.send(bytes).unwrap()).unwrap();
    };
    begin(cold(read(&mut reader, &units[0])));
    while disk.waiting_reads() == 0 {
        std::thread::yield_now();
    }
    begin(cold(read(&mut reader, &units[0])));
    writer.log().drop_before(units[1].span.start).unwrap();
    disk.warm_all();
    assert_eq!(receiver.recv().unwrap().unwrap(), units[0].bytes, "it had begun");
    let late = receiver.recv().unwrap();
    assert!(matches!(late, Err(ReadError::BeforeStart { .. })), "{late:?}");
}

#[test]
fn a_panic_costs_one_read_and_no_thread() {
    let reads = ColdReads::start(1, 4).unwrap();
    let (sender, receiver) = mpsc::channel::<Result<(), Broken>>();
    let lost = sender.clone();
    reads
        .submit(move || {
            let _lost = lost;
            panic!("as it should");
        })
        .unwrap();
    reads.submit(move || sender.send(Ok(())).unwrap()).unwrap();
    assert_eq!(receiver.recv().unwrap(), Ok(()));
    drop(reads);
    assert!(receiver.recv().is_err());
}
