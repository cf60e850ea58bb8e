//! The fault harness: starts a real group of brokers, breaks it on purpose, records every operation of every client and judges
//! the history.
//!
//! A [`plan`](crate::plan) follows from a seed. A [`run`](crate::run) carries it out: it starts a [`cluster`](crate::cluster),
//! lets the clients of a [`workload`](crate::workloads) work on it, lets the [`faults`](crate::faults) happen, and writes a
//! [`history`]. [`checkers`] judge the history and nothing else. That they can find bugs is shown by [`mutation`]: a valid
//! history with one thing wrong must be found out, and a valid one must not be accused.
#![forbid(unsafe_code)]

pub mod checkers;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod controls;
pub mod dice;
pub mod export;
pub mod faults;
pub mod history;
pub mod message;
pub mod mutation;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod run;
pub mod workloads;
