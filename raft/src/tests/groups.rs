//! Groups of nodes in one process, on real disks and real connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ferrymq_storage::FlushMode;

use super::rig::{Cluster, message, wait_for};
use crate::{Outcome, Proposal};

#[test]
fn a_single_node_is_a_group() {
    let mut cluster = Cluster::started(1, FlushMode::Sync);
    for number in 0..10 {
        let outcome = cluster.send("orders", 0, &format!("body {number}"));
        assert_eq!(outcome.placed[0].queue_offset.0, number);
    }
    assert_eq!(cluster.command("create orders").reply, Some(Bytes::from("1 commands")));
    cluster.settle();
    cluster.stop(0);
    cluster.start(0);
    assert_eq!(cluster.send("orders", 0, "after").placed[0].queue_offset.0, 10);
    assert_eq!(cluster.command("more").reply, Some(Bytes::from("2 commands")));
}

#[test]
fn messages_and_their_command_happen_together() {
    let cluster = Cluster::started(1, FlushMode::Async);
    let leader = cluster.leader();
    let mut records = message("orders", 3, "one");
    records.unsplit(message("orders", 3, "two"));
    let proposal = Proposal { records, command: Some(Bytes::from("progress 7")) };
    let Outcome { placed, reply } = cluster.propose(leader, proposal).unwrap();
    assert_eq!(placed.iter().map(|placed| placed.queue_offset.0).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(placed[0].log_offset.0 + i64::from(placed[0].bytes), placed[1].log_offset.0);
    assert_eq!(reply, Some(Bytes::from("1 commands")));
    let state = cluster.node(0).app.state.lock().unwrap();
    assert_eq!(state.commands.len(), 1);
}

#[test]
fn many_tasks_get_dense_offsets_and_the_logs_are_the_same() {
    for mode in [FlushMode::Sync, FlushMode::Async] {
        let cluster = Cluster::started(3, mode);
        let leader = cluster.leader();
        let proposer = cluster.node(leader).handle().proposer().clone();
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let proposer = proposer.clone();
                cluster.spawn(async move {
                    let mut offsets = Vec::new();
                    for number in 0..25 {
                        let records = message("orders", task % 4, &format!("{task}/{number}"));
                        let outcome = proposer.submit(Proposal { records, command: None }).await.unwrap();
                        offsets.push((task % 4, outcome.placed[0].queue_offset.0));
                    }
                    offsets
                })
            })
            .collect();
        let mut all = BTreeMap::<_, BTreeSet<_>>::new();
        for task in tasks {
            let offsets = cluster.block_on(task).unwrap();
            assert!(offsets.is_sorted(), "one sender's messages keep their order: {offsets:?}");
            for (queue, offset) in offsets {
                assert!(all.entry(queue).or_default().insert(offset), "{queue} {offset} was given twice");
            }
        }
        for offsets in all.values() {
            assert_eq!(offsets.iter().copied().collect::<Vec<_>>(), (0..400).collect::<Vec<_>>());
        }
        cluster.settle();
    }
}

