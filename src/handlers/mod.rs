//! Wire ↔ services: one file a family of requests, one function a request. They hold no state.

pub mod assignment;
pub mod clients;
pub mod configuration;
pub mod groups;
pub mod locks;
pub mod offsets;
pub mod produce;
pub mod pull;
pub mod query;
pub mod raft;
pub mod recall;
pub mod replication;
pub mod replies;
pub mod resets;
pub mod retries;
pub mod runtime;
pub mod stats;
pub mod store;
pub mod topics;
pub mod transactions;

#[cfg(test)]
mod tests;
