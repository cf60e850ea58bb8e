//! `testdata` holds what Apache's broker 5.5.0 wrote: four topics of its users, an ordered group, delayed messages.

use std::collections::BTreeSet;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset};
use proptest::prelude::*;

use super::*;
use crate::state::tests::random;
use crate::state::{Command, DelayLevel, Register, Stamp, Topic};

const APACHES: [(&str, &str); 4] = [
    ("topics.json", include_str!("testdata/topics.json")),
    ("subscriptionGroup.json", include_str!("testdata/subscriptionGroup.json")),
    ("consumerOffset.json", include_str!("testdata/consumerOffset.json")),
    ("delayOffset.json", include_str!("testdata/delayOffset.json")),
];

struct Store {
    folder: tempfile::TempDir,
    files: ConfigFolder,
}

impl Store {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("config")).unwrap();
        let files = ConfigFolder::of_store(folder.path());
        Self { folder, files }
    }

    fn of_apache() -> Self {
        let store = Self::new();
        APACHES.iter().for_each(|(name, text)| store.put(name, text));
        store
    }

    fn put(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join("config").join(name), text).unwrap();
    }

    fn get(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.path().join("config").join(name)).ok()
    }

    fn save(&mut self, tables: &Tables) -> Vec<&'static str> {
        let due = self.files.due(tables);
        let names = due.iter().map(|due| due.file().name()).collect();
        self.files.write(due).unwrap();
        names
    }

    /// As after a restart.
    fn reload(&mut self) -> Loaded {
        self.files = ConfigFolder::of_store(self.folder.path());
        self.files.load().unwrap()
    }

    /// Notes without the folder.
    fn notes(&self, loaded: &Loaded) -> Vec<String> {
        let folder = format!("{}/config/", self.folder.path().display());
        loaded.notes.iter().map(|note| note.to_string().replace(&folder, "")).collect()
    }
}

/// The lines of a file, without what depends on the order of its members.
fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().map(|line| line.trim_end_matches(',')).collect()
}

fn put_topic(tables: &mut Tables, name: &str) {
    let topic = Topic::of_queues(TopicName::parse(name).unwrap(), 4, 6);
    tables.apply(Command::PutTopics { topics: vec![topic], stamp: Stamp::default() });
}

#[test]
fn what_apaches_broker_wrote_is_read_whole() {
    let mut store = Store::of_apache();
    let loaded = store.reload();
    assert_eq!(loaded.notes, []);
    let tables = loaded.tables;
    assert_eq!(tables.topics().count(), 19);
    assert_eq!(tables.topics().version().counter, 4);
    assert_eq!(tables.topics().find("orders").unwrap().attributes["message.type"], "DELAY");
    assert!(tables.topics().find("ordered").unwrap().order);
    assert_eq!(tables.groups().count(), 9);
    assert!(tables.groups().find("billing").unwrap().consume_message_orderly);
    assert_eq!(tables.offsets().find("billing", "fresh", QueueId(3)), Some(QueueOffset(1)));
    assert_eq!(tables.offsets().queues("billing", "orders").len(), 4);
    assert_eq!(tables.progress().delays().collect::<Vec<_>>().len(), 3);
    assert_eq!(tables.progress().delay(DelayLevel(2)), QueueOffset(2));
}

#[test]
fn what_we_write_is_what_apaches_broker_writes() {
    let mut store = Store::of_apache();
    let tables = store.reload().tables;
    assert_eq!(store.save(&tables), APACHES.map(|(name, _)| name));
    for (name, apaches) in APACHES {
        let ours = store.get(name).unwrap();
        let (ours, apaches) = (lines(&ours), lines(apaches));
        let missing: Vec<_> = apaches.difference(&ours).collect();
        let added: Vec<_> = ours.difference(&apaches).collect();
        match name {
            // The tables that are derived from the others.
            "consumerOffset.json" => {
                assert_eq!((missing.len(), added.len()), (6, 0), "{name} lacks {missing:?}, adds {added:?}");
            }
            // Its version is compared by nobody.
            "delayOffset.json" => {
                assert_eq!(
                    (missing.len(), added),
                    (1, vec![&"\t\t\"timestamp\":0"]),
                    "{name} lacks {missing:?}"
                );
            }
            _ => assert_eq!((missing.len(), added.len()), (0, 0), "{name} lacks {missing:?}, adds {added:?}"),
        }
        assert_eq!(
            store.get(&format!("{name}.bak")).as_deref(),
            Some(APACHES.iter().find(|(of, _)| *of == name).unwrap().1)
        );
    }
}

