//! Sources made by hand: what real brokers rarely leave behind.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::{SystemTopic, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, Record, SysFlag, TransactionState, stamp};
use tempfile::TempDir;

use super::belongings::Belongings;
use super::ledger::LedgerError;
use super::places::Places;
use super::source::{Ending, Source, SourceError};
use super::survey::{Fate, Limits, Survey};
use crate::state::{Command, Stamp, Tables, Topic};

const SEGMENT_BYTES: usize = 4096;
const HEADER_BYTES: usize = 48;

fn record(topic: &str, queue: i32, offset: i64, at: i64, prepared: i64, state: TransactionState) -> BytesMut {
    let host = "127.0.0.1:10911".parse().unwrap();
    let new = NewRecord {
        topic: TopicName::parse(topic).unwrap(),
        queue_id: QueueId(queue),
        flag: 0,
        sys_flag: SysFlag::default().with_transaction(state),
        born_timestamp: Timestamp(1),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(prepared),
        properties: Bytes::new(),
        body: Bytes::from(format!("{topic}/{queue}/{offset}")),
    };
    let mut bytes = BytesMut::new();
    new.encode(usize::MAX, &mut bytes).unwrap();
    stamp(&mut bytes, QueueOffset(offset), LogOffset(at), Timestamp(1000 + at)).unwrap();
    bytes
}

fn plain(topic: &str, queue: i32, offset: i64, at: i64) -> BytesMut {
    record(topic, queue, offset, at, 0, TransactionState::None)
}

