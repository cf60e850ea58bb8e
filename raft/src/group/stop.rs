//! Stopping a node in order: the leadership goes to another first, so that clients hardly notice.

use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::Fatal;
use tokio::time::{Instant, sleep};

use super::{Engine, Group, GroupHandle};
use crate::types::{NodeId, Types};

/// For what is on its way to become final.
const DRAIN: Duration = Duration::from_millis(500);
/// For another node to take over.
const HAND_OVER: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);
/// For tasks that wait for the disk.
const TASKS_END: Duration = Duration::from_secs(5);

impl Group {
    /// Hands the leadership over, takes no more, and makes everything durable. Must not be called from a task.
    pub fn stop(mut self) -> std::io::Result<()> {
        let Some(mut engine) = self.engine.take() else { return Ok(()) };
        let handle = self.handle.clone();
        engine.runtime.block_on(async {
            handle.hand_over().await;
            handle.shared.proposer.stop();
            if let Err(error) = handle.shared.raft.shutdown().await {
                tracing::warn!(%error, "Raft did not end in order");
            }
        });
        drop(engine.stop_server.take());
        let Engine { runtime, threads, log_store, .. } = engine;
        runtime.shutdown_timeout(TASKS_END);
        handle.shared.log.flush().map_err(std::io::Error::other)?;
        drop(threads);
        log_store.close()?;
        handle.shared.meta.change(|meta| meta.is_clean = true)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.runtime.shutdown_timeout(TASKS_END);
        }
    }
}

impl GroupHandle {
    fn leads(&self) -> bool {
        self.shared.raft.metrics().borrow_watched().state == ServerState::Leader
    }

    /// Who has most of the log, among those who may lead.
    pub(super) fn successor(&self) -> Option<NodeId> {
        let status = self.status();
        let others = status.nodes.iter().filter(|node| node.is_voter && node.node != status.node);
        others.max_by_key(|node| node.matched).map(|node| node.node)
    }

    /// Gives the leadership, if this node has it, to the one that has most of the log, and waits until it is taken.
    pub async fn hand_over(&self) {
        let Some(successor) = self.successor().filter(|_| self.leads()) else { return };
        if let Err(error) = self.give_way(successor).await {
            tracing::warn!(%error, "the leadership was not handed over");
        }
    }

    /// Lets what is on its way become final, for a node leads no sooner than it has all of it, and gives that node the leadership.
    /// What is proposed meanwhile waits.
    pub(super) async fn give_way(&self, to: NodeId) -> Result<(), Fatal<Types>> {
        let _hold = self.shared.proposer.hold();
        let until = Instant::now() + DRAIN;
        while !self.shared.proposer.has_landed() && Instant::now() < until {
            sleep(LOOK).await;
        }
        self.shared.raft.trigger().transfer_leader(to).await?;
        let until = Instant::now() + HAND_OVER;
        while self.leads() && Instant::now() < until {
            sleep(LOOK).await;
        }
        Ok(())
    }
}
