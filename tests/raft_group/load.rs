//! Senders, what was acknowledged to them, and whether it is there.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferrymq_proto::net::{CallError, Client};
use tokio::task::JoinSet;

use super::clients::{insist, insist_and_tell, is_gone, read_from, read_queue};
use super::group::{Group, PATIENCE, QUEUES};

/// How many send at the same time.
const SENDERS: usize = 8;
/// What follows makes a message longer.
const PADDED: char = ':';

#[derive(Clone, Debug)]
pub struct Acked {
    pub queue: i32,
    pub offset: i64,
    /// Without what makes it longer.
    pub body: String,
    /// Who took it, and when.
    pub by: usize,
    pub at: Instant,
}

/// Senders that go on until they are told to end, and what was acknowledged to them.
pub struct Load {
    pub acked: Arc<Mutex<Vec<Acked>>>,
    pub leader: Arc<AtomicUsize>,
    /// What was heard instead of acknowledgements.
    failures: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

/// What a sender shares with the others.
#[derive(Clone)]
struct Shared {
    acked: Arc<Mutex<Vec<Acked>>>,
    leader: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
}

impl Load {
    pub fn start(group: &Group) -> Self {
        Self::of(group, 0)
    }

    /// With messages so much longer than they must be.
    pub fn of(group: &Group, padding: usize) -> Self {
        let padding = if padding > 0 { format!("{PADDED}{}", "x".repeat(padding)) } else { String::new() };
        let shared = Shared {
            acked: Arc::default(),
            leader: Arc::default(),
            failures: Arc::default(),
            stop: Arc::default(),
        };
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            senders.spawn(run_sender(sender, group.clients(), shared.clone(), padding.clone()));
        }
        let Shared { acked, leader, failures, stop } = shared;
        Self { acked, leader, failures, stop, senders }
    }

    /// Sends that failed since they were asked for last.
    pub fn failures(&self) -> Vec<String> {
        std::mem::take(&mut self.failures.lock().unwrap())
    }

    /// Checks what was acknowledged since the last time: it stands in its place on every node that runs, and so far the logs of
    /// all nodes are the same. Says how much that is.
    pub async fn check_round(&self, group: &Group, checked: &mut usize) -> u64 {
        let acked = self.acked.lock().unwrap()[*checked..].to_vec();
        *checked += acked.len();
        check(group, &acked).await;
        group.compare_confirmed().await
    }

    pub fn count(&self) -> usize {
        self.acked.lock().unwrap().len()
    }

    /// Where each queue ends at least.
    pub fn ends(&self) -> BTreeMap<i32, i64> {
        let mut ends = BTreeMap::new();
        for acked in self.acked.lock().unwrap().iter() {
            let end = ends.entry(acked.queue).or_default();
            *end = acked.offset.max(*end - 1) + 1;
        }
        ends
    }

    /// Waits until so many more are acknowledged.
    pub async fn wait_for_more(&self, more: usize) {
        let (until, wanted) = (Instant::now() + PATIENCE, self.count() + more);
        while self.count() < wanted {
            assert!(Instant::now() < until, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The first acknowledgement of another node.
    pub async fn first_not_by(&self, node: usize, since: usize) -> Acked {
        let until = Instant::now() + PATIENCE;
        loop {
            let found = self.acked.lock().unwrap().iter().skip(since).find(|acked| acked.by != node).cloned();
            if let Some(found) = found {
                return found;
            }
            assert!(Instant::now() < until, "nobody took over");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub async fn end(mut self) -> Vec<Acked> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended.unwrap();
        }
        let acked = self.acked.lock().unwrap();
        acked.clone()
    }
}

fn unpadded(body: &str) -> &str {
    body.split(PADDED).next().unwrap()
}

async fn run_sender(sender: usize, clients: Vec<Client>, shared: Shared, padding: String) {
    let Shared { acked, leader, failures, stop } = shared;
    let queue = sender as i32 % QUEUES;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = format!("{sender}/{number}");
        let padded = format!("{body}{padding}");
        let failed = |error: CallError| failures.lock().unwrap().push(error.to_string());
        let first = leader.load(Ordering::Relaxed);
        let (by, offset) = insist_and_tell(&clients, first, queue, &padded, failed).await;
        leader.store(by, Ordering::Relaxed);
        acked.lock().unwrap().push(Acked { queue, offset: offset.0, body, by, at: Instant::now() });
        number += 1;
    }
}

/// Reads everything from every node that runs: each acknowledged message stands where its sender was told, and each sender's in the
/// order of its sends.
pub async fn check(group: &Group, acked: &[Acked]) {
    let clients = group.clients();
    let running: Vec<_> = clients.iter().enumerate().filter(|(number, _)| group.runs(*number)).collect();
    for queue in 0..QUEUES {
        let of_queue: Vec<_> = acked.iter().filter(|acked| acked.queue == queue).collect();
        let first = of_queue.iter().map(|acked| acked.offset).min().unwrap_or(0);
        let count = of_queue.iter().map(|acked| acked.offset + 1 - first).max().unwrap_or(0) as usize;
        for (number, client) in &running {
            let found = read_from(client, queue, first, count).await;
            for acked in &of_queue {
                assert_eq!(
                    unpadded(&found[(acked.offset - first) as usize]),
                    acked.body,
                    "n{number}, queue {queue}, {acked:?}"
                );
            }
        }
        for sender in 0..SENDERS {
            let own = of_queue.iter().filter(|acked| acked.body.starts_with(&format!("{sender}/")));
            let offsets: Vec<_> = own.map(|acked| acked.offset).collect();
            assert!(offsets.is_sorted(), "sender {sender} was reordered");
        }
    }
}

/// The newest of each queue, where older ones may be gone, and one more that is sent now. With its segment the newest may be gone as
/// well, if others came behind it: then the node must say that it was there.
pub async fn check_newest(group: &Group, acked: &[Acked]) {
    let clients = group.clients();
    for queue in 0..QUEUES {
        let of_queue = acked.iter().filter(|acked| acked.queue == queue);
        let newest = of_queue.max_by_key(|acked| acked.offset);
        let (_, last) = insist(&clients, 0, queue, "one more").await;
        assert!(newest.is_none_or(|newest| newest.offset < last.0), "queue {queue}, {newest:?}, {last}");
        for (number, client) in clients.iter().enumerate().filter(|(number, _)| group.runs(*number)) {
            assert_eq!(read_from(client, queue, last.0, 1).await, ["one more"], "n{number}, queue {queue}");
            let Some(newest) = newest else { continue };
            if !is_gone(client, queue, newest.offset).await {
                let found = read_from(client, queue, newest.offset, 1).await;
                assert_eq!(unpadded(&found[0]), newest.body, "n{number}, queue {queue}, {newest:?}");
            }
        }
    }
}

/// The group that readers have is made at the leader, and only then known to the others.
pub async fn make_readers(group: &Group) {
    let clients = group.clients();
    let (leader, _) = insist(&clients, 0, 0, "for the readers").await;
    read_queue(&clients[leader], 0, 1).await;
}
