//! The containers of `deploy/docker-compose.yml`: the group as an operator starts it, on a network of its own.
//!
//! There are no links between containers, so only what Docker itself can do is a fault here: end, pause, take off the network.
//! Nothing of it is left when the harness ends; only if the harness itself is killed by SIGKILL the containers stay.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::addresses::Doors;
use super::systems::{GROUP, READY};
use crate::dice::Dice;
use crate::history::NodeId;

/// What `deploy/` holds, as it was when this program was built.
const DEPLOYED: &str = include_str!("../../../deploy/docker-compose.yml");
const DEPLOYED_NETWORK: &str = "172.31.76.";
const DEPLOYED_GROUP: &str = "RaftNode00";
const DEPLOYED_NODES: u8 = 3;
const ENVIRONMENT: &str = "x-environment: &environment\n";
/// Named by the compose file: another image, as it is called in this environment variable.
const IMAGE: &str = "FERRYMQ_IMAGE";
const IMAGE_BY_DEFAULT: &str = "ferrymq";
/// The longest that a log may be to be searched for its end.
const LOG_LINES: &str = "400";

#[derive(Debug)]
pub struct Containers {
    project: String,
    /// The third byte of the addresses.
    network: u8,
    file: PathBuf,
    /// Of each node, once they are there.
    ids: Vec<String>,
    restarts: Vec<u64>,
}

/// What the harness asks of every broker: that all nodes show what they have, and that nothing takes longer than a run.
const SETTINGS: &str = "  FERRYMQ_BROKER_SLAVE_READ_ENABLE: \"true\"
  FERRYMQ_BROKER_TRANSACTION_TIME_OUT: 2000
  FERRYMQ_BROKER_TRANSACTION_CHECK_INTERVAL: 2000
";

/// The compose file as the harness needs it.
fn composed(network: u8, sync_flush: bool) -> String {
    let flush = if sync_flush { "SYNC_FLUSH" } else { "ASYNC_FLUSH" };
    let settings = format!("{ENVIRONMENT}{SETTINGS}  FERRYMQ_BROKER_FLUSH_DISK_TYPE: {flush}\n");
    let lines = DEPLOYED.lines().filter(|line| !line.trim_start().starts_with("ports:"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    text.replace(DEPLOYED_NETWORK, &format!("172.31.{network}."))
        .replace(DEPLOYED_GROUP, GROUP)
        .replace(ENVIRONMENT, &settings)
}

/// Whether there is a Docker, and the image.
pub fn are_possible() -> Result<(), String> {
    let image = std::env::var(IMAGE).unwrap_or_else(|_| IMAGE_BY_DEFAULT.to_owned());
    run(Command::new("docker").arg("version")).map_err(|error| format!("there is no Docker: {error}"))?;
    run(Command::new("docker").args(["image", "inspect", &image]))
        .map(drop)
        .map_err(|_| format!("there is no image {image}: build it, or name another one in {IMAGE}"))
}

fn run(command: &mut Command) -> io::Result<String> {
    let done = command.stdin(std::process::Stdio::null()).output()?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().replace('\n', " ")))
}

