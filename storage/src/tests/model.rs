//! Random runs against a model: a list of what was appended.

use std::collections::BTreeSet;

use ferrymq_proto::position::LogOffset;
use proptest::prelude::*;

use super::rig::*;
use crate::disk::SimulatedDisk;
use crate::*;

/// In all, over all cases: 10 000 with optimization, fewer without.
const STEPS: usize = if cfg!(debug_assertions) { 3_000 } else { 10_000 };
const CASE_STEPS: usize = 250;

#[derive(Clone, Debug)]
enum Step {
    Append { bytes: usize },
    Read { unit: prop::sample::Index, bytes_max: usize },
    Confirm { unit: prop::sample::Index },
    Truncate { units: usize },
    Drop { share: u8 },
    Flush,
    Prepare,
    Restart { in_order: bool, power: Option<u64> },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (8..1200_usize).prop_map(|bytes| Step::Append { bytes }),
        6 => (any::<prop::sample::Index>(), 1..5000_usize)
            .prop_map(|(unit, bytes_max)| Step::Read { unit, bytes_max }),
        3 => any::<prop::sample::Index>().prop_map(|unit| Step::Confirm { unit }),
        2 => (1..6_usize).prop_map(|units| Step::Truncate { units }),
        1 => any::<u8>().prop_map(|share| Step::Drop { share }),
        3 => Just(Step::Flush),
        1 => Just(Step::Prepare),
        2 => (any::<bool>(), any::<Option<u64>>())
            .prop_map(|(in_order, power)| Step::Restart { in_order, power }),
    ]
}

struct Model {
    layout: Layout,
    disk: SimulatedDisk,
    writer: Option<Writer>,
    /// All that was appended and not truncated, also if it was dropped.
    units: Vec<Unit>,
    start: LogOffset,
    confirmed: Mark,
    durable: LogOffset,
    number: u64,
}

impl Model {
    fn new(layout: Layout) -> Self {
        let disk = SimulatedDisk::default();
        let (writer, _) = Writer::open(&disk, settings(layout, 1)).unwrap();
        let (start, durable, confirmed) = (LogOffset(0), LogOffset(0), Mark::default());
        Self { layout, disk, writer: Some(writer), units: Vec::new(), start, confirmed, durable, number: 0 }
    }

    fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().unwrap()
    }

    fn end(&self) -> Mark {
        self.units.last().map(|unit| unit.end).unwrap_or_default()
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Append { bytes } => {
                self.number += 1;
                let body = numbered_body(self.number, *bytes);
                let end = self.writer().end();
                let expected = expected_unit(self.layout, end, &body);
                assert_eq!(self.writer().append(&body).unwrap(), expected);
                self.units.push(expected);
            }
            Step::Read { unit, bytes_max } => self.read(unit, *bytes_max),
            Step::Confirm { unit } => {
                let Some(unit) = (!self.units.is_empty()).then(|| unit.get(&self.units).clone()) else {
                    return;
                };
                self.writer().log().confirm(unit.end);
                if unit.end.offset > self.confirmed.offset {
                    self.confirmed = unit.end;
                }
                assert_eq!(self.writer().log().confirmed(), self.confirmed);
            }
            Step::Truncate { units } => self.truncate(*units),
            Step::Drop { share } => self.drop_some(*share),
            Step::Flush => self.durable = self.writer().flush().unwrap(),
            Step::Prepare => {
                self.writer().log().prepare_segment();
                self.writer().log().fill_ahead().unwrap();
            }
            Step::Restart { in_order, power } => self.restart(*in_order, *power),
        }
    }

    fn read(&mut self, unit: &prop::sample::Index, bytes_max: usize) {
        if self.units.is_empty() {
            return;
        }
        let at = unit.index(self.units.len());
        let offset = self.units[at].span.start;
        let (start, confirmed) = (self.start, self.confirmed.offset);
        let read = self.writer().log().read(offset, bytes_max);
        let read_confirmed = self.writer().log().read_confirmed(offset, bytes_max);
        if offset < start {
            assert!(matches!(read, Err(ReadError::BeforeStart { .. })), "{read:?}");
            return;
        }
        let read = read.unwrap();
        // The unit, and what lies behind it in its segment.
        let in_segment = offset.0 as u64 / SEGMENT_BYTES;
        let neighbours = self.units[at..].iter();
        let neighbours = neighbours.take_while(|unit| unit.span.start.0 as u64 / SEGMENT_BYTES == in_segment);
        let expected: Vec<u8> = neighbours.flat_map(|unit| unit.bytes.clone()).collect();
        let both = read.len().min(expected.len());
        assert_eq!(read[..both], expected[..both]);
        assert!(read.len() == bytes_max || read.len() >= expected.len());
        match read_confirmed {
            Err(ReadError::PastEnd { .. }) => assert!(offset >= confirmed),
            other => {
                let bytes = other.unwrap();
                assert!(bytes.len() as i64 <= confirmed.0 - offset.0);
                assert_eq!(bytes, read[..bytes.len()]);
            }
        }
    }

    fn truncate(&mut self, units: usize) {
        let kept = self.units.len().saturating_sub(units);
        let to = kept.checked_sub(1).map(|last| self.units[last].end).unwrap_or_default();
        let truncated = self.writer().truncate(to);
        if to.offset < self.confirmed.offset {
            assert!(matches!(truncated, Err(TruncateError::Confirmed { .. })), "{truncated:?}");
            return;
        }
        truncated.unwrap();
        self.units.truncate(kept);
        self.durable = to.offset;
        assert_eq!(self.writer().log().written(), to.offset);
        assert_eq!(remains_behind(&self.disk, to.offset), None);
    }

    fn drop_some(&mut self, share: u8) {
        let to = self.start.0 + (self.confirmed.offset.0 - self.start.0) * i64::from(share) / 255;
        let segment = SEGMENT_BYTES as i64;
        let last = self.writer().log().written().0.max(1) / segment * segment;
        let new_start = LogOffset((to / segment * segment).min(last));
        let dropped = self.writer().log().drop_before(LogOffset(to)).unwrap();
        assert_eq!(dropped as i64, (new_start.0 - self.start.0) / segment);
        self.start = new_start;
        assert_eq!(self.writer().log().start(), new_start);
        let past = LogOffset(self.confirmed.offset.0 + 1);
        assert!(matches!(self.writer().log().drop_before(past), Err(DropError::NotConfirmed { .. })));
    }

    fn restart(&mut self, in_order: bool, power: Option<u64>) {
        let writer = self.writer.take().unwrap();
        if in_order {
            writer.close().unwrap();
            self.durable = self.end().offset;
        } else {
            drop(writer);
        }
        if let Some(seed) = power {
            self.disk = self.disk.power_loss(seed);
        }
        let boot = if power.is_some() { 2 } else { 1 };
        let (writer, report) = Writer::open(&self.disk, settings(self.layout, boot)).unwrap();
        let end = report.end.offset;
        assert!(end >= self.durable, "{end} < {}", self.durable);
        assert!(power.is_some() || end >= self.end().offset, "{end} after the end of a process");
        self.units.retain(|unit| unit.end.offset <= end);
        assert_eq!(report.end.chain, self.end().chain);
        assert!(writer.log().start() == self.start);
        // The mark may be an older one, but not one that never was.
        self.confirmed = writer.log().confirmed();
        let marks: BTreeSet<_> =
            self.units.iter().map(|unit| unit.end.offset).chain([LogOffset(0)]).collect();
        assert!(marks.contains(&self.confirmed.offset));
        self.durable = end;
        self.writer = Some(writer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: (STEPS / CASE_STEPS) as u32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_a_list(framed in any::<bool>(), steps in prop::collection::vec(step(), CASE_STEPS)) {
        let mut model = Model::new(if framed { Layout::Framed } else { Layout::Classic });
        steps.iter().for_each(|step| model.run(step));
    }
}
