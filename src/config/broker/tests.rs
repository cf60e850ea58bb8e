use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::{BROKER, BrokerConfig, KEYS, Mode};
use crate::config::field::Field;
use crate::config::keys::{Change, Class, nearest};
use crate::config::machine::Machine;
use crate::config::sources::{Loaded, Sources, load};
use crate::config::written::{Origin, Written};

fn machine() -> Machine {
    Machine { home: Some(PathBuf::from("/home/me")), host_name: "broker-a".to_string(), address: None }
}

fn built_in() -> Written<BrokerConfig> {
    Written::built_in(KEYS, BrokerConfig::blank(), machine())
}

fn settings(text: &str) -> Loaded<BrokerConfig> {
    let settings = text.lines().map(str::to_string).collect();
    load(&BROKER, &Sources { machine: machine(), settings, ..Sources::default() })
}

#[test]
fn every_key_of_apache_is_known() {
    let apache = include_str!("../testdata/apache-5.5.0-broker-keys.txt");
    for name in apache.lines().filter(|line| !line.starts_with('#')) {
        assert!(KEYS.find(name).is_some(), "{name} has no row");
    }
}

#[test]
fn no_spelling_means_two_keys() {
    let mut seen = BTreeSet::new();
    for key in KEYS.iter() {
        for name in std::iter::once(key.name).chain(key.aliases.iter().copied()) {
            let owners: Vec<_> =
                KEYS.iter().filter(|other| other.is_variable(name)).map(|other| other.name).collect();
            assert_eq!(owners, [key.name], "{name}");
            assert!(seen.insert(name), "{name} stands twice");
        }
    }
}

/// What Apache's broker 5.5.0 answers to request 26 with a file that sets brokerName=broker-a, brokerIP1 and brokerIP2.
#[test]
fn what_is_shown_is_what_apache_shows_and_our_own_keys() {
    let text = built_in().text();
    let shown: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let apache = include_str!("../testdata/apache-5.5.0-broker-config.txt");
    let apache: BTreeMap<&str, &str> = apache.lines().filter_map(|line| line.split_once('=')).collect();
    // Apache counts cores for these, and shows what followed from others for the last two.
    let differ = [
        "clientCallbackExecutorThreads",
        "endTransactionThreadPoolNums",
        "heartbeatThreadPoolNums",
        "litePullMessageThreadPoolNums",
        "processReplyMessageThreadPoolNums",
        "pullMessageThreadPoolNums",
        "putMessageFutureThreadPoolNums",
        "queryMessageThreadPoolNums",
        "sendMessageThreadPoolNums",
        "haListenPort",
        "rocketmqHome",
    ];
    for (key, value) in &apache {
        if !differ.contains(key) {
            let value = value.replace("\\:", ":");
            assert_eq!(shown.get(key).map(ToString::to_string), Some(value), "{key}");
        }
    }
    let ours: Vec<&str> = shown.keys().copied().filter(|key| !apache.contains_key(key)).collect();
    let expected = [
        "brokerConfigPath",
        "connectionsMax",
        "connectionsPerAddressMax",
        "frameBytesMax",
        "heldBytesMax",
        "logFilter",
        "raftElectionMaxMs",
        "raftElectionMinMs",
        "raftHeartbeatMs",
    ];
    assert_eq!(ours, expected);
}

