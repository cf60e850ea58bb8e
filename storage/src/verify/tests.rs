use std::sync::Arc;

use super::*;
use crate::disk::{Disk, SimulatedDisk};
use crate::look::Assumed;
use crate::tests::rig::{SEGMENT_BYTES, Unit, Writer, numbered_body, segment_path, settings};

fn verified(disk: &SimulatedDisk, assumed: Assumed) -> Result<Verified, OpenError> {
    let look = Look::open_damaged(Arc::new(disk.clone()), Path::new("/store"), assumed)?;
    verify(&look, &Expected::default(), &mut |_| ())
}

fn look(disk: &SimulatedDisk) -> Verified {
    let before = disk.files();
    let changes = disk.changes();
    let verified = verified(disk, Assumed::default()).unwrap();
    assert_eq!((disk.files(), disk.changes()), (before, changes), "a look changes nothing");
    verified
}

/// Three segments, closed in order.
fn store(layout: Layout) -> (SimulatedDisk, Vec<Unit>) {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(layout, 1)).unwrap();
    let units: Vec<_> = (0..9).map(|number| writer.append(&numbered_body(number, 1000)).unwrap()).collect();
    writer.log().confirm(writer.end());
    writer.close().unwrap();
    (disk, units)
}

fn said(verified: &Verified) -> Vec<String> {
    verified.findings.iter().map(|finding| finding.fault.to_string()).collect()
}

#[test]
fn a_sound_store() {
    for (layout, frames) in [(Layout::Classic, 0), (Layout::Framed, 9)] {
        let (disk, units) = store(layout);
        let verified = look(&disk);
        let end = units.last().unwrap().end.offset;
        assert_eq!((verified.layout, verified.records, verified.frames), (layout, 9, frames));
        assert_eq!((verified.start, verified.end, verified.confirmed), (LogOffset(0), end, end));
        assert_eq!((verified.torn, said(&verified)), (None, vec![]));
        let summed = if layout == Layout::Classic { end.0 as u64 } else { 0 };
        assert_eq!(verified.summed_bytes, summed);
    }
}

#[test]
fn a_walk_goes_on_behind_a_missing_segment() {
    for layout in [Layout::Classic, Layout::Framed] {
        let (disk, units) = store(layout);
        disk.remove(&segment_path(1)).unwrap();
        let strict = Look::open(Arc::new(disk.clone()), Path::new("/store"), Assumed::default());
        assert!(strict.is_err(), "nobody serves a log with a gap");
        let damaged = units.iter().find(|unit| unit.span.start.0 >= 2 * SEGMENT_BYTES as i64).unwrap();
        disk.flip_bit(&segment_path(2), (damaged.span.start.0 as u64 - 2 * SEGMENT_BYTES + 200) * 8);
        let found = verified(&disk, Assumed::default()).unwrap();
        let kinds: Vec<_> = found.findings.iter().map(|finding| finding.fault.kind()).collect();
        let expected =
            if layout == Layout::Classic { &["segment", "unit", "block"][..] } else { &["segment", "unit"] };
        assert_eq!(
            (kinds.as_slice(), &said(&found)[0]),
            (
                expected,
                &format!(
                    "{} is missing; restore it from a copy, or let this node fetch the log anew",
                    segment_path(1).display()
                )
            )
        );
        assert_eq!(found.skipped_bytes, SEGMENT_BYTES + (found.durable.0 - damaged.span.start.0) as u64);
    }
}

#[test]
fn segments_that_are_missing_at_the_end_or_foreign() {
    let (disk, _) = store(Layout::Framed);
    disk.remove(&segment_path(2)).unwrap();
    disk.plant(Path::new("/store/commitlog/notes.txt"), b"hello");
    let said = said(&verified(&disk, Assumed::default()).unwrap());
    assert_eq!(
        said,
        [
            "/store/commitlog/notes.txt does not belong to the log; move it elsewhere".to_owned(),
            format!(
                "{} is missing; restore it from a copy, or let this node fetch the log anew",
                segment_path(2).display()
            ),
        ]
    );
}

#[test]
fn damage_in_each_segment_is_found_in_one_look() {
    let (disk, units) = store(Layout::Framed);
    disk.flip_bit(&segment_path(0), units[1].span.start.0 as u64 * 8);
    disk.flip_bit(&segment_path(2), 8 * 200);
    assert_eq!(
        said(&look(&disk)),
        [
            "/store/commitlog/00000000000000000000 is damaged at byte 1156 (offset 1156 of the log, which was durable \
             up to 11660): there is a frame, but its header claims a size of 16777280 bytes; restore the file from a copy, or let this node \
             fetch the log anew",
            "/store/commitlog/00000000000000008192 is damaged at byte 0 (offset 8192 of the log, which was durable up \
             to 11660): there is a frame, but the checksum of its body is wrong; restore the file from a copy, or let \
             this node fetch the log anew",
        ]
    );
}

#[test]
fn what_apaches_records_do_not_check_is_found_by_the_sums() {
    let (disk, _) = store(Layout::Classic);
    // The queue id of the first record of the second segment.
    disk.flip_bit(&segment_path(1), 15 * 8);
    assert_eq!(
        said(&look(&disk)),
        [
            "/store/commitlog/00000000000000004096 is damaged between byte 0 and byte 4096 (offset 4096 of the log): the \
          checksum beside it is another one; restore the file from a copy"
        ]
    );
    // Once Apache's broker has had the store, nobody knows what it has changed.
    disk.plant(Path::new("/store/lock"), b"lockymq\n");
    let verified = look(&disk);
    assert_eq!((verified.are_sums_void, said(&verified)), (true, vec![]));
}

#[test]
fn a_sidecar_may_be_damaged_or_missing() {
    let (disk, _) = store(Layout::Classic);
    let sidecar = Path::new("/store/commitlog.sums").join(format!("{:020}", 4096));
    disk.flip_bit(&sidecar, 3);
    let damaged = "/store/commitlog.sums/00000000000000004096 is damaged at entry 0, so that nothing is known of block 0";
    assert_eq!(said(&look(&disk)), [damaged]);
    disk.uproot(&sidecar);
    let verified = look(&disk);
    assert_eq!((verified.summed_bytes < verified.end.0 as u64, said(&verified)), (true, vec![]));
}

#[test]
fn a_torn_tail_is_no_damage() {
    let (disk, units) = store(Layout::Classic);
    let (mut writer, _) = Writer::open(&disk, settings(Layout::Classic, 1)).unwrap();
    let torn = writer.append(&numbered_body(9, 100)).unwrap();
    drop(writer);
    let at = torn.span.start.0 as u64 % SEGMENT_BYTES + 100;
    disk.flip_bit(&segment_path(torn.span.start.0 as u64 / SEGMENT_BYTES), at * 8);
    let verified = look(&disk);
    assert_eq!(verified.torn, Some(Damage::BadBodyCrc));
    assert_eq!((verified.end, said(&verified)), (units.last().unwrap().end.offset, vec![]));
}

#[test]
fn a_folder_of_apaches() {
    let (disk, units) = store(Layout::Classic);
    disk.uproot(Path::new("/store/store.meta"));
    let verified = look(&disk);
    assert_eq!((verified.end, verified.records), (units.last().unwrap().end.offset, 9));
    let other = self::verified(&disk, Assumed { segment_bytes: Some(8192), ..Assumed::default() });
    assert!(matches!(other, Err(OpenError::Survey(_))), "{other:?}");
}
