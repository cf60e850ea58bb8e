//! What a node must stand that gets into its port: whoever has the right passport may still be wrong.

use bytes::Bytes;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::FlushMode;
use futures_util::StreamExt;

use super::rig::{Cluster, fill, real_disk};
use crate::NodeId;
use crate::checkpoint::Checkpoints;
use crate::proto::append_reply::Outcome;
use crate::proto::raft_client::RaftClient;
use crate::proto::{AppendRequest, LogId, LogRange, SnapshotPart, TransferRequest, Vote, VoteRequest};
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

#[test]
fn streams_that_make_no_sense_change_nothing() {
    let cluster = Cluster::started(3, FlushMode::Sync);
    fill(&cluster, 2);
    cluster.settle();
    let leader = cluster.leader();
    let follower = (leader + 1) % 3;
    let node = |number: usize| cluster.node(number).handle().node();
    let before: Vec<_> = (0..3).map(|number| cluster.node(number).handle().status()).collect();
    let term = before[leader].term.0;
    let of_leader = Vote { term, node: node(leader).0, committed: true };
    let old = Vote { term: 0, ..of_leader };
    let first = cluster.node(leader).log.final_units(LogOffset(0), 0).unwrap();
    let checkpoint = Checkpoints::to_read(&real_disk(), &cluster.folder(follower)).unwrap().unwrap();
    let checkpoint = checkpoint.newest().unwrap().encode();
    let address = format!("http://{}", cluster.members[follower].address);
    let stamp = || passport(node(follower), 7);

    cluster.block_on(async {
        let mut client = RaftClient::connect(address).await.unwrap();
        // A stream ends with the first request that is wrong; what was right is answered.
        let again = AppendRequest { vote: Some(of_leader), frames: vec![first], ..Default::default() };
        let garbage = AppendRequest { frames: vec![Bytes::from(vec![7; 1000])], ..again.clone() };
        let requests = [again.clone(), AppendRequest::default(), garbage, again];
        let replies = client.append(stamp().stamp(tokio_stream::iter(requests))).await.unwrap();
        let replies: Vec<_> = replies.into_inner().collect().await;
        assert!(replies.iter().flatten().all(|reply| matches!(reply.outcome, Some(Outcome::Matched(_)))));
        assert!(replies.len() <= 1, "{replies:?}");

        // Checkpoints: of nobody, of garbage, of a leader that is deposed, and of what is long there.
        let part = |vote: Option<Vote>, checkpoint: &Bytes| {
            vec![SnapshotPart { vote, checkpoint: checkpoint.clone() }]
        };
        let garbage = Bytes::from(vec![7; 1000]);
        for parts in [Vec::new(), part(None, &checkpoint), part(Some(of_leader), &garbage)] {
            assert!(client.install_snapshot(stamp().stamp(tokio_stream::iter(parts))).await.is_err());
        }
        for vote in [old, of_leader] {
            let parts = tokio_stream::iter(part(Some(vote), &checkpoint));
            let reply = client.install_snapshot(stamp().stamp(parts)).await.unwrap().into_inner();
            assert_eq!(reply.vote, Some(of_leader));
        }

        // Who was deposed hands nothing over, and who asks for what there is not gets nothing.
        let last = Some(LogId { term: 99, index: 99 });
        let handed = TransferRequest { from: Some(old), to: node(follower).0, last };
        let refusal = client.transfer_leader(stamp().stamp(handed)).await.unwrap().into_inner().refusal;
        assert!(!refusal.is_empty());
        for offset in [i64::MIN, -1, 1, i64::MAX] {
            let range = LogRange { offset, bytes_max: u32::MAX };
            let part = client.read_log(stamp().stamp(range)).await;
            assert!(part.is_err() || part.unwrap().into_inner().units.is_empty(), "{offset}");
        }
    });

    for (number, before) in before.into_iter().enumerate() {
        let after = cluster.node(number).handle().status();
        assert_eq!(
            (after.term, after.last, after.role),
            (before.term, before.last, before.role),
            "n{number}"
        );
        assert!(cluster.node(number).app.restored.lock().unwrap().is_empty(), "n{number}");
    }
    cluster.send("orders", 0, "after");
    cluster.settle();
}
