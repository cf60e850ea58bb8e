use std::path::Path;

use super::*;
use crate::disk::SimulatedDisk;
use crate::tests::rig::Unit;
use crate::tests::rig::*;
use crate::{Mark, OpenError};

/// A framed log of three segments, all of it final, and a copy of it.
fn logs() -> (SimulatedDisk, Writer, Vec<Unit>, SimulatedDisk) {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(Layout::Framed, 1)).unwrap();
    let bodies = [1000, 1000, 3000, 10, 500];
    let units: Vec<_> = (0..)
        .zip(bodies)
        .map(|(number, bytes)| writer.append(&numbered_body(number, bytes)).unwrap())
        .collect();
    writer.log().confirm(units[4].end);
    writer.flush().unwrap();
    let copy = disk.process_loss();
    (disk, writer, units, copy)
}

/// All of a log, in parts as a peer would ask for them.
fn parts(log: &Log, bytes_max: usize) -> Vec<(LogOffset, Bytes)> {
    let mut parts = Vec::new();
    let mut at = log.start();
    while at < log.confirmed().offset {
        let units = log.final_units(at, bytes_max).unwrap();
        let next = log.behind_units(at, &units);
        parts.push((at, units));
        at = next;
    }
    assert_eq!(at, log.confirmed().offset);
    parts
}

#[test]
fn a_log_is_given_away_in_whole_units() {
    let (_, writer, units, _) = logs();
    let one_by_one = parts(writer.log(), 0);
    let frames: Vec<_> = one_by_one.iter().filter(|(_, bytes)| bytes.len() as u64 > BLANK_BYTES).collect();
    let expected: Vec<_> =
        units.iter().map(|unit| (unit.span.start, Bytes::from(unit.bytes.clone()))).collect();
    assert_eq!(frames, expected.iter().collect::<Vec<_>>());
    assert_eq!(one_by_one.len(), 5 + 1, "one segment ended with a blank");
    assert_eq!(parts(writer.log(), 1 << 20).len(), 2, "no part reaches into another segment");
    for nowhere in [units[0].span.start.0 + 1, units[1].span.start.0 + 64] {
        assert!(matches!(writer.log().final_units(LogOffset(nowhere), 0), Err(UnitsError::Damaged { .. })));
    }
    let end = units[4].end.offset;
    assert!(matches!(writer.log().final_units(end, 0), Err(UnitsError::Log(ReadError::PastEnd { .. }))));
}

#[test]
fn what_is_damaged_is_found_at_the_start_and_mended_from_a_copy() {
    let (_, writer, units, copy) = logs();
    let path = |offset: LogOffset| segment_path(offset.0 as u64 / SEGMENT_BYTES);
    // The last segment is walked over; of the older one the first header is looked at.
    let places = [
        units[0].span.start.0 as u64 + 20,
        units[3].span.start.0 as u64 + 70,
        units[4].span.start.0 as u64 + 64,
    ];
    for place in places {
        let damaged = copy.process_loss();
        assert!(damaged.flip_bit(&path(LogOffset(place as i64)), place % SEGMENT_BYTES * 8));
        let Err(OpenError::Corruption(found)) = Writer::open(&damaged, settings(Layout::Framed, 1)) else {
            panic!("the flip at {place} was not found");
        };
        let good = writer.log().final_units(found.offset, 0).unwrap();
        let closed = ClosedLog::take(&damaged, Path::new("/store")).unwrap();
        assert!(closed.mend(found.offset, &good).unwrap());
        assert!(!closed.mend(found.offset, &good).unwrap(), "nothing is left to do");
        drop(closed);
        let (mended, report) = Writer::open(&damaged, settings(Layout::Framed, 1)).unwrap();
        assert_eq!(report.end, units[4].end);
        for unit in &units {
            assert_eq!(mended.log().read(unit.span.start, unit.bytes.len()).unwrap(), unit.bytes);
        }
    }
}

#[test]
fn an_open_log_is_mended_where_it_is_final() {
    let (disk, writer, units, _) = logs();
    let unit = &units[1];
    assert!(disk.flip_bit(&segment_path(0), (unit.span.start.0 as u64 + 300) * 8));
    assert!(matches!(writer.log().final_units(unit.span.start, 0), Err(UnitsError::Damaged { .. })));
    assert!(writer.log().mend(unit.span.start, &unit.bytes).unwrap());
    assert_eq!(writer.log().final_units(unit.span.start, 0).unwrap(), unit.bytes);
}

#[test]
fn only_whole_units_of_that_place_are_taken() {
    let (_, mut writer, units, copy) = logs();
    let log = writer.log().clone();
    let (start, bytes) = (units[1].span.start, units[1].bytes.clone());
    let mut flipped = bytes.clone();
    flipped[100] ^= 1;
    let cases = [&bytes[..bytes.len() - 1], &flipped, &units[0].bytes, &[], &[0; 64]];
    for foreign in cases {
        assert!(matches!(log.mend(start, foreign), Err(MendError::Foreign(at)) if at == start));
        let closed = copy.process_loss();
        let closed = ClosedLog::take(&closed, Path::new("/store")).unwrap();
        assert!(matches!(closed.mend(start, foreign), Err(MendError::Foreign(_))));
    }
    let undecided = writer.append(b"not final").unwrap();
    assert!(matches!(log.mend(undecided.span.start, &undecided.bytes), Err(MendError::OutOfPlace(_))));
}

#[test]
fn what_never_was_final_may_be_forgotten_and_nothing_else() {
    let (disk, mut writer, units, _) = logs();
    let undecided: Unit = writer.append(b"not final").unwrap();
    writer.flush().unwrap();
    let damaged = disk.process_loss();
    let path = segment_path(undecided.span.start.0 as u64 / SEGMENT_BYTES);
    assert!(damaged.flip_bit(&path, (undecided.span.start.0 as u64 % SEGMENT_BYTES + 64) * 8));
    assert!(matches!(Writer::open(&damaged, settings(Layout::Framed, 1)), Err(OpenError::Corruption(_))));
    let mut closed = ClosedLog::take(&damaged, Path::new("/store")).unwrap();
    assert!(matches!(closed.forget_behind(units[3].span.start), Err(MendError::OutOfPlace(_))));
    closed.forget_behind(undecided.span.start).unwrap();
    drop(closed);
    let (_, report) = Writer::open(&damaged, settings(Layout::Framed, 1)).unwrap();
    // A blank stands between them.
    let end = Mark { offset: undecided.span.start, ..units[4].end };
    assert_eq!((report.end, report.cut.is_some()), (end, true));
}
