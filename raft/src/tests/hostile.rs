//! What a node must stand that gets into its port: whoever has the right passport may still be wrong.

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::FlushMode;

use super::rig::Cluster;
use crate::NodeId;
use crate::proto::append_reply::Outcome;
use crate::proto::raft_client::RaftClient;
use crate::proto::{AppendRequest, LogId, Vote, VoteRequest};
use crate::transport::passport::{Identity, Passport};

fn passport(to: NodeId, node: u64) -> Passport {
    let from = Identity {
        cluster: "DefaultCluster".into(),
        group: "broker-a".into(),
        name: "n1".into(),
        node: NodeId(node),
    };
    Passport { from, to: Some(to) }
}

#[test]
fn old_repeated_and_oversized_messages_change_nothing() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    for number in 0..5 {
        cluster.send("orders", 0, &format!("message {number}"));
    }
    cluster.settle();
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let node = |number: usize| cluster.node(number).handle().node();
    let before: Vec<_> = (0..3).map(|number| cluster.node(number).handle().status()).collect();
    let term = before[leader].term.0;
    let of_leader = Vote { term, node: node(leader).0, committed: true };
    let log = &cluster.node(leader).log;
    let first = log.final_units(LogOffset(0), 0).unwrap();
    let request =
        |vote: Vote, frames: Vec<Bytes>| AppendRequest { vote: Some(vote), frames, ..Default::default() };
    let outcome = |message: AppendRequest| {
        let address = format!("http://{}", cluster.members[follower].address);
        let to = node(follower);
        cluster.block_on(async {
            let client = RaftClient::connect(address).await.unwrap();
            let mut client = client.max_encoding_message_size(usize::MAX);
            client.heartbeat(passport(to, 7).stamp(message)).await
        })
    };

    // Of a leader that was deposed long ago.
    let old = Vote { term: 0, node: node(leader).0, committed: true };
    let reply = outcome(request(old, vec![first.clone()])).unwrap().into_inner();
    assert!(matches!(reply.outcome, Some(Outcome::HigherVote(vote)) if vote == of_leader));
    // The same once more.
    for _ in 0..3 {
        let reply = outcome(request(of_leader, vec![first.clone()])).unwrap().into_inner();
        assert!(matches!(reply.outcome, Some(Outcome::Matched(LogId { index: 0, .. }))), "{reply:?}");
    }
    // Not a frame.
    let mut damaged = first.to_vec();
    damaged[70 % first.len()] ^= 1;
    for garbage in [Bytes::from(damaged), first.slice(1..), Bytes::new(), Bytes::from(vec![7; 1000])] {
        assert!(outcome(request(of_leader, vec![garbage])).is_err());
    }
    // More than any request may have.
    assert!(outcome(request(of_leader, vec![Bytes::from(vec![0; 64 << 20])])).is_err());
    // A candidate of a term that is over.
    let address = format!("http://{}", cluster.members[follower].address);
    let reply = cluster.block_on(async {
        let mut client = RaftClient::connect(address).await.unwrap();
        let vote = Vote { term: term.saturating_sub(1), node: 7, committed: false };
        let last = Some(LogId { term: 99, index: 99 });
        let asked = VoteRequest { vote: Some(vote), last, ..Default::default() };
        client.vote(passport(node(follower), 7).stamp(asked)).await.unwrap().into_inner()
    });
    assert!(!reply.is_granted);

    for (number, before) in before.into_iter().enumerate() {
        let after = cluster.node(number).handle().status();
        assert_eq!(
            (after.term, after.last, after.role),
            (before.term, before.last, before.role),
            "n{number}"
        );
    }
    cluster.send("orders", 0, "after");
    cluster.settle();
}
