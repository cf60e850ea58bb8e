//! Wire ↔ services: one file a family of requests, one function a request. They hold no state.

pub mod produce;
pub mod pull;
