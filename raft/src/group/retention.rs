//! Dropping what is old: the log begins anew at a checkpoint, and a node that is further behind gets that checkpoint.

use std::io;
use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::Index;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::time::{Instant, sleep};

use super::GroupHandle;
use crate::types::{entry_index, index_of};

/// A follower that was heard so recently is waited for, rather than sent a checkpoint.
const LIVELY: Duration = Duration::from_secs(10);
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(5);

impl GroupHandle {
    /// Drops segments that lie before an offset as a whole, as far as there is a checkpoint behind them and no live follower
    /// still needs them. Says where the log will begin; `None` when nothing can be dropped. Every node does this for itself.
    pub async fn drop_before(&self, offset: LogOffset) -> io::Result<Option<LogOffset>> {
        let shared = &self.shared;
        let wanted = offset.min(shared.log.confirmed().offset);
        let Some(mut checkpoint) = shared.checkpoints.newest_until(wanted, self.needed()) else {
            return Ok(None);
        };
        let Some(last) = checkpoint.last else { return Ok(None) };
        let Some(published) = shared.checkpoints.publish(checkpoint.mark.offset) else { return Ok(None) };
        checkpoint = published;
        shared.raft.trigger().snapshot().await.map_err(io::Error::other)?;
        let until = Instant::now() + PUBLISH_TIMEOUT;
        while index_of(shared.raft.metrics().borrow_watched().snapshot) < index_of(Some(last)) {
            if Instant::now() > until {
                return Err(io::Error::other("Raft does not take the checkpoint"));
            }
            sleep(LOOK).await;
        }
        shared.raft.trigger().purge_log(last.index).await.map_err(io::Error::other)?;
        let checkpoints = std::sync::Arc::clone(&shared.checkpoints);
        let start = checkpoint.mark.offset;
        tokio::task::spawn_blocking(move || checkpoints.remove_before(start))
            .await
            .map_err(io::Error::other)??;
        Ok(Some(start))
    }

    /// The last entry that every live follower has; all of them when this node does not lead.
    fn needed(&self) -> Option<u64> {
        let status = self.status();
        let others = status.nodes.iter().filter(|node| node.node != status.node);
        let lively = others.filter(|node| node.silence.is_some_and(|silence| silence < LIVELY));
        let least = lively.filter_map(|node| node.matched).min();
        entry_index(least.unwrap_or(Index(u64::MAX)))
    }
}
