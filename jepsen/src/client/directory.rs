//! Who leads, as the name server says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::{ClusterInfo, TopicRoute};
use ferrymq_proto::headers::{GetClusterInfo, GetRoute};
use ferrymq_proto::json;
use ferrymq_proto::net::Client;
use tokio::sync::watch;

use crate::cluster::GROUP;
use crate::dice::Dice;
use crate::history::{EventType, LeaderValue, NodeId, Op, Process, Recorder};

const POLL: Duration = Duration::from_millis(200);
const ASK_MAX: Duration = Duration::from_secs(2);
/// The broker id of whoever takes messages.
const LEADER_ID: i64 = 0;

/// The brokers, and which of them clients believe to lead.
#[derive(Clone, Debug)]
pub struct Directory {
    pub brokers: Arc<[SocketAddr]>,
    pub leader: watch::Receiver<Option<NodeId>>,
}

impl Directory {
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.brokers.len()).filter_map(|at| u8::try_from(at).ok()).map(NodeId)
    }

    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        self.brokers.get(usize::from(node.0)).copied()
    }

    pub fn node(&self, address: &str) -> Option<NodeId> {
        self.nodes().find(|node| self.address(*node).is_some_and(|known| known.to_string() == address))
    }

    pub fn leader(&self) -> Option<NodeId> {
        *self.leader.borrow()
    }

    /// Whom to ask now: mostly the leader; somebody else when there is none or it did not answer last time.
    pub fn choose(&self, dice: &mut Dice, failed: bool) -> NodeId {
        let any = NodeId(u8::try_from(dice.index(self.brokers.len())).unwrap_or_default());
        match self.leader() {
            Some(leader) if !failed || dice.once_in(2) => leader,
            _ => any,
        }
    }
}

/// Asks the name server over and over, through the link that clients have, and tells who leads. With a recorder it also
/// writes each change into the history.
pub fn observe(
    name_server: SocketAddr,
    brokers: Vec<SocketAddr>,
    recorder: Option<Arc<Recorder>>,
) -> (Directory, tokio::task::AbortHandle) {
    let (sender, leader) = watch::channel(None);
    let directory = Directory { brokers: brokers.into(), leader };
    let known = directory.clone();
    let task = tokio::spawn(async move {
        let client = Client::new(name_server.to_string(), ASK_MAX);
        loop {
            if let Some(leader) = ask(&client, &known).await {
                let changed = sender.send_if_modified(|current| {
                    let changed = *current != leader;
                    *current = leader;
                    changed
                });
                if let Some(recorder) = recorder.as_ref().filter(|_| changed) {
                    recorder.record(
                        Process::Observer,
                        EventType::Info,
                        Op::Leader(LeaderValue { node: leader }),
                    );
                }
            }
            tokio::time::sleep(POLL).await;
        }
    });
    (directory, task.abort_handle())
}

/// `None` when the name server does not answer; then what was known stays.
async fn ask(client: &Client, directory: &Directory) -> Option<Option<NodeId>> {
    let (_, body) = client.call(&GetClusterInfo {}, Bytes::new()).await.ok()?;
    let info: ClusterInfo = json::from_slice(&body).ok()?;
    let group = info.broker_addr_table.get(GROUP);
    Some(group.and_then(|group| directory.node(group.broker_addrs.get(&LEADER_ID)?)))
}

/// Whether the name server leads clients to a topic.
pub(super) async fn has_route(client: &Client, topic: &str) -> bool {
    let header = GetRoute {
        topic: topic.into(),
        accept_standard_json_only: Some(true),
        zone_mode: None,
        zone_name: None,
    };
    let Ok((_, body)) = client.call(&header, Bytes::new()).await else { return false };
    json::from_slice::<TopicRoute>(&body).is_ok_and(|route| !route.queue_datas.is_empty())
}
