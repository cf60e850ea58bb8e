use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Loaded, Sources, load};
use crate::config::machine::Machine;
use crate::config::namesrv_keys::{NAMESRV, NamesrvConfig};

fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// A home folder with these bytes in the file that is read without `-c`.
fn home(text: &[u8]) -> (TempDir, Sources) {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("namesrv")).unwrap();
    fs::write(home.path().join("namesrv/namesrv.properties"), text).unwrap();
    let machine = Machine { home: Some(home.path().to_path_buf()), ..Machine::default() };
    let sources = Sources { machine, ..Sources::default() };
    (home, sources)
}

fn shown(loaded: &Loaded<NamesrvConfig>, key: &str) -> String {
    let value = loaded.written.value(key).unwrap();
    format!("{} ({})", value.text, value.origin)
}

#[test]
fn the_last_source_wins() {
    let (home, mut sources) = home(b"listenPort=1\nconnectionsMax=1\nframeBytesMax=1MiB\n");
    let path = home.path().join("namesrv/namesrv.properties");
    sources.environment = environment(&[
        ("FERRYMQ_NAMESRV_LISTEN_PORT", "2"),
        ("FERRYMQ_NAMESRV_connectionsMax", "2"),
        ("OTHER_LISTEN_PORT", "9"),
    ]);
    sources.settings = vec!["listenPort=3".to_string(), "listenPort=4".to_string()];
    let loaded = load(&NAMESRV, &sources);
    assert_eq!(loaded.report.to_string(), "");
    assert_eq!(shown(&loaded, "listenPort"), "4 (command line)");
    assert_eq!(shown(&loaded, "connectionsMax"), "2 (environment FERRYMQ_NAMESRV_connectionsMax)");
    assert_eq!(shown(&loaded, "frameBytesMax"), format!("1048576 ({}:3)", path.display()));
    assert_eq!(shown(&loaded, "connectionsPerAddressMax"), "16384 (built in)");
    assert_eq!(loaded.keys_set, 3);
    assert_eq!(loaded.written.config().listen_port, 4);
}

#[test]
fn the_file_is_the_one_that_is_named_last_outside_of_it() {
    let (home, mut sources) = home(b"listenPort=1\n");
    let other = home.path().join("other.conf");
    fs::write(&other, "listenPort=2\nconfigStorePath=~/third.conf").unwrap();

    assert_eq!(load(&NAMESRV, &sources).written.config().listen_port, 1);

    sources.environment = environment(&[("FERRYMQ_NAMESRV_CONFIG_STORE_PATH", "~/missing.conf")]);
    let loaded = load(&NAMESRV, &sources);
    assert_eq!((loaded.written.config().listen_port, loaded.file), (9876, None));
    assert_eq!(loaded.written.config().config_store_path, home.path().join("missing.conf"));

    sources.settings = vec!["configStorePath=~/other.conf".to_string()];
    let loaded = load(&NAMESRV, &sources);
    assert_eq!(loaded.written.config().listen_port, 2);
    assert_eq!(shown(&loaded, "configStorePath"), format!("{} (command line)", other.display()));

    sources.settings.clear();
    sources.file = Some(other.clone());
    let loaded = load(&NAMESRV, &sources);
    assert_eq!(
        (loaded.written.config().listen_port, loaded.report.errors(), loaded.report.warnings()),
        (2, 0, 2)
    );
    assert_eq!(loaded.written.config().config_store_path, other);
}

#[test]
fn a_file_that_was_asked_for_must_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let sources = Sources {
        file: Some(folder.path().join("none")),
        machine: Machine { home: Some(PathBuf::from("/h")), ..Machine::default() },
        ..Sources::default()
    };
    assert!(load(&NAMESRV, &sources).report.to_string().starts_with("error[F1001]: cannot read "));
    let sources = Sources { file: Some(folder.path().to_path_buf()), ..sources };
    assert!(load(&NAMESRV, &sources).report.to_string().starts_with("error[F1001]: cannot read "));
}