#[test]
fn only_what_changed_is_written() {
    let mut store = Store::new();
    let mut tables = store.reload().tables;
    assert_eq!(store.save(&tables), APACHES.map(|(name, _)| name));
    assert_eq!(store.get("topics.json.bak"), None);
    assert_eq!(store.save(&tables), [""; 0]);

    put_topic(&mut tables, "a");
    assert_eq!(store.save(&tables), ["topics.json"]);
    let before = store.get("topics.json");
    put_topic(&mut tables, "b");
    assert_eq!(store.save(&tables), ["topics.json"]);
    assert_eq!(store.get("topics.json.bak"), before);

    let registers = vec![("wheel".into(), Some(Register::Number(5)))];
    tables.apply(Command::Advance { delay: vec![(DelayLevel(1), QueueOffset(2))], registers });
    assert_eq!(store.save(&tables), ["delayOffset.json", "ferrymq.json"]);
    assert_eq!(store.save(&tables), [""; 0]);
    assert_eq!(store.reload().tables, tables);
}

#[test]
fn a_file_of_our_own_that_became_empty_is_written() {
    let mut store = Store::new();
    let mut tables = Tables::default();
    let set = |value: Option<&str>| Command::Configure {
        namespace: "n".into(),
        key: "k".into(),
        value: value.map(Into::into),
    };
    tables.apply(set(Some("v")));
    store.save(&tables);
    tables.apply(set(None));
    assert_eq!(store.save(&tables), ["ferrymq.json"]);
    assert_eq!(store.reload().tables, tables);
}

