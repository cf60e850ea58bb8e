//! Configuration: one table of keys, and everything that follows from it.
//!
//! A server's rows (`namesrv_keys`) say what each key is; `sources` reads file, environment and command line and checks
//! them against the rows; `written` holds the outcome, as text for people and tools and as types for the server;
//! `desk` shows and changes it while the server runs. Mistakes are reported in full before anything starts.

mod assignment;
pub mod broker;
mod check;
mod conflict;
pub mod desk;
mod diagnostic;
pub mod docs;
mod field;
mod keys;
pub mod live;
mod log_filter;
pub mod machine;
pub mod namesrv_keys;
pub mod properties;
mod report;
pub mod server;
pub mod sources;
pub mod written;

pub use diagnostic::{Diagnostic, Severity, quoted, shown};
