use super::*;
use crate::Layout;
use crate::disk::SimulatedDisk;
use crate::tests::rig::{Unit, Writer, numbered_body, segment_path, settings};

/// In one segment, so many that some pieces are full of them.
const UNITS: u32 = 150;

struct Rig {
    disk: SimulatedDisk,
    writer: Writer,
    units: Vec<Unit>,
}

fn rig() -> Rig {
    let disk = SimulatedDisk::default();
    let mut settings = settings(Layout::Classic, 1);
    settings.segment_bytes = 1 << 20;
    let (mut writer, _) = Writer::open(&disk, settings).unwrap();
    let units =
        (0..UNITS).map(|number| writer.append(&numbered_body(number.into(), 1000)).unwrap()).collect();
    writer.flush().unwrap();
    Rig { disk, writer, units }
}

impl Rig {
    fn read(&self, unit: &Unit) -> Option<Vec<u8>> {
        let mut buffer = vec![0; unit.bytes.len()];
        self.writer.log().read_near(unit.span.start, &mut buffer).unwrap().then_some(buffer)
    }

    /// How many of the first ones can be read without the disk.
    fn in_memory(&self, of: u32) -> usize {
        self.disk.chill(&segment_path(0));
        let read = |unit: &&Unit| self.read(unit).is_some_and(|bytes| bytes == unit.bytes);
        let count = self.units.iter().take(of as usize).filter(read).count();
        self.disk.warm(&segment_path(0));
        count
    }
}

#[test]
fn what_several_readers_want_is_kept_and_what_one_wants_is_not() {
    let rig = rig();
    rig.writer.log().confirm(rig.writer.end());
    let bytes = distance(LogOffset(0), rig.units[99].span.end());
    let mut run = vec![0; usize::try_from(bytes).unwrap()];
    assert!(rig.writer.log().read_near(LogOffset(0), &mut run).unwrap());
    assert_eq!(rig.in_memory(UNITS), 0, "a long run");
    for unit in rig.units.iter().step_by(8) {
        assert_eq!(rig.read(unit).unwrap(), unit.bytes);
    }
    let kept = rig.in_memory(UNITS);
    assert!((100..UNITS as usize).contains(&kept), "{kept}: all but the last piece, which is not full");
    rig.writer.log().core.near.clear();
    assert_eq!(rig.in_memory(UNITS), 0);
}

#[test]
fn what_is_not_final_is_neither_read_nor_kept() {
    let rig = rig();
    let log = rig.writer.log();
    let end = |count: usize| {
        let mark = rig.writer.end();
        crate::position::Mark { offset: rig.units[count - 1].span.end(), ..mark }
    };
    log.confirm(end(10));
    for unit in rig.units.iter().take(10) {
        assert_eq!(rig.read(unit).unwrap(), unit.bytes);
    }
    assert_eq!(rig.in_memory(10), 0, "its piece is not final as a whole");
    let mut buffer = vec![0; rig.units[10].bytes.len()];
    let refused = log.read_near(rig.units[10].span.start, &mut buffer);
    assert!(matches!(refused, Err(ReadError::PastEnd { .. })), "{refused:?}");
    let mut two = vec![0; rig.units[9].bytes.len() + 1];
    let refused = log.read_near(rig.units[9].span.start, &mut two);
    assert!(matches!(refused, Err(ReadError::PastEnd { .. })), "{refused:?}");
}