impl Containers {
    /// Writes the file; starts nothing.
    pub fn prepare(folder: &Path, sync_flush: bool) -> io::Result<Self> {
        let start = u64::from(std::process::id())
            ^ std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_micros() as u64);
        let network = u8::try_from(Dice::new(start).between(100, 250)).unwrap_or(100);
        let file = folder.join("docker-compose.yml");
        fs::write(&file, composed(network, sync_flush))?;
        let project = format!("jepsen-{}", std::process::id());
        Ok(Self { project, network, file, ids: Vec::new(), restarts: vec![0; DEPLOYED_NODES.into()] })
    }

    fn address(&self, last: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(172, 31, self.network, last), port).into()
    }

    pub fn doors(&self) -> Doors {
        let name_server = self.address(10, 9876);
        let brokers = (0..DEPLOYED_NODES).map(|node| self.address(20 + node, 10_911 + 10 * u16::from(node)));
        Doors { name_server, name_server_for_clients: name_server, brokers: brokers.collect() }
    }

    fn compose(&self, words: &[&str]) -> io::Result<String> {
        let has_plugin = run(Command::new("docker").args(["compose", "version"])).is_ok();
        let mut command = Command::new(if has_plugin { "docker" } else { "docker-compose" });
        command.args(has_plugin.then_some("compose")).args(["-p", &self.project, "-f"]).arg(&self.file);
        run(command.args(words).env_remove("ADVERTISE"))
    }

    fn docker(&self, words: &[&str]) -> io::Result<String> {
        run(Command::new("docker").args(words))
    }

    fn id(&self, node: NodeId) -> io::Result<&str> {
        let id = self.ids.get(usize::from(node.0)).map(String::as_str);
        id.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{node} has no container")))
    }

    pub fn start(&mut self) -> io::Result<()> {
        self.compose(&["up", "-d"])?;
        let found = (0..DEPLOYED_NODES).map(|node| self.compose(&["ps", "-q", &format!("n{node}")]));
        self.ids = found.collect::<io::Result<_>>()?;
        Ok(())
    }

    fn state(&self, node: NodeId, field: &str) -> io::Result<String> {
        self.docker(&["inspect", "-f", &format!("{{{{{field}}}}}"), self.id(node)?])
    }

    pub fn is_running(&self, node: NodeId) -> bool {
        self.state(node, ".State.Running").is_ok_and(|running| running == "true")
    }

    pub fn is_paused(&self, node: NodeId) -> bool {
        self.state(node, ".State.Paused").is_ok_and(|paused| paused == "true")
    }

    pub fn kill(&self, node: NodeId) -> io::Result<()> {
        if self.is_running(node) { self.docker(&["kill", self.id(node)?]).map(drop) } else { Ok(()) }
    }

    pub fn start_node(&self, node: NodeId) -> io::Result<()> {
        self.docker(&["start", self.id(node)?]).map(drop)
    }

    pub fn pause(&self, node: NodeId) -> io::Result<()> {
        self.docker(&["pause", self.id(node)?]).map(drop)
    }

    pub fn resume(&self, node: NodeId) -> io::Result<()> {
        self.docker(&["unpause", self.id(node)?]).map(drop)
    }

    /// What it has said since it was started.
    fn said(&self, node: NodeId) -> io::Result<String> {
        let started = self.state(node, ".State.StartedAt")?;
        let mut command = Command::new("docker");
        command.args(["logs", "--since", &started, "--tail", LOG_LINES, self.id(node)?]);
        let done = command.output()?;
        Ok(String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    }

    /// Whether it says that it serves; otherwise what it said last.
    pub fn is_ready(&self, node: NodeId) -> Result<(), String> {
        let said = self.said(node).map_err(|error| error.to_string())?;
        if said.contains(READY) { Ok(()) } else { Err(said.lines().last().unwrap_or_default().to_owned()) }
    }

    fn network_name(&self) -> String {
        format!("{}_ferrymq", self.project)
    }

    /// Takes a node off the network: from its peers, its clients and the name servers.
    pub fn disconnect(&self, node: NodeId) -> io::Result<()> {
        self.docker(&["network", "disconnect", &self.network_name(), self.id(node)?]).map(drop)
    }

    pub fn connect(&self, node: NodeId) -> io::Result<()> {
        let address = self.address(20 + node.0, 0).ip().to_string();
        self.docker(&["network", "connect", "--ip", &address, &self.network_name(), self.id(node)?]).map(drop)
    }

    pub fn is_connected(&self, node: NodeId) -> bool {
        self.state(node, "len .NetworkSettings.Networks").is_ok_and(|networks| networks != "0")
    }

    /// Docker starts again whatever ends by itself. Returns who did since this was last asked.
    pub fn ended_by_themselves(&mut self) -> Vec<NodeId> {
        let words: Vec<&str> = ["inspect", "-f", "{{.RestartCount}}"]
            .into_iter()
            .chain(self.ids.iter().map(String::as_str))
            .collect();
        let counts = if self.ids.is_empty() { Ok(String::new()) } else { self.docker(&words) };
        let mut ended = Vec::new();
        for (node, count) in (0..).map(NodeId).zip(counts.unwrap_or_default().lines()) {
            let Some(known) = self.restarts.get_mut(usize::from(node.0)) else { continue };
            let count = count.parse().unwrap_or(*known);
            // A start by hand begins to count anew.
            if count > *known {
                ended.push(node);
            }
            *known = count;
        }
        ended
    }

    /// Writes down what a node has said, from its beginning.
    pub fn save_log(&self, node: NodeId, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let log = fs::File::create(path)?;
        let mut command = Command::new("docker");
        command.args(["logs", self.id(node)?]).stdout(log.try_clone()?).stderr(log);
        command.status().map(drop)
    }

    /// Ends and removes everything.
    pub fn remove(&mut self) -> io::Result<()> {
        self.ids.clear();
        self.compose(&["down", "-v", "-t", "0"]).map(drop)
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        if !self.ids.is_empty() {
            let _ = self.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is replaced must be there, or the containers of two runs would meet.
    #[test]
    fn the_deployed_file_is_moved_to_a_network_of_its_own() {
        for part in [DEPLOYED_NETWORK, DEPLOYED_GROUP, ENVIRONMENT, "ports:"] {
            assert!(DEPLOYED.contains(part), "{part}");
        }
        let composed = composed(101, true);
        for part in [DEPLOYED_NETWORK, DEPLOYED_GROUP, "ports:"] {
            assert!(!composed.contains(part), "{part}");
        }
        for node in 0..DEPLOYED_NODES {
            let address = format!("172.31.101.2{node}");
            assert!(composed.contains(&format!("n{node}-{address}:")), "{composed}");
            assert!(composed.contains(&format!("ipv4_address: {address}")), "{composed}");
            assert!(composed.contains(&format!("LISTEN_PORT: 109{node}1", node = node + 1)), "{composed}");
        }
        assert!(composed.contains("FLUSH_DISK_TYPE: SYNC_FLUSH"));
    }
}
