//! The name server: which broker serves which topic, and where.
//!
//! [`routes`] is the table itself, pure: it is fed registrations, departures and the time, and asked for routes. [`kv`] is the
//! small table of settings that tools keep for clients. The rest is the shell around them: [`requests`] lists every request,
//! `handlers` translate, [`Server`] reads and writes sockets, `changes` is the one thread that changes tables.
//! Name servers share nothing; every broker registers with each of them.
#![forbid(unsafe_code)]

mod changes;
mod handlers;
pub mod kv;
mod notices;
mod office;
mod refusal;
pub mod requests;
pub mod routes;
mod server;
pub mod settings;
pub mod stored_file;

pub use server::{Server, StartError};
