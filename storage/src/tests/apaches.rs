//! Logs that Apache's broker left, whole and not: only what its crash may have left is cut off.

use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;

use super::rig::*;
use crate::disk::{Disk, SimulatedDisk};
use crate::look::reading::Reading;
use crate::look::{Assumed, Look};
use crate::verify::Expected;
use crate::*;

/// Three in each segment.
const BODY_BYTES: usize = 1000;
const RECORD_BYTES: u64 = (RECORD_OVERHEAD + BODY_BYTES) as u64;
const QUEUE_FILE: &str = "/store/consumequeue/t/1/00000000000000000000";
/// When all records of the rig were stored.
const STORED: i64 = 1_700_000_000_001;

/// A store of two segments with five records.
struct Left {
    disk: SimulatedDisk,
    /// Of the records.
    starts: Vec<LogOffset>,
    end: LogOffset,
}

/// Whether Apache's broker ended in order, and of when the last message was that it knew to be on the disk.
#[derive(Clone, Copy, Debug)]
struct Said {
    in_order: bool,
    flushed: Option<i64>,
}

const IN_ORDER: Said = Said { in_order: true, flushed: Some(STORED) };
const KILLED: Said = Said { in_order: false, flushed: Some(STORED) };
const KILLED_EARLY: Said = Said { in_order: false, flushed: None };
const LATER: Said = Said { in_order: false, flushed: Some(STORED + 1) };

impl Left {
    fn new(said: Said) -> Self {
        let disk = SimulatedDisk::default();
        let (mut writer, _) = Writer::open(&disk, settings(Layout::Classic, 1)).unwrap();
        let units: Vec<_> =
            (0..5).map(|number| writer.append(&numbered_body(number, BODY_BYTES)).unwrap()).collect();
        writer.flush().unwrap();
        drop(writer);
        for name in ["store.meta", "abort"] {
            disk.uproot(&Path::new("/store").join(name));
        }
        disk.plant(Path::new("/store/lock"), b"lock");
        if !said.in_order {
            disk.plant(Path::new("/store/abort"), b"");
        }
        if let Some(flushed) = said.flushed {
            let mut checkpoint = vec![0; 4096];
            checkpoint[..8].copy_from_slice(&flushed.to_be_bytes());
            disk.plant(Path::new("/store/checkpoint"), &checkpoint);
        }
        // It prepares the next file before it needs it.
        disk.plant(&segment_path(2), &[0; SEGMENT_BYTES as usize]);
        let starts = units.iter().map(|unit| unit.span.start).collect();
        Self { disk, starts, end: units[4].end.offset }
    }

    /// A bit of the body of a record of the last segment.
    fn spoil(self, record: u64) -> Self {
        self.disk.flip_bit(&segment_path(1), (record * RECORD_BYTES + 500) * 8);
        self
    }

    /// With the queue of all records.
    fn with_queue(self) -> Self {
        let bytes = (RECORD_BYTES as i32).to_be_bytes();
        let entries = self.starts.iter().map(|start| [&start.0.to_be_bytes()[..], &bytes, &[0; 8]].concat());
        let mut file: Vec<u8> = entries.flatten().collect();
        file.resize(20 * 10, 0);
        self.disk.plant(Path::new(QUEUE_FILE), &file);
        self
    }

    /// As if the last segment ended behind so many bytes.
    fn wipe(self, from: usize) -> Self {
        let mut bytes = self.disk.files().remove(&segment_path(1)).unwrap();
        bytes[from..].fill(0);
        self.disk.plant(&segment_path(1), &bytes);
        self
    }

    fn open(&self) -> Result<Report, OpenError> {
        Writer::open(&self.disk, settings(Layout::Classic, 1)).map(|(_, report)| report)
    }

