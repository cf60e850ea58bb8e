//! What may be wrong with a store before it is opened: files of another one, a folder that cannot be written, a clock that was set
//! back, and Apache's broker having had it in between.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_proto::record::property;

use super::rig::*;
use crate::disk::simulated::Fault;
use crate::disk::{Access, Disk, SimulatedDisk};
use crate::dispatch::*;
use crate::look::{Assumed, Look, inspect};
use crate::verify::{Affected, Expected, Verified};
use crate::*;

fn open(disk: &SimulatedDisk) -> Store {
    Store::open(disk, Layout::Classic, 1, settings(), Box::new(NoArrivals)).unwrap()
}

fn keys() -> Vec<String> {
    (0..3).map(|number| format!("k{number}")).collect()
}

fn send(store: &mut Store, numbers: std::ops::Range<usize>, body_bytes: usize) {
    for number in numbers {
        let mut one = message(["orders", "other"][number % 2], 0);
        one.body_bytes = body_bytes;
        one.properties.push((property::KEYS, format!("k{}", number % 3)));
        store.send(&[one], START_TIME + number as i64 * 1000).unwrap();
    }
    store.catch_up().unwrap();
}

/// Thirty messages with bodies of a length, closed in order, and what the store answers.
fn closed_store(body_bytes: usize) -> (SimulatedDisk, Answers) {
    let disk = SimulatedDisk::default();
    let mut store = open(&disk);
    send(&mut store, 0..30, body_bytes);
    let answers = answers(&store, &keys()).unwrap();
    store.close().unwrap();
    (disk, answers)
}

/// What an open store answers once all of its log was dispatched.
fn reopened(disk: &SimulatedDisk) -> Answers {
    let mut store = open(disk);
    store.dispatch().unwrap();
    let answers = answers(&store, &keys()).unwrap();
    store.close().unwrap();
    answers
}

fn look(disk: &SimulatedDisk) -> Look {
    Look::open(Arc::new(disk.clone()), Path::new("/store"), Assumed::default()).unwrap()
}

fn look_over(disk: &SimulatedDisk) -> Verified {
    let expected = Expected { index_slots: 5, index_entries: 12, ..Expected::default() };
    verify(&look(disk), &expected, &mut |_| ()).unwrap()
}

/// As [`look_over`], where segments may be missing.
fn look_over_damaged(disk: &SimulatedDisk) -> Verified {
    let look = Look::open_damaged(Arc::new(disk.clone()), Path::new("/store"), Assumed::default()).unwrap();
    let expected = Expected { index_slots: 5, index_entries: 12, ..Expected::default() };
    verify(&look, &expected, &mut |_| ()).unwrap()
}

fn files_below(disk: &SimulatedDisk, folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    disk.files().into_iter().filter(|(path, _)| path.starts_with(folder)).collect()
}

#[test]
fn an_index_of_another_store_is_made_anew() {
    let (other, _) = closed_store(200);
    let index = files_below(&other, "/store/index");
    let newest = index.last().unwrap();
    let (first, newest_name) = (&index[0], newest.0.clone());
    // All of it; a file more, before the others; and the newest one alone.
    for case in 0..3 {
        let (disk, expected) = closed_store(20);
        match case {
            0 => {
                uproot(&disk, Path::new("/store/index"));
                index.iter().for_each(|(path, bytes)| disk.plant(path, bytes));
            }
            1 => disk.plant(Path::new("/store/index/20200101000000000"), &newest.1),
            _ => disk.plant(&newest_name, &first.1),
        }
        assert!(!look_over(&disk).findings.is_empty(), "case {case}: a look finds it");
        assert_eq!(reopened(&disk), expected, "case {case}");
        assert_eq!(look_over(&disk).findings, [], "case {case}");
    }
}

