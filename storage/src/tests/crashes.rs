//! Every crash point: the power fails in the midst of each single change that a script makes to the disk, and again in the midst
//! of the recovery. Which of the unsynced writes survive is drawn anew for each image.
//!
//! `FERRYMQ_CRASH_IMAGES` says how many images to try for each layout; see [`IMAGES`]. `FERRYMQ_CRASH_SEED` is the first
//! script.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use ferrymq_proto::position::LogOffset;

use super::nightly;
use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::{Dice, Lie};
use crate::position::behind;
use crate::*;

/// Of each layout, without the variable. Each crash point of one script gets its turn at least once.
const IMAGES: usize = 2000;
const OPERATIONS: usize = 200;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Append {
        bytes: usize,
    },
    Flush,
    Confirm,
    /// Takes back up to so many units, but none that is confirmed.
    Truncate {
        units: usize,
    },
    Drop,
    Prepare,
    /// Ends the process, in order or not, and opens the store again.
    Restart {
        in_order: bool,
    },
}

fn operations(seed: u64) -> Vec<Operation> {
    let mut dice = Dice::new(seed);
    let operation = |_| match dice.below(100) {
        0..50 => Operation::Append { bytes: 8 + dice.below(900) as usize },
        50..68 => Operation::Flush,
        68..78 => Operation::Confirm,
        78..86 => Operation::Truncate { units: 1 + dice.below(8) as usize },
        86..90 => Operation::Drop,
        90..96 => Operation::Prepare,
        roll => Operation::Restart { in_order: roll % 2 == 0 },
    };
    (0..OPERATIONS).map(operation).collect()
}

/// What is known of a log from outside: what was appended, and what was reported.
#[derive(Clone, Debug, Default)]
struct Known {
    units: Vec<Unit>,
    /// Reported durable, and not truncated since.
    durable: LogOffset,
    confirmed: Mark,
    start: LogOffset,
    /// Where the log may begin: more than one while it is dropped.
    starts: BTreeSet<LogOffset>,
}

impl Known {
    fn end(&self) -> Mark {
        self.units.last().map(|unit| unit.end).unwrap_or_default()
    }
}

struct Run {
    disk: SimulatedDisk,
    layout: Layout,
    known: Known,
    /// `None` when the power has failed.
    writer: Option<Writer>,
}

impl Run {
    /// Runs the operations until the power fails.
    fn until_crash(disk: SimulatedDisk, layout: Layout, operations: &[Operation]) -> Known {
        let writer = Writer::open(&disk, settings(layout, 1)).ok().map(|(writer, _)| writer);
        let known = Known { starts: BTreeSet::from([LogOffset(0)]), ..Known::default() };
        let mut run = Self { disk, layout, known, writer };
        for (number, operation) in operations.iter().enumerate() {
            run.operate(number as u64, *operation);
            if run.disk.has_crashed() {
                break;
            }
        }
        run.known
    }

    fn operate(&mut self, number: u64, operation: Operation) {
        let Some(writer) = &mut self.writer else { return };
        match operation {
            Operation::Append { bytes } => {
                let body = numbered_body(number, bytes);
                let expected = expected_unit(self.layout, writer.end(), &body);
                // An append that the crash cuts short may be there as a whole.
                if let Ok(unit) = writer.append(&body) {
                    assert_eq!(unit, expected);
                }
                self.known.units.push(expected);
            }
            Operation::Flush => self.known.durable = writer.flush().unwrap_or(self.known.durable),
            Operation::Confirm => {
                self.known.confirmed = writer.end();
                writer.log().confirm(self.known.confirmed);
            }
            Operation::Truncate { units } => self.truncate(units),
            Operation::Drop => self.drop_half(),
            Operation::Prepare => {
                writer.log().prepare_segment();
                let _ = writer.log().fill_ahead();
                let _ = writer.log().sum_behind();
            }
            Operation::Restart { in_order } => self.restart(in_order),
        }
    }

