//! A disk that is full at any moment: the write is refused, nothing half written stays, and all goes on once there is room.

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::disk::simulated::{Dice, Fault};
use crate::*;

const UNITS: u64 = 9;

/// Appends, and sees to it that a refusal changes nothing and the next try succeeds. `None` when a sync has failed: that is the
/// end of a process.
fn append_until_there_is_room(writer: &mut Writer, disk: &SimulatedDisk, number: u64) -> Option<Unit> {
    let body = numbered_body(number, 1000);
    let before = writer.end();
    loop {
        match writer.append(&body) {
            Ok(unit) => {
                assert_eq!(writer.log().room(), Room::Enough);
                return Some(unit);
            }
            Err(FrameAppendError::Append(AppendError::Broken(_))) => return None,
            Err(error) => {
                assert!(error.is_no_room(), "{error}");
                assert_eq!(writer.log().room(), Room::None);
                assert_eq!(writer.log().room().to_string(), "the disk is full");
                assert_eq!(writer.end().chain, before.chain);
                assert_eq!(remains_behind(disk, writer.end().offset), None, "nothing half written stays");
                disk.set_room(None);
            }
        }
    }
}

/// Runs a script until it is done or the log is broken. Says what was reported durable.
fn run(disk: &SimulatedDisk, layout: Layout) -> Vec<Unit> {
    let Ok((mut writer, _)) = Writer::open(disk, settings(layout, 1)) else { return Vec::new() };
    let (mut units, mut durable) = (Vec::new(), 0);
    for number in 0..UNITS {
        let Some(unit) = append_until_there_is_room(&mut writer, disk, number) else { break };
        units.push(unit);
        writer.log().prepare_segment();
        if number % 4 == 3 && writer.flush().is_some() {
            durable = units.len();
            writer.log().confirm(writer.end());
        }
    }
    units.truncate(durable);
    units
}

fn check(disk: &SimulatedDisk, layout: Layout, seed: u64, durable: &[Unit]) {
    disk.set_room(None);
    let (mut writer, report) = Writer::open(&disk.power_loss(seed), settings(layout, 2)).unwrap();
    let end = durable.last().map(|unit| unit.end.offset).unwrap_or_default();
    assert!(report.end.offset >= end, "seed {seed}: {} before {end}", report.end.offset);
    for unit in durable {
        assert_eq!(writer.log().read(unit.span.start, unit.bytes.len()).unwrap(), unit.bytes);
    }
    writer.append(b"goes on").unwrap();
}

#[test]
fn no_room_at_each_single_call() {
    for layout in [Layout::Classic, Layout::Framed] {
        let whole = SimulatedDisk::default();
        assert_eq!(run(&whole, layout).len(), 8);
        let mut finished = 0;
        for call in 0..whole.calls() {
            // The second one strikes the wiping of what a refused write has left.
            for more in 0..3 {
                let disk = SimulatedDisk::default();
                (call..=call + more).for_each(|call| disk.fail_call(call, Fault::NoRoom));
                let durable = run(&disk, layout);
                finished += usize::from(durable.len() == 8);
                check(&disk, layout, call, &durable);
            }
        }
        println!("{layout:?}: {finished} of {} runs went on to the end", 3 * whole.calls());
        assert!(finished > 0);
    }
}

/// The room ends at some byte and comes back, again and again.
#[test]
fn room_that_comes_and_goes() {
    let most = 6 * SEGMENT_BYTES + 2 * 4096;
    for seed in 0..200 {
        let layout = if seed % 2 == 0 { Layout::Classic } else { Layout::Framed };
        let disk = SimulatedDisk::default();
        let mut dice = Dice::new(seed);
        let (mut writer, _) = Writer::open(&disk, settings(layout, 1)).unwrap();
        let mut units = Vec::new();
        for number in 0..12 {
            disk.set_room(Some(dice.below(most)));
            units.extend(append_until_there_is_room(&mut writer, &disk, number));
            disk.set_room(Some(dice.below(most)));
            writer.log().prepare_segment();
        }
        assert_eq!(units.len(), 12, "seed {seed}: no sync has failed");
        assert!(writer.flush().is_some());
        drop(writer);
        check(&disk, layout, seed, &units);
    }
}
