//! The systems under test: one row each. What their configuration says, and how they are started.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::addresses::Addresses;
use super::process::Launch;
use crate::history::NodeId;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    Ferrymq,
    Apache,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// The nodes elect a leader.
    Raft,
    /// One is the master as its settings say; n0 at first.
    MasterSlave,
}

/// When a master acknowledges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A quorum has it.
    #[default]
    Raft,
    /// A slave has it too.
    SyncMasterSlave,
    /// The master has it.
    AsyncMasterSlave,
}

impl Mode {
    /// What the settings of a master call it.
    pub fn master_role(self) -> &'static str {
        match self {
            Self::AsyncMasterSlave => "ASYNC_MASTER",
            Self::Raft | Self::SyncMasterSlave => "SYNC_MASTER",
        }
    }

    /// Nodes of a pair that must have a message before it is acknowledged.
    fn copies(self) -> u8 {
        match self {
            Self::AsyncMasterSlave => 1,
            Self::Raft | Self::SyncMasterSlave => 2,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct System {
    pub name: &'static str,
    pub maker: Maker,
    pub replication: Replication,
    /// A virtual machine boots for a while: faults must leave it the time.
    pub boot_seconds: u64,
    /// What was said in this time before a crash of how far a group is may be forgotten: the interval that its documents name, and
    /// as much again for a busy machine.
    pub offsets_in_memory_ms: i64,
    /// What a node writes into its log when it begins to lead, before the number of the term.
    pub leads: Option<&'static str>,
}

/// All of them.
pub const SYSTEMS: &[System] = &[
    System {
        name: "ferrymq-raft",
        maker: Maker::Ferrymq,
        replication: Replication::Raft,
        boot_seconds: 20,
        // A commit that is answered is replicated.
        offsets_in_memory_ms: 0,
        leads: Some("this node leads its group, and serves term="),
    },
    System {
        name: "ferrymq-classic",
        maker: Maker::Ferrymq,
        replication: Replication::MasterSlave,
        boot_seconds: 20,
        // flushConsumerOffsetInterval.
        offsets_in_memory_ms: 10_000,
        leads: None,
    },
    System {
        name: "apache-dledger",
        maker: Maker::Apache,
        replication: Replication::Raft,
        boot_seconds: 90,
        // Slaves ask for them every ten seconds.
        offsets_in_memory_ms: 20_000,
        leads: None,
    },
    System {
        name: "apache-masterslave",
        maker: Maker::Apache,
        replication: Replication::MasterSlave,
        boot_seconds: 90,
        offsets_in_memory_ms: 20_000,
        leads: None,
    },
];

/// Both makers say so when they serve.
pub const READY: &str = "boot success";
/// The name of the group, as clients see it.
pub const GROUP: &str = "group-under-test";
const CLUSTER: &str = "cluster-under-test";

const NAME_SERVER_JVM: &[&str] = &["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"];
const BROKER_JVM: &[&str] = &[
    "-Xms512m",
    "-Xmx512m",
    "-XX:MaxDirectMemorySize=512m",
    "-XX:+UseG1GC",
    "-XX:TieredStopAtLevel=1",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
];

/// Where the programs are.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    pub ferrymq: PathBuf,
    pub apache_class_path: String,
    /// Empty unless the official client is asked for.
    pub java_client_class_path: String,
}

/// What the configuration of a node depends on.
#[derive(Clone, Debug)]
pub struct Setting<'c> {
    pub addresses: &'c Addresses,
    pub nodes: u8,
    pub mode: Mode,
    /// Of the log.
    pub segment_bytes: u64,
    /// Acknowledge only what is on disk.
    pub sync_flush: bool,
    /// Modes in which the broker is wrong on purpose; see `NEGATIVE_CONTROLS.md`.
    pub unsafe_modes: &'c [String],
    /// Who finds whose peer port where, by (from, to).
    pub peer_links: &'c BTreeMap<(NodeId, NodeId), std::net::SocketAddr>,
    /// Who takes messages, where that is said by the settings.
    pub master: NodeId,
    /// Where the node, if it is a slave, finds the master's replication port; otherwise it asks the name server.
    pub master_link: Option<std::net::SocketAddr>,
}

impl System {
    pub fn find(name: &str) -> Option<&'static Self> {
        SYSTEMS.iter().find(|system| system.name == name)
    }

    pub fn modes(&self) -> &'static [Mode] {
        match self.replication {
            Replication::Raft => &[Mode::Raft],
            Replication::MasterSlave => &[Mode::SyncMasterSlave, Mode::AsyncMasterSlave],
        }
    }

    /// Nodes that must have a message before it is acknowledged.
    pub fn quorum(&self, mode: Mode, nodes: u8) -> i64 {
        match mode {
            Mode::Raft => i64::from(nodes / 2 + 1),
            Mode::SyncMasterSlave | Mode::AsyncMasterSlave => i64::from(mode.copies()),
        }
    }

    pub fn name_server(&self, programs: &Programs, addresses: &Addresses, folder: &Path) -> (String, Launch) {
        let at = addresses.name_server();
        let lines = [
            format!("listenPort={}", at.port()),
            format!("bindAddress={}", at.ip()),
            format!("kvConfigPath={}", folder.join("kvConfig.json").display()),
            format!("configStorePath={}", folder.join("namesrv.properties").display()),
        ];
        let launch = match self.maker {
            Maker::Apache => {
                java(programs, NAME_SERVER_JVM, "org.apache.rocketmq.namesrv.NamesrvStartup", folder)
            }
            Maker::Ferrymq => ours(programs, "namesrv", folder, &[]),
        };
        (lines.join("\n") + "\n", launch)
    }

    pub fn broker(
        &self,
        programs: &Programs,
        setting: &Setting<'_>,
        node: NodeId,
        folder: &Path,
    ) -> (String, Launch) {
        let mut settings = common(setting, node, folder);
        match self.replication {
            Replication::Raft => raft(&mut settings, setting, node),
            Replication::MasterSlave => master_slave(&mut settings, setting, node),
        }
        let launch = match self.maker {
            Maker::Apache => java(programs, BROKER_JVM, "org.apache.rocketmq.broker.BrokerStartup", folder),
            Maker::Ferrymq => ours(programs, "broker", folder, setting.unsafe_modes),
        };
        (settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect(), launch)
    }
}

