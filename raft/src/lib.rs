//! A broker group's log as a Raft log.
#![forbid(unsafe_code)]

mod abstention;
mod answer;
mod app;
mod checkpoint;
mod command;
mod entry;
mod frames;
mod log_store;
mod meta;
mod stamps;
mod state_machine;
mod status;
mod transport;
mod types;
mod wire;

pub use app::{App, At, LogKept};
pub use stamps::Stamps;
pub use status::{LeaderHint, Leadership};
pub use types::{Member, NodeId};

#[allow(missing_debug_implementations, clippy::all, unused_qualifications, clippy::indexing_slicing, clippy::unwrap_used)]
pub(crate) mod proto {
    tonic::include_proto!("ferrymq.raft.v1");
}

#[cfg(test)]
mod tests;
