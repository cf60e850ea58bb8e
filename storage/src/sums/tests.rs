use super::*;
use crate::Layout;
use crate::disk::SimulatedDisk;
use crate::tests::rig::{SEGMENT_BYTES, Writer, numbered_body, settings};

fn files() -> StoreFiles {
    StoreFiles::within(Path::new("/store"))
}

fn open(disk: &SimulatedDisk) -> Writer {
    Writer::open(disk, settings(Layout::Classic, 1)).unwrap().0
}

fn append(writer: &mut Writer, numbers: std::ops::Range<u64>) {
    for number in numbers {
        writer.append(&numbered_body(number, 1000)).unwrap();
    }
    writer.flush().unwrap();
    writer.log().confirm(writer.end());
}

/// What the sidecar of a segment covers, which must be right.
fn covered(disk: &SimulatedDisk, segment: u64) -> Option<u64> {
    let base = LogOffset((segment * SEGMENT_BYTES) as i64);
    let bytes = disk.files().remove(&files().log.join(segment::name(base)))?;
    let entries = read(disk, &path(&files(), base), base).unwrap();
    let entry = entries.first()?;
    let Slot::Entry(Entry { bytes: covered, crc }) = entry.1 else { panic!("{entry:?}") };
    assert_eq!(crc, crc32fast::hash(&bytes[..covered as usize]), "segment {segment}");
    Some(covered.into())
}

#[test]
fn what_is_final_and_durable_is_summed() {
    let disk = SimulatedDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 0..2);
    writer.append(b"not durable").unwrap();
    writer.log().sum_behind().unwrap();
    assert_eq!(covered(&disk, 0), Some(2 * 1092));
    append(&mut writer, 2..5);
    writer.log().sum_behind().unwrap();
    // A segment is summed to its end, with the blank.
    assert_eq!((covered(&disk, 0), covered(&disk, 1)), (Some(SEGMENT_BYTES), Some(2 * 1092)));
    writer.log().drop_before(LogOffset(4096)).unwrap();
    assert_eq!((covered(&disk, 0), covered(&disk, 1)), (None, Some(2 * 1092)));
    assert!(!disk.files().contains_key(&path(&files(), LogOffset(0))), "it goes with its segment");
}

#[test]
fn a_restart_goes_on_where_the_sums_end() {
    let disk = SimulatedDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 0..2);
    writer.log().sum_behind().unwrap();
    drop(writer);
    // Were the bytes read again, the damage would be summed.
    let segment = files().log.join(segment::name(LogOffset(0)));
    disk.flip_bit(&segment, 12 * 8);
    let mut writer = open(&disk);
    append(&mut writer, 2..3);
    writer.close().unwrap();
    disk.flip_bit(&segment, 12 * 8);
    assert_eq!(covered(&disk, 0), Some(3 * 1092));
    // What is damaged in a sidecar is summed anew.
    disk.flip_bit(&path(&files(), LogOffset(0)), 77);
    let mut writer = open(&disk);
    append(&mut writer, 3..4);
    writer.log().sum_behind().unwrap();
    assert_eq!((covered(&disk, 0), covered(&disk, 1)), (Some(SEGMENT_BYTES), Some(1092)));
}

#[test]
fn sums_are_void_once_apache_has_had_the_store() {
    let disk = SimulatedDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 0..5);
    writer.close().unwrap();
    assert_eq!(covered(&disk, 0), Some(SEGMENT_BYTES));
    disk.plant(&files().lock, b"lockymq\n");
    assert_eq!(crate::files::keeper(&disk, &files()).unwrap(), crate::Keeper::Apache);
    let mut writer = open(&disk);
    assert_eq!((covered(&disk, 0), covered(&disk, 1)), (None, None));
    assert_eq!(crate::files::keeper(&disk, &files()).unwrap(), crate::Keeper::Ferrymq);
    append(&mut writer, 5..6);
    writer.log().sum_behind().unwrap();
    // Of the last two segments, what is there is taken as it is.
    assert_eq!((covered(&disk, 0), covered(&disk, 1)), (Some(SEGMENT_BYTES), Some(3 * 1092)));
}

#[test]
fn blocks_of_a_large_segment() {
    let disk = SimulatedDisk::default();
    let settings = crate::Settings { segment_bytes: 3 << 20, ..settings(Layout::Classic, 1) };
    let (mut writer, _) = Writer::open(&disk, settings).unwrap();
    for number in 0..40 {
        append(&mut writer, number * 100..(number + 1) * 100);
        writer.log().sum_behind().unwrap();
    }
    let end = writer.end().offset;
    assert!(end.0 > 4 << 20);
    for (base, last) in [(0, 3 << 20), (3 << 20, end.0 - (3 << 20))] {
        let base = LogOffset(base);
        let bytes = disk.files().remove(&files().log.join(segment::name(base))).unwrap();
        let mut covered = 0;
        for (block, slot) in read(&disk, &path(&files(), base), base).unwrap() {
            let Slot::Entry(entry) = slot else { panic!("{block:?} {slot:?}") };
            let at = block.position() as usize;
            assert_eq!(entry.crc, crc32fast::hash(&bytes[at..at + entry.bytes as usize]), "{block:?}");
            covered = block.position() + u64::from(entry.bytes);
        }
        assert_eq!(covered, last as u64);
    }
}

#[test]
fn a_disk_without_room_for_sums_takes_messages() {
    let disk = SimulatedDisk::default();
    let mut writer = open(&disk);
    append(&mut writer, 0..2);
    disk.set_room(Some(0));
    assert!(writer.log().sum_behind().is_err());
    append(&mut writer, 2..3);
    disk.set_room(None);
    writer.log().sum_behind().unwrap();
    assert_eq!(covered(&disk, 0), Some(3 * 1092));
}
