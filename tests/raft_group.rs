//! Groups of three real processes that elect their leader: whatever happens to them, what was acknowledged is there, in its
//! place, on every node.
//!
//! `FERRYMQ_KILLS=30 cargo test --release --test raft_group -- --nocapture` kills more leaders, and says how long it took;
//! `FERRYMQ_AWAY_MIB=5120` with `catches_up` lets a node miss more.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test says with a panic that it failed")]

mod alone;
#[path = "raft_group/apaches.rs"]
mod apaches;
#[path = "raft_group/away.rs"]
mod away;
#[path = "raft_group/clients.rs"]
mod clients;
#[path = "raft_group/damage.rs"]
mod damage;
#[path = "raft_group/group.rs"]
mod group;
#[path = "raft_group/handovers.rs"]
mod handovers;
#[path = "raft_group/load.rs"]
mod load;
#[path = "raft_group/members.rs"]
mod members;
#[path = "raft_group/migration.rs"]
mod migration;
#[path = "raft_group/mistakes.rs"]
mod mistakes;
#[path = "raft_group/moments.rs"]
mod moments;
#[path = "raft_group/sizes.rs"]
mod sizes;
#[path = "raft_group/staleness.rs"]
mod staleness;

use std::sync::atomic::Ordering;
use std::time::Instant;

use clients::insist;
use ferrymq_proto::headers::DeleteTopic;
use group::{Group, NODES};
use handovers::{report, rounds};
use load::{Load, check, make_readers};

async fn kill_leaders(settings: &str) {
    let mut group = Group::started(settings);
    make_readers(&group).await;
    let load = Load::start(&group);
    let (mut times, mut checked) = (Vec::new(), 0);
    for _ in 0..rounds() {
        load.wait_for_more(100).await;
        let leader = load.leader.load(Ordering::Relaxed);
        let (since, killed) = (load.count(), Instant::now());
        group.kill(leader);
        times.push(load.first_not_by(leader, since).await.at - killed);
        load.wait_for_more(50).await;
        group.start(leader);
        load.wait_for_more(50).await;
        load.check_round(&group, &mut checked).await;
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
    for settings in ["", "flushDiskType=ASYNC_FLUSH"] {
        let mut group = Group::started(settings);
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
        group.compare_confirmed().await;
        println!("all killed: acknowledged again after {:?}", first.map(|first| first.at - began));
    }
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
        clients::wait_for_bodies(client, 0, &["new"]).await;
    }
}
