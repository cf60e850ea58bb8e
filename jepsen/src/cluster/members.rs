//! What an operator does for a node that has lost its store or whose store is damaged: it is taken out of its group, and joins it
//! again with nothing, as the broker's own documents say.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{Cluster, ClusterError, Maker, Replication};
use crate::history::NodeId;

/// For each step: a group may have to elect a leader first.
const STEP_MAX: Duration = Duration::from_secs(20);
const RETRY: Duration = Duration::from_millis(500);

impl Cluster {
    /// Whether its groups can be told who belongs to them.
    pub fn has_members(&self) -> bool {
        let system = self.blueprint.system;
        system.maker == Maker::Ferrymq && system.replication == Replication::Raft
    }

    /// Lets a node join its group again with nothing. The error is what the group said.
    pub async fn rejoin(&mut self, node: NodeId) -> Result<Result<(), String>, ClusterError> {
        self.kill(node).await?;
        let name = node.to_string();
        if let Err(said) = self.tell_group(&["remove", &name]).await {
            return Ok(Err(said));
        }
        let store = self.storage.folder(node).join("store");
        if store.is_dir() {
            std::fs::remove_dir_all(&store)?;
        }
        self.forgive(node);
        self.start_node(node)?;
        self.wait_ready(node).await?;
        let address = self.addresses.peer_crossing(node).to_string();
        for step in [&["add-learner", &name, &address][..], &["promote", &name]] {
            if let Err(said) = self.tell_group(step).await {
                return Ok(Err(said));
            }
        }
        Ok(Ok(()))
    }

    /// `ferrymq raft …`, until it is done.
    async fn tell_group(&self, words: &[&str]) -> Result<(), String> {
        let deadline = Instant::now() + STEP_MAX;
        loop {
            let mut command = tokio::process::Command::new(&self.programs.ferrymq);
            command.arg("raft").args(words).args(["--namesrv", &self.addresses.name_server().to_string()]);
            let done = command.output().await.map_err(|error| error.to_string())?;
            if done.status.success() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let said = String::from_utf8_lossy(&done.stderr).trim().replace('\n', " ");
                return Err(format!("raft {}: {said}", words.join(" ")));
            }
            sleep(RETRY).await;
        }
    }
}
