//! Mending the log of a node that runs.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::Log;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::abstention::{Abstention, Cause};
use crate::transport::RaftHandle;
use crate::transport::client::Peers;
use crate::types::Member;

/// Between two rounds through the peers.
const RETRY: Duration = Duration::from_millis(500);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A damaged place that somebody has found.
#[derive(Debug)]
pub(crate) struct Injury {
    pub offset: LogOffset,
    /// Told when it is mended.
    pub mended: oneshot::Sender<()>,
}

pub(crate) struct Mender {
    /// Not there yet while a start applies what is final.
    pub raft: Arc<OnceLock<RaftHandle>>,
    /// Until Raft knows better who belongs to the group.
    pub configured: Vec<Member>,
    pub log: Log,
    pub peers: Peers,
    pub abstention: Arc<Abstention>,
    pub injuries: mpsc::Receiver<Injury>,
}

impl Mender {
    /// Runs until the node ends. One after the other: several readers may have found the same.
    pub async fn run(mut self) {
        while let Some(Injury { offset, mended }) = self.injuries.recv().await {
            if self.is_damaged(offset).await {
                self.mend(offset).await;
            }
            let _ = mended.send(());
        }
    }

    async fn is_damaged(&self, offset: LogOffset) -> bool {
        let log = self.log.clone();
        spawn_blocking(move || log.final_units(offset, 0)).await.is_ok_and(|units| units.is_err())
    }

    async fn mend(&self, offset: LogOffset) {
        let reason = format!(
            "what was final at offset {offset} of the log is damaged here: this node votes again when it is mended"
        );
        tracing::error!(%offset, "the log is damaged where it was final; this node takes no part in elections until it is mended");
        self.abstention.begin(Cause::Damage, reason);
        self.elect(false);
        let mut told = None;
        loop {
            let reasons = match self.ask_all(offset).await {
                Ok(peer) => {
                    tracing::warn!(%offset, peer, "the log is mended with what another node has there");
                    break;
                }
                Err(reasons) => reasons,
            };
            if told.as_ref() != Some(&reasons) {
                tracing::warn!(%offset, reasons, "no other node gives what is damaged here");
                told = Some(reasons);
            }
            sleep(RETRY).await;
        }
        if self.abstention.end(Cause::Damage) {
            self.elect(true);
        }
    }

    fn elect(&self, enabled: bool) {
        if let Some(raft) = self.raft.get() {
            raft.runtime_config().elect(enabled);
        }
    }

    fn others(&self) -> Vec<Member> {
        let Some(raft) = self.raft.get() else { return self.configured.clone() };
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let nodes = metrics.membership_config.nodes();
        nodes.filter(|(node, _)| **node != metrics.id).map(|(_, member)| member.clone()).collect()
    }

    /// Says who had it, or what stood against it.
    async fn ask_all(&self, offset: LogOffset) -> Result<String, String> {
        let mut reasons = Vec::new();
        for peer in self.others() {
            match self.ask(&peer, offset).await {
                Ok(()) => return Ok(peer.name),
                Err(reason) => reasons.push(format!("{}: {reason}", peer.name)),
            }
        }
        Err(reasons.join("; "))
    }

    async fn ask(&self, peer: &Member, offset: LogOffset) -> Result<(), String> {
        let units = self.peers.read_log(peer, offset, ANSWER_TIMEOUT).await?.units;
        if units.is_empty() {
            return Err("it is not final there".into());
        }
        let log = self.log.clone();
        let mended = spawn_blocking(move || log.mend(offset, &units)).await;
        mended.map_err(|error| error.to_string())?.map(|_| ()).map_err(|error| error.to_string())
    }
}
