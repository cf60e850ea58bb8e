//! Carries out the faults of a plan, and writes them into the history.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::install::{self, Installed};
use super::{Fault, Means, Target};
use crate::client::Directory;
use crate::cluster::{Cluster, ClusterError};
use crate::dice::Dice;
use crate::history::{EventType, FaultValue, NodeId, Op, Process, Recorder};
use crate::plan::Planned;

/// For a group to elect a leader and for the name server to hear of it, on a busy machine.
const ELECTION_MAX: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub struct Nemesis {
    pub cluster: Arc<Mutex<Cluster>>,
    pub recorder: Arc<Recorder>,
    pub directory: Directory,
    /// Goes up when clients are to crash.
    pub crashes: watch::Sender<u64>,
    number: i64,
}

impl Nemesis {
    pub fn new(
        cluster: Arc<Mutex<Cluster>>,
        recorder: Arc<Recorder>,
        directory: Directory,
        crashes: watch::Sender<u64>,
    ) -> Self {
        Self { cluster, recorder, directory, crashes, number: 0 }
    }

    /// Lets all planned faults happen, each in its time, counted from `began`.
    pub async fn run(&mut self, planned: &[Planned], began: Instant) -> Result<(), ClusterError> {
        for operation in planned {
            let at = Duration::from_millis(operation.at_ms.cast_unsigned());
            let length = Duration::from_millis(operation.for_ms.cast_unsigned());
            sleep_until(began + at).await;
            let mut active = Vec::new();
            for name in &operation.faults {
                let Some(fault) = Fault::find(name) else { continue };
                active.extend(self.begin(fault, operation.pick.cast_unsigned()).await?);
            }
            sleep_until(Instant::now() + length).await;
            while let Some((value, installed)) = active.pop() {
                self.end(value, installed).await?;
            }
        }
        Ok(())
    }

    async fn begin(
        &mut self,
        fault: &Fault,
        pick: u64,
    ) -> Result<Option<(FaultValue, Installed)>, ClusterError> {
        self.number += 1;
        let mut value =
            FaultValue { fault: fault.name.to_owned(), number: self.number, ..FaultValue::default() };
        if fault.target == Target::Primary {
            self.await_leader().await;
        }
        self.record(EventType::Invoke, Op::Fault(value.clone()));
        let mut cluster = self.cluster.lock().await;
        let nodes = cluster.blueprint.nodes;
        let mut targets = fault.target.choose(nodes, self.directory.leader(), pick);
        // What is down already cannot be harmed.
        targets.retain(|node| cluster.is_running(*node) && !cluster.is_paused(*node));
        if targets.is_empty() && fault.target != Target::Nobody {
            drop(cluster);
            value.result = Some("skipped".to_owned());
            value.proof = Some("there was nobody to harm".to_owned());
            self.record(EventType::Info, Op::Fault(value));
            return Ok(None);
        }
        let installed =
            install::install(fault, &targets, &mut cluster, &mut Dice::new(pick), &self.directory).await?;
        drop(cluster);
        if fault.means == Means::ClientCrash {
            self.crashes.send_modify(|crashes| *crashes += 1);
        }
        value.struck = fault.strikes(nodes, &targets);
        value.down.clone_from(&installed.down);
        value.cut.clone_from(&installed.cut);
        value.promoted = installed.promoted;
        let (result, proof) = match &installed.proof {
            Some(Ok(proof)) => ("installed", proof.clone()),
            Some(Err(doubt)) => ("indeterminate", doubt.clone()),
            None => ("indeterminate", String::new()),
        };
        value.result = Some(result.to_owned());
        value.proof = Some(proof);
        self.record(EventType::Info, Op::Fault(value.clone()));
        Ok(Some((value, installed)))
    }

    /// The fault before this one may have left a group that still elects.
    async fn await_leader(&self) {
        let mut leader = self.directory.leader.clone();
        // If nobody leads for so long, the fault finds nobody, and says so.
        let _ = timeout(ELECTION_MAX, leader.wait_for(Option::is_some)).await;
    }

    async fn end(&self, mut value: FaultValue, mut installed: Installed) -> Result<(), ClusterError> {
        value.proof = None;
        self.record(EventType::Invoke, Op::Heal(value.clone()));
        let mut cluster = self.cluster.lock().await;
        let shown = install::heal(&mut installed, &mut cluster).await?;
        drop(cluster);
        if let Some(shown) = shown {
            let (result, proof) = match shown {
                Ok(proof) => ("installed", proof),
                Err(doubt) => ("indeterminate", doubt),
            };
            value.result = Some(result.to_owned());
            value.proof = Some(proof);
        }
        self.record(EventType::Info, Op::Heal(value));
        Ok(())
    }

    fn record(&self, kind: EventType, op: Op) {
        self.recorder.record(Process::Nemesis, kind, op);
    }
}

/// After the last fault: everything runs and every link behaves. Returns who refused to start, and why.
pub async fn heal_everything(cluster: &mut Cluster) -> Result<Vec<String>, ClusterError> {
    cluster.heal_links();
    let nodes: Vec<NodeId> = cluster.all().collect();
    for node in &nodes {
        if cluster.is_paused(*node) {
            cluster.resume(*node)?;
        }
        if !cluster.is_running(*node) {
            cluster.start_node(*node)?;
        }
    }
    install::not_started(&nodes, cluster).await
}
