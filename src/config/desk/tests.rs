use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ferrymq_namesrv::settings::{ConfigDesk, UpdateRefused};
use tempfile::TempDir;

use super::{BrokerDesk, NamesrvDesk};
use crate::config::broker::BROKER;
use crate::config::keys::{Change, Class};
use crate::config::machine::Machine;
use crate::config::namesrv_keys::{KEYS, NAMESRV, NamesrvConfig};
use crate::config::sources::{Loaded, Sources, load};

/// A desk whose file is `namesrv.conf` in a folder of its own.
struct Setup {
    folder: TempDir,
    desk: NamesrvDesk,
}

fn me() -> Machine {
    Machine { home: Some(PathBuf::from("/home/me")), ..Machine::default() }
}

fn sources(file: &Path) -> Sources {
    Sources { file: Some(file.to_path_buf()), machine: me(), ..Sources::default() }
}

fn loaded(sources: &Sources) -> Loaded<NamesrvConfig> {
    let loaded = load(&NAMESRV, sources);
    assert_eq!(loaded.report.errors(), 0, "{}", loaded.report);
    loaded
}

impl Setup {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv.conf");
        fs::write(&path, text).unwrap();
        let desk = NamesrvDesk::new(&NAMESRV, loaded(&sources(&path)).written);
        Setup { folder, desk }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("namesrv.conf")
    }

    /// The configuration, the file and the names in its folder: what a refused change must leave alone.
    fn everything(&self) -> (String, String, Vec<PathBuf>) {
        let names = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        (self.desk.text(), fs::read_to_string(self.path()).unwrap(), names)
    }

    fn refused(&self, text: &str) -> UpdateRefused {
        let before = self.everything();
        let refused = self.desk.update(text).unwrap_err();
        assert_eq!(self.everything(), before, "{text}");
        refused
    }

    fn not_by_request(&self, text: &str) {
        let refused = self.refused(text);
        assert!(
            matches!(refused, UpdateRefused::NotByRequest(_) | UpdateRefused::UnknownKey(_)),
            "{text}: {refused}"
        );
    }
}

const FILE: &str = "# kept\r\nlistenPort = 9999\r\nenableTopicList: true\r\nbogus=1\r\n\r\nscanNotActiveBrokerInterval 5s\r\n";

#[test]
fn a_change_holds_at_once_and_after_a_restart() {
    let setup = Setup::new(FILE);
    let settings = setup
        .desk
        .update("enableTopicList=false\nscanNotActiveBrokerInterval=2s\nneedWaitForService=true\n")
        .unwrap();
    assert!(!settings.enable_topic_list && settings.need_wait_for_service);
    assert_eq!(settings.scan_not_active_broker_interval, Duration::from_secs(2));
    for line in ["enableTopicList=false", "scanNotActiveBrokerInterval=2000", "needWaitForService=true"] {
        assert!(setup.desk.text().lines().any(|shown| shown == line), "{line}");
    }
    assert_eq!(
        fs::read_to_string(setup.path()).unwrap(),
        "# kept\r\nlistenPort = 9999\r\nenableTopicList: false\r\nbogus=1\r\n\r\nscanNotActiveBrokerInterval 2000\r\n\
         needWaitForService=true\r\n"
    );
    assert_eq!(loaded(&sources(&setup.path())).written.config().settings, settings);
}

#[test]
fn a_change_is_made_in_full_or_not_at_all() {
    let setup = Setup::new(FILE);
    assert_eq!(
        setup.refused("enableTopicList=false\nscanNotActiveBrokerInterval=-1"),
        UpdateRefused::Malformed(
            "scanNotActiveBrokerInterval cannot be \"-1\": expected milliseconds from 10 to 3600000, or a time with a unit such as 10s"
                .to_string()
        )
    );
    setup.not_by_request("enableTopicList=false\nlistenPort=1");
    assert_eq!(
        setup.refused("enableTopicList=false\nx=\\u12"),
        UpdateRefused::Malformed("line 2: \\u needs four hexadecimal digits".to_string())
    );
    assert!(matches!(setup.refused(&"enableTopicList=false\n".repeat(10_000)), UpdateRefused::Malformed(_)));
}

/// The frames of CVE-2023-33246 and CVE-2023-37582, and what Apache's list of forbidden keys forgot.
#[test]
fn nothing_that_names_something_changes_by_request() {
    let setup = Setup::new(FILE);
    let target = setup.folder.path().join("evil");
    for key in [
        "configStorePath",
        "kvConfigPath",
        "rocketmqHome",
        "configBlackList",
        "listenPort",
        "productEnvName",
        "bindAddress",
    ] {
        setup.not_by_request(&format!("{key}={}", target.display()));
        setup.not_by_request(&format!("enableTopicList=false\n{key}={}", target.display()));
    }
    setup.not_by_request("configStorePath=/tmp/x\nproductEnvName=*/1 * * * * root touch /tmp/x\\nx");
    setup.not_by_request("filterServerNums=1\nrocketmqHome=-c $@|sh . echo touch /tmp/x;");
}

