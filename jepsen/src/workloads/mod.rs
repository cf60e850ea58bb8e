//! What clients do: one row each.
//!
//! A workload is a set of workers. Each is one process of the history at a time: it asks, hears, and asks again at its own pace.
//! After an answer that leaves a doubt the process ends, and the worker goes on as another.

mod group;
mod meta;
mod offset;
mod orderly;
mod queue;
mod stage;
mod timer;
mod transactions;
mod worker;

use std::sync::Arc;

use tokio::task::JoinSet;

pub use stage::{CALL_MAX, Cast, Part, Stage};
pub use worker::Worker;

/// One way to use a broker.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    pub about: &'static str,
    spawn: fn(&Arc<Stage>, &mut JoinSet<()>),
    /// After the load, for what comes late by design.
    pub linger_seconds: u64,
    /// Ends and starts all nodes before the final reads, twice.
    pub restarts: bool,
    /// Its messages arrive in its queues by themselves.
    pub sends: bool,
    /// Operations without which a run shows nothing of what it is about.
    pub needs: &'static [&'static str],
    /// The official client can carry it out: it sends, pulls, commits and asks, and nothing else.
    pub for_java: bool,
    /// Groups that must be there before it begins.
    pub groups: fn(&Stage) -> Vec<String>,
}

/// Declares the workloads.
macro_rules! workloads {
    ($($name:literal $about:literal $spawn:path, lingers $linger:literal, restarts $restarts:literal, sends $sends:literal,
       needs $($need:literal)*, for_java $java:literal, groups $groups:expr;)*) => {
        pub const WORKLOADS: &[Workload] = &[$(Workload {
            name: $name,
            about: $about,
            spawn: $spawn,
            linger_seconds: $linger,
            restarts: $restarts,
            sends: $sends,
            needs: &[$($need),*],
            for_java: $java,
            groups: $groups,
        },)*];
    };
}

fn no_groups(_: &Stage) -> Vec<String> {
    Vec::new()
}

workloads! {
    "queue" "sends and pulls" queue::spawn, lingers 0, restarts false, sends true,
        needs "send" "pull", for_java true, groups no_groups;
    "recover" "the same, and all nodes are ended twice before the final reads" queue::spawn, lingers 0, restarts true, sends true,
        needs "send" "pull", for_java true, groups no_groups;
    "masterslave" "the same, while a slave takes its master's place" queue::spawn, lingers 0, restarts false, sends true,
        needs "send" "pull", for_java true, groups no_groups;
    "group" "a group consumes, and its members come and go" group::spawn, lingers 0, restarts false, sends true,
        needs "send" "deliver" "commit" "fetch", for_java true, groups group::groups;
    "offset" "a group says how far it is, and asks" offset::spawn, lingers 0, restarts false, sends true,
        needs "commit" "fetch", for_java true, groups offset::groups;
    "tx" "transactions that are committed, rolled back, or asked for" transactions::spawn, lingers 25, restarts false, sends false,
        needs "half" "end", for_java false, groups no_groups;
    "timer" "messages that come later" timer::spawn, lingers 20, restarts false, sends false,
        needs "send" "pull", for_java false, groups no_groups;
    "orderly" "members of a group lock queues" orderly::spawn, lingers 0, restarts false, sends true,
        needs "lock" "unlock", for_java false, groups orderly::groups;
    "meta" "topics are made, changed and unmade" meta::spawn, lingers 0, restarts false, sends true,
        needs "create-topic" "delete-topic" "find-topic", for_java false, groups no_groups;
}

impl Workload {
    pub fn find(name: &str) -> Option<&'static Self> {
        WORKLOADS.iter().find(|workload| workload.name == name)
    }

    /// It shows nothing unless a slave takes the place of its master.
    pub fn is_about_promotions(&self) -> bool {
        self.name == "masterslave"
    }

    /// Starts all workers. They end when the stage says so.
    pub fn start(&self, stage: &Arc<Stage>) -> JoinSet<()> {
        let mut workers = JoinSet::new();
        (self.spawn)(stage, &mut workers);
        workers
    }
}