    fn read(&self) -> Result<usize, look::reading::ReadingError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let look = Look::open(disk, Path::new("/store"), Assumed::default()).unwrap();
        let mut reading = Reading::begin(&look, LogOffset(0))?;
        let mut count = 0;
        while reading.next_record()?.is_some() {
            count += 1;
        }
        Ok(count)
    }

    fn findings(&self) -> Vec<String> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let look = Look::open_damaged(disk, Path::new("/store"), Assumed::default()).unwrap();
        let verified = verify(&look, &Expected::default(), &mut |_| ()).unwrap();
        verified.findings.iter().map(|finding| finding.fault.to_string()).collect()
    }

    /// Whoever opens it is refused with these words, whoever reads or verifies it is told, and nothing is changed.
    fn is_refused(&self, words: &str) {
        let before = self.disk.files();
        let error = self.open().expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
        self.read().expect_err(words);
        let findings = self.findings();
        assert!(findings.iter().any(|finding| finding.contains(words)), "{words}: {findings:?}");
        assert!(self.disk.files() == before, "something was changed");
    }
}

#[test]
fn a_whole_one_is_taken_as_it_is() {
    for said in [IN_ORDER, KILLED, KILLED_EARLY] {
        let left = Left::new(said);
        assert_eq!((left.read().unwrap(), left.findings()), (5, Vec::new()), "{said:?}");
        let report = left.open().unwrap();
        assert_eq!((report.end.offset, report.cut), (left.end, None));
    }
}

#[test]
fn what_no_crash_has_left_is_not_cut_off() {
    let damaged = "the checksum of the record's body is wrong";
    for said in [IN_ORDER, KILLED, KILLED_EARLY] {
        let follows = if said.in_order { "ended in order" } else { "a whole record follows" };
        let left = Left::new(said).spoil(0);
        left.is_refused(damaged);
        left.is_refused(follows);
    }
    // The last record.
    Left::new(IN_ORDER).spoil(1).is_refused("ended in order");
    Left::new(LATER).spoil(1).is_refused("was on the disk");
    // Nothing of it is there.
    Left::new(LATER).wipe(RECORD_BYTES as usize).is_refused("nothing is written here");
    Left::new(LATER).wipe(0).is_refused("one of 1700000000002 was on the disk");
    // The file is gone, with the one behind it.
    let left = Left::new(LATER);
    left.disk.uproot(&segment_path(1));
    left.disk.uproot(&segment_path(2));
    left.is_refused("was on the disk");
}

#[test]
fn what_a_crash_may_have_left_is_cut_off() {
    for said in [KILLED, KILLED_EARLY] {
        let left = Left::new(said).spoil(1);
        let last = LogOffset(left.end.0 - RECORD_BYTES as i64);
        left.read().unwrap_err();
        assert_eq!(left.findings(), Vec::<String>::new());
        let report = left.open().unwrap();
        assert_eq!(report.end.offset, last);
        assert_eq!(report.cut.map(|cut| (cut.offset, cut.damage)), Some((last, Damage::BadBodyCrc)));
    }
}

/// Nothing but its queue says that there was one: it was sent with the one before it.
#[test]
fn the_last_message_of_a_batch_is_missed() {
    for said in [IN_ORDER, KILLED] {
        assert_eq!(Left::new(said).with_queue().read().unwrap(), 5);
        Left::new(said).with_queue().open().unwrap();
    }
    let lost = |said| Left::new(said).with_queue().wipe(RECORD_BYTES as usize);
    lost(IN_ORDER).is_refused("queue 1 of t has at 4 a message that should lie at offset 5188 of the log");
    // A crash may leave more in a queue than in the log.
    assert_eq!((lost(KILLED).read().unwrap(), lost(KILLED).findings().len()), (4, 0));
    let left = lost(KILLED);
    assert_eq!(left.open().unwrap().end.offset, left.starts[4]);
    // A queue that is damaged says nothing.
    let left = Left::new(IN_ORDER).with_queue();
    left.disk.flip_bit(Path::new(QUEUE_FILE), 4 * 20 * 8 + 1);
    assert_eq!(left.read().unwrap(), 5);
    left.open().unwrap();
}

/// A store in which the broker that was copied while it ran, or that was never told the time, has noted nothing.
#[test]
fn a_checkpoint_that_says_nothing_is_no_evidence() {
    for bytes in [&[][..], &[0; 4096], &[0xff; 4096], &[1, 2, 3]] {
        let left = Left::new(KILLED_EARLY);
        left.disk.plant(Path::new("/store/checkpoint"), bytes);
        assert_eq!(left.read().unwrap(), 5);
        left.open().unwrap();
    }
}