/// What Apache's `mqbroker -m` prints, of the keys that have a value, and of those of the store.
#[test]
fn the_important_ones() {
    let text = built_in().important_text();
    let names: Vec<&str> =
        text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    for name in [
        "aclEnable",
        "autoCreateTopicEnable",
        "brokerClusterName",
        "brokerIP1",
        "brokerId",
        "brokerName",
        "brokerRole",
    ] {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for name in ["listenPort", "namesrvAddr", "connectionsMax", "tls.enable"] {
        assert!(!names.contains(&name), "{name}");
    }
}

/// Another good value than the built-in one.
fn other(name: &str, field: &Field<BrokerConfig>, built_in: &str) -> String {
    let unlike = |one: String, two: String| if one == built_in { two } else { one };
    match field {
        Field::Switch(_) => unlike("true".to_string(), "false".to_string()),
        Field::Number(range, _) | Field::Size(range, _) => {
            unlike(range.end().to_string(), range.start().to_string())
        }
        Field::Time(_, range, _) => unlike(range.end().to_string(), range.start().to_string()),
        Field::Integer(range, _) => unlike(range.end().to_string(), range.start().to_string()),
        Field::Percent(range, _) => unlike(range.end().to_string(), range.start().to_string()),
        Field::Port(_) => "7".to_string(),
        Field::Path(_) => "/x".to_string(),
        Field::Address(_) => "::1".to_string(),
        Field::Text(_) => "x".to_string(),
        Field::Parsed(..) => match name {
            "brokerIP1" | "brokerIP2" | "brokerName" | "brokerClusterName" | "msgTraceTopicName" => "x",
            "namesrvAddr" | "haMasterAddress" => "a:1",
            "storePathCommitLog" => "/x",
            "flushDiskType" => "SYNC_FLUSH",
            "brokerRole" => "SLAVE",
            "dLegerPeers" => "n0-a:1",
            "deleteWhen" => "05",
            "messageDelayLevel" => "9s",
            "startAcceptSendRequestTimeStamp" => "1",
            "metricsExporterType" => "PROM",
            "metricsPromExporterHost" => "::1",
            "metricsLabel" => "a:b",
            "logFilter" => "debug",
            name => panic!("no other value for {name}"),
        }
        .to_string(),
    }
}

/// The fields of a configuration by their path, with their values.
fn leaves(config: &BrokerConfig) -> BTreeMap<String, String> {
    let mut path: Vec<String> = Vec::new();
    let mut leaves = BTreeMap::new();
    for (number, line) in format!("{config:#?}").lines().enumerate() {
        let line = line.trim();
        if line.ends_with(['{', '[', '(']) {
            path.push(line.split(':').next().unwrap_or_default().to_string());
        } else if line.starts_with(['}', ']', ')']) {
            path.pop();
        } else {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            let name = if value.is_empty() { format!("element {number}") } else { name.to_string() };
            leaves.insert(format!("{}.{name}", path.join(".")), line.to_string());
        }
    }
    leaves
}

/// Changing a key changes the configuration, no two keys change the same field, and no field is without a key.
#[test]
fn every_effective_key_has_a_field_and_every_field_a_key() {
    let plain = leaves(built_in().config());
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    for key in KEYS.iter() {
        let Class::Effective { field, .. } = &key.class else { continue };
        let mut written = built_in();
        let value = other(key.name, field, &written.value(key.name).unwrap().text);
        written
            .set(key, &value, Origin::Request)
            .unwrap_or_else(|error| panic!("{}={value}: {error}", key.name));
        let changed = leaves(written.config());
        let different: Vec<&String> =
            plain.keys().filter(|path| plain.get(*path) != changed.get(*path)).collect();
        assert!(!different.is_empty() || changed.len() > plain.len(), "{} changes nothing", key.name);
        for path in different {
            if let Some(owner) = owners.insert(path.clone(), key.name).filter(|_| !path.contains("element")) {
                panic!("{owner} and {} change {path}", key.name);
            }
        }
    }
    let others: Vec<&String> = plain.keys().filter(|path| !owners.contains_key(*path)).collect();
    // What is settled, and the limits that no key sets.
    for path in others {
        let is_known = path.contains("element")
            || [
                "mode",
                "first_byte",
                "frame_completion",
                "unanswered_max",
                "set_aside_max",
                "outbox_bytes_max",
            ]
            .iter()
            .any(|name| path.ends_with(&format!(".{name}")));
        assert!(is_known, "no key sets {path}");
    }
}

/// One more here is one more thing that anyone who reaches the port may change: none may name a file or an address.
#[test]
fn the_allow_list() {
    let allowed: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| match &key.class {
            Class::Effective { field, change: Change::ByRequest, .. } => {
                let is_parsed =
                    ["deleteWhen", "logFilter", "startAcceptSendRequestTimeStamp"].contains(&key.name);
                let is_bounded = matches!(
                    field,
                    Field::Switch(_)
                        | Field::Number(..)
                        | Field::Integer(..)
                        | Field::Percent(..)
                        | Field::Size(..)
                        | Field::Time(..)
                );
                assert!(is_bounded || is_parsed, "{} could name something", key.name);
                Some(key.name)
            }
            _ => None,
        })
        .collect();
    let expected: Vec<&str> = include_str!("../testdata/broker-keys-by-request.txt").lines().collect();
    assert_eq!(allowed, expected);
}

#[test]
fn what_follows_from_others() {
    let loaded = settings(
        "brokerName=a\nstorePathRootDir=/s\nmappedFileSizeConsumeQueue=41\nnamesrvAddr=n1:9876; [::1]:9877;",
    );
    assert_eq!(loaded.report.to_string(), "");
    let config = loaded.written.config();
    assert_eq!(config.store.log_folder, PathBuf::from("/s/commitlog"));
    assert_eq!(config.store.queue_file_entries(), 3);
    assert_eq!(config.mode, Mode::Master);
    let servers: Vec<String> = config.registration.name_servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["n1:9876", "[::1]:9877"]);

    let config = settings("storePathCommitLog=/l\nstorePathRootDir=/s").written.config().clone();
    assert_eq!(config.store.log_folder, PathBuf::from("/l"));
    let config = settings("brokerRole=SLAVE\nbrokerId=2\nnamesrvAddr=a:1").written.config().clone();
    assert_eq!(config.mode, Mode::Slave { broker_id: 2 });
}

