//! The group under test: its processes, the links between them, and their disks.
//!
//! Links stand between clients and every broker, clients and the name server, every broker and the name server, and every
//! ordered pair of peers. A cut from one node to another cuts the connections that either has opened.

mod addresses;
pub mod containers;
mod crossing;
mod link;
mod members;
mod pair;
mod process;
pub mod programs;
pub mod storage;
mod systems;
mod wiring;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use addresses::{Addresses, Doors};
use containers::Containers;
use crossing::{Crossing, Residents};
pub use link::{Behaviour, Link, Traffic, Way};
pub use pair::Follows;
use process::{Launch, Process};
pub use storage::{Storage, StorageError, StorageKind};
pub use systems::{GROUP, Maker, Mode, Programs, READY, Replication, SYSTEMS, Setting, System};

use crate::history::NodeId;

const POLL: Duration = Duration::from_millis(50);
/// A process that ends by itself more often than this stays down.
const RESTARTS_MAX: u32 = 3;

/// Two parts of a cluster, the one that connects first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkName {
    ClientsTo(NodeId),
    /// Whoever copies topics and offsets from a node: its slaves.
    CopiersTo(NodeId),
    ClientsToNameServer,
    ToNameServer(NodeId),
    Peers(NodeId, NodeId),
    /// A slave to its master.
    Replication(NodeId, NodeId),
}

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("cannot set up the cluster: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("{who} did not start: {said}")]
    NotStarted { who: String, said: String },
}

/// What the nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// Processes of this machine, with a link wherever two of them meet.
    #[default]
    Processes,
    /// Containers, as `deploy/` describes them.
    Containers,
}

/// What the cluster is to be.
#[derive(Clone, Debug)]
pub struct Blueprint {
    pub backend: Backend,
    pub system: &'static System,
    pub mode: Mode,
    pub nodes: u8,
    pub sync_flush: bool,
    pub storage: StorageKind,
    pub unsafe_modes: Vec<String>,
    pub seed: u64,
}

#[derive(Debug)]
pub struct Cluster {
    pub blueprint: Blueprint,
    pub addresses: Addresses,
    pub storage: Storage,
    pub links: BTreeMap<LinkName, Link>,
    programs: Programs,
    peer_links: BTreeMap<(NodeId, NodeId), SocketAddr>,
    crossings: Vec<Crossing>,
    residents: Residents,
    /// Where a slave finds a master, by (slave, master).
    master_links: BTreeMap<(NodeId, NodeId), SocketAddr>,
    /// Who takes messages, where that is said by the settings.
    master: NodeId,
    folder: PathBuf,
    name_server: Option<Process>,
    nodes: Vec<Node>,
    /// In the place of processes.
    containers: Option<Containers>,
}

#[derive(Debug, Default)]
struct Node {
    process: Option<Process>,
    /// Somebody ended it on purpose.
    down: bool,
    exits: u32,
}

impl Cluster {
    /// Opens the links and the disks; starts nothing yet.
    pub async fn prepare(
        blueprint: Blueprint,
        programs: Programs,
        folder: &Path,
    ) -> Result<Self, ClusterError> {
        let addresses = Addresses::choose(blueprint.nodes)?;
        let storage = Storage::create(&folder.join("data"), blueprint.storage, blueprint.nodes)?;
        let mut cluster = Self {
            nodes: (0..blueprint.nodes).map(|_| Node::default()).collect(),
            blueprint,
            addresses,
            storage,
            links: BTreeMap::new(),
            programs,
            peer_links: BTreeMap::new(),
            crossings: Vec::new(),
            residents: Residents::default(),
            master_links: BTreeMap::new(),
            master: NodeId(0),
            folder: folder.to_owned(),
            name_server: None,
            containers: None,
        };
        match cluster.blueprint.backend {
            Backend::Processes => cluster.open_links().await?,
            Backend::Containers => {
                cluster.containers = Some(Containers::prepare(folder, cluster.blueprint.sync_flush)?);
            }
        }
        Ok(cluster)
    }

