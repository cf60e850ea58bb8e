//! Who speaks to whom, in the metadata of every call.

use std::fmt;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Status};

use crate::types::NodeId;

/// Of what is said, and in which order. Nodes of different ones do not understand each other.
const PROTOCOL: u64 = 1;

const PROTOCOL_KEY: &str = "ferrymq-protocol";
const CLUSTER_KEY: &str = "ferrymq-cluster-bin";
const GROUP_KEY: &str = "ferrymq-group-bin";
const NAME_KEY: &str = "ferrymq-name-bin";
const FROM_KEY: &str = "ferrymq-from";
const TO_KEY: &str = "ferrymq-to";

/// Who a node is to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub cluster: String,
    pub group: String,
    pub name: String,
    pub node: NodeId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, group, name, node } = self;
        write!(f, "node {name} ({node}) of group {group} in cluster {cluster}")
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Passport {
    pub from: Identity,
    /// `None` asks whoever is there.
    pub to: Option<NodeId>,
}

impl Passport {
    /// Puts it on a call.
    pub fn stamp<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert(PROTOCOL_KEY, PROTOCOL.into());
        metadata.insert_bin(CLUSTER_KEY, MetadataValue::from_bytes(self.from.cluster.as_bytes()));
        metadata.insert_bin(GROUP_KEY, MetadataValue::from_bytes(self.from.group.as_bytes()));
        metadata.insert_bin(NAME_KEY, MetadataValue::from_bytes(self.from.name.as_bytes()));
        metadata.insert(FROM_KEY, self.from.node.0.into());
        if let Some(to) = self.to {
            metadata.insert(TO_KEY, to.0.into());
        }
        request
    }

    /// Reads the one on a call that came to `host`.
    pub fn check(metadata: &MetadataMap, host: &Identity) -> Result<Self, Status> {
        let missing = || Status::unauthenticated(format!("only nodes of its group may speak to {host}"));
        let protocol = number(metadata, PROTOCOL_KEY).ok_or_else(missing)?;
        if protocol != PROTOCOL {
            let text = format!(
                "{host} speaks version {PROTOCOL} of the protocol, not {protocol}; run the same program on all nodes"
            );
            return Err(Status::failed_precondition(text));
        }
        let from = Identity {
            cluster: text(metadata, CLUSTER_KEY).ok_or_else(missing)?,
            group: text(metadata, GROUP_KEY).ok_or_else(missing)?,
            name: text(metadata, NAME_KEY).ok_or_else(missing)?,
            node: number(metadata, FROM_KEY).map(NodeId).ok_or_else(missing)?,
        };
        let to = number(metadata, TO_KEY).map(NodeId);
        if from.cluster != host.cluster || from.group != host.group {
            let text =
                format!("{from} called {host}; correct the addresses in one of the two configurations");
            return Err(Status::permission_denied(text));
        }
        if from.node == host.node {
            let text = format!(
                "{from} called itself, or a node with a copy of its folder: every node needs a folder of its own"
            );
            return Err(Status::permission_denied(text));
        }
        if let Some(to) = to.filter(|to| *to != host.node) {
            let text = format!(
                "{from} looks for node {to}, but this is {host}, with another folder than that one had"
            );
            return Err(Status::failed_precondition(text));
        }
        Ok(Self { from, to })
    }
}

fn number(metadata: &MetadataMap, key: &str) -> Option<u64> {
    metadata.get(key)?.to_str().ok()?.parse().ok()
}

fn text(metadata: &MetadataMap, key: &str) -> Option<String> {
    String::from_utf8(metadata.get_bin(key)?.to_bytes().ok()?.to_vec()).ok()
}
