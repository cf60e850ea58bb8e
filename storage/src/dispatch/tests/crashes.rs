//! Every crash point: the power fails in the midst of each single change that a script makes to the disk, and again in the midst
//! of the start. Which of the unsynced writes survive is drawn anew for each image. And the process ends there, which loses none.
//!
//! Whatever is found then must answer as if all of it was just made from the log.
//!
//! `FERRYMQ_DERIVED_CRASH_IMAGES` says how many images to try for each layout; see [`IMAGES`]. `FERRYMQ_CRASH_SEED` is the first
//! script.

use std::time::Instant;

use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::property;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::Dice;
use crate::dispatch::*;
use crate::tests::nightly;
use crate::*;

/// Of each layout, without the variable.
const IMAGES: usize = 600;
const OPERATIONS: usize = 60;

#[derive(Clone, Debug)]
enum Operation {
    Send(Vec<Message>),
    /// Makes the log durable, if so, and all of it final.
    Confirm {
        durable: bool,
    },
    Dispatch,
    /// Entries of the index go to its files before the others.
    WriteIndex,
    Flush,
    Sync,
    Drop,
    Restart {
        in_order: bool,
        /// Makes all anew from the log.
        rebuild: bool,
    },
}

/// Keys that are asked for.
fn keys() -> Vec<String> {
    (0..4).map(|number| format!("k{number}")).collect()
}

fn operations(seed: u64) -> Vec<Operation> {
    let mut dice = Dice::new(seed);
    let messages = |dice: &mut Dice| {
        let one = |dice: &mut Dice| {
            let mut one = message(["orders", "other"][dice.below(2) as usize], dice.below(3) as i32);
            one.body_bytes = dice.below(300) as usize;
            one.properties.push((property::KEYS, format!("k{}", dice.below(4))));
            one
        };
        (0..1 + dice.below(5)).map(|_| one(dice)).collect()
    };
    let operation = |_| match dice.below(100) {
        0..40 => Operation::Send(messages(&mut dice)),
        40..52 => Operation::Confirm { durable: true },
        52..57 => Operation::Confirm { durable: false },
        57..72 => Operation::Dispatch,
        72..76 => Operation::WriteIndex,
        76..84 => Operation::Flush,
        84..91 => Operation::Sync,
        91..94 => Operation::Drop,
        roll => Operation::Restart { in_order: roll % 2 == 0, rebuild: roll >= 98 },
    };
    (0..OPERATIONS).map(operation).collect()
}

fn open(disk: &SimulatedDisk, layout: Layout, boot: u8, rebuild: bool) -> Result<Store, String> {
    let settings = DerivedSettings { rebuild, ..settings() };
    let opened = Store::open(disk, layout, boot, settings, Box::new(NoArrivals));
    opened.map_err(|error| format!("does not open: {error}"))
}

/// Runs until the power fails. `flush` is how what is dispatched is written.
fn run(disk: &SimulatedDisk, layout: Layout, operations: &[Operation], flush: fn(&Derived)) {
    let mut store = open(disk, layout, 1, false).ok();
    for operation in operations {
        let Some(open_store) = &mut store else { return };
        match operation {
            Operation::Send(messages) => {
                // Others are taken only once all was dispatched.
                if open_store.stamper().is_ok() {
                    let _ = open_store.send(messages, START_TIME);
                }
            }
            Operation::Confirm { durable } => {
                if *durable {
                    let _ = open_store.log().flush();
                }
                open_store.confirm();
            }
            Operation::Dispatch => drop(open_store.dispatch()),
            Operation::WriteIndex => drop(open_store.derived.write_index()),
            Operation::Flush => flush(&open_store.derived),
            Operation::Sync => drop(open_store.derived.sync()),
            Operation::Drop => {
                let synced = open_store.derived.synced().min(open_store.log().confirmed().offset);
                let _ = open_store.log().drop_before(LogOffset(synced.0 / 2));
                let _ = open_store.derived.drop_before(open_store.log().start());
            }
            Operation::Restart { in_order, rebuild } => {
                let last = store.take();
                if let Some(mut store) = last.filter(|_| *in_order)
                    && store.catch_up().is_ok()
                {
                    let _ = store.close();
                }
                match open(disk, layout, 1, *rebuild) {
                    Ok(opened) => store = Some(opened),
                    Err(error) => assert!(disk.has_crashed(), "no power was lost, but it {error}"),
                }
            }
        }
        if disk.has_crashed() {
            return;
        }
    }
}