/// Sends until it is told to end, and gives back what was acknowledged: body and queue offset.
fn sender(cluster: &Cluster, end: &Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<(String, i64)>> {
    let proposers: Vec<_> = cluster.running().map(|(_, node)| node.handle().proposer().clone()).collect();
    let end = Arc::clone(end);
    cluster.spawn(async move {
        let mut acknowledged = Vec::new();
        let mut number = 0;
        while !end.load(Ordering::Relaxed) {
            let body = format!("message {number}");
            number += 1;
            for proposer in &proposers {
                let records = message("orders", 0, &body);
                if let Ok(outcome) = proposer.submit(Proposal { records, command: None }).await {
                    acknowledged.push((body, outcome.placed[0].queue_offset.0));
                    break;
                }
            }
            tokio::task::yield_now().await;
        }
        acknowledged
    })
}

/// Every acknowledged message stands where its sender was told.
fn assert_kept(cluster: &Cluster, acknowledged: &[(String, i64)]) {
    for (number, node) in cluster.running() {
        let log = &node.log;
        let mut bodies = BTreeMap::new();
        for (header, body) in super::rig::frames_of(log, log.start(), log.confirmed().offset) {
            let mut rest = &body[..];
            for _ in
                0..if header.kind == ferrymq_storage::frame::FrameKind::Messages { header.records } else { 0 }
            {
                let (record, size) = ferrymq_proto::record::Record::decode(rest).unwrap();
                let text = String::from_utf8(record.body.to_vec()).unwrap();
                assert!(bodies.insert(record.queue_offset.0, text).is_none());
                rest = &rest[size..];
            }
        }
        for (body, offset) in acknowledged {
            assert_eq!(bodies.get(offset), Some(body), "n{number} at {offset}");
        }
    }
}

#[test]
fn a_killed_leader_costs_nothing_that_was_acknowledged() {
    for mode in [FlushMode::Sync, FlushMode::Async] {
        let mut cluster = Cluster::started(3, mode);
        cluster.leader();
        let mut all = Vec::new();
        for _ in 0..3 {
            let end = Arc::new(AtomicBool::new(false));
            let sending = sender(&cluster, &end);
            cluster.send("orders", 0, "under way");
            let leader = cluster.leader();
            cluster.kill(leader);
            let next = cluster.leader();
            assert_ne!(next, leader);
            cluster.send("orders", 0, "after the kill");
            end.store(true, Ordering::Relaxed);
            all.extend(cluster.block_on(sending).unwrap());
            cluster.start(leader);
            cluster.settle();
            assert_kept(&cluster, &all);
        }
        assert!(!all.is_empty());
    }
}

#[test]
fn a_leader_that_is_cut_off_loses_its_place_and_what_it_had_alone() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    let old = cluster.leader();
    cluster.send("orders", 0, "before");
    let others: Vec<_> = (0..3).filter(|number| *number != old).collect();
    for other in &others {
        cluster.node(old).handle().links().cut(&format!("n{other}"));
        cluster.node(*other).handle().links().cut(&format!("n{old}"));
    }
    let lost = cluster.node(old).handle().proposer().clone();
    let alone = cluster.spawn(async move {
        lost.submit(Proposal { records: message("orders", 0, "alone"), command: None }).await
    });
    let new = cluster.leader_among(&others);
    let proposal = Proposal { records: message("orders", 0, "behind its back"), command: None };
    assert_eq!(cluster.propose(new, proposal).unwrap().placed[0].queue_offset.0, 1);
    assert!(!cluster.node(old).handle().has_lease());
    for number in 0..3 {
        cluster.node(number).handle().links().heal();
    }
    assert!(cluster.block_on(alone).unwrap().is_err());
    cluster.settle();
    assert_eq!(cluster.send("orders", 0, "after").placed[0].queue_offset.0, 2);
}

#[test]
fn all_nodes_killed_at_once_come_back_with_everything() {
    for mode in [FlushMode::Sync, FlushMode::Async] {
        let mut cluster = Cluster::started(3, mode);
        let sent: Vec<_> = (0..200)
            .map(|number| {
                let body = format!("message {number}");
                let offset = cluster.send("orders", 0, &body).placed[0].queue_offset.0;
                (body, offset)
            })
            .collect();
        cluster.command("before");
        (0..3).for_each(|number| cluster.kill(number));
        (0..3).for_each(|number| cluster.start(number));
        cluster.leader();
        cluster.settle();
        assert_kept(&cluster, &sent);
        assert_eq!(cluster.command("after").reply, Some(Bytes::from("2 commands")));
    }
}

#[test]
fn a_leader_that_stops_in_order_hands_over_first() {
    let mut cluster = Cluster::started(3, FlushMode::Sync);
    let leader = cluster.leader();
    cluster.send("orders", 0, "before");
    cluster.settle();
    let term = cluster.node(leader).handle().status().term;
    cluster.stop(leader);
    let next = cluster.leader();
    assert_eq!(cluster.node(next).handle().status().term.0, term.0 + 1, "nobody had to find out by waiting");
    cluster.start(leader);
    cluster.send("orders", 0, "after");
    cluster.settle();
}

#[test]
fn leadership_goes_where_it_is_sent() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    let leader = cluster.leader();
    let to = (leader + 1) % 3;
    let (handle, node) = (cluster.node(leader).handle(), cluster.node(to).handle().node());
    assert_eq!(cluster.block_on(handle.transfer_leader(Some(node))), Ok(node));
    wait_for("the new leader", || cluster.node(to).handle().status().is_writable);
    cluster.send("orders", 0, "after");
    cluster.settle();
}

#[test]
fn the_one_that_is_preferred_leads_when_it_can() {
    let mut cluster = Cluster::new(3, FlushMode::Sync);
    for number in 0..3 {
        let settings =
            crate::GroupSettings { preferred_leader: Some("n2".into()), ..cluster.settings(number) };
        cluster.try_start(number, settings).unwrap();
    }
    wait_for("the preferred one to lead", || cluster.node(2).handle().status().is_writable);
    cluster.send("orders", 0, "before");
    cluster.kill(2);
    cluster.send("orders", 0, "without it");
    let settings = crate::GroupSettings { preferred_leader: Some("n2".into()), ..cluster.settings(2) };
    cluster.try_start(2, settings).unwrap();
    wait_for("the preferred one to lead again", || cluster.node(2).handle().status().is_writable);
    cluster.send("orders", 0, "with it");
    cluster.settle();
}
