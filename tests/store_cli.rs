//! `ferrymq store` from outside, over small stores that are always the same.
//!
//! Each test compares what was printed with a file in `tests/cli/store`. After a wanted change:
//! `UPDATE=1 cargo test -p ferrymq --test store_cli`, and read the difference.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};
use ferrymq_proto::record::{NewRecord, PropertyList, SysFlag, property};
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::dispatch::{Derived, DerivedSettings, NoArrivals};
use ferrymq_storage::frame::FrameKind;
use ferrymq_storage::stamp::Stamper;
use ferrymq_storage::{
    BootId, Chain, FatalHook, FlushMode, Index, Layout, Mark, NewFrame, OpenLog, Settings, Term, recovery,
};
use program::{BINARY, Outcome, outcome, program, scripts};
use tempfile::TempDir;

#[allow(dead_code, reason = "what checks configurations is not needed here")]
mod program;

const START_TIME: i64 = 1_700_000_000_000;
const INDEX_SIZES: [&str; 4] = ["--index-slots", "5", "--index-entries", "12"];

/// A store in a folder of its own, and what was asked of it.
struct Store {
    home: TempDir,
    said: String,
}

impl Store {
    fn folder(&self) -> PathBuf {
        self.home.path().join("store")
    }

    /// Nine messages in three queues and two segments, closed in order.
    fn new(layout: Layout) -> Self {
        let store = Self { home: tempfile::tempdir().unwrap(), said: String::new() };
        store.fill(layout);
        store
    }

    fn open(&self, layout: Layout) -> (OpenLog, Derived, ferrymq_storage::dispatch::Dispatcher) {
        let settings = Settings {
            folder: self.folder(),
            layout,
            segment_bytes: 2048,
            mode: FlushMode::Sync,
            flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
            boot: BootId([1; 16]),
            on_fatal: FatalHook::abort(),
        };
        let open = recovery::open(Arc::new(RealDisk), settings).unwrap();
        let settings = DerivedSettings {
            queue_file_entries: 8,
            index_slots: 5,
            index_entries: 12,
            ..DerivedSettings::default()
        };
        let (derived, mut dispatcher) = Derived::open(open.log(), settings, Box::new(NoArrivals)).unwrap();
        dispatcher.run_to_confirmed().unwrap();
        (open, derived, dispatcher)
    }

    fn fill(&self, layout: Layout) {
        let (open, derived, mut dispatcher) = self.open(layout);
        let log = open.log().clone();
        let mut stamper = Stamper::new(&derived).unwrap();
        let close: Box<dyn FnOnce()> = match layout {
            Layout::Classic => {
                let mut appender = open.appender;
                for number in 0..9 {
                    let mut batch = message(number);
                    let done =
                        stamper.append(&mut appender, &mut batch, Timestamp(START_TIME + number * 1000));
                    assert!(done.error.is_none(), "{:?}", done.error);
                }
                log.confirm(Mark { offset: log.written(), chain: Chain::default() });
                Box::new(move || appender.close().unwrap())
            }
            Layout::Framed => {
                let (mut appender, _) = open.framed();
                for number in 0..9 {
                    let frame = NewFrame {
                        kind: FrameKind::Messages,
                        index: Index(number as u64 + 1),
                        term: Term(1),
                        records: 0,
                        appended_at: Timestamp(START_TIME + number * 1000),
                    };
                    stamper.append_frame(&mut appender, frame, &mut message(number)).unwrap();
                }
                log.confirm(appender.end());
                Box::new(move || appender.close().unwrap())
            }
        };
        log.flush().unwrap();
        dispatcher.run_to_confirmed().unwrap();
        drop(dispatcher);
        derived.close().unwrap();
        drop(derived);
        close();
    }

    /// As a broker does that starts and ends.
    fn start_and_stop(&self) {
        let (open, derived, dispatcher) = self.open(Layout::Classic);
        drop(dispatcher);
        derived.close().unwrap();
        open.appender.close().unwrap();
    }

