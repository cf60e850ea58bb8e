//! Commands over TCP.
//!
//! A [`Connection`] carries requests both ways, so server and client share it: one task per connection reads, serves, and
//! writes; answers may be given at once or later, in any order, and all that wait go out in one write.
//! A [`Server`] accepts connections and bounds them; a [`Client`] keeps one connection and makes typed calls over it.

mod client;
mod connection;
mod limits;
mod outbox;
mod server;
mod session;

pub use client::{CallError, Client};
pub use connection::{Call, Connection, ConnectionId, Service, together};
pub use limits::Limits;
pub use server::Server;

#[cfg(test)]
mod tests;
