//! A broker group's log as a Raft log.
#![forbid(unsafe_code)]

mod abstention;
mod alertness;
mod answer;
mod app;
mod bootstrap;
mod checkpoint;
mod command;
mod entry;
mod founding;
mod frames;
mod group;
mod leadership;
mod log_store;
mod mending;
mod meta;
mod proposer;
mod quarantine;
mod settings;
mod stamps;
mod state_machine;
mod status;
mod transport;
mod types;
mod verify;
mod wire;

pub use app::{App, At, LogKept};
pub use founding::Founding;
pub use group::{AdminError, Group, GroupHandle, LogParts, StartError};
pub use mending::{NotMended, mend};
pub use meta::NodeMetaError;
pub use proposer::{Done, Outcome, Placed, Proposal, ProposeError, Proposer};
pub use settings::{GroupSettings, SettingsError, Timing};
pub use stamps::Stamps;
pub use status::{LeaderHint, Leadership, NodeStatus, Role, Status};
pub use transport::Links;
pub use types::{Member, NodeId};
pub use verify::{NodeFault, NodeFiles, verify_node};

#[allow(
    missing_debug_implementations,
    clippy::all,
    unused_qualifications,
    clippy::indexing_slicing,
    clippy::unwrap_used
)]
pub(crate) mod proto {
    tonic::include_proto!("ferrymq.raft.v1");
}

#[cfg(test)]
mod tests;
