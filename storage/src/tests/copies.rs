//! A log that takes over what another one has.

use ferrymq_proto::position::LogOffset;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::*;

/// Records of several sizes over some segments, of which two end with long blanks.
fn filled() -> Writer {
    let (mut writer, _) = Writer::open(&SimulatedDisk::default(), settings(Layout::Classic, 1)).unwrap();
    for (number, bytes) in [900, 1500, 1700, 30, 3900, 2000, 200].into_iter().enumerate() {
        writer.append(&numbered_body(number as u64, bytes)).unwrap();
    }
    writer
}

fn all(log: &Log) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(more) = log.read(LogOffset(bytes.len() as i64), 1 << 20) {
        bytes.extend_from_slice(&more);
    }
    bytes
}

fn empty() -> Appender {
    let (writer, _) = Writer::open(&SimulatedDisk::default(), settings(Layout::Classic, 1)).unwrap();
    match writer {
        Writer::Classic(appender) => appender,
        Writer::Framed(_) => unreachable!("it is a classic log"),
    }
}

#[test]
fn a_copy_is_the_same_however_it_is_cut() {
    let bytes = all(filled().log());
    for chunk in [1, 7, 100, 1000, 4096, 5000, bytes.len()] {
        let mut copy = empty();
        let mut waiting = Vec::new();
        for part in bytes.chunks(chunk) {
            waiting.extend_from_slice(part);
            let taken = copy.append_copied(&waiting).unwrap();
            waiting.drain(..taken);
        }
        assert_eq!((waiting.len(), all(copy.log()) == bytes), (0, true), "in parts of {chunk}");
    }
}

#[test]
fn what_is_no_unit_of_this_place_is_refused() {
    let bytes = all(filled().log());
    let first = record(&numbered_body(0, 900), LogOffset(0)).len();
    let refused = |bytes: &[u8]| {
        let mut copy = empty();
        let error = copy.append_copied(bytes).unwrap_err();
        assert!(copy.log().written() <= LogOffset(first as i64));
        error.to_string()
    };
    let offset = "what should be copied to offset 0 of the log is none of its units: ";
    assert_eq!(
        refused(&bytes[first..]),
        format!("{offset}the record says that it belongs to offset {first}")
    );
    assert_eq!(refused(&[0; 64]), format!("{offset}nothing is written here"));
    assert_eq!(refused(&[7; 64]), format!("{offset}nothing in a log begins with the magic 0x07070707"));
    let mut flipped = bytes;
    flipped[first + 100] ^= 1;
    let behind_the_first =
        format!("what should be copied to offset {first} of the log is none of its units: ");
    assert_eq!(refused(&flipped), format!("{behind_the_first}the checksum of the record's body is wrong"));
    // A segment of another length ends elsewhere.
    let blank = [4000_i32.to_be_bytes(), ferrymq_proto::record::BLANK_MAGIC.to_be_bytes()].concat();
    assert_eq!(
        refused(&blank),
        format!("{offset}the blank says that 4000 bytes of the segment are left, not 4096")
    );
}
