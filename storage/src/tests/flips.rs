//! Every single-bit flip in a small log that is durable, in each of its files: at a start, and by a look over the store.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::rig::{self, Unit, Writer, numbered_body};
use crate::disk::SimulatedDisk;
use crate::look::{Assumed, Look};
use crate::verify::{Expected, Fault, Finding, Verified};
use crate::*;

/// Smaller than in other tests: each bit costs a start.
const SEGMENT_BYTES: u64 = 1024;

fn settings(layout: Layout) -> Settings {
    Settings { segment_bytes: SEGMENT_BYTES, ..rig::settings(layout, 1) }
}

/// A log of two segments with a blank between them. It is left without a stop in order, so that a start walks over all of it.
fn small_log(layout: Layout) -> (SimulatedDisk, Vec<Unit>) {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(layout)).unwrap();
    let long = if layout == Layout::Framed { 560 } else { 700 };
    let bodies = (0..).zip([100, long, 10, 8]).map(|(number, bytes)| numbered_body(number, bytes));
    let units = bodies.map(|body| writer.append(&body).unwrap()).collect();
    // The walk of a start begins in the segment of the confirmed mark, which is still the first one.
    writer.flush().unwrap();
    (disk, units)
}

fn look_over(disk: &SimulatedDisk) -> Verified {
    let look = Look::open(Arc::new(disk.clone()), Path::new("/store"), Assumed::default()).unwrap();
    verify(&look, &Expected::default(), &mut |_| ()).unwrap()
}

/// The answers of a log: its end, and all its units.
fn answers(writer: &Writer, end: Mark, units: &[Unit]) -> String {
    let read = units.iter().map(|unit| writer.log().read(unit.span.start, unit.bytes.len()));
    let same = read.zip(units).all(|(read, unit)| read.is_ok_and(|bytes| bytes == unit.bytes));
    format!("{end:?} {} {same}", writer.log().start())
}

fn undetected(layout: Layout, segment: u64) -> BTreeSet<u64> {
    let (disk, units) = small_log(layout);
    let path = Path::new("/store/commitlog").join(format!("{:020}", segment * SEGMENT_BYTES));
    let used = |unit: &&Unit| unit.span.start.0 as u64 / SEGMENT_BYTES == segment;
    let last = units.iter().rfind(used).unwrap().span.end().0 as u64;
    // With the blank, where there is one.
    let bytes = if segment == 0 { last + 8 } else { last - SEGMENT_BYTES };
    let mut silent = BTreeSet::new();
    for bit in 0..bytes * 8 {
        let flipped = disk.process_loss();
        assert!(flipped.flip_bit(&path, bit));
        match Writer::open(&flipped, settings(layout)) {
            Err(OpenError::Corruption(found)) => {
                assert_eq!(found.path, path);
                let unit = units.iter().find(|unit| unit.span.start == found.offset);
                let end = found.position + unit.map_or(8, |unit| unit.span.bytes);
                assert!((found.position..end).contains(&(bit / 8)), "bit {bit} was found at {found}");
            }
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(_) => {
                silent.insert(bit / 8);
            }
        }
    }
    silent
}

#[test]
fn no_flip_in_a_framed_log_goes_unnoticed() {
    for segment in 0..2 {
        assert_eq!(undetected(Layout::Framed, segment), BTreeSet::new());
    }
}

/// Apache's records have a checksum of the body only: a flip in most of the other fields makes another valid record.
#[test]
fn flips_in_a_classic_log_are_noticed_in_bodies_sizes_and_places() {
    let silent = undetected(Layout::Classic, 1);
    let (_, units) = small_log(Layout::Classic);
    let unprotected = |start: u64, body: u64| {
        let fixed = (12..28).chain(36..84);
        let topic = 88 + body + 1..88 + body + 2;
        fixed.chain(topic).map(move |at| start + at).collect::<BTreeSet<_>>()
    };
    let mut expected = unprotected(0, 10);
    expected.extend(unprotected(units[2].span.bytes, 8));
    assert_eq!(silent, expected);
}

#[test]
fn a_flip_in_the_meta_file_changes_no_answer() {
    let (disk, units) = small_log(Layout::Framed);
    let open = |disk: &SimulatedDisk| Writer::open(disk, settings(Layout::Framed)).unwrap();
    let (writer, report) = open(&disk.process_loss());
    let expected = answers(&writer, report.end, &units);
    let path = Path::new("/store/store.meta");
    for bit in (0..128 * 8).chain(4096 * 8..(4096 + 128) * 8) {
        let flipped = disk.process_loss();
        assert!(flipped.flip_bit(path, bit));
        let (writer, report) = open(&flipped);
        assert_eq!(answers(&writer, report.end, &units), expected, "bit {bit}");
    }
}

/// A small log that was closed in order, and how far its segments are used. In a log of frames, what lies behind a blank says
/// nothing and belongs to nobody.
fn closed_log(layout: Layout) -> (SimulatedDisk, [u64; 2]) {
    let (disk, units) = small_log(layout);
    let (writer, report) = Writer::open(&disk, settings(layout)).unwrap();
    writer.log().confirm(report.end);
    writer.close().unwrap();
    let ends = units.iter().map(|unit| unit.span.end().0 as u64);
    let last_of_first = ends.clone().rfind(|end| *end < SEGMENT_BYTES).unwrap();
    let first = if layout == Layout::Framed { last_of_first + 8 } else { SEGMENT_BYTES };
    (disk, [first, ends.max().unwrap() - SEGMENT_BYTES])
}

#[test]
fn a_look_finds_every_flip_in_what_is_final() {
    for layout in [Layout::Classic, Layout::Framed] {
        let (disk, used) = closed_log(layout);
        for (segment, used) in (0..).zip(used) {
            let path = Path::new("/store/commitlog").join(format!("{:020}", segment * SEGMENT_BYTES));
            for bit in 0..used * 8 {
                assert!(disk.flip_bit(&path, bit));
                let verified = look_over(&disk);
                let is_there = |finding: &Finding| match &finding.fault {
                    Fault::Unit(found) => found.path == path && found.position <= bit / 8,
                    Fault::Block { path: found, position, end, .. } => {
                        *found == path && (*position..*end).contains(&(bit / 8))
                    }
                    _ => false,
                };
                assert!(
                    verified.findings.iter().any(is_there),
                    "{layout:?}: bit {bit} of {}",
                    path.display()
                );
                assert!(disk.flip_bit(&path, bit));
            }
        }
        let sound = look_over(&disk);
        assert_eq!(sound.findings, []);
    }
}

#[test]
fn a_flip_in_a_sidecar_is_told_from_one_in_the_log() {
    let (disk, _) = closed_log(Layout::Classic);
    for segment in 0..2 {
        let path = Path::new("/store/commitlog.sums").join(format!("{:020}", segment * SEGMENT_BYTES));
        for bit in 0..16 * 8 {
            disk.flip_bit(&path, bit);
            let verified = look_over(&disk);
            let faults: Vec<_> = verified.findings.into_iter().map(|finding| finding.fault).collect();
            assert_eq!(faults, [Fault::Sidecar { path: path.clone(), entry: 0 }], "bit {bit}");
            disk.flip_bit(&path, bit);
        }
    }
}
