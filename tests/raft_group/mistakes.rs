//! Configurations that do not fit together: each is refused with a sentence that says what to do, and harms nobody.

use std::time::Instant;

use super::clients::{insist, send, status};
use super::damage::wait_until;
use super::group::{Group, NODES, PATIENCE};
use super::load::make_readers;

/// Nodes with such configurations make no group. Afterwards they are as they should be, the one in question has a new folder,
/// and there is one.
async fn no_group(spoil: impl Fn(&Group), complaints: &[(usize, &str)], mend: impl Fn(&Group)) {
    let mut group = Group::new("");
    spoil(&group);
    (0..NODES).for_each(|number| group.start(number));
    for (number, complaint) in complaints {
        wait_until(complaint, || group.words(*number).contains(complaint)).await;
    }
    for client in group.clients() {
        assert!(send(&client, 0, "too early").await.is_err());
    }
    mend(&group);
    for number in 0..NODES {
        group.stop(number);
        group.wipe(number);
        group.start(number);
    }
    insist(&group.clients(), 0, 0, "now").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_cluster_begins_no_group() {
    let (own, other) = ("brokerClusterName=c\n", "brokerClusterName=other\n");
    let complaints =
        [(0, "correct the addresses in one of the two configurations"), (2, "correct the addresses")];
    no_group(|group| group.amend(2, own, other), &complaints, |group| group.amend(2, other, own)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_with_other_peers_begin_no_group() {
    let short = |group: &Group| group.configure(2, &[0, 2]);
    let complaints = [(0, "n2 has other peers"), (2, "n0 has other peers")];
    no_group(short, &complaints, |group| group.configure(2, &[0, 1, 2])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_with_one_id_begin_no_group() {
    // Where the others look for n2, a second n1 listens.
    let exchange = |group: &Group| {
        let (n1, n2) = (group.peer_address(1), group.peer_address(2));
        group.amend(2, &format!("n1-{n1};n2-{n2}"), &format!("n1-{n2};n2-{n1}"));
        group.amend(2, "dLegerSelfId=n2", "dLegerSelfId=n1");
    };
    let complaints = [(0, "is n1, not n2: correct the peers"), (1, "is n1, not n2: correct the peers")];
    no_group(exchange, &complaints, |group| group.configure(2, &[0, 1, 2])).await;
}

#[test]
fn a_file_that_contradicts_itself_is_refused_at_once() {
    let group = Group::new("");
    for (from, to, complaint) in [
        (";n1-", ";n0-", "two nodes of dLegerPeers are the same"),
        ("dLegerSelfId=n0", "dLegerSelfId=n7", "dLegerSelfId \"n7\" is not in dLegerPeers"),
    ] {
        group.amend(0, from, to);
        let words = group.complaint(0);
        assert!(words.contains(complaint), "{words}");
        group.configure(0, &[0, 1, 2]);
    }
}

/// Whose cluster, group or id is not that of its folder, or not that of the group which it looks for, changes nothing there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_nowhere_in_a_group_that_runs() {
    let mut group = Group::known("");
    make_readers(&group).await;
    let clients = group.clients();
    let (leader, _) = insist(&clients, 0, 0, "before").await;
    let before = status(&clients[leader]).await;
    let stranger = group.add();
    let changes = [
        ("brokerClusterName=c\n", "brokerClusterName=other\n", "correct the addresses"),
        ("brokerName=g\n", "brokerName=h\n", "correct the addresses"),
        ("dLegerSelfId=n3", "dLegerSelfId=n3", "the group exists already, and this node has no part in it"),
    ];
    for (from, to, complaint) in changes {
        group.configure(stranger, &[stranger, 0]);
        group.amend(stranger, "dLegerGroup=g\n", "");
        group.amend(stranger, from, to);
        group.start(stranger);
        wait_until(complaint, || group.words(stranger).contains(complaint)).await;
        // It has a log of nothing, and is what its configuration says.
        let name = if from == to { "n8" } else { "n3" };
        let refusal = group.raft(&["add-learner", name, &group.peer_address(stranger)]).unwrap_err();
        assert!(refusal.contains("correct the addresses") || refusal.contains("is n3, not n8"), "{refusal}");
        group.stop(stranger);
        group.wipe(stranger);
    }

    // A node with the folder of another one.
    let follower = (leader + 1) % NODES;
    group.stop(follower);
    for (from, to) in [("brokerClusterName=c\n", "brokerClusterName=other\n"), ("SelfId=n", "SelfId=n")] {
        if from == to {
            let other = (follower + 1) % NODES;
            group.amend(follower, &format!("SelfId=n{follower}"), &format!("SelfId=n{other}"));
        } else {
            group.amend(follower, from, to);
        }
        let words = group.complaint(follower);
        assert!(words.contains("correct the configuration, or choose another folder"), "{words}");
        group.configure(follower, &[0, 1, 2]);
    }

    let until = Instant::now() + PATIENCE;
    insist(&clients, leader, 0, "meanwhile").await;
    group.start(follower);
    while status(&clients[follower]).await.applied < status(&clients[leader]).await.applied {
        assert!(Instant::now() < until, "n{follower} does not come back");
    }
    let after = status(&clients[leader]).await;
    assert_eq!((after.term, after.role), (before.term, before.role), "nobody had to be elected");
    assert_eq!(after.nodes.len(), NODES);
}