/// What is read when the file and its older copy are in such a state: the name of the only topic, or how it ends.
#[test]
fn the_older_copy_stands_in() {
    let topics = |name: &str| format!(r#"{{"topicConfigTable":{{"{name}":{{"topicName":"{name}"}}}}}}"#);
    let half = &topics("half")[..20];
    let (new, old) = (topics("new"), topics("old"));
    let cases: [(Option<&str>, Option<&str>, &str); 10] = [
        (Some(&new), Some(&old), "new"),
        (Some(&new), Some(half), "new"),
        (None, Some(&old), "old: topics.json is missing; its older copy was read instead"),
        (Some(""), Some(&old), "old: topics.json is empty; its older copy was read instead"),
        (
            Some(half),
            Some(&old),
            "old: topics.json is damaged (a value expected at byte 20); its older copy was read instead",
        ),
        (None, None, ""),
        (Some(""), None, ": topics.json is empty, and it has no older copy: it is read as an empty table"),
        (Some(half), None, "refused"),
        (Some(half), Some(half), "refused"),
        (None, Some(half), "refused"),
    ];
    for (file, copy, expected) in cases {
        let mut store = Store::new();
        file.into_iter().for_each(|text| store.put("topics.json", text));
        copy.into_iter().for_each(|text| store.put("topics.json.bak", text));
        let outcome = match store.files.load() {
            Ok(loaded) => {
                let names = loaded.tables.topics().iter().map(|(name, _)| name.to_string());
                let text = names.chain([store.notes(&loaded).join("; ")]).filter(|text| !text.is_empty());
                let text = text.collect::<Vec<_>>().join(": ");
                if loaded.tables.topics().count() == 0 && !text.is_empty() {
                    format!(": {text}")
                } else {
                    text
                }
            }
            Err(FileError::Damaged { .. }) => "refused".to_owned(),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(outcome, expected, "{file:?} with {copy:?}");
    }
}

/// Whether the files beside it are there or not: they may be of long ago.
#[test]
fn tables_in_rocksdb_are_refused() {
    for name in ["topics", "subscriptionGroups", "consumerOffsets", "rdb"] {
        let mut store = Store::of_apache();
        let folder = store.folder.path().join("config").join(name);
        fs::create_dir(&folder).unwrap();
        store.files.load().unwrap();
        fs::write(folder.join("CURRENT"), "MANIFEST-000005\n").unwrap();
        let refused = store.files.load().unwrap_err();
        assert!(matches!(&refused, FileError::InRocksDb { path, .. } if *path == folder), "{refused}");
    }
}

#[test]
fn a_damaged_file_does_not_become_the_older_copy() {
    let mut store = Store::of_apache();
    store.put("topics.json.bak", APACHES[0].1);
    store.put("topics.json", "{\"topicConfigTable\":{");
    let tables = store.reload().tables;
    assert_eq!(tables.topics().count(), 19);
    assert!(store.save(&tables).contains(&"topics.json"));
    assert_eq!(store.get("topics.json.bak").as_deref(), Some(APACHES[0].1));
    assert_eq!(store.reload().tables, tables);
}

#[test]
fn a_write_that_failed_leaves_a_good_copy() {
    let mut store = Store::of_apache();
    let mut tables = store.reload().tables;
    put_topic(&mut tables, "late");
    let due = store.files.due(&tables);
    // A folder in the place of the file that is about to be renamed onto it.
    let blocked = store.folder.path().join("config/topics.json.bak");
    fs::create_dir_all(blocked.join("taken")).unwrap();
    assert!(matches!(store.files.write(due), Err(FileError::Io { action: "rename", .. })));
    assert_eq!(store.reload().tables.topics().count(), 19);
    fs::remove_dir_all(blocked).unwrap();
    assert!(store.save(&tables).contains(&"topics.json"));
    assert_eq!(store.reload().tables.topics().count(), 20);
}

#[test]
fn what_is_unknown_is_told_and_left_out() {
    let mut store = Store::new();
    store.put(
        "topics.json",
        r#"{"liteTable":{},"topicConfigTable":{"a":{"topicName":"other","prem":2},"b/c":{"perm":4},"d":{"perm":2}}}"#,
    );
    store.put(
        "consumerOffset.json",
        r#"{"offsetTable":{"a@g":{0:1},"nothing":{0:1},"x@y@g":{"1":2},"a@":{0:1}},"pullOffsetTable":{},"groupTopicMap":{}}"#,
    );
    store.put("ferrymq.json", r#"{"bytes":{"good":"0aff","odd":"0","bad":"zz"},"numbers":{"n":-1}}"#);
    let loaded = store.reload();
    assert_eq!(
        store.notes(&loaded),
        [
            r#"topics.json has the entry "b/c", which is left out: the name of a topic must not have '/' at position 1"#,
            "topics.json has members that are unknown here and will be missing when it is written again: liteTable, topicConfigTable.*.prem",
            r#"consumerOffset.json has the entry "a@", which is left out: the name of a group must not be empty"#,
            r#"consumerOffset.json has the entry "nothing", which is left out: it is not topic@group"#,
            r#"ferrymq.json has the entry "bad", which is left out: its value is not hexadecimal"#,
            r#"ferrymq.json has the entry "odd", which is left out: its value is not hexadecimal"#,
        ]
    );
    let tables = loaded.tables;
    assert_eq!(tables.topics().find("a").unwrap().topic_name, "a");
    assert_eq!(tables.topics().find("d").unwrap().perm, 2);
    assert_eq!(tables.offsets().find("g", "x@y", QueueId(1)), Some(QueueOffset(2)));
    assert_eq!(tables.progress().register("good"), Some(&Register::Bytes(vec![0x0a, 0xff])));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// All but the locks is the same after a restart.
    #[test]
    fn what_is_saved_is_loaded(commands in prop::collection::vec(random::command(), 0..40)) {
        let mut store = Store::new();
        let mut tables = Tables::default();
        for command in commands {
            tables.apply(command);
        }
        store.save(&tables);
        let loaded = store.reload();
        prop_assert_eq!(&loaded.notes, &[]);
        let without_locks = |tables: &Tables| {
            let dump = tables.dump();
            dump.lines().filter(|line| !line.starts_with("lock")).collect::<Vec<_>>().join("\n")
        };
        prop_assert_eq!(without_locks(&loaded.tables), without_locks(&tables));
    }

    /// The layout changes nothing but the lines.
    #[test]
    fn a_layout_can_be_undone(texts in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..4)) {
        let compact = ferrymq_proto::json::to_string(&texts, ferrymq_proto::json::Dialect::Standard);
        let text = layout::pretty(&compact);
        let read: std::collections::BTreeMap<String, String> = ferrymq_proto::json::from_str(&text).unwrap();
        prop_assert_eq!(read, texts);
    }
}
