//! What `ferrymq dev` starts: folders, ports and a configuration file for each server, which anybody may look at.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::Arguments;
use super::folder::Folder;
use crate::cli::remote::Failure;
use crate::cli::server::cannot_listen;

/// From a broker's port to that of its Raft peer, as in Apache's examples.
const RAFT_PORT_ABOVE: u16 = 30_000;
const PORTS_APART: u16 = 10;
/// Of `--free-ports`: below those that the system gives away.
const OWN_PORTS: Range<u16> = 22_000..32_000;
/// A broker also takes the port two below its own, and a master the one above.
const BETWEEN: usize = 4;
/// From the first one of a process to that of the next one.
const OWN_PORTS_APART: u64 = 61;
/// Files that are small enough to be made in no time, and large enough to be real.
const SEGMENT_BYTES: u64 = 64 << 20;
const GROUP: &str = "RaftNode00";
const SINGLE: &str = "broker-a";

#[derive(Debug)]
pub struct Plan {
    pub folder: Folder,
    pub name_server: String,
    pub group: &'static str,
    pub nodes: Vec<PlannedNode>,
}

#[derive(Debug)]
pub struct PlannedNode {
    pub name: String,
    pub port: u16,
    raft_port: u16,
    pub http_port: u16,
    configuration: PathBuf,
}

impl PlannedNode {
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Plan {
    pub fn make(arguments: &Arguments) -> Result<Self, Failure> {
        let count = arguments.nodes;
        if count == 2 {
            return Err(Failure::usage(
                "a Raft group of two nodes bears the loss of none; use one, or three or more",
            ));
        }
        let ports = if arguments.free_ports { free_ports(3 * count + 1)? } else { Vec::new() };
        let mut free = ports.into_iter();
        let mut port = |wanted: Option<u16>| {
            let out_of_range = || Failure::usage("the ports go past 65535; choose a lower --broker-port");
            free.next().or(wanted).ok_or_else(out_of_range)
        };
        let name_server_port = port(Some(arguments.namesrv_port))?;
        let mut numbers = Vec::new();
        for number in 0..count {
            let broker = arguments.broker_port.checked_add(number * PORTS_APART);
            let raft = broker.and_then(|broker| broker.checked_add(RAFT_PORT_ABOVE));
            let http = arguments.http_port.checked_add(number);
            numbers.push((port(broker)?, port(raft)?, port(http)?));
        }
        let is_raft = count > 1;
        for (broker, raft, http) in &numbers {
            check_free(*broker)?;
            check_free(*http)?;
            if is_raft {
                check_free(*raft)?;
            }
        }
        check_free(name_server_port)?;
        let folder = folder(arguments)?;
        let nodes = numbers.into_iter().enumerate().map(|(number, (port, raft_port, http_port))| {
            let name = format!("n{number}");
            let configuration = folder.path.join(format!("{name}.conf"));
            PlannedNode { name, port, raft_port, http_port, configuration }
        });
        let plan = Self {
            name_server: format!("127.0.0.1:{name_server_port}"),
            group: if is_raft { GROUP } else { SINGLE },
            nodes: nodes.collect(),
            folder,
        };
        plan.write().map_err(|error| plan.unusable(&error))?;
        Ok(plan)
    }

    fn unusable(&self, error: &std::io::Error) -> Failure {
        Failure::operation(format!("the folder {} cannot be used: {error}", self.folder.path.display()))
    }

    fn write(&self) -> std::io::Result<()> {
        for node in &self.nodes {
            fs::write(&node.configuration, self.configuration(node))?;
        }
        let port = self.name_server.rsplit(':').next().unwrap_or_default();
        let table = self.folder.path.join("kvConfig.json");
        fs::write(
            self.folder.path.join("namesrv.conf"),
            format!("listenPort={port}\nbindAddress=127.0.0.1\nkvConfigPath={}\n", escaped(&table)),
        )
    }

    /// What anybody would write who set it up by hand.
    fn configuration(&self, node: &PlannedNode) -> String {
        let (group, name_server, port, http_port) =
            (self.group, &self.name_server, node.port, node.http_port);
        let store = self.folder.path.join("store").join(&node.name);
        let mut text = format!(
            "brokerClusterName=DefaultCluster\nbrokerName={group}\nbrokerIP1=127.0.0.1\nbindAddress=127.0.0.1\n\
             listenPort={port}\nnamesrvAddr={name_server}\nstorePathRootDir={}\nmappedFileSizeCommitLog={SEGMENT_BYTES}\n\
             metricsExporterType=PROM\nmetricsPromExporterPort={http_port}\n",
            escaped(&store)
        );
        if self.nodes.len() > 1 {
            let peers: Vec<String> =
                self.nodes.iter().map(|peer| format!("{}-127.0.0.1:{}", peer.name, peer.raft_port)).collect();
            let (peers, id) = (peers.join(";"), &node.name);
            text.push_str(&format!(
                "enableDLegerCommitLog=true\ndLegerGroup={group}\ndLegerPeers={peers}\ndLegerSelfId={id}\n"
            ));
        } else {
            text.push_str("brokerRole=ASYNC_MASTER\nflushDiskType=ASYNC_FLUSH\nbrokerId=0\n");
        }
        text
    }

    pub fn name_server_arguments(&self) -> Vec<String> {
        let file = self.folder.path.join("namesrv.conf");
        vec!["namesrv".into(), "-c".into(), file.display().to_string()]
    }

    pub fn node_arguments(&self, node: &PlannedNode) -> Vec<String> {
        vec!["broker".into(), "-c".into(), node.configuration.display().to_string()]
    }
}

/// In a properties file a backslash begins an escape.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\")
}

fn folder(arguments: &Arguments) -> Result<Folder, Failure> {
    arguments.dir.as_deref().map_or_else(Folder::passing, Folder::named)
}

/// Ports that are free now, from the first one on that is this process's own among those that the system does not give away: so
/// nobody has them by chance until the servers take them.
fn free_ports(count: u16) -> Result<Vec<u16>, Failure> {
    let turn = u64::from(std::process::id()) * OWN_PORTS_APART % OWN_PORTS.len() as u64;
    let own = OWN_PORTS.start + turn as u16;
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let ports: Vec<_> = (own..OWN_PORTS.end)
        .chain(OWN_PORTS.start..own)
        .step_by(BETWEEN)
        .filter(is_free)
        .take(usize::from(count))
        .collect();
    if ports.len() < usize::from(count) {
        let (first, end) = (OWN_PORTS.start, OWN_PORTS.end);
        return Err(Failure::operation(format!("no {count} ports from {first} to {end} are free")));
    }
    Ok(ports)
}

/// Better to hear it here than in three logs.
fn check_free(port: u16) -> Result<(), Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address).map(drop).map_err(|error| {
        Failure::of(&cannot_listen(
            "development group",
            address,
            "--free-ports, or --namesrv-port, --broker-port and --http-port",
            &error,
        ))
    })
}
