//! What one peer, and all of them together, may cost us.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::frame::FRAME_BYTES_MAX;

/// Past each limit a connection is closed or, where it says so, not read from until it is below again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. The next one is closed as soon as it is accepted.
    pub connections_max: usize,
    /// Open connections from one address. Wide, since whole data centres sit behind one.
    pub connections_per_address_max: usize,
    /// The longest frame a peer may send.
    pub frame_bytes_max: usize,
    /// Silence in both directions.
    pub idle: Duration,
    /// Silence after connecting.
    pub first_byte: Duration,
    /// From the first byte of a frame to its last.
    pub frame_completion: Duration,
    /// Requests of one connection without their answers. Past this we stop reading from it.
    pub unanswered_max: usize,
    /// Requests of one connection that wait for something to happen ([`super::Call::set_aside`]): a consumer has one for each of
    /// its queues. Past this they are told at once that nothing has happened.
    pub set_aside_max: usize,
    /// Bytes that wait for a peer to read them. Past this we stop reading from it, and drop what nobody asked for.
    pub outbox_bytes_max: usize,
    /// Bytes that all connections together hold: received but not served, and not read by their peers. Past this, only
    /// connections that hold nothing are read from; the others go on when there is room, or run into their timeouts.
    pub held_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 32_768,
            connections_per_address_max: 16_384,
            frame_bytes_max: FRAME_BYTES_MAX,
            idle: Duration::from_secs(120),
            first_byte: Duration::from_secs(10),
            frame_completion: Duration::from_secs(30),
            unanswered_max: 1024,
            set_aside_max: 65_536,
            outbox_bytes_max: 4 << 20,
            held_bytes_max: 1 << 30,
        }
    }
}

/// The bytes that the connections of one server hold.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    pub(super) fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A connection held `before` and now holds `now`.
    pub(super) fn change(&self, before: usize, now: usize) {
        if now >= before {
            self.0.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.0.fetch_sub(before - now, Ordering::Relaxed);
        }
    }
}
