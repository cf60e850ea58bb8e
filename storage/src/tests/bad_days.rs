//! What may be wrong with a folder, and what a log says about it. Nothing is changed by an open that fails.

use std::io;
use std::path::Path;

use ferrymq_proto::position::LogOffset;

use super::rig::*;
use crate::disk::simulated::Fault;
use crate::disk::{Access, Disk, RealDisk, SimulatedDisk};
use crate::*;

/// A log of three segments, durable and final, and nobody has it open.
fn store(layout: Layout) -> (SimulatedDisk, Vec<Unit>) {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(layout, 1)).unwrap();
    let units: Vec<_> = (0..3).map(|number| writer.append(&numbered_body(number, 3000)).unwrap()).collect();
    writer.log().confirm(writer.end());
    writer.flush().unwrap();
    (disk, units)
}

/// Opens the store, which must fail and change nothing.
fn refusal(disk: &SimulatedDisk, settings: Settings) -> String {
    let before = disk.files();
    let error = Writer::open(disk, settings).expect_err("an error");
    assert_eq!(disk.files(), before, "{error}");
    error.to_string()
}

#[test]
fn errors_name_the_file_and_what_to_do() {
    let framed = || settings(Layout::Framed, 1);
    let corrupted = |disturb: &dyn Fn(&SimulatedDisk)| {
        let (disk, _) = store(Layout::Framed);
        disturb(&disk);
        disk
    };
    let cut_off = |disk: &SimulatedDisk| disk.plant(&segment_path(1), &[0; 100]);
    #[rustfmt::skip]
    let cases: [(SimulatedDisk, Settings, &str); 12] = [
        (
            corrupted(&|disk| disk.uproot(&segment_path(1))),
            framed(),
            "/store/commitlog/00000000000000004096 is missing; restore it from a copy, or let this node fetch the log anew",
        ),
        (
            corrupted(&|disk| disk.uproot(&segment_path(0))),
            framed(),
            "/store/commitlog/00000000000000000000 is missing; restore it from a copy, or let this node fetch the log anew",
        ),
        (
            corrupted(&|disk| disk.uproot(&segment_path(2))),
            framed(),
            "/store/commitlog/00000000000000008192 is missing; restore it from a copy, or let this node fetch the log anew",
        ),
        (
            corrupted(&|disk| disk.plant(Path::new("/store/commitlog/notes.txt"), b"?")),
            framed(),
            "/store/commitlog/notes.txt does not belong to the log; move it elsewhere",
        ),
        (
            corrupted(&cut_off),
            framed(),
            "/store/commitlog/00000000000000004096 has 100 bytes, but segments have 4096: it was cut, or the store was made with another segment size; restore the file, or configure the size of the store",
        ),
        (
            corrupted(&|disk| disk.plant(&segment_path(2), &[0; 100])),
            framed(),
            "/store/commitlog/00000000000000008192 is damaged at byte 0 (offset 8192 of the log, which was durable up to 11348): nothing is written here; restore the file from a copy, or let this node fetch the log anew",
        ),
        (
            corrupted(&|disk| disk.plant(Path::new("/store/store.meta"), &[7; 8192])),
            framed(),
            "/store/store.meta is damaged in both of its slots; restore it from a copy, or let this node fetch the log anew",
        ),
        (
            corrupted(&|disk| disk.uproot(Path::new("/store/store.meta"))),
            framed(),
            "/store/store.meta is missing beside a log of frames; restore it from a copy, or let this node fetch the log anew",
        ),
        (
            corrupted(&|_| ()),
            settings(Layout::Classic, 1),
            "/store/store.meta says that the log is Framed, but the configuration says Classic",
        ),
        (
            corrupted(&|_| ()),
            Settings { segment_bytes: 8192, ..framed() },
            "/store/store.meta says that segments have 4096 bytes, but the configuration says 8192",
        ),
        (
            corrupted(&|_| ()),
            Settings { segment_bytes: 1 << 31, ..framed() },
            "segments of 2147483648 bytes are not possible: choose 1024 to 2147483647",
        ),
        (
            corrupted(&|disk| disk.set_read_only(true)),
            framed(),
            "/store cannot be written; give the process the right to, or choose another folder: read-only filesystem or storage medium",
        ),
    ];
    for (disk, settings, expected) in cases {
        assert_eq!(refusal(&disk, settings), expected);
    }
}

#[test]
fn a_newer_store_is_refused() {
    let (disk, _) = store(Layout::Framed);
    let path = Path::new("/store/store.meta");
    let mut meta = disk.files().remove(path).unwrap();
    for slot in [0, 4096] {
        meta[slot + 7] = 9;
        let crc = crc32fast::hash(&meta[slot..slot + 124]).to_be_bytes();
        meta[slot + 124..slot + 128].copy_from_slice(&crc);
    }
    disk.plant(path, &meta);
    assert_eq!(
        refusal(&disk, settings(Layout::Framed, 1)),
        "/store/store.meta was written by a newer version: its store version is 9, this program knows 1; start the newer program"
    );
}

#[test]
fn one_process_has_a_store() {
    let (disk, _) = store(Layout::Framed);
    let (writer, _) = Writer::open(&disk, settings(Layout::Framed, 1)).unwrap();
    assert_eq!(
        refusal(&disk, settings(Layout::Framed, 1)),
        "/store/lock is locked: another process uses this store; stop it first, or choose another folder"
    );
    drop(writer);
    Writer::open(&disk, settings(Layout::Framed, 1)).unwrap();
}

