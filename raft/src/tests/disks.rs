//! Disks that are full, and disks that are broken.

use ferrymq_storage::FlushMode;

use super::rig::{Cluster, fill, message, wait_for};
use crate::{Proposal, Role};

#[test]
fn a_group_goes_on_without_a_follower_whose_disk_is_full() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    let leader = cluster.leader();
    let full = (leader + 1) % 3;
    let term = cluster.node(leader).handle().status().term;
    cluster.disks[full].set_full(true);
    fill(&cluster, 2);
    assert_eq!(cluster.node(leader).handle().status().term, term, "nobody had to be elected");
    let others: Vec<_> = cluster.node(leader).handle().status().nodes;
    let follower = cluster.node(full).handle().node();
    let seen = others.iter().find(|node| node.node == follower).unwrap();
    assert!(seen.lag > Some(0), "{seen:?}");
    cluster.disks[full].set_full(false);
    cluster.settle();
}

#[test]
fn a_leader_whose_disk_is_full_makes_room_for_another_one() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    cluster.send("orders", 0, "before");
    let old = cluster.leader();
    let others: Vec<_> = (0..3).filter(|number| *number != old).collect();
    cluster.disks[old].set_full(true);
    // It notices when it needs the next segment, and has no room for it.
    let proposer = cluster.node(old).handle().proposer().clone();
    let asked = cluster.spawn(async move {
        let body = "x".repeat(8 << 10);
        while proposer.submit(Proposal { records: message("orders", 0, &body), command: None }).await.is_ok()
        {
        }
    });
    let new = cluster.leader_among(&others);
    cluster.block_on(asked).unwrap();
    fill(&cluster, 1);
    assert_eq!(cluster.leader(), new);
    cluster.disks[old].set_full(false);
    cluster.settle();
    assert_ne!(cluster.node(old).handle().status().role, Role::Stopped);
}

#[test]
fn a_disk_that_makes_nothing_durable_ends_its_node_and_no_other() {
    for is_leader in [false, true] {
        let mut cluster = Cluster::started(3, FlushMode::Sync);
        cluster.send("orders", 0, "before");
        cluster.settle();
        let leader = cluster.leader();
        let broken = if is_leader { leader } else { (leader + 1) % 3 };
        let others: Vec<_> = (0..3).filter(|number| *number != broken).collect();
        cluster.disks[broken].set_broken();
        if is_leader {
            let proposer = cluster.node(broken).handle().proposer().clone();
            let records = message("orders", 0, "never durable here");
            let asked =
                cluster.spawn(async move { proposer.submit(Proposal { records, command: None }).await });
            cluster.leader_among(&others);
            // It may have reached the others.
            let _ = cluster.block_on(asked).unwrap();
        } else {
            cluster.send("orders", 0, "durable on the others");
        }
        wait_for("the end of the node", || cluster.node(broken).handle().status().role == Role::Stopped);
        cluster.kill(broken);
        let new = cluster.leader();
        assert!(others.contains(&new));
        fill(&cluster, 1);
        cluster.settle();
    }
}