#[test]
fn queues_of_another_store_are_found_and_made_anew() {
    let (other, _) = closed_store(200);
    let (disk, expected) = closed_store(20);
    uproot(&disk, Path::new("/store/consumequeue"));
    files_below(&other, "/store/consumequeue").iter().for_each(|(path, bytes)| disk.plant(path, bytes));
    assert!(!look_over(&disk).findings.is_empty());
    forget(&(Arc::new(disk.clone()) as _), Path::new("/store")).unwrap();
    assert_eq!(reopened(&disk), expected);
    assert_eq!(look_over(&disk).findings, []);
}

#[test]
fn a_folder_that_cannot_be_written_can_be_looked_at() {
    let (disk, _) = closed_store(20);
    let before = disk.files();
    disk.set_read_only(true);
    assert_eq!(look_over(&disk).findings, []);
    let found = inspect::inspect(&look(&disk)).unwrap();
    assert_eq!(found.topics.values().flatten().map(|queue| queue.next.0).sum::<i64>(), 30);
    assert!(forget(&(Arc::new(disk.clone()) as _), Path::new("/store")).is_err());
    assert_eq!(disk.files(), before);
}

#[test]
fn store_times_do_not_follow_a_clock_that_is_set_back() {
    let disk = SimulatedDisk::default();
    let mut store = open(&disk);
    let mut times = Vec::new();
    for now in [5000, 9000, 1000, 9500] {
        times.extend(store.send(&[message("orders", 0)], START_TIME + now).unwrap());
    }
    let times: Vec<i64> = times.iter().map(|stamped| stamped.store_time.0 - START_TIME).collect();
    assert_eq!(times, [5000, 9000, 9000, 9500]);
    store.catch_up().unwrap();
    store.close().unwrap();
    // Nor does a start forget how far they had come.
    let mut store = open(&disk);
    let stamped = store.send(&[message("orders", 0)], START_TIME).unwrap();
    assert_eq!(stamped[0].store_time.0 - START_TIME, 9500);
}

fn has_abort_marker(disk: &SimulatedDisk) -> bool {
    disk.open(Path::new("/store/abort"), Access::Read).is_ok()
}

#[test]
fn apaches_broker_is_told_of_a_crash() {
    let disk = SimulatedDisk::default();
    let store = open(&disk);
    assert!(has_abort_marker(&disk));
    let crashed = disk.process_loss();
    drop(store);
    assert!(has_abort_marker(&crashed));
    reopened(&crashed);
    assert!(!has_abort_marker(&crashed));
}

/// Apache's broker goes on with a store of ours, and drops its first segment. What we have noted beside it is of the past.
#[test]
fn what_apaches_broker_did_in_between_counts() {
    let (disk, _) = closed_store(150);
    let ours: Vec<_> = disk.files().into_iter().collect();
    let noted = |path: &Path| path.parent() == Some(Path::new("/store")) && path != Path::new("/store/lock");
    let mut store = open(&disk);
    send(&mut store, 30..60, 150);
    store.close().unwrap();
    let first = Path::new("/store/commitlog/00000000000000000000");
    disk.uproot(first);
    let expected = {
        // The same without our notes at all.
        let disk = disk.process_loss();
        disk.uproot(Path::new("/store/store.meta"));
        for name in ["derived.synced", "derived.written"] {
            disk.uproot(&Path::new("/store").join(name));
        }
        reopened(&disk)
    };
    assert_eq!(expected.queues.values().map(|seen| seen.max).sum::<i64>(), 60);
    ours.iter().filter(|(path, _)| noted(path)).for_each(|(path, bytes)| disk.plant(path, bytes));
    disk.plant(Path::new("/store/lock"), b"lockymq\n");
    disk.plant(Path::new("/store/abort"), b"");
    let found = inspect::inspect(&look(&disk)).unwrap();
    assert_eq!((found.keeper, found.meta.is_none()), (Keeper::Apache, true));
    assert_eq!(reopened(&disk), expected);
    assert_eq!(look_over(&disk).findings, []);
    assert!(!has_abort_marker(&disk));
}

