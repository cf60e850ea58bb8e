//! Cutting off a log where a start is refused: as it was asked for and no more, whenever the power fails.

use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};

use super::rig::*;
use crate::disk::{Disk, SimulatedDisk};
use crate::look::loss::{self, Loss, Lost};
use crate::look::{Assumed, Look};
use crate::recovery::cut::{self, CutError, Refused};
use crate::verify::Expected;
use crate::*;

/// Three in each segment.
const BODY_BYTES: usize = 1000;
const RECORD_BYTES: u64 = (RECORD_OVERHEAD + BODY_BYTES) as u64;
/// Where the records lie.
const STARTS: [i64; 8] = [0, 1092, 2184, 4096, 5188, 6280, 8192, 9284];
const END: i64 = 9284 + 1092;

/// Of whom the store is, and how its broker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    InOrder,
    Killed,
    ByApachesBroker,
}

/// Three segments with eight records, which have their checksums.
fn store(left: Left) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let (mut writer, _) = Writer::open(&disk, settings(Layout::Classic, 1)).unwrap();
    let units: Vec<_> =
        (0..8).map(|number| writer.append(&numbered_body(number, BODY_BYTES)).unwrap()).collect();
    assert_eq!(units.iter().map(|unit| unit.span.start.0).collect::<Vec<_>>(), STARTS);
    writer.flush().unwrap();
    writer.log().confirm(writer.end());
    let core = &writer.log().core;
    while !core.sums.as_ref().unwrap().sum(core).unwrap() {}
    match left {
        Left::Killed => drop(writer),
        _ => writer.close().unwrap(),
    }
    if left == Left::ByApachesBroker {
        disk.uproot(Path::new("/store/store.meta"));
        disk.plant(Path::new("/store/lock"), b"lock");
    }
    disk
}

fn look(disk: &SimulatedDisk) -> Look {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let boot = Some(settings(Layout::Classic, 1).boot);
    Look::open_damaged(disk, Path::new("/store"), Assumed { segment_bytes: Some(SEGMENT_BYTES), boot })
        .unwrap()
}

fn cut(disk: &SimulatedDisk, at: i64) -> Result<(), CutError> {
    let opened = cut::cut(Arc::new(disk.clone()), settings(Layout::Classic, 1), LogOffset(at))?;
    let log = opened.log().clone();
    log.confirm(Mark { offset: log.written(), ..log.confirmed() });
    opened.appender.close().map_err(|_| OpenError::BadSegmentBytes { found: 0 })?;
    Ok(())
}

fn spoil(disk: &SimulatedDisk, start: i64) {
    let (segment, at) = (start as u64 / SEGMENT_BYTES, start as u64 % SEGMENT_BYTES);
    disk.flip_bit(&segment_path(segment), (at + 500) * 8);
}

/// Of the one queue that there is.
fn lost(records: u64) -> Loss {
    let lost = Lost { first: QueueOffset(5), last: QueueOffset(5), records };
    let queue = (TopicName::parse("t").unwrap(), QueueId(1));
    let time = Timestamp(1_700_000_000_001);
    Loss {
        records,
        bytes: records * RECORD_BYTES,
        stored: (records > 0).then_some((time, time)),
        queues: (records > 0).then_some((queue, lost)).into_iter().collect(),
        files: Vec::new(),
    }
}

/// It is refused there, so many whole records lie behind it, and once it is cut off, all before it is sound.
fn is_cut(disk: &SimulatedDisk, at: i64, records: u64) {
    // What was done to the files stays.
    disk.sync_folder(Path::new("/store/commitlog")).unwrap();
    let before = disk.files();
    Writer::open(disk, settings(Layout::Classic, 1)).expect_err("it is refused");
    let Refused { offset, .. } = cut::find(&look(disk)).unwrap().unwrap();
    assert_eq!(offset, LogOffset(at));
    let found = loss::behind(&look(disk), offset).unwrap();
    assert_eq!(Loss { files: Vec::new(), ..found }, lost(records));
    assert!(matches!(cut(disk, at + 1), Err(CutError::Elsewhere { .. })));
    assert_eq!(disk.files(), before, "nothing was asked for");
    for change in 1.. {
        let image = disk.process_loss();
        image.crash_at_change(change);
        let done = cut(&image, at);
        if !image.has_crashed() {
            done.unwrap();
            is_sound(&image.process_loss(), at);
            return;
        }
        let image = image.power_loss(change);
        if let Some(Refused { offset, .. }) = cut::find(&look(&image)).unwrap() {
            assert_eq!(offset, LogOffset(at), "power failed at change {change}");
            cut(&image, at).unwrap();
        }
        is_sound(&image, at);
    }
}