    fn truncate(&mut self, units: usize) {
        let Some(writer) = &mut self.writer else { return };
        let confirmed = self.known.confirmed;
        let is_final = |unit: &&Unit| unit.end.offset <= confirmed.offset;
        let kept = self.known.units.iter().filter(is_final).count();
        let kept = kept.max(self.known.units.len().saturating_sub(units));
        let last = self.known.units[..kept].last().map(|unit| unit.end);
        let to = last.filter(|last| last.offset >= confirmed.offset).unwrap_or(confirmed);
        self.known.durable = self.known.durable.min(to.offset);
        if writer.truncate(to).is_ok() {
            self.known.units.truncate(kept);
            self.known.durable = to.offset;
        }
    }

    fn drop_half(&mut self) {
        let Some(writer) = &self.writer else { return };
        let (start, confirmed) = (self.known.start.0, self.known.confirmed.offset.0);
        let to = LogOffset(start + (confirmed - start) / 2);
        let new_start = LogOffset(to.0 / SEGMENT_BYTES as i64 * SEGMENT_BYTES as i64);
        self.known.starts.insert(new_start);
        if writer.log().drop_before(to).is_ok() {
            self.known.start = new_start;
            self.known.starts = BTreeSet::from([new_start]);
        }
    }

    fn restart(&mut self, in_order: bool) {
        let Some(writer) = self.writer.take() else { return };
        if in_order {
            let end = writer.end();
            if writer.close().is_err() {
                return;
            }
            self.known.durable = end.offset;
        }
        if let Ok((writer, report)) = Writer::open(&self.disk, settings(self.layout, 1)) {
            // The end of a process loses nothing, and what a start finds is durable.
            assert_eq!(report.end.chain, self.known.end().chain);
            assert!(report.end.offset >= self.known.end().offset);
            self.known.durable = report.end.offset;
            self.writer = Some(writer);
        }
    }
}

/// Opens an image and compares it with what is known. `Err` says what is wrong.
fn check(image: &SimulatedDisk, layout: Layout, known: &Known) -> Result<(Writer, Mark), String> {
    let opened = Writer::open(image, settings(layout, 2));
    let (writer, report) = opened.map_err(|error| format!("does not open: {error}"))?;
    let (log, end) = (writer.log(), report.end);
    if !known.starts.contains(&log.start()) {
        return Err(format!("begins at {}, not at one of {:?}", log.start(), known.starts));
    }
    if end.offset < known.durable {
        return Err(format!("ends at {}, but {} was reported durable", end.offset, known.durable));
    }
    let last = known.units.iter().rfind(|unit| unit.end.offset <= end.offset);
    let last = last.map(|unit| unit.end).unwrap_or_default();
    let behind_blank = behind(last.offset, SEGMENT_BYTES - last.offset.0 as u64 % SEGMENT_BYTES);
    if end.chain != last.chain || ![last.offset, behind_blank].contains(&end.offset) {
        return Err(format!("ends at {end:?}, but the last unit before that at {last:?}"));
    }
    let is_present = |unit: &&Unit| unit.span.start >= log.start() && unit.end.offset <= end.offset;
    for unit in known.units.iter().filter(is_present) {
        let read = log.read(unit.span.start, unit.bytes.len()).map_err(|error| error.to_string())?;
        if read != unit.bytes {
            return Err(format!("another unit lies at {}", unit.span.start));
        }
    }
    match log.read(end.offset, 1) {
        Err(ReadError::PastEnd { .. }) => {}
        other => return Err(format!("{other:?} can be read behind the end")),
    }
    remains_behind(image, end.offset).map_or(Ok(()), Err)?;
    Ok((writer, end))
}