#[test]
fn only_the_allow_list_changes_by_request() {
    let setup = Setup::new(FILE);
    let values = ["true", "1000", "/tmp/x", "", "-c $@|sh", "0.0.0.0"];
    for key in KEYS.iter() {
        let is_allowed = matches!(key.class, Class::Effective { change: Change::ByRequest, .. });
        for name in std::iter::once(key.name).chain(key.aliases.iter().copied()) {
            if !is_allowed {
                values.iter().for_each(|value| setup.not_by_request(&format!("{name}={value}")));
            }
            setup.not_by_request(&format!("{}=true", name.to_uppercase()));
            setup.not_by_request(&format!("x{name}=true"));
        }
        if is_allowed {
            let value = setup.desk.written().value(key.name).unwrap().text.clone();
            setup.desk.update(&format!("{}={value}", key.name)).unwrap();
        }
    }
    setup.not_by_request("=true");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    let refused = Setup::new(FILE).refused("enableTopcList=false");
    assert_eq!(
        refused.to_string(),
        "Can not update config in black list. \"enableTopcList\" is an unknown key; did you mean \"enableTopicList\"?"
    );
}

#[test]
fn the_operator_may_forbid_more() {
    let setup = Setup::new("configBlackList=enableTopicList; unregisterBrokerQueueCapacity\n");
    setup.not_by_request("enableTopicList=false");
    setup.not_by_request("listenPort=1");
    setup.desk.update("enableAllTopicList=false").unwrap();
}

#[test]
fn nothing_asked_for_is_nothing_written() {
    let setup = Setup::new(FILE);
    fs::remove_file(setup.path()).unwrap();
    setup.desk.update("# only a comment").unwrap();
    assert!(!setup.path().exists());
}

#[test]
fn a_missing_file_is_created_and_read_at_the_next_start() {
    let home = tempfile::tempdir().unwrap();
    let machine = Machine { home: Some(home.path().to_path_buf()), ..Machine::default() };
    let sources = Sources { machine, ..Sources::default() };
    let desk = NamesrvDesk::new(&NAMESRV, loaded(&sources).written);
    let settings = desk.update("enableTopicList=false").unwrap();
    let path = home.path().join("namesrv/namesrv.properties");
    assert!(fs::read_to_string(&path).unwrap().ends_with("\nenableTopicList=false\n"));
    let restarted = loaded(&sources);
    assert_eq!(restarted.file.unwrap(), path);
    assert_eq!(restarted.written.config().settings, settings);
}

#[test]
fn a_value_that_the_file_could_not_keep_is_not_changed() {
    let setup = Setup::new(FILE);
    let mut sources = sources(&setup.path());
    sources.environment = vec![("FERRYMQ_NAMESRV_ENABLE_TOPIC_LIST".to_string(), "true".to_string())];
    sources.settings = vec!["needWaitForService=false".to_string()];
    let setup = Setup { desk: NamesrvDesk::new(&NAMESRV, loaded(&sources).written), ..setup };
    let refused = setup.refused("enableTopicList=false").to_string();
    assert!(
        refused.contains("environment FERRYMQ_NAMESRV_ENABLE_TOPIC_LIST, which wins over the file"),
        "{refused}"
    );
    let refused = setup.refused("needWaitForService=true").to_string();
    assert!(refused.contains("command line, which wins over the file"), "{refused}");
    setup.desk.update("enableAllTopicList=false").unwrap();
}

#[test]
fn what_cannot_be_written_is_not_changed() {
    let setup = Setup::new(FILE);
    let before = setup.desk.text();

    fs::write(setup.path(), "x=\\u12").unwrap();
    let refused = setup.refused("enableTopicList=false").to_string();
    assert!(refused.contains("its line 1 cannot be read"), "{refused}");

    fs::remove_file(setup.path()).unwrap();
    fs::create_dir(setup.path()).unwrap();
    let refused = setup.desk.update("enableTopicList=false").unwrap_err();
    assert!(matches!(&refused, UpdateRefused::NotWritten { path, .. } if *path == setup.path()), "{refused}");
    assert_eq!(setup.desk.text(), before);
}

/// The same for a broker, and for the frames of CVE-2023-33246, which are for brokers.
#[test]
fn a_brokers_desk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.conf");
    fs::write(&path, "# mine\nbrokerName=broker-a\nfileReservedTime = 48\n").unwrap();
    let loaded = load(&BROKER, &sources(&path));
    assert_eq!(loaded.report.to_string(), "");
    let desk = BrokerDesk::new(&BROKER, loaded.written);
    let followed = desk.follow();

    let config = desk.change("fileReservedTime=3d\nbrokerPermission=4").unwrap();
    assert_eq!(config.retention.kept_for, Duration::from_secs(3 * 86_400));
    assert_eq!((config.identity.permission, &**followed.borrow()), (4, &config));
    let changed = "# mine\nbrokerName=broker-a\nfileReservedTime = 72\nbrokerPermission=4\n";
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);
    assert!(desk.text().contains("\nfileReservedTime=72\n"));

    for request in [
        "filterServerNums=1\nrocketmqHome=-c $@|sh . echo touch /tmp/x;",
        "brokerConfigPath=/tmp/x\nregionId=*/1 * * * * root touch /tmp/x",
        "storePathRootDir=/tmp/x",
        "namesrvAddr=evil:1",
        "brokerPermission=6\nhaMasterAddress=evil:1",
        "configBlackList=",
        "brokerPermisson=6",
    ] {
        let before = desk.text();
        let refused = desk.change(request).unwrap_err();
        let is_right = matches!(refused, UpdateRefused::NotByRequest(_) | UpdateRefused::UnknownKey(_));
        assert!(is_right, "{request}: {refused}");
        assert_eq!(
            (desk.text(), fs::read_to_string(&path).unwrap()),
            (before, changed.to_string()),
            "{request}"
        );
    }
    assert!(matches!(desk.change("brokerPermission=9"), Err(UpdateRefused::Malformed(_))));
}