/// The last keys of a file may be in memory only when it is synced: nobody counts it as whole before they are in it.
#[test]
fn an_index_file_is_full_before_its_last_records_are_durable() {
    let disk = SimulatedDisk::default();
    let mut store = open(&disk);
    let send = |store: &mut Store, number: usize| {
        let mut one = message("orders", 0);
        one.properties.push((property::KEYS, format!("k{}", number % 3)));
        store.send(&[one], START_TIME + number as i64).unwrap();
    };
    (0..6).for_each(|number| send(&mut store, number));
    store.log().flush().unwrap();
    // Eleven entries fill a file.
    (6..11).for_each(|number| send(&mut store, number));
    store.confirm();
    store.dispatch().unwrap();
    store.derived.sync().unwrap();
    send(&mut store, 11);
    store.catch_up().unwrap();
    store.derived.sync().unwrap();
    let expected = answers(&store, &keys()).unwrap();
    assert_eq!(expected.found["orders#k0"].len(), 4, "{expected:?}");
    drop(store);
    assert_eq!(after_power_loss(&disk, 1), expected);
}

/// What the next life of the machine answers.
fn after_power_loss(disk: &SimulatedDisk, seed: u64) -> Answers {
    let opened = Store::open(&disk.power_loss(seed), Layout::Classic, 2, settings(), Box::new(NoArrivals));
    let mut store = opened.unwrap();
    store.dispatch().unwrap();
    answers(&store, &keys()).unwrap()
}

/// Makes all anew and asks it, up to the first error.
fn try_to_rebuild(disk: &SimulatedDisk) -> Result<Answers, Box<dyn std::error::Error>> {
    let mut store = Store::open(disk, Layout::Classic, 1, settings(), Box::new(NoArrivals))?;
    store.dispatch()?;
    store.derived.flush()?;
    store.derived.sync()?;
    Ok(answers(&store, &keys())?)
}

/// Each call fails once, or three in a row: an error is told, and the next try has all. So has the next life of the machine, if a
/// failed sync could at least be noted.
#[test]
fn each_failing_call_of_what_is_derived_loses_nothing() {
    let (made, expected) = closed_store(20);
    forget(&(Arc::new(made.clone()) as _), Path::new("/store")).unwrap();
    let whole = made.process_loss();
    assert_eq!(try_to_rebuild(&whole).unwrap(), expected);
    let mut told = 0;
    for fault in [Fault::Io, Fault::NoRoom] {
        for (call, times) in (0..whole.calls()).flat_map(|call| [(call, 1), (call, 3)]) {
            let disk = made.process_loss();
            (call..call + times).for_each(|call| disk.fail_call(call, fault));
            let tries: Vec<_> = (0..6).map(|_| try_to_rebuild(&disk).ok()).collect();
            told += tries.iter().filter(|found| found.is_none()).count();
            let at = format!("{fault:?} at call {call} and {} behind it", times - 1);
            assert_eq!(tries.last(), Some(&Some(expected.clone())), "{at}");
            assert!(tries.iter().flatten().all(|found| *found == expected), "{at}");
            if times == 1 {
                assert_eq!(after_power_loss(&disk, call), expected, "{at}");
            }
        }
    }
    assert!(told > 0);
}

/// What tells of the rest of the log is still held against it.
#[test]
fn queues_are_compared_with_what_is_left_of_a_log() {
    let (disk, _) = closed_store(200);
    let segments = files_below(&disk, "/store/commitlog");
    assert!(segments.len() > 2, "{}", segments.len());
    disk.remove(&segments[1].0).unwrap();
    let found = look_over_damaged(&disk);
    let [gap] = found.findings.as_slice() else { panic!("{:?}", found.findings) };
    assert_eq!(gap.fault.kind(), "segment");
    let Affected::Messages { count, .. } = gap.affected else { panic!("{gap:?}") };
    assert_eq!(count + found.records, 30);
    // The first entry of a queue, whose record is in the first segment.
    disk.flip_bit(Path::new("/store/consumequeue/orders/0/00000000000000000000"), 8 * 8 + 3);
    let found = look_over_damaged(&disk);
    let kinds: Vec<_> = found.findings.iter().map(|finding| finding.fault.kind()).collect();
    assert_eq!(kinds, ["segment", "queue-entry"], "{:?}", found.findings);
}