/// All that must hold for one image. Says how many images were tried.
fn check_image(
    image: &SimulatedDisk,
    layout: Layout,
    known: &Known,
    dice: &mut Dice,
) -> Result<usize, String> {
    let first = image.process_loss();
    let (writer, end) = check(&first, layout, known)?;
    drop(writer);
    // A second crash in the midst of the recovery, at any of its changes; and one right after it.
    let again = image.process_loss();
    again.crash_at_change(dice.below(first.changes()));
    let _ = Writer::open(&again, settings(layout, 2));
    for (disk, when) in [(&again, "in"), (&first, "after")] {
        let disk = disk.power_loss(dice.below(u64::MAX));
        let (_, second) =
            check(&disk, layout, known).map_err(|error| format!("{error}, {when} a recovery"))?;
        if second != end {
            return Err(format!("ends at {second:?} {when} a recovery, not at {end:?}"));
        }
    }
    // What is appended now is followed by nothing, whatever lay there before.
    let continued = first.process_loss();
    let (mut writer, _) = check(&continued, layout, known)?;
    let unit = writer.append(&numbered_body(u64::MAX, 100)).map_err(|error| error.to_string())?;
    let durable = writer.flush().ok_or("cannot be flushed")?;
    let mut known = Known { durable, ..known.clone() };
    known.units.retain(|known| known.end.offset <= end.offset);
    known.units.push(unit.clone());
    let continued = continued.power_loss(dice.below(u64::MAX));
    let (_, last) = check(&continued, layout, &known).map_err(|error| format!("{error}, one unit later"))?;
    if last != unit.end {
        return Err(format!("ends at {last:?}, not behind the last unit at {:?}", unit.end));
    }
    Ok(4)
}

/// Tries about so many images of one script's crashes, and every crash point at least once.
fn try_images(layout: Layout, seed: u64, images: usize, lie: Option<(Lie, &str)>) -> Result<usize, String> {
    let operations = operations(seed);
    let new_disk = || {
        let disk = SimulatedDisk::default();
        lie.into_iter().for_each(|(lie, within)| disk.pretend(lie, Path::new(within)));
        disk
    };
    let whole = new_disk();
    Run::until_crash(whole.clone(), layout, &operations);
    let points = whole.changes();
    let samples = images / (4 * points as usize);
    let mut dice = Dice::new(seed);
    let mut tried = 0;
    for point in 0..points {
        let disk = new_disk();
        disk.crash_at_change(point);
        let known = Run::until_crash(disk.clone(), layout, &operations);
        assert!(disk.has_crashed(), "no change number {point}");
        for _ in 0..samples.max(1) {
            let image = disk.power_loss(dice.below(u64::MAX));
            let checked = check_image(&image, layout, &known, &mut dice);
            tried += checked.map_err(|error| format!("seed {seed}, crash at change {point}: {error}"))?;
        }
    }
    Ok(tried)
}

fn try_layout(layout: Layout) {
    let wanted = nightly::images("FERRYMQ_CRASH_IMAGES", IMAGES);
    let begun = Instant::now();
    let first = nightly::first_seed();
    let (mut tried, mut seed) = (0, first);
    while tried < wanted {
        tried += try_images(layout, seed, IMAGES, None).unwrap_or_else(|error| panic!("{error}"));
        seed += 1;
    }
    println!(
        "{layout:?}: {tried} crash images of scripts {first} to {} in {:.1?}",
        seed - 1,
        begun.elapsed()
    );
}

#[test]
fn every_crash_point_of_a_framed_log() {
    try_layout(Layout::Framed);
}

#[test]
fn every_crash_point_of_a_classic_log() {
    try_layout(Layout::Classic);
}

/// The negative controls: a disk that acknowledges what it has not done. So a store would look that forgot the call.
#[test]
fn a_store_that_forgets_to_sync_is_caught() {
    for (lie, within, complaint) in [
        (Lie::SyncData, "/store/commitlog", "was reported durable"),
        (Lie::SyncData, "/store/store.meta", "has bytes at"),
        (Lie::SyncFolder, "/store/commitlog", "was reported durable"),
        (Lie::Truncate, "/store/commitlog", "has bytes at"),
    ] {
        let lie = (lie, within);
        let caught = (0..5).find_map(|seed| try_images(Layout::Framed, seed, IMAGES, Some(lie)).err());
        let caught = caught.unwrap_or_else(|| panic!("nobody noticed {lie:?}"));
        println!("{lie:?}: {caught}");
        assert!(caught.contains(complaint), "{lie:?}: {caught}");
    }
}
