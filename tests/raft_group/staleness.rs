//! A leader that has lost its followers, and followers: they answer nothing that only the leader of now can know, and show nothing
//! that is not final.

use std::time::Instant;

use bytes::Bytes;
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{
    GetMaxOffset, LockQueues, QueryConsumerOffset, SearchOffset, UpdateConsumerOffset,
};
use ferrymq_proto::net::{CallError, Client};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};

use super::clients::{bounds, insist, pull, read_from, send, status};
use super::group::{Group, NODES, PATIENCE, TOPIC};
use super::load::make_readers;

const QUEUE: QueueId = QueueId(0);
/// How far the readers have come, and how far they say they are where nobody may believe them.
const COMMITTED: QueueOffset = QueueOffset(41);
const REFUSED: QueueOffset = QueueOffset(99);

fn code_of<T>(answer: Result<T, CallError>) -> Result<(), ResponseCode> {
    match answer {
        Ok(_) => Ok(()),
        Err(CallError::Refused { code, .. }) => Err(code),
        Err(error) => panic!("{error}"),
    }
}

async fn committed(client: &Client) -> Result<QueueOffset, CallError> {
    let question = QueryConsumerOffset {
        consumer_group: "readers".into(),
        topic: TOPIC.into(),
        queue_id: QUEUE,
        set_zero_if_not_found: None,
    };
    client.call(&question, Bytes::new()).await.map(|(reply, _)| reply.offset)
}

/// All that only the leader of now may answer: what it said.
async fn ask(client: &Client, commit: QueueOffset) -> [(&'static str, Result<(), ResponseCode>); 5] {
    let commit = UpdateConsumerOffset {
        consumer_group: "readers".into(),
        topic: TOPIC.into(),
        queue_id: QUEUE,
        commit_offset: commit,
    };
    let max = GetMaxOffset { topic: TOPIC.into(), queue_id: QUEUE, committed: true };
    let search =
        SearchOffset { topic: TOPIC.into(), queue_id: QUEUE, timestamp: Timestamp(1), ..Default::default() };
    let lock = format!(
        r#"{{"clientId":"reader","consumerGroup":"readers","mqSet":[{{"brokerName":"g","queueId":0,"topic":"{TOPIC}"}}]}}"#
    );
    [
        ("commit", code_of(client.call(&commit, Bytes::new()).await)),
        ("committed offset", code_of(committed(client).await)),
        ("end", code_of(client.call(&max, Bytes::new()).await)),
        ("offset at a time", code_of(client.call(&search, Bytes::new()).await)),
        ("lock", code_of(client.call(&LockQueues {}, lock.into()).await)),
    ]
}

fn assert_all(answers: [(&'static str, Result<(), ResponseCode>); 5], expected: Result<(), ResponseCode>) {
    for (what, answer) in answers {
        assert_eq!(answer, expected, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_without_followers_answers_for_nobody() {
    let group = Group::started("");
    make_readers(&group).await;
    let clients = group.clients();
    let (leader, _) = insist(&clients, 0, 0, "who leads?").await;
    let followers: Vec<_> = (0..NODES).filter(|number| *number != leader).collect();
    let freeze = || followers.iter().for_each(|number| group.freeze(*number));
    let thaw = || followers.iter().for_each(|number| group.thaw(*number));
    assert_all(ask(&clients[leader], COMMITTED).await, Ok(()));

    // The leader takes one more as long as it does not know that it is alone.
    let until = Instant::now() + PATIENCE;
    let last = loop {
        let (by, last) = insist(&clients, leader, 0, "final").await;
        assert_eq!(by, leader);
        freeze();
        let before = status(&clients[leader]).await;
        assert!(send(&clients[leader], 0, "not final").await.is_err(), "nobody else has it");
        let after = status(&clients[leader]).await;
        if after.last > before.last {
            break last;
        }
        assert!(Instant::now() < until, "the leader takes nothing in time");
        thaw();
    };
    // What it has alone nobody sees.
    assert_eq!(read_from(&clients[leader], 0, last.0, 1).await, ["final"]);
    let beyond = QueueOffset(last.0 + 1);
    assert_eq!(code_of(pull(&clients[leader], 0, beyond).await), Err(ResponseCode::PULL_NOT_FOUND));
    assert_eq!(bounds(&clients[leader], 0, last.0).await.unwrap().max_offset, beyond);
    // Its lease is over by now, as the send has waited for longer.
    let no_leader = Err(ResponseCode::SERVICE_NOT_AVAILABLE);
    assert_all(ask(&clients[leader], REFUSED).await, no_leader);
    // There may be more: whoever asks is not sent back to where it knows to be wrong.
    let far = QueueOffset(last.0 + 1000);
    assert_eq!(code_of(pull(&clients[leader], 0, far).await), Err(ResponseCode::PULL_NOT_FOUND));

    thaw();
    let (leader, _) = insist(&clients, leader, 0, "after").await;
    assert_eq!(committed(&clients[leader]).await.unwrap(), COMMITTED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_shows_what_is_final_and_leaves_the_rest_to_the_leader() {
    let group = Group::started("");
    make_readers(&group).await;
    let clients = group.clients();
    let (leader, last) = insist(&clients, 0, 0, "final").await;
    assert_all(ask(&clients[leader], COMMITTED).await, Ok(()));
    let far = QueueOffset(last.0 + 1000);
    assert_eq!(code_of(pull(&clients[leader], 0, far).await), Err(ResponseCode::PULL_OFFSET_MOVED));
    for follower in (0..NODES).filter(|number| *number != leader) {
        assert_eq!(read_from(&clients[follower], 0, last.0, 1).await, ["final"]);
        assert_all(ask(&clients[follower], REFUSED).await, Err(ResponseCode::SERVICE_NOT_AVAILABLE));
        assert_eq!(code_of(pull(&clients[follower], 0, far).await), Err(ResponseCode::PULL_NOT_FOUND));
    }
    assert_eq!(committed(&clients[leader]).await.unwrap(), COMMITTED);
}