    pub fn all(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.blueprint.nodes).map(NodeId)
    }

    pub fn doors(&self) -> Doors {
        let of_processes = || Doors {
            name_server: self.addresses.name_server(),
            name_server_for_clients: self.addresses.name_server_for_clients(),
            brokers: self.all().map(|node| self.addresses.advertised(node)).collect(),
        };
        self.containers.as_ref().map_or_else(of_processes, Containers::doors)
    }

    pub fn majority(&self) -> usize {
        usize::from(self.blueprint.nodes) / 2 + 1
    }

    /// Starts everything, and waits until each process says that it serves.
    pub async fn start(&mut self) -> Result<(), ClusterError> {
        if let Some(containers) = &mut self.containers {
            containers.start()?;
            for node in self.all() {
                self.wait_ready(node).await?;
            }
            return Ok(());
        }
        let folder = self.folder.join("nodes").join("namesrv");
        let (conf, launch) = self.blueprint.system.name_server(&self.programs, &self.addresses, &folder);
        let launch = Launch { log: folder.join("log"), ..launch };
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("node.conf"), conf)?;
        self.name_server = Some(Process::start(&launch)?);
        let boot = Duration::from_secs(self.blueprint.system.boot_seconds);
        let deadline = tokio::time::Instant::now() + boot;
        wait_ready("the name server", self.name_server.as_mut(), deadline).await?;
        for node in self.all() {
            self.start_node(node)?;
        }
        for node in self.all() {
            self.wait_ready(node).await?;
        }
        Ok(())
    }

    /// A full disk is noticed when the next segment is made: on a small one they are short.
    fn segment_bytes(&self) -> u64 {
        match (self.blueprint.storage, self.blueprint.system.maker) {
            (StorageKind::Image, Maker::Ferrymq) => 4 << 20,
            _ => 64 << 20,
        }
    }

    /// Starts a node on what it has on its disk.
    pub fn start_node(&mut self, node: NodeId) -> Result<(), ClusterError> {
        if let Some(containers) = &self.containers {
            return Ok(containers.start_node(node)?);
        }
        let folder = self.storage.folder(node);
        fs::create_dir_all(&folder)?;
        let (conf, launch) = self.description(node);
        // On a full disk nothing can be written; what it says has not changed.
        let file = systems::configuration(&folder);
        fs::write(&file, conf).or_else(|error| if file.is_file() { Ok(()) } else { Err(error) })?;
        self.launch(node, launch)
    }

    /// What the file of a node says, and how it is started on it.
    fn description(&self, node: NodeId) -> (String, Launch) {
        let setting = Setting {
            addresses: &self.addresses,
            nodes: self.blueprint.nodes,
            mode: self.blueprint.mode,
            segment_bytes: self.segment_bytes(),
            sync_flush: self.blueprint.sync_flush,
            unsafe_modes: &self.blueprint.unsafe_modes,
            peer_links: &self.peer_links,
            master: self.master,
            master_link: self.master_link(node),
        };
        self.blueprint.system.broker(&self.programs, &setting, node, &self.storage.folder(node))
    }

    fn launch(&mut self, node: NodeId, launch: Launch) -> Result<(), ClusterError> {
        let log = self.log(node);
        let process = Process::start(&Launch { log, ..launch })?;
        self.residents.moved_in(node, process.id());
        if let Some(slot) = self.nodes.get_mut(usize::from(node.0)) {
            slot.process = Some(process);
            slot.down = false;
        }
        Ok(())
    }

    fn log(&self, node: NodeId) -> PathBuf {
        self.folder.join("nodes").join(node.to_string()).join("log")
    }

    /// The terms in which each node says that it has led.
    pub fn terms_led(&self) -> io::Result<Vec<(NodeId, i64)>> {
        let Some(leads) = self.blueprint.system.leads else { return Ok(Vec::new()) };
        let mut terms = Vec::new();
        for node in self.all() {
            let log = fs::read(self.log(node))?;
            let lines = String::from_utf8_lossy(&log);
            let told = lines.lines().filter_map(|line| line.split_once(leads));
            terms.extend(told.filter_map(|(_, term)| Some((node, term.trim().parse().ok()?))));
        }
        Ok(terms)
    }

    /// Until a node says that it serves.
    pub async fn wait_ready(&mut self, node: NodeId) -> Result<(), ClusterError> {
        let boot = Duration::from_secs(self.blueprint.system.boot_seconds);
        let deadline = tokio::time::Instant::now() + boot;
        if let Some(containers) = &self.containers {
            return container_ready(containers, node, deadline).await;
        }
        let process = self.nodes.get_mut(usize::from(node.0)).and_then(|slot| slot.process.as_mut());
        wait_ready(&node.to_string(), process, deadline).await
    }

    /// SIGKILL. Returns when the process is gone.
    pub async fn kill(&mut self, node: NodeId) -> Result<(), ClusterError> {
        let Some(slot) = self.nodes.get_mut(usize::from(node.0)) else { return Ok(()) };
        slot.down = true;
        if let Some(containers) = &self.containers {
            return Ok(containers.kill(node)?);
        }
        if let Some(mut process) = slot.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    pub fn is_running(&mut self, node: NodeId) -> bool {
        if let Some(containers) = &self.containers {
            return containers.is_running(node);
        }
        let slot = self.nodes.get_mut(usize::from(node.0));
        slot.and_then(|slot| slot.process.as_mut()).is_some_and(Process::is_alive)
    }

    pub fn pause(&self, node: NodeId) -> io::Result<()> {
        match &self.containers {
            Some(containers) => containers.pause(node),
            None => self.process(node)?.pause(),
        }
    }

    pub fn resume(&self, node: NodeId) -> io::Result<()> {
        match &self.containers {
            Some(containers) => containers.resume(node),
            None => self.process(node)?.resume(),
        }
    }

    /// Whether the process does not run although it lives.
    pub fn is_paused(&self, node: NodeId) -> bool {
        match &self.containers {
            Some(containers) => containers.is_paused(node),
            None => self.process(node).is_ok_and(|process| process.state() == Some('T')),
        }
    }

    fn process(&self, node: NodeId) -> io::Result<&Process> {
        let process = self.nodes.get(usize::from(node.0)).and_then(|slot| slot.process.as_ref());
        process.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{node} does not run")))
    }

    /// What a node did by itself so far no longer counts.
    fn forgive(&mut self, node: NodeId) {
        if let Some(slot) = self.nodes.get_mut(usize::from(node.0)) {
            slot.exits = 0;
        }
    }

    /// Starts again whatever ended by itself. Returns who did, and what it said last.
    pub fn watch(&mut self) -> Vec<(NodeId, String)> {
        if let Some(containers) = &mut self.containers {
            let ended = containers.ended_by_themselves();
            return ended
                .into_iter()
                .map(|node| (node, "its container was started again".to_owned()))
                .collect();
        }
        let mut ended = Vec::new();
        for node in self.all() {
            let Some(slot) = self.nodes.get_mut(usize::from(node.0)) else { continue };
            let Some(process) = slot.process.as_mut().filter(|_| !slot.down) else { continue };
            if process.is_alive() {
                continue;
            }
            ended.push((node, last_line(&process.output())));
            slot.process = None;
            slot.exits += 1;
            if slot.exits <= RESTARTS_MAX {
                // If it cannot be started, the next look finds it down.
                let _ = self.start_node(node);
            }
        }
        ended
    }

    /// The containers, if the nodes are some.
    pub fn containers(&self) -> Option<&Containers> {
        self.containers.as_ref()
    }

    /// Ends all processes.
    pub async fn stop(&mut self) -> Result<(), ClusterError> {
        let logs: Vec<(NodeId, PathBuf)> = self.all().map(|node| (node, self.log(node))).collect();
        if let Some(containers) = &mut self.containers {
            for (node, log) in logs {
                // One that was never made has said nothing.
                let _ = containers.save_log(node, &log);
            }
            return Ok(containers.remove()?);
        }
        for node in self.all() {
            self.kill(node).await?;
        }
        if let Some(mut name_server) = self.name_server.take() {
            name_server.kill().await?;
        }
        Ok(())
    }
}

async fn container_ready(
    containers: &Containers,
    node: NodeId,
    deadline: tokio::time::Instant,
) -> Result<(), ClusterError> {
    loop {
        match containers.is_ready(node) {
            Ok(()) => return Ok(()),
            Err(said) if tokio::time::Instant::now() > deadline => {
                return Err(ClusterError::NotStarted { who: node.to_string(), said });
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

async fn wait_ready(
    who: &str,
    process: Option<&mut Process>,
    deadline: tokio::time::Instant,
) -> Result<(), ClusterError> {
    let not_started = |said: String| ClusterError::NotStarted { who: who.to_owned(), said };
    let Some(process) = process else { return Err(not_started("it was ended".to_owned())) };
    loop {
        let output = process.output();
        if output.contains(READY) {
            return Ok(());
        }
        if !process.is_alive() {
            return Err(not_started(last_line(&output)));
        }
        if tokio::time::Instant::now() > deadline {
            return Err(not_started(format!("it never said that it serves; last: {}", last_line(&output))));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn last_line(output: &str) -> String {
    output.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing").trim().to_owned()
}
