use std::path::Path;

use super::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Fault;
use crate::tests::rig::{SEGMENT_BYTES, Writer, numbered_body, segment_path, settings};
use crate::{Layout, Room};

const HOUR_MS: i64 = 3_600_000;
/// When the rig stores its records.
const STORED: Timestamp = Timestamp(1_700_000_000_001);
const SEGMENT: i64 = SEGMENT_BYTES as i64;

fn offset(segment: i64) -> LogOffset {
    LogOffset(segment * SEGMENT)
}

/// Segments whose newest messages are so many hours old, at hour 100.
fn ages(hours: &[i64]) -> Vec<SegmentAge> {
    let age = |(number, hours): (i64, &i64)| SegmentAge {
        end: offset(number + 1),
        newest: Some(Timestamp((100 - hours) * HOUR_MS)),
    };
    (0..).zip(hours).map(age).collect()
}

fn quiet(segments: &[SegmentAge]) -> Situation<'_> {
    Situation {
        now: Timestamp(100 * HOUR_MS),
        hour: 12,
        segments,
        used: Some(Percent(50)),
        is_requested: false,
        keep_from: LogOffset(i64::MAX),
        segments_max: 10,
    }
}

fn decide(situation: Situation<'_>) -> Decision {
    RetentionSettings::default().decide(&situation)
}

#[test]
fn the_rules_of_apache() {
    let old = ages(&[90, 80, 72, 71, 1]);
    let quiet = quiet(&old);
    let (expired, all) = (Some(offset(3)), Some(offset(5)));
    #[rustfmt::skip]
    let cases = [
        // At noon nothing happens.
        (quiet, None, Cause::Hour),
        (Situation { hour: 4, ..quiet }, expired, Cause::Hour),
        (Situation { is_requested: true, ..quiet }, expired, Cause::Request),
        (Situation { used: Some(Percent(75)), ..quiet }, None, Cause::Space),
        (Situation { used: Some(Percent(76)), ..quiet }, expired, Cause::Space),
        (Situation { used: Some(Percent(85)), ..quiet }, expired, Cause::Space),
        (Situation { used: Some(Percent(86)), ..quiet }, all, Cause::Force),
        (Situation { used: Some(Percent(86)), segments_max: 2, ..quiet }, Some(offset(2)), Cause::Force),
        // What is wanted stays, whatever the disk says.
        (Situation { used: Some(Percent(99)), keep_from: LogOffset(2 * SEGMENT - 1), ..quiet }, Some(offset(1)), Cause::Force),
        (Situation { used: Some(Percent(99)), keep_from: LogOffset(0), ..quiet }, None, Cause::Force),
        (Situation { hour: 4, keep_from: offset(2), ..quiet }, Some(offset(2)), Cause::Hour),
        (Situation { hour: 4, used: None, ..quiet }, expired, Cause::Hour),
    ];
    for (situation, expected, cause) in cases {
        assert_eq!(decide(situation).drop_before, expected.map(|to| (to, cause)), "{situation:?}");
    }
    let unforced = RetentionSettings { may_force: false, ..RetentionSettings::default() };
    let full = Situation { used: Some(Percent(99)), ..quiet };
    assert_eq!(unforced.decide(&full).drop_before, Some((offset(3), Cause::Space)));
}

#[test]
fn writes_are_refused_above_the_last_threshold() {
    let young = ages(&[1]);
    let at = |used| decide(Situation { used: Some(Percent(used)), keep_from: LogOffset(0), ..quiet(&young) });
    assert_eq!((at(75).refuse, at(75).is_stuck), (None, false));
    assert_eq!((at(90).refuse, at(90).is_stuck), (None, true));
    assert_eq!((at(91).refuse, at(91).is_stuck), (Some(Percent(91)), true));
}

#[test]
fn a_clock_that_is_set_back_drops_nothing_early() {
    // Stored at hour 100, and then with a clock that says hour 10.
    let segments = ages(&[0, 90, 90]);
    for (now, expected) in [(10, None), (100, None), (171, None), (172, Some(offset(3)))] {
        let situation = Situation { now: Timestamp(now * HOUR_MS), hour: 4, ..quiet(&segments) };
        assert_eq!(decide(situation).drop_before.map(|(to, _)| to), expected, "at hour {now}");
    }
    let unknown = [SegmentAge { newest: None, ..segments[0] }, segments[1]];
    assert_eq!(decide(Situation { hour: 4, ..quiet(&unknown) }).drop_before, None);
    let earliest = [SegmentAge { newest: Some(Timestamp(i64::MIN)), ..segments[0] }];
    let latest = Situation { now: Timestamp(i64::MAX), hour: 4, ..quiet(&earliest) };
    assert_eq!(decide(latest).drop_before, Some((offset(1), Cause::Hour)));
}

#[test]
fn hours_of_the_day() {
    let hours = Hours::parse("04; 16;23").unwrap();
    assert_eq!((0..=255).filter(|hour| hours.has(*hour)).collect::<Vec<_>>(), [4, 16, 23]);
    for bad in ["", "24", "4,5", "-1", "x", "4;"] {
        assert_eq!(Hours::parse(bad), None, "{bad}");
    }
}