fn common(setting: &Setting<'_>, node: NodeId, folder: &Path) -> BTreeMap<&'static str, String> {
    let addresses = setting.addresses;
    let store = folder.join("store");
    BTreeMap::from([
        ("brokerClusterName", CLUSTER.to_owned()),
        ("brokerName", GROUP.to_owned()),
        ("bindAddress", addresses.broker_host(node).to_string()),
        ("brokerIP1", addresses.advertised_host(node).to_string()),
        ("brokerIP2", "127.0.0.1".to_owned()),
        ("listenPort", addresses.broker_port.to_string()),
        ("haListenPort", addresses.replication(node).port().to_string()),
        ("namesrvAddr", addresses.name_server_for(node).to_string()),
        ("registerNameServerPeriod", "10000".to_owned()),
        ("storePathRootDir", store.display().to_string()),
        ("storePathCommitLog", store.join("commitlog").display().to_string()),
        ("mappedFileSizeCommitLog", setting.segment_bytes.to_string()),
        ("flushDiskType", if setting.sync_flush { "SYNC_FLUSH" } else { "ASYNC_FLUSH" }.to_owned()),
        ("autoCreateTopicEnable", "true".to_owned()),
        ("slaveReadEnable", "true".to_owned()),
        ("sendMessageThreadPoolNums", "4".to_owned()),
        // A busy machine must not look like a broken broker.
        ("waitTimeMillsInSendQueue", "2000".to_owned()),
        ("osPageCacheBusyTimeOutMills", "5000".to_owned()),
        // Nor must a disk that others have filled: messages would go before their time.
        ("diskSpaceWarningLevelRatio", "99".to_owned()),
        ("cleanFileForciblyEnable", "false".to_owned()),
        ("maxTransferCountOnMessageInMemory", "1000".to_owned()),
        ("maxTransferBytesOnMessageInMemory", (4 << 20).to_string()),
        ("transactionTimeOut", "2000".to_owned()),
        ("transactionCheckInterval", "2000".to_owned()),
    ])
}

fn raft(settings: &mut BTreeMap<&'static str, String>, setting: &Setting<'_>, node: NodeId) {
    let peers = (0..setting.nodes).map(NodeId).map(|peer| {
        let link = setting.peer_links.get(&(node, peer)).copied();
        format!("{peer}-{}", link.unwrap_or(setting.addresses.peer(peer)))
    });
    settings.insert("enableDLegerCommitLog", "true".to_owned());
    settings.insert("dLegerGroup", GROUP.to_owned());
    settings.insert("dLegerPeers", peers.collect::<Vec<_>>().join(";"));
    settings.insert("dLegerSelfId", node.to_string());
}

fn master_slave(settings: &mut BTreeMap<&'static str, String>, setting: &Setting<'_>, node: NodeId) {
    settings.insert("totalReplicas", setting.nodes.to_string());
    settings.insert("inSyncReplicas", setting.mode.copies().to_string());
    if node == setting.master {
        settings.insert("brokerId", "0".to_owned());
        settings.insert("brokerRole", setting.mode.master_role().to_owned());
    } else {
        // 0 is the master's.
        let id = if node == NodeId(0) { setting.nodes } else { node.0 };
        settings.insert("brokerId", id.to_string());
        settings.insert("brokerRole", "SLAVE".to_owned());
        if let Some(link) = setting.master_link {
            settings.insert("haMasterAddress", link.to_string());
        }
    }
}

/// The file of a node that keeps everything in this folder.
pub fn configuration(folder: &Path) -> PathBuf {
    folder.join("node.conf")
}

fn java(programs: &Programs, flags: &[&str], main: &str, folder: &Path) -> Launch {
    let mut arguments: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    arguments.extend([
        format!("-Drocketmq.home.dir={}", folder.display()),
        format!("-Duser.home={}", folder.display()),
        "-cp".to_owned(),
        programs.apache_class_path.clone(),
        main.to_owned(),
        "-c".to_owned(),
        configuration(folder).display().to_string(),
    ]);
    Launch { program: "java".into(), arguments, environment: Vec::new(), log: PathBuf::new() }
}

fn ours(programs: &Programs, role: &str, folder: &Path, unsafe_modes: &[String]) -> Launch {
    let conf = configuration(folder).display().to_string();
    let mut arguments = vec![role.to_owned(), "-c".to_owned(), conf];
    for mode in unsafe_modes {
        arguments.extend(["--unsafe".to_owned(), mode.clone()]);
    }
    Launch { program: programs.ferrymq.clone(), arguments, environment: Vec::new(), log: PathBuf::new() }
}
