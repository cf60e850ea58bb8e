//! How the nodes of a group talk: gRPC, on three connections to each peer, so that neither frames nor a snapshot stand in the way
//! of votes and heartbeats.
//!
//! Every call carries a [`passport::Passport`]. Whoever has none, or one of another cluster or group, is turned away before
//! anything it sends is read.

pub(crate) mod client;
pub(crate) mod links;
mod listener;
mod pace;
pub(crate) mod passport;
mod server;
mod session;

use ferrymq_storage::frame::FRAME_BYTES_MAX;

pub use links::Links;
pub(crate) use server::{Host, RaftHandle, serve};

/// The longest frame behind a request that is nearly full.
const MESSAGE_BYTES_MAX: usize = FRAME_BYTES_MAX as usize + (2 << 20);
/// Of a log, for a node that lacks it. One frame may be longer.
pub(crate) const LOG_PART_BYTES_MAX: usize = 1 << 20;
/// Requests on the way to a follower, of up to 1 MiB each.
const REQUESTS_IN_FLIGHT_MAX: usize = 16;
const STREAM_WINDOW_BYTES: u32 = 16 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
const HTTP_FRAME_BYTES: u32 = 1 << 20;