#[test]
fn a_file_too_large_is_not_read() {
    let (_home, sources) = home(&b"#".repeat((1 << 20) + 1));
    assert!(load(&NAMESRV, &sources).report.to_string().contains("larger than 1 MiB"));
    let (_home, sources) = home(&b"#".repeat(1 << 20));
    assert_eq!(load(&NAMESRV, &sources).report.errors(), 0);
}

#[test]
fn of_very_many_mistakes_the_rest_are_counted_and_an_error_is_always_shown() {
    let mut text = "bogus=1\n".repeat(60);
    text.push_str("listenPort=x\nlistenPort=y\n");
    let (_home, sources) = home(text.as_bytes());
    let report = load(&NAMESRV, &sources).report;
    assert_eq!((report.errors(), report.warnings()), (2, 61));
    let shown = report.to_string();
    assert_eq!(shown.matches("warning[").count(), 50);
    assert_eq!(shown.matches("error[").count(), 1);
    assert!(shown.ends_with("… and 12 more like these\n"), "{shown}");
}

#[test]
fn variables_of_kubernetes_are_not_meant_for_us() {
    let (_home, mut sources) = home(b"");
    sources.is_strict = true;
    sources.environment = environment(&[
        ("FERRYMQ_NAMESRV_SERVICE_HOST", "10.0.0.1"),
        ("FERRYMQ_NAMESRV_SERVICE_PORT", "9876"),
        ("FERRYMQ_NAMESRV_SERVICE_PORT_REMOTING", "9876"),
        ("FERRYMQ_NAMESRV_PORT", "tcp://10.0.0.1:9876"),
        ("FERRYMQ_NAMESRV_PORT_9876_TCP_ADDR", "10.0.0.1"),
    ]);
    assert_eq!(load(&NAMESRV, &sources).report.to_string(), "");
}

#[test]
fn without_a_home_folder_the_paths_must_be_given() {
    let mut sources = Sources::default();
    let report = load(&NAMESRV, &sources).report;
    assert_eq!(report.errors(), 2, "{report}");
    assert!(
        report.to_string().contains("kvConfigPath has no value: ~/namesrv/kvConfig.json needs a home folder")
    );
    let settings = ["kvConfigPath=/x/kv.json", "configStorePath=/x/none.conf", "configBlackList="];
    sources.settings = settings.map(str::to_string).to_vec();
    assert_eq!(load(&NAMESRV, &sources).report.to_string(), "");
}

#[test]
fn a_secret_is_in_no_message() {
    let (_home, mut sources) =
        home(b"tls.server.keyPassword=hunter2\ntls.server.keyPasword=hunter2\n=hunter2\n");
    sources.environment = environment(&[
        ("FERRYMQ_NAMESRV_TLS_SERVER_KEY_PASSWORD", "hunter2"),
        ("FERRYMQ_NAMESRV_TLS_SERVER_KEY_PASWORD", "hunter2"),
        ("JAVA_OPT_EXT", "-Dtls.server.keyPassword=hunter2"),
    ]);
    sources.settings = vec!["tls.server.keyPasword=hunter2".to_string(), "=hunter2".to_string()];
    for is_strict in [false, true] {
        sources.is_strict = is_strict;
        let loaded = load(&NAMESRV, &sources);
        assert!(loaded.report.errors() > 3);
        assert!(!loaded.report.to_string().contains("hunter2"), "{}", loaded.report);
        assert!(!loaded.written.text().contains("hunter2"));
    }
}

#[test]
fn terminal_sequences_are_not_passed_on() {
    let (_home, mut sources) = home(b"\x1b[2Jx=1\nlistenPort=\x1b[2J\x07\nenableTopicList=\\u001b[2J\n");
    sources.settings = vec!["\u{1b}[2J".to_string()];
    for is_strict in [false, true] {
        sources.is_strict = is_strict;
        let report = load(&NAMESRV, &sources).report;
        assert!(report.errors() >= 3);
        assert!(!report.to_string().contains(['\u{1b}', '\u{7}']), "{report}");
    }
}
