//! The frames with which Apache's servers were broken into, as they were sent: a configuration that runs commands or writes
//! files (CVE-2023-33246, CVE-2023-37582), and a topic that is a path (CVE-2019-17572).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ferrymq_proto::net::Client;

use crate::broker::{Broker, PATIENCE, request, said, send};

const SYSTEM_ERROR: i32 = 1;
const NO_PERMISSION: i32 = 16;
const INVALID_PARAMETER: i32 = 29;

fn below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(below(&path));
        }
        found.insert(path);
    }
    found
}

/// The names of all keys that docs/config.md knows.
fn keys() -> BTreeSet<String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).unwrap();
    let words = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let is_key = |word: &&str| word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.');
    words.filter(is_key).map(str::to_owned).collect()
}

pub async fn are_closed() {
    let broker = Broker::start(&[]);
    let (client, names) = (broker.client(), Client::new(&broker.name_server.address, PATIENCE));
    assert_eq!(client.exchange(send("good", 0, "", 0, "x")).await.unwrap().code, 0);
    let target = broker.folder.path().join("evil");
    let target = target.to_str().unwrap();
    let shown = async || {
        let all = [
            client.exchange(request(26, &[], Bytes::new())).await,
            names.exchange(request(319, &[], Bytes::new())).await,
        ];
        all.map(|answer| said(&answer.unwrap()))
    };
    let (settings, conf) = (shown().await, fs::read_to_string(broker.conf()).unwrap());
    let files = below(broker.folder.path());

    let frames = [
        format!("filterServerNums=1\nrocketmqHome=-c $@|sh . echo touch {target};\n"),
        format!(
            "filterServerNums=1\nnamesrvAddr=127.0.0.1:9876\nrocketmqHome=-c gopher://x | touch {target} #\n"
        ),
        format!("configStorePath={target}\nproductEnvName=*/1 * * * * root touch {target}\\nx\n"),
        format!("configStorePathName=productEnvName\nproductEnvName={target}\n"),
        format!("kvConfigPath={target}\n"),
        format!("brokerConfigPath={target}\nbrokerName=*/1 * * * * root touch {target}\n"),
        format!("fileReservedTime=72\nstorePathRootDir={target}\n"),
    ];
    for frame in &frames {
        for (code, to) in [(25, &client), (318, &names)] {
            let answer = to.exchange(request(code, &[], frame.clone())).await.unwrap();
            assert_eq!(answer.code, NO_PERMISSION, "{frame}: {}", said(&answer));
        }
    }
    // No key that may change takes a path, a command or an address.
    let keys = keys();
    assert!(keys.len() > 600, "{} keys", keys.len());
    for key in &keys {
        for value in [target, "$(touch evil)", "-c $@|sh", "evil.example:80", "ldap://evil.example/x"] {
            for (code, to) in [(25, &client), (318, &names)] {
                let answer = to.exchange(request(code, &[], format!("{key}={value}\n"))).await.unwrap();
                assert!(
                    [SYSTEM_ERROR, NO_PERMISSION].contains(&answer.code),
                    "{key}={value}: {}",
                    said(&answer)
                );
            }
        }
    }
    for topic in ["../../../../tmp/evil", "/tmp/evil", "..", "%RETRY%../../evil", "a/../../evil"] {
        let sent = client.exchange(send(topic, 0, "", 0, "x")).await.unwrap();
        assert_eq!(sent.code, INVALID_PARAMETER, "{topic}: {}", said(&sent));
        let fields = [
            ("topic", topic),
            ("defaultTopic", "TBW102"),
            ("readQueueNums", "1"),
            ("writeQueueNums", "1"),
            ("perm", "6"),
            ("topicFilterType", "SINGLE_TAG"),
            ("order", "false"),
        ];
        let made = client.exchange(request(17, &fields, Bytes::new())).await.unwrap();
        assert_eq!(made.code, INVALID_PARAMETER, "{topic}: {}", said(&made));
    }
    assert_eq!(
        (shown().await, fs::read_to_string(broker.conf()).unwrap()),
        (settings, conf),
        "a setting was changed"
    );
    let new: Vec<_> = below(broker.folder.path()).difference(&files).cloned().collect();
    assert!(new.iter().all(|path| path.starts_with(broker.folder.path().join("store"))), "{new:?}");
    assert!(!new.iter().any(|path| path.to_string_lossy().contains("evil")), "{new:?}");
    assert_eq!(broker.children(), "", "it has started a process");
}
