//! Nodes that come, go, fall behind and forget.

use std::io::Write;
use std::net::TcpStream;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::{BootId, FlushMode};

use super::rig::{Cluster, fill, wait_for};
use crate::{AdminError, LogKept, Member, StartError};

/// Drops what the leader can do without, and says where its log begins now.
fn retain(cluster: &Cluster, number: usize) -> LogOffset {
    let node = cluster.node(number);
    let (handle, end) = (node.handle(), node.log.confirmed().offset);
    wait_for("a checkpoint that is on disk", || cluster.block_on(handle.drop_before(end)).unwrap().is_some());
    wait_for("the log to begin later", || node.log.start() > LogOffset(0));
    node.log.start()
}

#[test]
fn a_node_that_was_away_for_too_long_gets_a_checkpoint_and_goes_on() {
    let mut cluster = Cluster::started(3, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    cluster.command("before");
    cluster.settle();
    let away = (cluster.leader() + 1) % 3;
    cluster.kill(away);
    fill(&cluster, 4);
    cluster.command("while it was away");
    // This waits until the leader has given up on it.
    let leader = cluster.leader();
    let start = retain(&cluster, leader);
    cluster.start(away);
    cluster.settle();
    let node = cluster.node(away);
    assert_eq!(node.log.start(), start);
    assert_eq!(*node.app.restored.lock().unwrap(), [LogKept::Nothing]);
    cluster.send("orders", 0, "after");
    cluster.command("after");
    cluster.settle();

    // With what it got it can lead, and start again.
    let (to, leader) = (node.handle().node(), cluster.leader());
    if leader != away {
        cluster.block_on(cluster.node(leader).handle().transfer_leader(Some(to))).unwrap();
        wait_for("the node that was away leads", || cluster.node(away).handle().status().is_writable);
    }
    cluster.send("orders", 0, "led by it");
    cluster.kill(away);
    cluster.start(away);
    cluster.send("orders", 0, "and again");
    cluster.settle();
}

#[test]
fn a_new_node_joins_and_an_old_one_leaves() {
    for retains in [false, true] {
        let mut cluster = Cluster::new(4, FlushMode::Sync);
        let all = cluster.members.clone();
        for number in 0..3 {
            let mut settings = cluster.settings(number);
            settings.peers.truncate(3);
            cluster.try_start(number, settings).unwrap();
        }
        fill(&cluster, 3);
        cluster.command("before");
        cluster.settle();
        let leader = cluster.leader();
        if retains {
            retain(&cluster, leader);
        }
        let mut settings = cluster.settings(3);
        settings.peers = vec![all[3].clone()];
        // Alone with itself it would begin a group of its own.
        settings.peers.push(all[0].clone());
        cluster.try_start(3, settings).unwrap();
        let handle = cluster.node(leader).handle();
        let node = cluster.block_on(handle.add_learner(all[3].clone())).unwrap();
        cluster.settle();
        assert_eq!(cluster.block_on(handle.promote(node)), Ok(()));

        let old = (0..3).find(|number| *number != leader).unwrap();
        let old_node = cluster.node(old).handle().node();
        assert_eq!(cluster.block_on(handle.remove(old_node)), Ok(()));
        cluster.kill(old);
        cluster.send("orders", 0, "after");
        cluster.settle();
        let status = handle.status();
        assert_eq!(status.nodes.iter().filter(|node| node.is_voter).count(), 3);
        assert!(status.nodes.iter().all(|node| node.node != old_node));
    }
}

#[test]
fn what_would_break_the_majority_is_refused() {
    let mut cluster = Cluster::started(3, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    let leader = cluster.leader();
    let others: Vec<_> = (0..3).filter(|number| *number != leader).collect();
    let alive = cluster.node(others[0]).handle().node();
    cluster.kill(others[1]);
    let handle = cluster.node(leader).handle();
    wait_for("the silence to be noticed", || {
        matches!(cluster.block_on(handle.remove(alive)), Err(AdminError::Refused(_)))
    });
    let stranger = Member { name: "n7".into(), address: cluster.members[others[0]].address.clone() };
    assert!(matches!(cluster.block_on(handle.add_learner(stranger)), Err(AdminError::Refused(_))));
    let follower = cluster.node(others[0]).handle();
    assert!(matches!(cluster.block_on(follower.remove(alive)), Err(AdminError::NotLeader { .. })));
    assert!(matches!(handle.find("n9"), Err(AdminError::NoSuchNode(_))));
}

#[test]
fn a_node_with_a_wiped_folder_is_another_node() {
    let mut cluster = Cluster::started(3, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    cluster.settle();
    let leader = cluster.leader();
    let wiped = (leader + 1) % 3;
    let old_node = cluster.node(wiped).handle().node();
    cluster.kill(wiped);
    std::fs::remove_dir_all(cluster.folder(wiped)).unwrap();
    cluster.start(wiped);
    let node = cluster.node(wiped).handle();
    assert_ne!(node.node(), old_node);
    wait_for("it to know that it has no part", || {
        node.status().trouble.is_some_and(|trouble| trouble.contains("exists already"))
    });
    cluster.send("orders", 0, "without it");
    assert_eq!(node.status().last.0, 0, "nobody takes it for what it was");

    let handle = cluster.node(leader).handle();
    let added = cluster.block_on(handle.add_learner(cluster.members[wiped].clone())).unwrap();
    assert_eq!(added, node.node());
    cluster.settle();
    assert_eq!(cluster.block_on(handle.promote(added)), Ok(()));
    assert_eq!(cluster.block_on(handle.remove(old_node)), Ok(()));
    cluster.send("orders", 0, "with it");
    cluster.settle();
    assert_eq!(handle.status().nodes.len(), 3);
}

#[test]
fn a_lost_log_or_a_lost_identity_is_no_fresh_start() {
    let mut cluster = Cluster::started(1, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    cluster.stop(0);
    let meta = cluster.folder(0).join("raft.meta");
    let kept = std::fs::read(&meta).unwrap();
    std::fs::remove_file(&meta).unwrap();
    let settings = cluster.settings(0);
    assert!(matches!(cluster.try_start(0, settings.clone()), Err(StartError::IdentityLost { .. })));
    std::fs::remove_dir_all(cluster.folder(0)).unwrap();
    std::fs::create_dir_all(cluster.folder(0)).unwrap();
    std::fs::write(&meta, kept).unwrap();
    assert!(matches!(cluster.try_start(0, settings.clone()), Err(StartError::LogLost { .. })));
    let other = crate::GroupSettings { group: "broker-b".into(), ..settings };
    assert!(matches!(cluster.try_start(0, other), Err(StartError::OtherNode { .. })));
}

#[test]
fn groups_do_not_begin_with_what_does_not_fit() {
    let mut cluster = Cluster::new(2, FlushMode::Sync);
    cluster.start(0);
    let settings = crate::GroupSettings { group: "broker-b".into(), ..cluster.settings(1) };
    cluster.try_start(1, settings).unwrap();
    let first = cluster.node(0).handle();
    wait_for("the other group to be noticed", || {
        first.status().trouble.is_some_and(|trouble| trouble.contains("group broker-b"))
    });
    cluster.kill(1);
    std::fs::remove_dir_all(cluster.folder(1)).unwrap();
    let mut settings = cluster.settings(1);
    settings.peers[0].name = "n5".into();
    cluster.try_start(1, settings).unwrap();
    wait_for("the other peers to be noticed", || {
        first.status().trouble.is_some_and(|trouble| trouble.contains("has other peers"))
    });
    assert_eq!(first.status().last.0, 0);
}

#[test]
fn a_machine_that_went_down_does_not_vote_before_it_has_caught_up() {
    let mut cluster = Cluster::started(3, FlushMode::Async);
    cluster.send("orders", 0, "before");
    cluster.settle();
    let leader = cluster.leader();
    let others: Vec<_> = (0..3).filter(|number| *number != leader).collect();
    cluster.kill(others[0]);
    cluster.kill(others[1]);
    cluster.kill(leader);
    // Its machine was started anew.
    cluster.boot = BootId([2; 16]);
    cluster.start(others[0]);
    assert!(cluster.node(others[0]).handle().status().abstains.is_some());
    cluster.boot = BootId([1; 16]);
    cluster.start(leader);
    cluster.start(others[1]);
    let new = cluster.leader();
    assert_ne!(new, others[0]);
    wait_for("it to vote again", || cluster.node(others[0]).handle().status().abstains.is_none());
    cluster.settle();
    cluster.kill(others[0]);
    // Only its process ended: the machine is still the one that was started anew.
    cluster.boot = BootId([2; 16]);
    cluster.start(others[0]);
    assert_eq!(cluster.node(others[0]).handle().status().abstains, None);
}

#[test]
fn garbage_on_the_port_disturbs_nobody() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    let address = cluster.members[cluster.leader()].address.clone();
    let term = cluster.node(cluster.leader()).handle().status().term;
    let mut held = Vec::new();
    for round in 0..200_u32 {
        let mut stream = TcpStream::connect(&address).unwrap();
        let bytes: Vec<u8> = match round % 4 {
            0 => (0..4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> (round % 24)) as u8).collect(),
            1 => b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\xFF\xFF\x04".to_vec(),
            2 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            _ => Vec::new(),
        };
        // It may be closed already.
        let _ = stream.write_all(&bytes);
        held.push(stream);
    }
    for number in 0..20 {
        cluster.send("orders", 0, &format!("meanwhile {number}"));
    }
    drop(held);
    cluster.settle();
    assert_eq!(cluster.node(cluster.leader()).handle().status().term, term, "no election was needed");
}

#[test]
fn callers_without_the_right_passport_are_turned_away() {
    use crate::proto::raft_client::RaftClient;
    use crate::proto::{Vote, VoteRequest};
    use crate::transport::passport::{Identity, Passport};
    use crate::{NodeId, proto};

    let cluster = Cluster::started(1, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    let node = cluster.node(0).handle().node();
    let address = format!("http://{}", cluster.members[0].address);
    let identity = |cluster: &str, group: &str| Identity {
        cluster: cluster.into(),
        group: group.into(),
        name: "n1".into(),
        node: NodeId(7),
    };
    let request = || {
        let vote = Vote { term: 1_000_000, node: 7, committed: false };
        VoteRequest {
            vote: Some(vote),
            last: Some(proto::LogId { term: 9, index: 9 }),
            ..VoteRequest::default()
        }
    };
    let good = identity("DefaultCluster", "broker-a");
    let cases = [
        (identity("Other", "broker-a"), Some(node), "correct the addresses"),
        (identity("DefaultCluster", "broker-b"), Some(node), "correct the addresses"),
        (good.clone(), Some(NodeId(8)), "looks for node"),
        (good.clone(), None, "for which node"),
        (Identity { node, ..good }, Some(node), "called itself"),
    ];
    cluster.block_on(async {
        let mut client = RaftClient::connect(address).await.unwrap();
        for (from, to, expected) in cases {
            let status = client.vote(Passport { from, to }.stamp(request())).await.unwrap_err();
            assert!(status.message().contains(expected), "{status}");
        }
        assert!(client.vote(request()).await.is_err());
    });
    assert_eq!(cluster.node(0).handle().status().term.0, 1);
}