#[test]
fn the_same_on_a_real_disk() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { folder: folder.path().join("a").join("b"), ..settings(Layout::Framed, 1) };
    let open = || recovery::open(std::sync::Arc::new(RealDisk), settings.clone());
    let (mut appender, _) = open().unwrap().framed();
    assert!(matches!(open(), Err(OpenError::Locked { .. })));
    let frame = NewFrame {
        kind: frame::FrameKind::Command,
        index: Index(1),
        term: Term(1),
        records: 1,
        appended_at: ferrymq_proto::position::Timestamp(0),
    };
    let appended = appender.place(3).unwrap().write(frame, b"abc").unwrap();
    appender.close().unwrap();
    let (appender, report) = open().unwrap().framed();
    assert_eq!((report.last_stop, report.end), (LastStop::InOrder, appended.mark()));
    assert_eq!(appender.log().read(appended.span.start, 100).unwrap()[64..], *b"abc");
}

/// Each call of a start fails once, or three in a row: the error is reported, and the next start finds all there is.
#[test]
fn a_failing_call_is_an_error_and_no_loss() {
    let (disk, units) = store(Layout::Framed);
    let calls = {
        let whole = disk.process_loss();
        Writer::open(&whole, settings(Layout::Framed, 2)).unwrap();
        whole.calls()
    };
    for fault in [Fault::Io, Fault::NoRoom] {
        for (call, times) in (0..calls).flat_map(|call| [(call, 1), (call, 3)]) {
            let disk = disk.process_loss();
            (call..call + times).for_each(|call| disk.fail_call(call, fault));
            let at = format!("{fault:?} at call {call} and {} behind it", times - 1);
            let failed = Writer::open(&disk, settings(Layout::Framed, 2));
            assert!(failed.is_err(), "{at} was not reported");
            let opened = (0..times).find_map(|_| Writer::open(&disk, settings(Layout::Framed, 2)).ok());
            let (writer, report) = opened.unwrap_or_else(|| panic!("{at}: nothing can be opened any more"));
            assert_eq!(report.end, units[2].end, "{at}");
            drop(writer);
        }
    }
}

/// A disk that fills up: appends are refused, nothing is lost, and all goes on when there is room.
#[test]
fn a_full_disk_at_every_byte() {
    let full_at = |room: u64| {
        let disk = SimulatedDisk::default();
        disk.set_room(Some(room));
        let Ok((mut writer, _)) = Writer::open(&disk, settings(Layout::Framed, 1)) else { return None };
        let mut units = Vec::new();
        let refused = loop {
            match writer.append(&numbered_body(units.len() as u64, 1500)) {
                Ok(unit) => units.push(unit),
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, FrameAppendError::Append(AppendError::NoSegment { .. })), "{refused}");
        disk.set_room(None);
        units.push(writer.append(&numbered_body(99, 1500)).unwrap());
        writer.flush().unwrap();
        drop(writer);
        let (writer, report) = Writer::open(&disk.power_loss(room), settings(Layout::Framed, 2)).unwrap();
        assert_eq!(report.end, units.last().unwrap().end);
        for unit in &units {
            assert_eq!(writer.log().read(unit.span.start, unit.bytes.len()).unwrap(), unit.bytes);
        }
        Some(units.len())
    };
    let counts: Vec<_> = (0..=24).map(|step| full_at(step * 1024 + 7)).collect();
    assert_eq!(counts.first(), Some(&None), "there is no room for a store");
    assert_eq!(counts.last(), Some(&Some(9)), "{counts:?}");
}

/// Segments that Apache left: no file of ours beside them, and the next one made ahead.
fn apaches_folder() -> (SimulatedDisk, Vec<Unit>) {
    let (disk, units) = store(Layout::Classic);
    disk.uproot(Path::new("/store/store.meta"));
    disk.plant(&segment_path(3), &[0; SEGMENT_BYTES as usize]);
    (disk, units)
}

#[test]
fn apaches_segments_are_taken_over_as_final() {
    let (disk, units) = apaches_folder();
    let (writer, report) = Writer::open(&disk, settings(Layout::Classic, 1)).unwrap();
    assert_eq!((report.last_stop, report.end, report.cut), (LastStop::New, units[2].end, None));
    assert_eq!(writer.log().confirmed().offset, units[2].end.offset);
    assert_eq!(writer.log().read_confirmed(LogOffset(0), 5000).unwrap()[..3092], units[0].bytes);
}

#[test]
fn damage_in_the_midst_of_apaches_segments_is_not_cut_away() {
    let (disk, _) = apaches_folder();
    disk.flip_bit(&segment_path(0), 200 * 8);
    let refused = refusal(&disk, settings(Layout::Classic, 1));
    assert!(refused.starts_with("/store/commitlog/00000000000000000000 is damaged at byte 0 "), "{refused}");
    // In the last one, it is a torn tail.
    let (disk, units) = apaches_folder();
    disk.flip_bit(&segment_path(2), 200 * 8);
    let (_, report) = Writer::open(&disk, settings(Layout::Classic, 1)).unwrap();
    assert_eq!(report.cut.map(|cut| cut.damage), Some(Damage::BadBodyCrc));
    assert!(report.end.offset >= units[1].end.offset);
}

#[test]
fn the_log_reads_what_is_there_when_the_disk_does_not() {
    let (disk, units) = store(Layout::Framed);
    let (writer, _) = Writer::open(&disk, settings(Layout::Framed, 1)).unwrap();
    disk.fail_call(disk.calls(), Fault::Io);
    let failed = writer.log().read(units[1].span.start, 10);
    assert!(matches!(failed, Err(ReadError::Io { path, .. }) if path == segment_path(1)));
    assert_eq!(writer.log().read(units[1].span.start, 10).unwrap(), units[1].bytes[..10]);
    let missing = disk.open(Path::new("/store/none"), Access::Read);
    assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
}
