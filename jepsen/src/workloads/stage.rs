//! What all workers of a run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::client::{Directory, Java, Session};
use crate::history::Recorder;

/// The part of the run that is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Load,
    /// Nothing new is sent; the group becomes whole.
    Quiet,
    /// What is there is read to its end.
    Drain,
    Over,
}

#[derive(Debug)]
pub struct Stage {
    pub recorder: Arc<Recorder>,
    pub directory: Directory,
    pub topic: Arc<str>,
    pub queues: i32,
    pub workers: u32,
    /// Operations each second, of all workers together.
    pub rate: u64,
    pub seed: u64,
    pub part: watch::Receiver<Part>,
    /// Goes up when all clients are to crash.
    pub crashes: watch::Receiver<u64>,
    /// Longer bodies are not sent, on small disks.
    pub body_bytes_max: usize,
    /// Consumers are wrong on purpose: they commit before they deliver.
    pub commits_ahead: bool,
    /// Senders are wrong on purpose: they send again what may be stored.
    pub resends: bool,
    /// The official client, if it is to be used.
    pub java: Option<Java>,
    /// The next process that is not one of the first ones.
    next_process: AtomicU32,
}

/// How long a client waits for an answer.
pub const CALL_MAX: Duration = Duration::from_secs(3);

/// What a stage is made of.
#[derive(Debug)]
pub struct Cast {
    pub recorder: Arc<Recorder>,
    pub directory: Directory,
    pub topic: Arc<str>,
    pub queues: i32,
    pub workers: u32,
    pub rate: u64,
    pub seed: u64,
    pub part: watch::Receiver<Part>,
    pub crashes: watch::Receiver<u64>,
    pub body_bytes_max: usize,
    pub commits_ahead: bool,
    pub resends: bool,
    pub java: Option<Java>,
}

impl Stage {
    pub fn new(cast: Cast) -> Arc<Self> {
        let Cast { recorder, directory, topic, queues, workers, rate, seed, part, crashes, .. } = cast;
        Arc::new(Self {
            recorder,
            directory,
            topic,
            queues,
            workers,
            rate,
            seed,
            part,
            crashes,
            body_bytes_max: cast.body_bytes_max,
            commits_ahead: cast.commits_ahead,
            resends: cast.resends,
            java: cast.java,
            next_process: AtomicU32::new(0),
        })
    }

    /// A process that nobody was before.
    pub fn new_process(&self) -> u32 {
        self.next_process.fetch_add(1, Ordering::Relaxed)
    }

    pub fn session(&self) -> Session {
        Session::new(self.directory.clone(), Arc::clone(&self.topic), CALL_MAX)
    }

    pub fn part(&self) -> Part {
        *self.part.borrow()
    }
}
