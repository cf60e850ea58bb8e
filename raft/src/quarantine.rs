//! A node that may have lost what it had acknowledged.
//!
//! In ASYNC mode the end of the machine takes with it what was only in the page cache, and perhaps a majority counted on it. So
//! the node neither votes nor stands for election until its log, on disk, has all that a leader has that knows of the loss: from
//! then on it keeps again whatever it may have promised. One such node at a time does no harm; when a majority is in this state,
//! only an operator can say that the loss is accepted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_storage::Log;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::abstention::{Abstention, Cause};
use crate::meta::{MetaFile, change_meta};
use crate::proto;
use crate::transport::RaftHandle;
use crate::transport::client::Peers;
use crate::types::{LogId, Member};

const LOOK: Duration = Duration::from_millis(100);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

pub(crate) struct Quarantine {
    pub raft: RaftHandle,
    pub meta: Arc<MetaFile>,
    pub log: Log,
    pub abstention: Arc<Abstention>,
    pub peers: Peers,
    pub own: proto::Introduction,
}

impl Quarantine {
    pub fn begin(&self) {
        let reason = "the machine went down, and may have taken entries with it that this node had acknowledged: it votes again \
                      when it has as much as the leader";
        tracing::warn!(reason, "this node takes no part in elections");
        self.abstention.begin(Cause::Loss, reason.into());
    }

    pub async fn run(self) {
        while self.meta.current().is_quarantined {
            sleep(LOOK).await;
            let Some((term, leader)) = self.leader() else { continue };
            let found = self.peers.introduce(&leader, self.own.clone(), ANSWER_TIMEOUT).await;
            let Some(target) =
                found.ok().filter(|found| found.is_leader && found.term == term).and_then(|found| found.last)
            else {
                continue;
            };
            match self.reach(term, target.into()).await {
                Ok(true) => return self.end().await,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the log does not become durable"),
            }
        }
    }

    /// The leader that this node follows: it has compared its log with the node's.
    fn leader(&self) -> Option<(u64, Member)> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let leader =
            metrics.current_leader.filter(|leader| *leader != metrics.id && metrics.vote.committed)?;
        // Before that, nobody has looked at what is missing.
        metrics.last_log_index?;
        Some((metrics.current_term, metrics.membership_config.get_node(&leader)?.clone()))
    }

    /// Waits until the log has the leader's entry on disk. False when the leader changes first.
    async fn reach(&self, term: u64, target: LogId) -> io::Result<bool> {
        loop {
            let has_it = {
                let metrics = self.raft.metrics();
                let metrics = metrics.borrow_watched();
                if metrics.current_term != term || !metrics.vote.committed {
                    return Ok(false);
                }
                metrics.last_log_index.is_some_and(|last| last >= target.index)
                    && metrics.local_committed.is_some_and(|committed| committed.index >= target.index)
            };
            if has_it {
                break;
            }
            sleep(LOOK).await;
        }
        let (durable, is_durable) = oneshot::channel();
        let done = Box::new(move |result| {
            let _ = durable.send(result);
        });
        self.log.when_durable(self.log.written(), done);
        is_durable.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok(true)
    }

    async fn end(&self) {
        if let Err(error) = change_meta(&self.meta, |meta| meta.is_quarantined = false).await {
            tracing::error!(%error, "this node stays out of elections");
            return;
        }
        if self.abstention.end(Cause::Loss) {
            self.raft.runtime_config().elect(true);
        }
        tracing::info!("this node has caught up, and votes again");
    }
}