/// What a start finds, once all was dispatched.
fn caught_up(
    disk: &SimulatedDisk,
    layout: Layout,
    boot: u8,
    rebuild: bool,
) -> Result<(Store, Answers), String> {
    let mut store = open(disk, layout, boot, rebuild)?;
    store.catch_up().map_err(|error| error.to_string())?;
    let found = answers(&store, &keys()).map_err(|error| error.to_string())?;
    Ok((store, found))
}

/// Compares what a start finds with what is just made, and both with the log.
fn check(image: &SimulatedDisk, layout: Layout, boot: u8) -> Result<(), String> {
    let fresh = caught_up(&image.process_loss(), layout, boot, true)?.1;
    let (store, found) = caught_up(image, layout, boot, false)?;
    if found != fresh {
        return Err(format!("answers are not those of a rebuild\n{found:?}\n{fresh:?}"));
    }
    for (queue, expected) in expected_queues(&store) {
        let Some(seen) = found.queues.get(&queue) else { return Err(format!("{queue:?} is missing")) };
        let entries: Vec<_> = (seen.min..).zip(seen.entries.iter().map(|entry| entry.log_offset)).collect();
        if entries != expected || seen.max != expected.last().map_or(seen.min, |(last, _)| last + 1) {
            return Err(format!("{queue:?} is {seen:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// All that must hold for one image. Says how many were tried.
fn check_image(image: &SimulatedDisk, layout: Layout, boot: u8, dice: &mut Dice) -> Result<usize, String> {
    let first = image.process_loss();
    let begun = first.changes();
    check(&first, layout, boot)?;
    // Again after a crash in the midst of the start and of what it dispatches.
    let again = image.process_loss();
    again.crash_at_change(dice.below(first.changes() - begun + 1));
    let _ = caught_up(&again, layout, boot, false).map(|(store, _)| store.derived.sync());
    let again = again.power_loss(dice.below(u64::MAX));
    check(&again, layout, boot + 1).map_err(|error| format!("{error}, after a second crash"))?;
    // What comes now takes the places of what was lost; and so on after one more start.
    let next = image.process_loss();
    let (mut store, _) = caught_up(&next, layout, boot, false)?;
    let other: Vec<_> = (0..20).map(|_| message("new", 0)).collect();
    store.send(&other, START_TIME).map_err(|error| error.to_string())?;
    store.catch_up().and_then(|()| store.derived.sync()).map_err(|error| error.to_string())?;
    drop(store);
    check(&next, layout, boot).map_err(|error| format!("{error}, with new messages"))?;
    Ok(3)
}

/// Tries about so many images of one script's crashes, and every crash point at least once.
fn try_images(layout: Layout, seed: u64, images: usize, flush: fn(&Derived)) -> Result<usize, String> {
    let operations = operations(seed);
    let whole = SimulatedDisk::default();
    run(&whole, layout, &operations, flush);
    let points = whole.changes();
    let step = (points as usize * 3).div_ceil(images).max(1);
    let mut dice = Dice::new(seed);
    let mut tried = 0;
    // Not every point each time, but every point in its turn.
    for point in (seed % step as u64..points).step_by(step) {
        let disk = SimulatedDisk::default();
        disk.crash_at_change(point);
        run(&disk, layout, &operations, flush);
        let (image, boot) = if dice.below(4) == 0 {
            (disk.process_loss(), 1)
        } else {
            (disk.power_loss(dice.below(u64::MAX)), 2)
        };
        let checked = check_image(&image, layout, boot, &mut dice);
        tried +=
            checked.map_err(|error| format!("seed {seed}, crash at change {point}, boot {boot}: {error}"))?;
    }
    Ok(tried)
}

fn flush(derived: &Derived) {
    let _ = derived.flush();
}

fn try_layout(layout: Layout) {
    let wanted = nightly::images("FERRYMQ_DERIVED_CRASH_IMAGES", IMAGES);
    let begun = Instant::now();
    let first = nightly::first_seed();
    let (mut tried, mut seed) = (0, first);
    while tried < wanted {
        tried += try_images(layout, seed, IMAGES / 4, flush).unwrap_or_else(|error| panic!("{error}"));
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

/// The negative control: entries in files before their records are durable.
#[test]
fn entries_of_records_that_were_lost_are_caught() {
    let too_early = |derived: &Derived| drop(derived.flush_too_early());
    let caught = (0..100).find_map(|seed| try_images(Layout::Classic, seed, IMAGES / 4, too_early).err());
    let caught = caught.expect("nobody noticed");
    println!("{caught}");
    // The lost record's place in the log is another's by then, and the entry points there.
    assert!(caught.contains("answers are not those of a rebuild"), "{caught}");
    assert!(caught.ends_with("with new messages"), "{caught}");
}
