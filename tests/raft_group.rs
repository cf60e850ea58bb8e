//! Groups of three real processes that elect their leader: whatever happens to them, what was acknowledged is there, in its
//! place, on every node.
//!
//! `FERRYMQ_KILLS=30 cargo test --release --test raft_group -- --nocapture` kills more leaders, and says how long it took.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

#[path = "raft_group/group.rs"]
mod group;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferrymq_proto::headers::DeleteTopic;
use ferrymq_proto::net::Client;
use group::{Group, NODES, PATIENCE, QUEUES, insist, read_queue};
use tokio::task::JoinSet;

/// How many send at the same time.
const SENDERS: usize = 8;

#[derive(Clone, Debug)]
struct Acked {
    queue: i32,
    offset: i64,
    body: String,
    /// Who took it, and when.
    by: usize,
    at: Instant,
}

/// Senders that go on until they are told to end, and what was acknowledged to them.
struct Load {
    acked: Arc<Mutex<Vec<Acked>>>,
    leader: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<()>,
}

impl Load {
    fn start(group: &Group) -> Self {
        let (acked, leader, stop) = (Arc::default(), Arc::default(), Arc::default());
        let mut load = Self { acked, leader, stop, senders: JoinSet::new() };
        for sender in 0..SENDERS {
            let (acked, leader, stop) =
                (Arc::clone(&load.acked), Arc::clone(&load.leader), Arc::clone(&load.stop));
            load.senders.spawn(run_sender(sender, group.clients(), acked, leader, stop));
        }
        load
    }

    fn count(&self) -> usize {
        self.acked.lock().unwrap().len()
    }

    /// Waits until so many more are acknowledged.
    async fn wait_for_more(&self, more: usize) {
        let (until, wanted) = (Instant::now() + PATIENCE, self.count() + more);
        while self.count() < wanted {
            assert!(Instant::now() < until, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The first acknowledgement of another node.
    async fn first_not_by(&self, node: usize, since: usize) -> Acked {
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

    async fn end(mut self) -> Vec<Acked> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended.unwrap();
        }
        let acked = self.acked.lock().unwrap();
        acked.clone()
    }
}

async fn run_sender(
    sender: usize,
    clients: Vec<Client>,
    acked: Arc<Mutex<Vec<Acked>>>,
    leader: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
) {
    let queue = sender as i32 % QUEUES;
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = format!("{sender}/{number}");
        let (by, offset) = insist(&clients, leader.load(Ordering::Relaxed), queue, &body).await;
        leader.store(by, Ordering::Relaxed);
        acked.lock().unwrap().push(Acked { queue, offset: offset.0, body, by, at: Instant::now() });
        number += 1;
    }
}

/// Reads everything from every node: each acknowledged message stands where its sender was told, and each sender's in the
/// order of its sends.
async fn check(group: &Group, acked: &[Acked]) {
    let clients = group.clients();
    for queue in 0..QUEUES {
        let of_queue: Vec<_> = acked.iter().filter(|acked| acked.queue == queue).collect();
        let count = of_queue.iter().map(|acked| acked.offset + 1).max().unwrap_or(0) as usize;
        for (number, client) in clients.iter().enumerate() {
            let found = read_queue(client, queue, count).await;
            for acked in &of_queue {
                assert_eq!(found[acked.offset as usize], acked.body, "n{number}, queue {queue}, {acked:?}");
            }
        }
        for sender in 0..SENDERS {
            let own = of_queue.iter().filter(|acked| acked.body.starts_with(&format!("{sender}/")));
            let offsets: Vec<_> = own.map(|acked| acked.offset).collect();
            assert!(offsets.is_sorted(), "sender {sender} was reordered");
        }
    }
}

/// The group that readers have is made at the leader, and only then known to the others.
async fn make_readers(group: &Group) {
    let clients = group.clients();
    let (leader, _) = insist(&clients, 0, 0, "for the readers").await;
    read_queue(&clients[leader], 0, 1).await;
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    println!("{what}: {} times, p50 {:?}, p99 {:?}, max {:?}", times.len(), at(0.5), at(0.99), at(1.0));
}

fn kills() -> usize {
    std::env::var("FERRYMQ_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

async fn kill_leaders(settings: &str) {
    let mut group = Group::started(settings);
    make_readers(&group).await;
    let load = Load::start(&group);
    let mut times = Vec::new();
    for _ in 0..kills() {
        load.wait_for_more(100).await;
        let leader = load.leader.load(Ordering::Relaxed);
        let (since, killed) = (load.count(), Instant::now());
        group.kill(leader);
        times.push(load.first_not_by(leader, since).await.at - killed);
        load.wait_for_more(50).await;
        group.start(leader);
        load.wait_for_more(50).await;
    }
    let acked = load.end().await;
    check(&group, &acked).await;
    (0..NODES).for_each(|number| group.stop(number));
    let bytes = group.compare_logs();
    report("kill to next acknowledgement", times);
    println!("{} messages acknowledged, {bytes} bytes of the logs are the same", acked.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_leaders_cost_nothing_that_was_acknowledged() {
    kill_leaders("").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_do_they_without_waiting_for_disks() {
    kill_leaders("flushDiskType=ASYNC_FLUSH").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_killed_at_once_come_back_with_everything() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::start(&group);
    load.wait_for_more(200).await;
    (0..NODES).for_each(|number| group.kill(number));
    let since = load.count();
    let began = Instant::now();
    (0..NODES).for_each(|number| group.start(number));
    load.wait_for_more(50).await;
    let first = load.acked.lock().unwrap()[since..].first().cloned();
    let acked = load.end().await;
    check(&group, &acked).await;
    println!("all killed: acknowledged again after {:?}", first.map(|first| first.at - began));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stops_hands_over_first() {
    let mut group = Group::started("");
    make_readers(&group).await;
    let load = Load::start(&group);
    load.wait_for_more(100).await;
    let leader = load.leader.load(Ordering::Relaxed);
    let (since, stopped) = (load.count(), Instant::now());
    group.stop(leader);
    let first = load.first_not_by(leader, since).await.at - stopped;
    group.start(leader);
    load.wait_for_more(50).await;
    let acked = load.end().await;
    check(&group, &acked).await;
    println!("stop to next acknowledgement elsewhere: {first:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_topic_begins_anew_on_every_node() {
    let group = Group::started("");
    make_readers(&group).await;
    let clients = group.clients();
    let (leader, last) = insist(&clients, 0, 0, "old").await;
    let delete = DeleteTopic { topic: group::TOPIC.into() };
    clients[leader].call(&delete, bytes::Bytes::new()).await.unwrap();
    let (_, offset) = insist(&clients, leader, 0, "new").await;
    assert!(last > offset, "{last} and then {offset}");
    for client in &clients {
        group::wait_for_bodies(client, 0, &["new"]).await;
    }
}
