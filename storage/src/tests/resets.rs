//! A log that begins anew behind its end, as after the snapshot of another node.

use ferrymq_proto::position::LogOffset;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Dice;
use crate::*;

fn boundary(segment: i64) -> Mark {
    let chain = Chain { index: Index(700), term: Term(3), header_crc: 0xABCD };
    Mark { offset: LogOffset(segment * SEGMENT_BYTES as i64), chain }
}

/// A framed log of three segments: the first two units are final.
fn old_log(disk: &SimulatedDisk) -> (Writer, Vec<Unit>) {
    let (mut writer, _) = Writer::open(disk, settings(Layout::Framed, 1)).unwrap();
    let units: Vec<_> = (0..3).map(|number| writer.append(&numbered_body(number, 3000)).unwrap()).collect();
    writer.log().confirm(units[1].end);
    writer.flush().unwrap();
    (writer, units)
}

fn check_new_log(writer: &mut Writer, base: Mark) -> Unit {
    let log = writer.log().clone();
    assert_eq!((log.start(), log.written(), log.durable()), (base.offset, base.offset, base.offset));
    assert_eq!((log.confirmed(), writer.end()), (base, base));
    assert!(matches!(log.read(LogOffset(0), 1), Err(ReadError::BeforeStart { .. })));
    let unit = writer.append(&numbered_body(9, 3000)).unwrap();
    assert_eq!(unit, expected_unit(Layout::Framed, base, &numbered_body(9, 3000)));
    assert_eq!(unit.end.chain.index, Index(701));
    assert_eq!(log.read(unit.span.start, unit.bytes.len()).unwrap(), unit.bytes);
    unit
}

#[test]
fn a_log_begins_anew_and_goes_on_from_there() {
    for base in [boundary(2), boundary(3), boundary(1000)] {
        let disk = SimulatedDisk::default();
        let (mut writer, units) = old_log(&disk);
        writer.append(&numbered_body(3, 10)).unwrap();
        writer.log().prepare_segment();
        let held = writer.log().core.segments().front().cloned().unwrap();
        writer.reset(base).unwrap();
        let mut byte = [0];
        held.read(LogOffset(7), &mut byte).unwrap();
        assert_eq!(byte[0], units[0].bytes[7], "who reads is not cut off");
        let unit = check_new_log(&mut writer, base);
        writer.flush().unwrap();
        for after in [disk.process_loss(), disk.power_loss(3)] {
            let (writer, report) = Writer::open(&after, settings(Layout::Framed, 1)).unwrap();
            assert_eq!((report.end, writer.log().start()), (unit.end, base.offset));
            assert_eq!(writer.log().read(unit.span.start, unit.bytes.len()).unwrap(), unit.bytes);
        }
    }
}

#[test]
fn a_new_log_may_begin_anywhere() {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(Layout::Framed, 1)).unwrap();
    writer.reset(boundary(5)).unwrap();
    let end = check_new_log(&mut writer, boundary(5)).end;
    writer.close().unwrap();
    let (_, report) = Writer::open(&disk.power_loss(0), settings(Layout::Framed, 2)).unwrap();
    assert_eq!((report.last_stop, report.end), (LastStop::InOrder, end));
}

#[test]
fn a_reset_loses_nothing_that_is_final() {
    let disk = SimulatedDisk::default();
    let (mut writer, units) = old_log(&disk);
    let refused = writer.reset(boundary(1)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "what lies before 7252 is final: a log that begins at 4096 would have less"
    );
    let crooked = Mark { offset: LogOffset(8193), ..boundary(2) };
    let refused = writer.reset(crooked).unwrap_err();
    assert_eq!(refused.to_string(), "segments have 4096 bytes: a log cannot begin at 8193, where none does");
    assert_eq!(writer.end(), units[2].end, "nothing was changed");
    writer.append(&numbered_body(3, 10)).unwrap();
}

/// After a crash in the midst there is the old log up to what is final, or the new one. Nothing in between.
#[test]
fn a_crash_leaves_one_log_or_the_other() {
    let base = boundary(3);
    let (before, after) = {
        let disk = SimulatedDisk::default();
        let (mut writer, _) = old_log(&disk);
        let before = disk.changes();
        writer.reset(base).unwrap();
        (before, disk.changes())
    };
    let mut found = [0, 0];
    for point in before..after {
        for seed in 0..20 {
            let disk = SimulatedDisk::default();
            let (mut writer, units) = old_log(&disk);
            disk.crash_at_change(point);
            assert!(writer.reset(base).is_err());
            let image = disk.power_loss(seed);
            // The start may be cut short as well.
            image.crash_at_change(Dice::new(seed).below(12));
            let _ = Writer::open(&image, settings(Layout::Framed, 2));
            let image = image.power_loss(seed);
            let (mut writer, report) = Writer::open(&image, settings(Layout::Framed, 3))
                .unwrap_or_else(|error| panic!("crash at change {point}, seed {seed}: {error}"));
            if report.end == base {
                found[1] += 1;
                check_new_log(&mut writer, base);
            } else {
                found[0] += 1;
                assert!(report.end.offset >= units[1].end.offset);
                assert_eq!(writer.log().start(), LogOffset(0));
                for unit in &units[..2] {
                    assert_eq!(writer.log().read(unit.span.start, unit.bytes.len()).unwrap(), unit.bytes);
                }
            }
        }
    }
    assert!(found.iter().all(|count| *count > 0), "{found:?}");
}
