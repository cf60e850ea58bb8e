//! Nodes that come, go, fall behind and forget, under load and through the command line.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::clients::{insist, send};
use super::group::{Group, NODES, PATIENCE};
use super::load::{Load, check, check_newest, make_readers};

/// Every segment goes as soon as another one follows it.
const SHORT: &str = "fileReservedTime=0\ndeleteWhen=00;01;02;03;04;05;06;07;08;09;10;11;12;13;14;15;16;17;18;19;20;21;22;23\n\
                     cleanResourceInterval=200";

/// The first offset of a node's log.
fn start_of(group: &Group, number: usize) -> u64 {
    let segments = group.segments(number);
    segments[0].file_name().unwrap().to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_away_for_longer_than_messages_are_kept_goes_on() {
    let mut group = Group::known(SHORT);
    make_readers(&group).await;
    let load = Load::of(&group, 10_000);
    load.wait_for_more(100).await;
    let leader = load.leader.load(Ordering::Relaxed);
    let away = (leader + 1) % NODES;
    let had = group.segments(away).last().unwrap().clone();
    group.kill(away);
    // The leader must give up on it first.
    let until = Instant::now() + PATIENCE;
    while group.segments(leader).iter().any(|segment| segment.file_name() == had.file_name()) {
        assert!(Instant::now() < until, "the leader keeps everything");
        load.wait_for_more(100).await;
    }
    group.start(away);
    load.wait_for_more(300).await;
    let acked = load.end().await;
    check_newest(&group, &acked).await;
    assert!(start_of(&group, away) > 0);
    // With what it got it can lead, and start again.
    group.raft_at_last(&["transfer-leader", &format!("n{away}")]).await;
    insist(&group.clients(), away, 0, "led by it").await;
    group.kill(away);
    group.start(away);
    check_newest(&group, &acked).await;
    let printed = group.raft_at_last(&["hash-check"]).await;
    let found = hashes(&printed);
    assert_eq!(found.len(), NODES, "{printed}");
    assert!(found.values().all(|hash| *hash == found["n0"]), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_node_joins_and_an_old_one_leaves_under_load() {
    for settings in ["", SHORT] {
        let mut group = Group::known(settings);
        make_readers(&group).await;
        // Its senders know where it will be.
        let new = group.add();
        let load = Load::of(&group, 10_000);
        load.wait_for_more(500).await;
        group.start(new);
        let added = group.raft_at_last(&["add-learner", "n3", &group.peer_address(new)]).await;
        assert!(added.contains("without a vote"), "{added}");
        group.raft_at_last(&["promote", "n3"]).await;
        let old = (load.leader.load(Ordering::Relaxed) + 1) % NODES;
        group.raft_at_last(&["remove", &format!("n{old}")]).await;
        group.kill(old);
        load.wait_for_more(100).await;
        // Of the three that are left two are enough, whoever they are.
        let leader = load.leader.load(Ordering::Relaxed);
        group.kill(leader);
        load.wait_for_more(100).await;
        group.start(leader);
        let acked = load.end().await;
        if settings.is_empty() {
            check(&group, &acked).await;
        }
        check_newest(&group, &acked).await;
        let status = group.raft_at_last(&["status"]).await;
        assert!(status.contains("n3"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wiped_node_does_not_vote_as_what_it_was() {
    let mut group = Group::known("");
    make_readers(&group).await;
    let load = Load::start(&group);
    load.wait_for_more(100).await;
    let acked = load.end().await;
    let (leader, _) = insist(&group.clients(), 0, 0, "who leads?").await;
    let (wiped, other) = ((leader + 1) % NODES, (leader + 2) % NODES);
    group.kill(wiped);
    group.wipe(wiped);
    group.start(wiped);
    // It and the leader are no majority.
    group.kill(other);
    let clients = group.clients();
    assert!(send(&clients[leader], 0, "alone").await.is_err());
    group.start(other);
    insist(&clients, leader, 0, "with the one that has not forgotten").await;

    let words = group.words(wiped);
    assert!(words.contains("the group exists already"), "{words}");
    let (name, address) = (format!("n{wiped}"), group.peer_address(wiped));
    let added = group.raft_at_last(&["add-learner", &name, &address]).await;
    let number = added.split("as node ").nth(1).unwrap().split(',').next().unwrap().to_owned();
    group.raft_at_last(&["promote", &number]).await;
    // What it was before goes. It has the same name, and so is named by its number.
    let ambiguous = group.raft(&["remove", &name]).unwrap_err();
    assert!(ambiguous.contains("two nodes are called"), "{ambiguous}");
    let status = group.raft_at_last(&["status"]).await;
    let of_name: Vec<&str> = status.lines().filter(|line| line.contains(&format!(" {name} "))).collect();
    let past = of_name.iter().find(|line| !line.contains(&number)).unwrap_or_else(|| panic!("{status}"));
    group.raft_at_last(&["remove", past.split_whitespace().last().unwrap()]).await;
    // Any two of the three are enough again.
    group.kill(other);
    insist(&group.clients(), leader, 0, "with the one that was wiped").await;
    check(&group, &acked).await;
}

/// The hash that each node has for its log.
fn hashes(printed: &str) -> BTreeMap<&str, &str> {
    let rows = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() == 4 && row[1].starts_with('n')).map(|row| (row[1], row[3])).collect()
}

/// Two groups that are called the same: a name server knows the leader of one and the followers of the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_logs_have_other_hashes() {
    let mut one = Group::known_at_rest("");
    one.configure(0, &[0]);
    one.start(0);
    insist(&one.clients(), 0, 0, "of one").await;
    let mut other = Group::new("preferredLeaderId=n0");
    let follows = format!("preferredLeaderId=n0\nnamesrvAddr={}", one.name_server());
    (1..NODES).for_each(|number| other.amend(number, "preferredLeaderId=n0", &follows));
    (0..NODES).for_each(|number| other.start(number));
    // Its followers would pass it on to whom the name server takes for their leader.
    insist(&other.clients()[..1], 0, 0, "of the other").await;

    let until = Instant::now() + PATIENCE;
    loop {
        let printed = one.raft(&["hash-check"]).unwrap_or_else(|complaint| complaint);
        let found = hashes(&printed);
        if found.len() == NODES {
            assert!(one.raft(&["hash-check"]).is_err(), "{printed}");
            assert_eq!(found["n1"], found["n2"]);
            assert_ne!(found["n0"], found["n1"]);
            return;
        }
        assert!(Instant::now() < until, "{printed}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
