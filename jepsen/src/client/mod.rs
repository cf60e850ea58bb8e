//! The harness's own client: typed calls to one broker at a time, and nothing else.
//!
//! It retries nothing and hides nothing: each call becomes one operation of the history. Who is asked is chosen by the
//! workload, which knows what the name server last said.

mod calls;
mod directory;
mod java;

pub use calls::{Outgoing, PRODUCERS, Pulled, Session, Stored, told};
pub use directory::{Directory, observe};
pub use java::Java;
