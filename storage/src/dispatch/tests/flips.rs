//! Every single-bit flip in a small store that was closed in order, in each of its files: a look over it finds the flip, and says
//! the file; and what is derived answers as before once it was made anew.
//!
//! Without `FERRYMQ_ALL_FLIPS=1` only every [`STEP`]th bit is flipped.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::record::property;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::dispatch::*;
use crate::look::{Assumed, Look};
use crate::verify::{Expected, Verified};
use crate::*;

/// Prime, so that each bit of a byte has its turn.
const STEP: u64 = 37;
/// As in the index of the rig.
const INDEX: (u32, u32) = (5, 12);

fn keys() -> Vec<String> {
    (0..3).map(|number| format!("k{number}")).collect()
}

fn open(disk: &SimulatedDisk, layout: Layout, settings: DerivedSettings) -> Store {
    Store::open(disk, layout, 1, settings, Box::new(NoArrivals)).unwrap()
}

/// Every kind of record in every kind of place: two segments with a blank between them, queues with two files, two index files.
fn closed_store(layout: Layout) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let mut store = open(&disk, layout, settings());
    for number in 0..20 {
        let mut one = message(["orders", "other"][number / 12], 0);
        one.body_bytes = number * 9;
        one.properties.push((property::TAGS, format!("t{}", number % 2)));
        if number % 2 == 0 {
            one.properties.push((property::KEYS, format!("k{}", number % 3)));
        }
        store.send(&[one], START_TIME + number as i64 * 500).unwrap();
    }
    store.catch_up().unwrap();
    store.close().unwrap();
    disk
}

fn look_over(disk: &SimulatedDisk) -> Result<Verified, OpenError> {
    let assumed = Assumed { segment_bytes: None, boot: Some(BootId([1; 16])) };
    let look = Look::open(Arc::new(disk.clone()), Path::new("/store"), assumed)?;
    let expected = Expected { index_slots: INDEX.0, index_entries: INDEX.1, ..Expected::default() };
    verify(&look, &expected, &mut |_| ())
}

/// The bits of a file that say anything. Behind the end of the log, of a queue and of an index nothing was written.
fn bits(path: &Path, bytes: &[u8], layout: Layout, end: u64) -> u64 {
    let name = path.to_str().unwrap();
    let used = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let used = match name {
        // What lies behind a blank of a log of frames says nothing, and has no checksum beside it.
        _ if name.contains("commitlog/") && layout == Layout::Framed && name.ends_with("0000") => used,
        _ if name.contains("commitlog/") => {
            let base: u64 = name.rsplit('/').next().unwrap().parse().unwrap();
            bytes.len().min((end - base) as usize)
        }
        // Of a queue, entries of 20 bytes.
        _ if name.contains("consumequeue/") => used.next_multiple_of(20),
        _ if name.contains("index/") => used,
        _ => bytes.len(),
    };
    used as u64 * 8
}

#[test]
fn each_flip_is_found_and_what_is_derived_heals() {
    let step = if std::env::var_os("FERRYMQ_ALL_FLIPS").is_some() { 1 } else { STEP };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for layout in [Layout::Classic, Layout::Framed] {
        let disk = closed_store(layout);
        let sound = look_over(&disk).unwrap();
        assert_eq!((sound.findings.as_slice(), sound.records), (&[][..], 20));
        let expected = {
            let disk = disk.process_loss();
            let store = open(&disk, layout, settings());
            answers(&store, &keys()).unwrap()
        };
        for (path, bytes) in disk.files() {
            let is_derived = ["consumequeue", "index", "derived", "checkpoint"]
                .iter()
                .any(|name| path.strip_prefix("/store").unwrap().to_str().unwrap().starts_with(name));
            for bit in (0..bits(&path, &bytes, layout, sound.end.0 as u64)).step_by(step as usize) {
                let flipped = disk.process_loss();
                flipped.flip_bit(&path, bit);
                assert_ne!(flipped.files().get(&path), Some(&bytes));
                check_found(&flipped, &path, bit, layout);
                if is_derived {
                    check_healed(&flipped, layout, &expected, &path, bit);
                }
                *counts.entry(kind(&path)).or_default() += 1;
            }
        }
    }
    println!("flips, all found: {counts:?}");
    assert_eq!(counts.len(), 9, "{counts:?}");
}

fn kind(path: &Path) -> String {
    let below = path.strip_prefix("/store").unwrap();
    below.components().next().unwrap().as_os_str().to_str().unwrap().to_owned()
}

fn check_found(disk: &SimulatedDisk, path: &Path, bit: u64, layout: Layout) {
    let found = match look_over(disk) {
        Err(error) => error.to_string(),
        Ok(verified) => {
            let faults = verified.findings.iter().map(|finding| finding.fault.to_string());
            faults.collect::<Vec<_>>().join("\n")
        }
    };
    assert!(
        found.contains(path.to_str().unwrap()),
        "{layout:?}: bit {bit} of {}: found {found:?}",
        path.display()
    );
}

fn check_healed(disk: &SimulatedDisk, layout: Layout, expected: &Answers, path: &Path, bit: u64) {
    let of = || format!("{layout:?}: bit {bit} of {}", path.display());
    forget(&(Arc::new(disk.clone()) as _), Path::new("/store")).unwrap();
    let mut store = open(disk, layout, settings());
    store.dispatch().unwrap();
    store.derived.flush().unwrap();
    assert_eq!(answers(&store, &keys()).unwrap(), *expected, "{}", of());
    store.close().unwrap();
    let verified = look_over(disk).unwrap();
    assert_eq!(verified.findings, [], "{}", of());
}
