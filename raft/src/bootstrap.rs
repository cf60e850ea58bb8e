//! The beginning of a group.
//!
//! It begins once, when every node of the configuration is there, has an empty folder, and has the same configuration. One node
//! with anything in its folder means that there is a group already: then this one has lost its folder or is new, and waits until
//! it is added. So a wiped node never makes the others' data a minority.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::sleep;

use crate::proto;
use crate::settings::GroupSettings;
use crate::transport::RaftHandle;
use crate::transport::client::Peers;
use crate::types::{Member, NodeId};

const RETRY: Duration = Duration::from_millis(200);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What a look around has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// Everybody is there, and nobody has anything.
    Complete(BTreeMap<NodeId, Member>),
    /// Not now, for this reason.
    Waiting(String),
}

/// Tries until this node belongs to a group. `report` is told why it takes so long.
pub(crate) async fn run(
    settings: GroupSettings,
    own: proto::Introduction,
    raft: RaftHandle,
    peers: Peers,
    report: impl Fn(Option<String>),
) {
    let mut last_report = None;
    loop {
        match raft.is_initialized().await {
            Ok(true) => return report(None),
            Ok(false) => {}
            // Whoever watches the node sees why.
            Err(_) => return,
        }
        let finding = look_around(&settings, &own, &peers).await;
        let reason = match finding {
            Finding::Complete(members) if begins(&settings) => match raft.initialize(members).await {
                Ok(()) => "the group begins".to_owned(),
                Err(error) => error.to_string(),
            },
            Finding::Complete(_) => "waits for the first node to begin the group".to_owned(),
            Finding::Waiting(reason) => reason,
        };
        if last_report.as_ref() != Some(&reason) {
            tracing::info!(node = settings.name, reason, "no group yet");
            report(Some(reason.clone()));
            last_report = Some(reason);
        }
        sleep(RETRY).await;
    }
}

/// One node begins the group: the first by name.
fn begins(settings: &GroupSettings) -> bool {
    settings.peers.iter().map(|peer| &peer.name).min() == Some(&settings.name)
}

async fn look_around(settings: &GroupSettings, own: &proto::Introduction, peers: &Peers) -> Finding {
    let mut members = BTreeMap::from([(NodeId(own.node), settings.itself())]);
    for peer in settings.peers.iter().filter(|peer| peer.name != settings.name) {
        let answer = peers.introduce(peer, own.clone(), ANSWER_TIMEOUT).await;
        let found =
            answer.map_err(|error| format!("{} at {} does not answer: {error}", peer.name, peer.address));
        match found.and_then(|found| judge(peer, &found, own)) {
            Ok(node) => members.insert(node, peer.clone()),
            Err(reason) => return Finding::Waiting(reason),
        };
    }
    match members.len() == settings.peers.len() {
        true => Finding::Complete(members),
        false => Finding::Waiting(
            "two nodes have copies of the same folder; every node needs one of its own".into(),
        ),
    }
}

/// Whether a peer is as this node's configuration says, and has nothing either.
fn judge(peer: &Member, found: &proto::Introduction, own: &proto::Introduction) -> Result<NodeId, String> {
    let Member { name, address } = peer;
    if found.name != *name {
        return Err(format!(
            "{address} is {}, not {name}: correct the peers in one of the two configurations",
            found.name
        ));
    }
    if found.is_initialized {
        return Err(format!(
            "the group exists already, and this node has no part in it; it has a new folder, and must be added to the group as \
             a new node ({name} at {address} has said so)"
        ));
    }
    if found.peers != own.peers {
        return Err(format!("{name} has other peers ({}) than this node ({})", found.peers, own.peers));
    }
    if found.segment_bytes != own.segment_bytes {
        return Err(format!(
            "{name} has segments of {} bytes, and this node of {}; all nodes need the same",
            found.segment_bytes, own.segment_bytes
        ));
    }
    Ok(NodeId(found.node))
}