/// A log of so many segments with a record each, all final.
fn log(layout: Layout, segments: u64) -> (SimulatedDisk, Writer) {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(layout, 1)).unwrap();
    for number in 0..segments {
        writer.append(&numbered_body(number, 3000)).unwrap();
    }
    writer.log().confirm(writer.end());
    writer.flush().unwrap();
    (disk, writer)
}

fn later(hours: i64) -> Timestamp {
    Timestamp(STORED.0 + 1 + hours * HOUR_MS)
}

const KEEP_NOTHING: LogOffset = LogOffset(i64::MAX);

#[test]
fn old_segments_go_one_by_one() {
    for layout in [Layout::Classic, Layout::Framed] {
        let (_disk, writer) = log(layout, 4);
        let settings = RetentionSettings { segments_per_run: 2, ..RetentionSettings::default() };
        let mut retention = Retention::new(writer.log().clone(), settings);
        let mut step = |now, hour| retention.step(now, hour, KEEP_NOTHING).unwrap();
        let (soon, run) = (Duration::from_millis(100), Duration::from_secs(10));
        assert_eq!(step(later(71), 4), Stepped { dropped: None, next_in: run });
        assert_eq!(step(later(72), 5), Stepped { dropped: None, next_in: run });
        let dropped = |segment| Stepped { dropped: Some((offset(segment), Cause::Hour)), next_in: soon };
        assert_eq!(step(later(72), 4), dropped(1));
        assert_eq!(step(later(72), 4), dropped(2));
        assert_eq!(step(later(72), 4), Stepped { dropped: None, next_in: run }, "two in a run");
        assert_eq!(step(later(72), 4), dropped(3));
        assert_eq!(step(later(72), 4), Stepped { dropped: None, next_in: run }, "the last one stays");
        assert_eq!(writer.log().start(), offset(3));
    }
}

#[test]
fn a_request_counts_for_some_runs() {
    let (_disk, writer) = log(Layout::Classic, 4);
    let mut retention = Retention::new(writer.log().clone(), RetentionSettings::default());
    retention.request().make();
    for _ in 0..REQUESTED_RUNS - 1 {
        assert_eq!(retention.step(later(1), 12, KEEP_NOTHING).unwrap().dropped, None, "nothing is old yet");
    }
    let stepped = retention.step(later(99), 12, KEEP_NOTHING).unwrap();
    assert_eq!(stepped.dropped, Some((offset(1), Cause::Request)));
    while retention.step(later(99), 12, offset(2)).unwrap().dropped.is_some() {}
    assert_eq!(writer.log().start(), offset(2));
    assert_eq!(retention.step(later(99), 12, KEEP_NOTHING).unwrap().dropped, None, "no run is left");
}

#[test]
fn a_full_disk_takes_what_is_young_and_then_refuses_messages() {
    let (disk, mut writer) = log(Layout::Framed, 4);
    let mut retention = Retention::new(writer.log().clone(), RetentionSettings::default());
    let mut step = |keep_from| retention.step(later(0), 12, keep_from).unwrap().dropped;
    let used = 4 * SEGMENT_BYTES + 2 * 4096;
    disk.set_room(Some((used * 100).div_ceil(95)));
    assert_eq!(step(offset(0)), None);
    assert!(matches!(writer.log().room(), Room::Short { used: Percent(95) }));
    assert_eq!(step(offset(1)), Some((offset(1), Cause::Force)));
    assert_eq!(step(offset(1)), None, "a follower needs the rest");
    assert_eq!(writer.log().room(), Room::Enough, "one segment less is enough");
    disk.set_room(Some(used * 100 / 112));
    assert_eq!(step(KEEP_NOTHING), Some((offset(2), Cause::Force)));
    assert_eq!(step(KEEP_NOTHING), None, "the disk is no longer that full");
    writer.append(b"and so it goes on").unwrap();
}

#[test]
fn a_file_that_cannot_be_removed_goes_later() {
    let (disk, writer) = log(Layout::Framed, 3);
    let mut retention = Retention::new(writer.log().clone(), RetentionSettings::default());
    let calls = |step: &mut dyn FnMut()| {
        let before = disk.calls();
        step();
        disk.calls() - before
    };
    let until_remove = calls(&mut || drop(retention.step(later(99), 4, KEEP_NOTHING)));
    // The last two calls are the removal and the sync of the folder.
    disk.fail_call(disk.calls() + until_remove - 2 - 2, Fault::Io);
    let held = writer.log().core.segments().front().cloned().unwrap();
    let failed = retention.step(later(99), 4, KEEP_NOTHING);
    assert!(matches!(failed, Err(RetentionError::Drop(DropError::Io { .. }))), "{failed:?}");
    assert!(disk.files().contains_key(&segment_path(1)));
    assert_eq!(writer.log().start(), offset(2));
    let mut byte = [0];
    held.read(offset(1), &mut byte).unwrap();
    retention.run = None;
    retention.step(later(99), 4, KEEP_NOTHING).unwrap();
    assert!(!disk.files().contains_key(&segment_path(1)));
    held.read(offset(1), &mut byte).unwrap();
    assert!(disk.files().contains_key(Path::new("/store/store.meta")));
}
