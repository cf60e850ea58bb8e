//! From winning an election to serving, and back.
//!
//! A new leader serves only when its own first entry is applied: then everything that any leader before it has acknowledged is
//! applied as well, nothing that it has in its log is undecided, and the next offset of every queue is known.

use std::sync::Arc;
use std::time::Duration;

use ferrymq_storage::Term;
use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::App;
use crate::log_store::LogStore;
use crate::proposer::Proposer;
use crate::state_machine::Progress;
use crate::status::{LeaderHint, Leadership, leader_of};
use crate::transport::RaftHandle;

/// Between two tries to get ready, while others may take over.
const PREPARE_RETRY: Duration = Duration::from_millis(200);
/// How often a leader that appends nothing looks whether it could.
const LOOK: Duration = Duration::from_millis(100);

pub(crate) struct LeadershipTask {
    pub raft: RaftHandle,
    pub app: Arc<dyn App>,
    pub log_store: LogStore,
    pub proposer: Proposer,
    pub progress: watch::Receiver<Progress>,
    pub told: watch::Sender<Leadership>,
}

/// What openraft says of this node now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum View {
    Leader { term: u64 },
    Other { term: u64, leader: Option<LeaderHint> },
}

impl LeadershipTask {
    pub async fn run(mut self) {
        let mut metrics = self.raft.metrics();
        loop {
            let view = {
                let metrics = metrics.borrow_and_update();
                let term = metrics.current_term;
                let is_stopped = metrics.running_state.is_err();
                match metrics.state == ServerState::Leader
                    && !is_stopped
                    && !self.log_store.is_waiting_for_room()
                {
                    true => View::Leader { term },
                    false => View::Other {
                        term,
                        leader: leader_of(&metrics).filter(|leader| leader.node != metrics.id),
                    },
                }
            };
            match view {
                View::Leader { term } if self.proposer.open_term() == Some(term) => {}
                View::Leader { term } => {
                    self.follow(term, None);
                    self.lead(term).await;
                }
                View::Other { term, leader } => self.follow(term, leader),
            }
            // A core that waits for the disk changes nothing that could be watched.
            if let Ok(Err(_)) = timeout(LOOK, metrics.changed()).await {
                return self.follow(metrics.borrow_watched().current_term, None);
            }
        }
    }

    fn follow(&self, term: u64, leader: Option<LeaderHint>) {
        if self.proposer.open_term().is_some() {
            self.proposer.close(leader.clone());
            if self.log_store.is_waiting_for_room() {
                self.proposer.abandon();
            }
        } else {
            self.proposer.close(leader.clone());
        }
        self.tell(&Leadership::Following { term: Term(term), leader });
    }

    fn tell(&self, change: &Leadership) {
        let is_news = self.told.send_if_modified(|told| {
            let is_news = told != change;
            *told = change.clone();
            is_news
        });
        if is_news {
            self.app.leadership(change);
        }
    }

    /// Waits for the first entry of the term, and for the broker. Gives up when the leadership is lost meanwhile.
    async fn lead(&mut self, term: u64) {
        let Some(progress) = self.own_entry_applied(term).await else { return };
        let (app, mark) = (Arc::clone(&self.app), progress.mark);
        let prepared = tokio::task::spawn_blocking(move || app.prepare(Term(term), mark)).await;
        let stamps = match prepared.map_err(std::io::Error::other).and_then(|prepared| prepared) {
            Ok(stamps) => stamps,
            Err(error) => {
                tracing::warn!(term, %error, "cannot serve as the leader yet");
                sleep(PREPARE_RETRY).await;
                return;
            }
        };
        self.log_store.lead(term, stamps);
        if self.leads(term) {
            self.proposer.open(term);
            self.tell(&Leadership::Leading { term: Term(term) });
        }
    }

    fn leads(&self, term: u64) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        metrics.state == ServerState::Leader && metrics.current_term == term && metrics.running_state.is_ok()
    }

    async fn own_entry_applied(&mut self, term: u64) -> Option<Progress> {
        loop {
            let progress = *self.progress.borrow_and_update();
            if progress.last.is_some_and(|last| last.leader_id.term == term) {
                return Some(progress);
            }
            if !self.leads(term) {
                return None;
            }
            // The leadership may be lost without any progress.
            let _ = timeout(LOOK, self.progress.changed()).await;
        }
    }
}