    /// Asks, notes what was said, and gives the exit code.
    fn ask(&mut self, arguments: &[&str]) -> i32 {
        let words = [&["store", arguments[0], "store"], &arguments[1..]].concat();
        let Outcome { code, output, complaint } =
            outcome(&mut program(Path::new(BINARY), &words, self.home.path()));
        self.said += &format!("$ ferrymq {}\n{complaint}{output}=> {code}\n\n", words.join(" "));
        code
    }

    /// Flips one bit of a file.
    fn flip(&mut self, file: &str, byte: u64, bit: u32) {
        let path = self.folder().join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes[byte as usize] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        self.said += &format!("# flip bit {bit} of byte {byte} of {file}\n");
    }

    /// Compares all that was said with what is recorded.
    fn compare(&self, name: &str) {
        let recorded = scripts().join("store").join(name);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&recorded, &self.said).unwrap();
        }
        let expected = fs::read_to_string(&recorded).unwrap_or_default();
        assert!(self.said == expected, "not as recorded in {}:\n{}", recorded.display(), self.said);
    }
}

fn message(number: i64) -> BytesMut {
    let mut properties = PropertyList::new();
    properties.set(property::UNIQUE_KEY, &format!("U{number}")).unwrap();
    properties.set(property::KEYS, &format!("k{}", number % 2)).unwrap();
    properties.set(property::TAGS, ["red", "blue"][number as usize % 2]).unwrap();
    let host = SocketAddr::from(([127, 0, 0, 1], 10911));
    let record = NewRecord {
        topic: TopicName::parse(["orders", "orders", "bills"][number as usize % 3]).unwrap(),
        queue_id: QueueId((number % 3 % 2) as i32),
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(START_TIME),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(0),
        properties: Bytes::copy_from_slice(properties.as_properties().as_bytes()),
        body: format!("body of message {number}, ").repeat(8).into(),
    };
    let mut bytes = BytesMut::new();
    record.encode(1 << 20, &mut bytes).unwrap();
    bytes
}

fn everything(name: &str, layout: Layout) {
    let mut store = Store::new(layout);
    for output in [&[][..], &["-o", "json"]] {
        assert_eq!(store.ask(&[&["inspect"], output].concat()), 0);
        assert_eq!(store.ask(&[&["verify"], &INDEX_SIZES[..], output].concat()), 0);
        assert_eq!(store.ask(&[&["dump"], output].concat()), 0);
    }
    store.compare(name);
}

#[test]
fn a_sound_classic_store() {
    everything("classic.txt", Layout::Classic);
}

#[test]
fn a_sound_framed_store() {
    everything("framed.txt", Layout::Framed);
}

#[test]
fn a_dump_can_be_narrowed() {
    let mut store = Store::new(Layout::Classic);
    store.ask(&["dump", "--offset", "1", "--count", "2"]);
    store.ask(&["dump", "--topic", "orders", "--queue", "1", "--body"]);
    store.ask(&["dump", "--of", "queues", "--topic", "orders"]);
    store.ask(&["dump", "--of", "queues", "--offset", "2", "-o", "json"]);
    store.ask(&[&["dump", "--of", "index", "--count", "3"], &INDEX_SIZES[..]].concat());
    store.ask(&["inspect", "--topic", "orders"]);
    store.compare("narrowed.txt");
}

#[test]
fn damage_is_named_with_what_it_affects() {
    let mut store = Store::new(Layout::Classic);
    let second = "commitlog/00000000000000002048";
    let verify = [&["verify"], &INDEX_SIZES[..]].concat();
    for (file, byte) in [
        ("commitlog/00000000000000000000", 20),
        (second, 200),
        ("consumequeue/orders/1/00000000000000000000", 41),
        ("index/20231114221320000", 63),
        ("index/20231114221320000", 95),
        ("derived.synced", 30),
        ("checkpoint", 3),
        ("store.meta", 50),
        ("commitlog.sums/00000000000000000000", 5),
    ] {
        store.flip(file, byte, 1);
        assert_eq!(store.ask(&verify), 3, "{file}");
        store.flip(file, byte, 1);
    }
    store.flip(second, 200, 1);
    assert_eq!(store.ask(&["dump"]), 0);
    assert_eq!(store.ask(&[&verify[..], &["-o", "json"]].concat()), 3);
    store.flip(second, 200, 1);
    assert_eq!(store.ask(&verify), 0);
    store.compare("damage.txt");
}

