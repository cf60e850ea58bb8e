//! The end of a run: the group becomes whole, works again, and everything it has is read from every replica.

use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::net::CallError;
use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::client::told;
use crate::cluster::{Cluster, ClusterError};
use crate::faults::not_started;
use crate::history::{EventType, NodeId, NoticeValue, Op, PhaseValue, Process, ScanValue, phases};
use crate::workloads::{Stage, Worker};

const POLL: Duration = Duration::from_millis(200);
/// Messages that each queue must take once the faults are over.
const PROOFS_OF_LIFE: usize = 3;

/// What did not come in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck(pub String);

pub(super) struct Finale<'r> {
    pub stage: &'r Arc<Stage>,
    pub cluster: &'r Arc<Mutex<Cluster>>,
    pub limit: Duration,
}

impl Finale<'_> {
    pub fn phase(&self, phase: &str, detail: Option<String>) {
        let value = PhaseValue { phase: phase.to_owned(), detail };
        self.stage.recorder.record(Process::Observer, EventType::Info, Op::Phase(value));
    }

    pub fn notices(&self, notices: Vec<String>) {
        for notice in notices {
            let value = NoticeValue { node: None, notice };
            self.stage.recorder.record(Process::Observer, EventType::Info, Op::Notice(value));
        }
    }

    /// Everything works again and all replicas are as long as the leader's.
    pub async fn become_whole(&self, sends: bool) -> Result<NodeId, Stuck> {
        let result = async {
            if sends {
                self.prove_life().await?;
            }
            self.converge().await
        }
        .await;
        match &result {
            Ok(_) => self.phase(phases::CONVERGED, None),
            Err(Stuck(what)) => self.phase(phases::STUCK, Some(what.clone())),
        }
        result
    }

    /// Slaves hear of their master when they register the next time: a fault before that shows nothing of what they copy.
    pub async fn copies_arrive(&self) -> Result<(), Stuck> {
        self.prove_life().await?;
        self.converge().await.map(drop)
    }

    /// Every queue takes messages.
    async fn prove_life(&self) -> Result<(), Stuck> {
        let deadline = Instant::now() + self.limit;
        let mut worker = Worker::new(self.stage, u32::MAX, 1);
        for queue in (0..self.stage.queues).map(QueueId) {
            let mut taken = 0;
            while taken < PROOFS_OF_LIFE {
                let message = worker.message();
                taken += usize::from(worker.send(queue, &[message]).await);
                if Instant::now() > deadline {
                    return Err(Stuck(format!("queue {queue} took no message within {:?}", self.limit)));
                }
                if worker.failed {
                    sleep(POLL).await;
                }
            }
        }
        Ok(())
    }

    /// Returns who leads once all replicas say the same of all queues.
    async fn converge(&self) -> Result<NodeId, Stuck> {
        let deadline = Instant::now() + self.limit;
        let mut session = self.stage.session();
        loop {
            let difference = match self.stage.directory.leader() {
                None => "nobody leads".to_owned(),
                Some(leader) => match self.difference(&mut session, leader).await {
                    None => return Ok(leader),
                    Some(difference) => difference,
                },
            };
            if Instant::now() > deadline {
                return Err(Stuck(format!("{difference} after {:?}", self.limit)));
            }
            sleep(POLL).await;
        }
    }

    async fn difference(&self, session: &mut crate::client::Session, leader: NodeId) -> Option<String> {
        for queue in (0..self.stage.queues).map(QueueId) {
            let expected = match session.ends(leader, queue).await {
                Ok((_, max)) => max,
                Err(error) => {
                    return Some(format!(
                        "{leader} does not say how long queue {queue} is ({})",
                        told(&error)
                    ));
                }
            };
            for node in self.stage.directory.nodes().filter(|node| *node != leader) {
                match session.ends(node, queue).await {
                    Ok((_, max)) if max == expected => {}
                    Ok((_, max)) => {
                        return Some(format!(
                            "queue {queue} has {max} messages on {node} and {expected} on {leader}"
                        ));
                    }
                    Err(error) => {
                        return Some(format!(
                            "{node} does not say how long queue {queue} is ({})",
                            told(&error)
                        ));
                    }
                }
            }
        }
        None
    }

    /// Ends all nodes and starts them again.
    pub async fn restart(&self) -> Result<(), ClusterError> {
        let mut cluster = self.cluster.lock().await;
        let nodes: Vec<NodeId> = cluster.all().collect();
        for node in &nodes {
            cluster.kill(*node).await?;
        }
        for node in &nodes {
            cluster.start_node(*node)?;
        }
        let refused = not_started(&nodes, &mut cluster).await?;
        drop(cluster);
        self.notices(refused);
        self.phase(phases::RESTARTED, None);
        Ok(())
    }

    /// Reads all queues of all replicas. Whether the leader's were read to their ends.
    pub async fn scan(&self, leader: NodeId) -> bool {
        let mut complete = true;
        let process = self.stage.new_process();
        let mut session = self.stage.session();
        for node in self.stage.directory.nodes() {
            for queue in (0..self.stage.queues).map(QueueId) {
                let read = self.scan_queue(process, &mut session, node, queue, leader).await;
                complete &= read || node != leader;
            }
        }
        complete
    }

    async fn scan_queue(
        &self,
        process: u32,
        session: &mut crate::client::Session,
        node: NodeId,
        queue: QueueId,
        leader: NodeId,
    ) -> bool {
        let record = |kind, value: ScanValue| {
            self.stage.recorder.record(Process::Client(process), kind, Op::Scan(value));
        };
        let value = ScanValue { node: Some(node), leader: node == leader, queue, ..ScanValue::default() };
        record(EventType::Invoke, value.clone());
        // A connection that the faults left half-dead is found out by the first call.
        for attempt in 0..3 {
            match read_all(session, node, queue).await {
                Ok((min, max, seen)) => {
                    record(EventType::Ok, ScanValue { min, max, seen, ..value });
                    return true;
                }
                Err(error) if attempt == 2 => {
                    record(EventType::Fail, ScanValue { error: Some(told(&error)), ..value.clone() });
                }
                Err(_) => {
                    session.hang_up().await;
                    sleep(POLL).await;
                }
            }
        }
        false
    }
}

async fn read_all(
    session: &mut crate::client::Session,
    node: NodeId,
    queue: QueueId,
) -> Result<(QueueOffset, QueueOffset, Vec<crate::history::Seen>), CallError> {
    let (min, max) = session.ends(node, queue).await?;
    let mut seen = Vec::new();
    let mut cursor = min;
    while cursor < max {
        let pulled = session.pull(node, queue, cursor).await?;
        seen.extend(pulled.seen);
        if pulled.next <= cursor {
            break;
        }
        cursor = pulled.next;
    }
    // Nobody writes any more; whatever lies past the end that was told is no end.
    Ok((min, max, seen))
}
