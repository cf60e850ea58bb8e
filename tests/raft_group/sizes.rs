//! Groups of one node to seven, one step at a time and under load.

use std::sync::atomic::Ordering;

use super::clients::{insist, status};
use super::group::Group;
use super::load::{Load, check, make_readers};

const NODES_MAX: usize = 7;

fn name(number: usize) -> String {
    format!("n{number}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_one_node_to_seven_and_back() {
    let mut group = Group::known_at_rest("");
    while group.len() < NODES_MAX {
        group.add();
    }
    group.configure(0, &[0]);
    (1..NODES_MAX).for_each(|number| group.configure(number, &[number, 0]));
    group.start(0);
    make_readers(&group).await;
    let load = Load::start(&group);
    for number in 1..NODES_MAX {
        load.wait_for_more(20).await;
        group.start(number);
        group.raft_at_last(&["add-learner", &name(number), &group.peer_address(number)]).await;
        group.raft_at_last(&["promote", &name(number)]).await;
    }
    load.wait_for_more(20).await;

    // Four of seven are enough, and three of six would not be.
    let leader = load.leader.load(Ordering::Relaxed);
    let mut others = (0..NODES_MAX).filter(|number| *number != leader);
    let dead: Vec<_> = others.by_ref().take(3).collect();
    let alive: Vec<_> = others.collect();
    dead.iter().for_each(|number| group.kill(*number));
    load.wait_for_more(50).await;
    for number in &alive {
        let refusal = group.raft(&["remove", &name(*number)]).unwrap_err();
        assert!(refusal.contains("the group would stop"), "{refusal}");
    }
    // The dead may go.
    for number in &dead {
        group.raft_at_last(&["remove", &name(*number)]).await;
    }
    load.wait_for_more(50).await;

    // And then one after the other, whoever leads, until there is one.
    for left in (1..=alive.len()).rev() {
        let clients = group.clients();
        let leader = load.leader.load(Ordering::Relaxed);
        let seen = status(&clients[leader]).await;
        assert_eq!(seen.nodes.iter().filter(|node| node.is_voter).count(), left + 1, "{seen:?}");
        group.raft_at_last(&["remove", &name(leader)]).await;
        load.wait_for_more(20).await;
        group.kill(leader);
        load.wait_for_more(20).await;
    }
    let last = load.leader.load(Ordering::Relaxed);
    let acked = load.end().await;
    let refusal = group.raft(&["remove", &name(last)]).unwrap_err();
    assert!(refusal.contains("the last one that has a voice"), "{refusal}");
    assert_eq!((0..NODES_MAX).filter(|number| group.runs(*number)).collect::<Vec<_>>(), [last]);
    group.kill(last);
    group.start(last);
    check(&group, &acked).await;
    insist(&group.clients(), last, 0, "alone").await;
}