#[test]
fn a_group_that_elects_its_leader() {
    let loaded = settings(
        "enableDLedgerCommitLog=true\ndLegerPeers=n0-10.0.0.1:40911;n1-host-b:40911;n2-[::1]:40911\ndLedgerSelfId=n1\nraftHeartbeatMs=50",
    );
    assert_eq!(loaded.report.to_string(), "");
    let Mode::Raft(group) = &loaded.written.config().mode else { panic!("no group") };
    assert_eq!((group.name.as_str(), group.own_id.as_str()), ("broker-a", "n1"));
    let peers: Vec<String> = group.peers.iter().map(ToString::to_string).collect();
    assert_eq!(peers, ["n0-10.0.0.1:40911", "n1-host-b:40911", "n2-[::1]:40911"]);
    assert_eq!(group.peers.iter().filter_map(super::Peer::number).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(group.timing.heartbeat, Duration::from_millis(50));
    assert_eq!(group.preferred_leader, None);
}

#[test]
fn a_group_waits_for_the_disks_of_a_majority_unless_told_otherwise() {
    const GROUP: &str = "enableDLegerCommitLog=true\ndLegerPeers=n0-a:1\ndLegerSelfId=n0";
    let flush = |text: &str| settings(text).written.config().store.flush;
    assert_eq!(flush(""), super::FlushDisk::Async);
    assert_eq!(flush(GROUP), super::FlushDisk::Sync);
    assert_eq!(flush(&format!("{GROUP}\nflushDiskType=ASYNC_FLUSH")), super::FlushDisk::Async);
}

#[test]
fn delay_levels() {
    let levels = |text: &str| {
        let loaded = settings(&format!("messageDelayLevel={text}"));
        (loaded.report.errors() == 0).then(|| loaded.written.config().delay.levels.clone())
    };
    let apache = built_in().config().delay.levels.clone();
    assert_eq!(apache.max(), 18);
    assert_eq!(apache.delay(1), Some(Duration::from_secs(1)));
    assert_eq!(apache.delay(18), Some(Duration::from_secs(7200)));
    assert_eq!((apache.delay(0), apache.delay(19)), (None, None));
    let own = levels(" 1s  2m 1d ").unwrap();
    assert_eq!((own.to_string().as_str(), own.max()), ("1s 2m 1d", 3));
    assert_eq!(own.delays().last(), Some(&Duration::from_secs(86_400)));
    for wrong in ["", "1", "s", "1x", "+1s", "-1s", "1.5s", "1s,5s", "99999999999999999999d", "9999999999d"] {
        assert_eq!(levels(wrong), None, "{wrong}");
    }
    assert_eq!(levels(&"1s ".repeat(257)), None);
}

/// What may come from outside in the keys that are lists or names.
#[test]
fn values_that_are_none() {
    for wrong in [
        "brokerName=",
        "brokerName=a b",
        "brokerName=../x",
        "brokerName=broker:a",
        "brokerClusterName=x/y",
        "brokerIP1=10.0.0.1:10911",
        "brokerIP1=a b",
        "brokerIP1=[::1",
        "namesrvAddr=127.0.0.1",
        "namesrvAddr=127.0.0.1:0",
        "namesrvAddr=127.0.0.1:99999",
        "namesrvAddr=a:1,b:1",
        "namesrvAddr=http://a:1/x",
        "dLegerPeers=n0:1",
        "dLegerPeers=0-a:1",
        "dLegerPeers=n-a:1",
        "dLegerPeers=nx-a:1",
        "dLegerPeers=n0-a",
        "dLegerPeers=n99999999999999999999-a:1",
        "deleteWhen=",
        "deleteWhen=24",
        "deleteWhen=4am",
        "brokerRole=MASTER",
        "brokerRole=slave",
        "flushDiskType=SYNC",
        "brokerPermission=9",
        "brokerId=-2",
        "storePathCommitLog=relative",
        "storePathCommitLog=/a,/b",
        "msgTraceTopicName=a b",
        "startAcceptSendRequestTimeStamp=tomorrow",
        "fileReservedTime=30m",
        "diskMaxUsedSpaceRatio=0.75",
        "maxMessageSize=4MB",
        "listenPort=-1",
    ] {
        let report = settings(wrong).report;
        assert!(report.errors() == 1 && report.to_string().starts_with("error[F1203]"), "{wrong}: {report}");
    }
}

#[test]
fn typos_find_their_key() {
    for (word, expected) in [
        ("flushDiskTpye", "flushDiskType"),
        ("brokerClustername", "brokerClusterName"),
        ("mapedFileSizeCommitLog", "mappedFileSizeCommitLog"),
        ("namesrvAddress", "namesrvAddr"),
        ("dLedgerPeer", "dLedgerPeers"),
        ("dLegerSelfID", "dLegerSelfId"),
        ("autoCreateTopicEnabled", "autoCreateTopicEnable"),
    ] {
        assert_eq!(nearest(KEYS, word), Some(expected), "{word}");
    }
}