#[test]
fn what_is_derived_heals() {
    let mut store = Store::new(Layout::Classic);
    let verify = [&["verify"], &INDEX_SIZES[..]].concat();
    store.flip("consumequeue/orders/1/00000000000000000000", 41, 1);
    store.flip("index/20231114221320000", 95, 1);
    assert_eq!(store.ask(&verify), 3);
    assert_eq!(store.ask(&["rebuild"]), 0);
    assert_eq!(store.ask(&["inspect"]), 0);
    store.start_and_stop();
    assert_eq!(store.ask(&verify), 0);
    store.compare("healed.txt");
}

/// As a broker leaves it whose machine was lost, and whose disk then lost a bit of what was durable.
#[test]
fn a_log_is_cut_off_where_that_is_asked_for() {
    let mut store = Store::new(Layout::Classic);
    assert_eq!(store.ask(&["cut"]), 0);
    let second = "commitlog/00000000000000002048";
    let (open, derived, dispatcher) = store.open(Layout::Classic);
    drop((open, derived, dispatcher));
    store.flip(second, 150, 1);
    assert_eq!(store.ask(&["cut"]), 3);
    assert_eq!(store.ask(&["cut", "-o", "json"]), 3);
    assert_eq!(store.ask(&["cut", "--at", "2327"]), 5);
    let at = store.said.split("--at ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert_eq!(store.ask(&["cut", "--at", &at]), 0);
    assert_eq!(store.ask(&["cut"]), 0);
    store.start_and_stop();
    assert_eq!(store.ask(&[&["verify"], &INDEX_SIZES[..]].concat()), 0);
    assert_eq!(store.ask(&["inspect"]), 0);
    let framed = Store::new(Layout::Framed);
    let mut framed = Store { said: store.said.clone(), ..framed };
    assert_eq!(framed.ask(&["cut"]), 5);
    framed.compare("cut.txt");
}

#[test]
fn bad_folders() {
    let mut store = Store::new(Layout::Classic);
    let segment = store.folder().join("commitlog/00000000000000000000");
    let bytes = fs::read(&segment).unwrap();
    fs::remove_file(&segment).unwrap();
    for command in ["inspect", "dump"] {
        assert_eq!(store.ask(&[command]), 1);
    }
    let verify = [&["verify"], &INDEX_SIZES[..]].concat();
    assert_eq!(store.ask(&verify), 3);
    fs::write(&segment, bytes).unwrap();
    let foreign = store.folder().join("commitlog/notes.txt");
    fs::write(&foreign, "?").unwrap();
    assert_eq!(store.ask(&verify), 3);
    fs::remove_file(foreign).unwrap();

    // This process stands for a broker.
    let open = store.open(Layout::Classic);
    assert_eq!(store.ask(&["inspect"]), 0);
    assert_eq!(store.ask(&["verify"]), 1);
    assert_eq!(store.ask(&["rebuild"]), 1);
    assert_eq!(store.ask(&["cut"]), 1);
    drop(open);

    fs::remove_dir_all(store.folder()).unwrap();
    for command in ["inspect", "verify", "dump", "rebuild", "cut"] {
        assert_eq!(store.ask(&[command]), 6);
    }
    store.compare("bad-folders.txt");
}

/// A look changes no file, not even one's time.
#[test]
fn a_look_writes_nothing() {
    let mut store = Store::new(Layout::Classic);
    let files = |folder: &Path| {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let metadata = entry.metadata().unwrap();
                found.push((entry.path(), metadata.len(), metadata.modified().unwrap()));
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        found.sort();
        found
    };
    let before = files(&store.folder());
    for arguments in [&["inspect"][..], &["verify"], &["dump"], &["dump", "--of", "queues"]] {
        store.ask(arguments);
    }
    assert_eq!(files(&store.folder()), before);
}