/// It ends there, whoever opens it, and what is written from then on is found whole.
fn is_sound(disk: &SimulatedDisk, at: i64) {
    let (mut writer, report) = Writer::open(disk, settings(Layout::Classic, 1)).unwrap();
    assert_eq!(report.end.offset, LogOffset(at));
    assert_eq!(remains_behind(disk, LogOffset(at)), None);
    writer.append(&numbered_body(99, 500)).unwrap();
    writer.log().confirm(writer.end());
    writer.close().unwrap();
    assert!(matches!(cut(disk, at), Err(CutError::NotRefused)));
    let verified = verify(&look(disk), &Expected::default(), &mut |_| ()).unwrap();
    let faults: Vec<_> = verified.findings.iter().map(|finding| finding.fault.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(verified.records, STARTS.iter().filter(|start| **start < at).count() as u64 + 1);
}

#[test]
fn a_damaged_record() {
    let disk = store(Left::Killed);
    spoil(&disk, STARTS[6]);
    is_cut(&disk, STARTS[6], 1);
    let disk = store(Left::Killed);
    spoil(&disk, STARTS[7]);
    is_cut(&disk, STARTS[7], 0);
    // Every record counts.
    for (record, start) in STARTS.into_iter().enumerate() {
        let disk = store(Left::ByApachesBroker);
        spoil(&disk, start);
        is_cut(&disk, start, 7 - record as u64);
    }
}

#[test]
fn what_is_missing() {
    for left in [Left::InOrder, Left::Killed, Left::ByApachesBroker] {
        let disk = store(left);
        disk.uproot(&segment_path(1));
        is_cut(&disk, 4096, 2);
        let disk = store(left);
        disk.plant(&segment_path(1), &disk.files()[&segment_path(1)][..1500]);
        is_cut(&disk, STARTS[4], 2);
    }
    for left in [Left::InOrder, Left::Killed] {
        let disk = store(left);
        disk.plant(&segment_path(2), &disk.files()[&segment_path(2)][..1500]);
        is_cut(&disk, STARTS[7], 0);
        disk.uproot(&segment_path(2));
        is_cut(&disk, 8192, 0);
        disk.uproot(&segment_path(1));
        disk.uproot(&segment_path(0));
        is_cut(&disk, 0, 0);
    }
}

#[test]
fn what_is_not_to_be_cut() {
    for left in [Left::InOrder, Left::Killed, Left::ByApachesBroker] {
        let disk = store(left);
        assert!(cut::find(&look(&disk)).unwrap().is_none());
        assert!(matches!(cut(&disk, STARTS[5]), Err(CutError::NotRefused)));
        disk.plant(Path::new("/store/commitlog/notes.txt"), b"?");
        let error = cut(&disk, END).unwrap_err();
        assert!(error.to_string().contains("does not belong to the log"), "{error}");
    }
    // A torn tail is cut off by a start.
    let disk = store(Left::Killed);
    disk.plant(&segment_path(2), &[&disk.files()[&segment_path(2)][..2184], &[1; 1912]].concat());
    assert!(cut::find(&look(&disk)).unwrap().is_none());
    let disk = SimulatedDisk::default();
    drop(Writer::open(&disk, settings(Layout::Framed, 1)).unwrap());
    assert!(matches!(cut::find(&look(&disk)), Err(CutError::OfGroup)));
}
