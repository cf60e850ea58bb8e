//! What an operator does with a master and its slave: looks whether the slave has everything, makes a master of it, and lets the
//! old one follow it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::HaStatus;
use ferrymq_proto::headers::GetHaStatus;
use ferrymq_proto::json;
use ferrymq_proto::net::Client;
use ferrymq_proto::position::LogOffset;
use tokio::time::{Instant, sleep};

use super::systems::configuration;
use super::{Cluster, ClusterError, Maker};
use crate::history::NodeId;

const POLL: Duration = Duration::from_millis(50);
const ASK_MAX: Duration = Duration::from_secs(2);
/// A slave of ours that takes nothing from its master says what is to be done, and goes on trying in vain.
const TURNED_AWAY: &[&str] = &["does not follow its master", "store away"];

/// How a slave that was to follow did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    Yes,
    /// It says that it cannot.
    Refused(String),
    NotInTime,
}

impl Cluster {
    /// Who takes messages, where that is said by the settings.
    pub fn master(&self) -> NodeId {
        self.master
    }

    /// How far the master's log reaches, and how far a slave has it. None: it does not say.
    async fn standing(&self) -> Option<(LogOffset, LogOffset)> {
        // Past the links, as whoever sits beside it.
        let client = Client::new(self.addresses.broker(self.master).to_string(), ASK_MAX);
        let asked = client.call(&GetHaStatus {}, Bytes::new()).await;
        client.close().await;
        let status: HaStatus = json::from_slice(&asked.ok()?.1).ok()?;
        let slave = status.connections.iter().map(|slave| slave.slave_ack_offset).max();
        Some((status.master_log_max_offset, slave.unwrap_or_default()))
    }

    /// Waits until a slave has all that the master had when this was asked, or says that it never will.
    pub async fn follows(&mut self, slave: NodeId, limit: Duration) -> Follows {
        let deadline = Instant::now() + limit;
        let mut wanted = None;
        while Instant::now() < deadline {
            if let Some((end, has)) = self.standing().await
                && has >= *wanted.get_or_insert(end)
            {
                return Follows::Yes;
            }
            if let Some(said) = self.turned_away(slave) {
                return Follows::Refused(said);
            }
            sleep(POLL).await;
        }
        Follows::NotInTime
    }

    fn turned_away(&self, slave: NodeId) -> Option<String> {
        let output = self.process(slave).ok()?.output();
        let is_it = |line: &&str| TURNED_AWAY.iter().all(|words| line.contains(words));
        output.lines().rfind(is_it).map(str::to_owned)
    }

    /// Makes a slave the master, as the documents of its maker say. Returns what was said to it, or why it is none.
    pub async fn promote(&mut self, node: NodeId) -> Result<Result<String, String>, ClusterError> {
        let folder = self.storage.folder(node);
        let said = match self.blueprint.system.maker {
            Maker::Ferrymq => match self.rewrite(&configuration(&folder)).await {
                Ok(said) => said,
                refused => return Ok(refused),
            },
            Maker::Apache => String::new(),
        };
        self.kill(node).await?;
        self.master = node;
        match self.blueprint.system.maker {
            // On the file as it is now.
            Maker::Ferrymq => {
                let (_, launch) = self.description(node);
                self.launch(node, launch)?;
            }
            Maker::Apache => self.start_node(node)?,
        }
        match self.wait_ready(node).await {
            Ok(()) => Ok(Ok(said)),
            Err(error @ ClusterError::NotStarted { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(error),
        }
    }

    /// Lets `ferrymq broker promote` change the file of a slave that runs; also if it warns.
    async fn rewrite(&self, file: &Path) -> Result<String, String> {
        let refusal = match self.tell_slave(file, &[]).await {
            Ok(said) => return Ok(said),
            Err(refusal) => refusal,
        };
        self.tell_slave(file, &["--force"]).await?;
        Ok(format!("refused at first: {refusal}"))
    }

    async fn tell_slave(&self, file: &Path, words: &[&str]) -> Result<String, String> {
        let role = self.blueprint.mode.master_role();
        let mut command = tokio::process::Command::new(&self.programs.ferrymq);
        command.args(["broker", "promote", "--config"]).arg(file);
        command.args(["--role", &role.to_lowercase().replace('_', "-")]).args(words);
        command.args(["--namesrv", &self.addresses.name_server().to_string()]);
        let done = command.output().await.map_err(|error| error.to_string())?;
        let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().replace('\n', " ");
        if !done.status.success() {
            return Err(words(&done.stderr));
        }
        let changed = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        let is_master = ["brokerId=0".to_owned(), format!("brokerRole={role}")]
            .iter()
            .all(|setting| changed.lines().any(|line| line.trim() == setting));
        if is_master { Ok(words(&done.stdout)) } else { Err(format!("{} is unchanged", file.display())) }
    }

    /// Takes a node's messages away, so that it begins anew as a slave.
    pub async fn move_store_away(&mut self, node: NodeId) -> Result<(), ClusterError> {
        self.kill(node).await?;
        let folder = self.storage.folder(node);
        let (store, old) = (folder.join("store"), folder.join("store.old"));
        // Disks are small: the one before it is not looked at any more.
        if old.is_dir() {
            std::fs::remove_dir_all(&old)?;
        }
        if store.is_dir() {
            std::fs::rename(store, old)?;
        }
        self.forgive(node);
        Ok(())
    }
}