/// A classic store of records of these topics, queues and offsets.
fn classic(records: &[(&str, i32, i64)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("commitlog");
    fs::create_dir_all(&log).unwrap();
    let mut bytes = Vec::new();
    for (topic, queue, offset) in records {
        let next = plain(topic, *queue, *offset, bytes.len() as i64);
        bytes.extend_from_slice(&next);
    }
    assert!(bytes.len() < SEGMENT_BYTES);
    bytes.resize(SEGMENT_BYTES, 0);
    fs::write(log.join(format!("{:020}", 0)), bytes).unwrap();
    folder
}

fn with_topics(names: &[&str]) -> Tables {
    let mut tables = Tables::default();
    let topics = names.iter().map(|name| Topic::of_queues(TopicName::parse(name).unwrap(), 4, 6)).collect();
    tables.apply(Command::CreateTopics { topics, stamp: Stamp::default() });
    tables
}

fn survey(folder: &Path, tables: &Tables, resumed: i64) -> (Source, Survey) {
    let source = Source::open(folder, None, Ending::default()).unwrap();
    let limits = Limits { segment_bytes: 1 << 20, resumed: LogOffset(resumed) };
    let survey = Survey::take(&source, tables, limits, &mut |_| ()).unwrap();
    (source, survey)
}

fn fates(source: &Source, survey: &Survey, from: i64) -> Vec<Fate> {
    let mut sieve = survey.sieve();
    let mut records = source.records(LogOffset(from)).unwrap();
    let mut fates = Vec::new();
    while let Some(found) = records.next_record().unwrap() {
        let (record, _) = Record::decode(found.bytes).unwrap();
        fates.push(sieve.judge(found.offset, &record));
    }
    fates
}

fn offsets(ends: &[ferrymq_storage::dispatch::QueueEnd]) -> Vec<(String, i32, i64)> {
    ends.iter().map(|end| (end.topic.to_string(), end.queue.0, end.next.0)).collect()
}

#[test]
fn what_was_deleted_or_comes_twice_is_left_out() {
    let folder = classic(&[
        ("again", 0, 0),
        ("again", 0, 1),
        ("gone", 0, 0),
        ("kept", 1, 7),
        ("again", 0, 0),
        ("kept", 1, 8),
        ("kept", 1, 7),
        ("again", 0, 1),
    ]);
    let (source, survey) = survey(folder.path(), &with_topics(&["again", "kept"]), 0);
    assert_eq!(survey.obstacles.count, 0);
    assert_eq!((survey.records, survey.counts.messages), (4, 4));
    let out = &survey.left_out;
    assert_eq!((out.of_no_topic, out.of_former_topic, out.repeated, out.unreadable), (1, 2, 1, 0));
    assert_eq!(offsets(&survey.begins()), [("again".into(), 0, 0), ("kept".into(), 1, 7)]);
    assert_eq!(offsets(&survey.ends()), [("again".into(), 0, 2), ("kept".into(), 1, 9)]);
    let expected = [
        Fate::OfFormerTopic,
        Fate::OfFormerTopic,
        Fate::OfNoTopic,
        Fate::Moved,
        Fate::Moved,
        Fate::Moved,
        Fate::Repeated,
        Fate::Moved,
    ];
    assert_eq!(fates(&source, &survey, 0), expected);
}

#[test]
fn whoever_goes_on_judges_as_before() {
    let folder = classic(&[("kept", 0, 0), ("kept", 0, 1), ("kept", 0, 1), ("kept", 0, 2)]);
    let tables = with_topics(&["kept"]);
    let (source, all) = survey(folder.path(), &tables, 0);
    let whole = fates(&source, &all, 0);
    let bytes = plain("kept", 0, 0, 0).len() as i64;
    for done in 0..=4 {
        let (source, survey) = survey(folder.path(), &tables, done * bytes);
        assert_eq!(fates(&source, &survey, done * bytes), whole[done as usize..], "from record {done}");
    }
}

#[test]
fn a_hole_is_an_obstacle() {
    let folder = classic(&[("kept", 0, 0), ("kept", 0, 5)]);
    let (_, survey) = survey(folder.path(), &with_topics(&["kept"]), 0);
    assert_eq!(survey.obstacles.named, ["queue 0 of kept has a hole: 1 should come, and 5 does"]);
}

#[test]
fn queues_without_records_end_where_their_files_say() {
    let folder = classic(&[("kept", 0, 0)]);
    // Of records that are gone.
    plant_queue(folder.path(), "kept/3", [1, 11, 21], 10);
    let (_, survey) = survey(folder.path(), &with_topics(&["kept"]), 0);
    assert_eq!(offsets(&survey.ends()), [("kept".into(), 0, 1), ("kept".into(), 3, 3)]);
}

/// A queue with three entries in a file of four.
fn plant_queue(folder: &Path, name: &str, starts: [i64; 3], bytes: i32) {
    let queue = folder.join("consumequeue").join(name);
    fs::create_dir_all(&queue).unwrap();
    let entries = starts.map(|start| [&start.to_be_bytes()[..], &bytes.to_be_bytes(), &[0; 8]].concat());
    let mut file = entries.concat();
    file.resize(80, 0);
    fs::write(queue.join(format!("{:020}", 0)), file).unwrap();
}

/// The last ones of a batch, or what was written last before a crash.
#[test]
fn what_a_queue_has_and_the_log_has_not_is_told() {
    let folder = classic(&[("kept", 0, 0)]);
    let bytes = plain("kept", 0, 0, 0).len() as i32;
    plant_queue(folder.path(), "kept/0", [0, 1, 2].map(|number| number * i64::from(bytes)), bytes);
    let tables = with_topics(&["kept"]);
    let take = |cut_torn| {
        let source = Source::open(folder.path(), None, Ending { cut_torn, with_tail: false }).unwrap();
        let limits = Limits { segment_bytes: 1 << 20, resumed: LogOffset(0) };
        Survey::take(&source, &tables, limits, &mut |_| ())
    };
    let error = take(false).unwrap_err().to_string();
    assert!(error.contains("ended in order, and queue 0 of kept has at 2 a message"), "{error}");
    let asked = take(true).unwrap();
    assert_eq!((asked.records, asked.left_out.lost), (1, 2));
    // After a crash.
    fs::write(folder.path().join("abort"), "").unwrap();
    let crashed = take(false).unwrap();
    assert_eq!((crashed.records, crashed.left_out.lost), (1, 2));
    assert_eq!(offsets(&crashed.ends()), [("kept".into(), 0, 1)]);
}

#[test]
fn a_torn_tail_is_cut_only_when_that_is_said() {
    let folder = classic(&[("kept", 0, 0), ("kept", 0, 1)]);
    let bytes = plain("kept", 0, 0, 0).len() as u64;
    let file = File::options().write(true).open(folder.path().join(format!("commitlog/{:020}", 0))).unwrap();
    // The body of the second one.
    file.write_all_at(b"#", bytes + 90).unwrap();
    let read = |cut_torn| {
        let source = Source::open(folder.path(), None, Ending { cut_torn, with_tail: false }).unwrap();
        let mut records = source.records(LogOffset(0)).unwrap();
        let mut count = 0;
        while records.next_record()?.is_some() {
            count += 1;
        }
        Ok::<_, SourceError>(count)
    };
    assert!(read(false).is_err());
    assert_eq!(read(true).unwrap(), 1);
}

/// A DLedger store of records of one queue, in files of so many bytes, of which so many entries are committed.
struct Node {
    folder: TempDir,
    /// Where each entry begins.
    starts: Vec<u64>,
}

impl Node {
    fn new(entries: usize, committed: Option<i64>) -> Self {
        let folder = TempDir::new().unwrap();
        let data = folder.path().join("dledger-n0/data");
        fs::create_dir_all(&data).unwrap();
        let (mut files, mut file, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..entries {
            let bytes = HEADER_BYTES + plain("kept", 0, index as i64, 0).len();
            if file.len() + bytes + 8 > SEGMENT_BYTES {
                let left = (SEGMENT_BYTES - file.len()) as i32;
                file.extend_from_slice(&(-1i32).to_be_bytes());
                file.extend_from_slice(&left.to_be_bytes());
                file.resize(SEGMENT_BYTES, 0);
                files.push(std::mem::take(&mut file));
            }
            let at = (files.len() * SEGMENT_BYTES + file.len()) as u64;
            starts.push(at);
            let body = plain("kept", 0, index as i64, at as i64 + HEADER_BYTES as i64);
            for field in [1, bytes as i32] {
                file.extend_from_slice(&field.to_be_bytes());
            }
            for field in [index as i64, 3, at as i64] {
                file.extend_from_slice(&field.to_be_bytes());
            }
            for field in [0, 0, 0, body.len() as i32] {
                file.extend_from_slice(&field.to_be_bytes());
            }
            file.extend_from_slice(&body);
        }
        file.resize(SEGMENT_BYTES, 0);
        files.push(file);
        for (number, file) in files.iter().enumerate() {
            fs::write(data.join(format!("{:020}", number * SEGMENT_BYTES)), file).unwrap();
        }
        if let Some(committed) = committed {
            let text = format!("committedIndex={committed}\nendIndex={}\n", entries as i64 - 1);
            fs::write(folder.path().join("dledger-n0/checkpoint"), text).unwrap();
        }
        Self { folder, starts }
    }

    fn file_of(&self, at: u64) -> PathBuf {
        let base = at - at % SEGMENT_BYTES as u64;
        self.folder.path().join(format!("dledger-n0/data/{base:020}"))
    }

    fn spoil(&self, at: u64) {
        let file = File::options().write(true).open(self.file_of(at)).unwrap();
        file.write_all_at(&[0xff], at % SEGMENT_BYTES as u64).unwrap();
    }

    fn read(&self, with_tail: bool, from: u64) -> Result<(Vec<i64>, u64), SourceError> {
        let source = Source::open(self.folder.path(), None, Ending { with_tail, cut_torn: false })?;
        let mut records = source.records(LogOffset(from as i64))?;
        let mut found = Vec::new();
        while let Some(next) = records.next_record()? {
            let (record, _) = Record::decode(next.bytes).unwrap();
            assert_eq!(record.log_offset, next.offset);
            found.push(record.queue_offset.0);
        }
        let end = records.position();
        Ok((found, source.entries_behind(end)?))
    }
}

#[test]
fn of_several_nodes_the_farthest_offsets_count() {
    let config = |offsets: &str, topic: &str, delays: &str| {
        let folder = TempDir::new().unwrap();
        let config = folder.path().join("config");
        fs::create_dir_all(&config).unwrap();
        let topics = format!(r#"{{"topicConfigTable":{{"{topic}":{{"topicName":"{topic}","perm":6}}}}}}"#);
        fs::write(config.join("topics.json"), topics).unwrap();
        fs::write(config.join("consumerOffset.json"), format!(r#"{{"offsetTable":{{{offsets}}}}}"#)).unwrap();
        fs::write(config.join("delayOffset.json"), format!(r#"{{"offsetTable":{{{delays}}}}}"#)).unwrap();
        Belongings::load(folder.path(), false, LogOffset(0)).unwrap()
    };
    let mut one = config(r#""a@g":{0:7,1:3},"a@h":{0:1}"#, "a", "1:5,2:6");
    let other = config(r#""a@g":{0:6,1:4,2:5}"#, "b", "1:7,2:1,3:2");
    one.lay_over(&other.tables);
    let offset = |group, queue| one.tables.offsets().find(group, "a", QueueId(queue)).map(|offset| offset.0);
    assert_eq!([0, 1, 2].map(|queue| offset("g", queue)), [Some(7), Some(4), Some(5)]);
    assert_eq!(offset("h", 0), Some(1));
    assert_eq!(["a", "b"].map(|topic| one.tables.topics().find(topic).is_some()), [true, true]);
    let delays: Vec<_> = one.tables.progress().delays().map(|(level, next)| (level.0, next.0)).collect();
    assert_eq!(delays, [(1, 7), (2, 6), (3, 2)]);
}

#[test]
fn entries_of_dledger_count_up_to_the_last_committed_one() {
    let all: Vec<i64> = (0..60).collect();
    let node = Node::new(60, Some(49));
    assert!(node.starts.last().unwrap() / SEGMENT_BYTES as u64 > 1, "all are in one file");
    assert_eq!(node.read(false, 0).unwrap(), (all[..50].to_vec(), 10));
    assert_eq!(node.read(true, 0).unwrap(), (all.clone(), 0));
    // From any entry on.
    for (index, start) in node.starts.iter().enumerate() {
        assert_eq!(node.read(true, *start).unwrap().0, all[index..]);
        assert_eq!(node.read(false, *start).unwrap().0, all[index.min(50)..50]);
    }
    assert_eq!(Node::new(60, Some(59)).read(false, 0).unwrap(), (all.clone(), 0));
    assert_eq!(Node::new(0, Some(-1)).read(false, 0).unwrap(), (vec![], 0));
    let unknown = Node::new(60, None);
    assert!(matches!(unknown.read(false, 0), Err(SourceError::Ledger(LedgerError::NoCheckpoint { .. }))));
    assert_eq!(unknown.read(true, 0).unwrap(), (all, 0));
}

#[test]
fn damage_of_what_was_committed_is_told_and_of_the_rest_is_the_end() {
    for at in [0, 4, 8, 16, 24, 44, HEADER_BYTES as u64 + 95] {
        let node = Node::new(60, Some(49));
        node.spoil(node.starts[30] + at);
        for with_tail in [false, true] {
            let error = node.read(with_tail, 0).unwrap_err();
            assert!(matches!(error, SourceError::Ledger(LedgerError::Damaged { .. })), "byte {at}: {error}");
        }
        let node = Node::new(60, Some(49));
        node.spoil(node.starts[55] + at);
        assert_eq!(node.read(false, 0).unwrap().0.len(), 50);
        assert_eq!(node.read(true, 0).unwrap().0.len(), 55, "byte {at}");
    }
    let node = Node::new(60, Some(49));
    fs::remove_file(node.file_of(node.starts[30])).unwrap();
    assert!(matches!(node.read(false, 0), Err(SourceError::Ledger(LedgerError::Missing { .. }))));
    // It must have been there: the checkpoint says more.
    let node = Node::new(10, Some(49));
    assert!(matches!(node.read(false, 0), Err(SourceError::Ledger(LedgerError::Damaged { .. }))));
}

#[test]
fn what_names_another_record_names_it_in_the_new_log() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("places");
    let half = SystemTopic::TransactionHalf.as_str();
    let mut places = Places::open(&path, 0).unwrap();
    places.note_frame(LogOffset(0), LogOffset(1000));
    places.note_record(half, LogOffset(0), LogOffset(1064));
    places.note_record("plain", LogOffset(100), LogOffset(1164));
    places.note_record(SystemTopic::Schedule.as_str(), LogOffset(200), LogOffset(1264));
    places.note_frame(LogOffset(300), LogOffset(2000));
    places.note_record(half, LogOffset(300), LogOffset(2064));
    let lines = places.save().unwrap();
    // After the journal was written.
    places.note_frame(LogOffset(900), LogOffset(9000));
    places.save().unwrap();
    let reopened = Places::open(&path, lines).unwrap();
    let moved = |places: &Places, topic: &str, said: i64| {
        let bytes = record(topic, 0, 0, 0, said, TransactionState::Committed);
        places.moved(&Record::decode(&bytes).unwrap().0).0
    };
    let mark = SystemTopic::TransactionOperation.as_str();
    for (topic, said, expected) in [
        ("orders", 0, 0),
        ("orders", 300, 2064),
        // Copies of what was delayed.
        ("orders", 201, 1265),
        // Nobody waits for that.
        ("orders", 100, 0),
        ("orders", 777, 0),
        (half, -1, 1064),
        (half, 300, 2064),
        (mark, 0, 0),
        (mark, 299, 1000),
        (mark, 300, 2000),
    ] {
        assert_eq!(moved(&reopened, topic, said), expected, "{topic} {said}");
    }
    assert_eq!((moved(&places, mark, 950), moved(&reopened, mark, 950)), (9000, 2000));
}
