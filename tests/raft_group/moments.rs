//! What was acknowledged one moment before the leader was killed is there one moment after, whatever it was.

use bytes::Bytes;
use ferrymq_proto::headers::{
    EndTransaction, GetGroupConfig, GetTopicConfig, LockQueues, QueryConsumerOffset, SendReply,
    UpdateConsumerOffset, UpdateGroup, UpdateTopic,
};
use ferrymq_proto::net::Client;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use super::clients::{insist, message, wait_for_bodies};
use super::group::{Group, QUEUES, TOPIC};
use super::load::make_readers;

const PREPARED: i32 = 4;
const COMMIT: i32 = 8;
/// The queues of the topic in which a delayed message and one of a transaction appear.
const DELAYED: i32 = 1;
const DECIDED: i32 = 2;
/// How far the group has consumed, of another queue.
const CONSUMED: QueueId = QueueId(3);
const UP_TO: QueueOffset = QueueOffset(41);

fn lock(client: &str) -> Bytes {
    format!(
        r#"{{"clientId":"{client}","consumerGroup":"late-readers","mqSet":[{{"brokerName":"g","queueId":0,"topic":"{TOPIC}"}}]}}"#
    )
    .into()
}

/// Whether the client has the lock now.
async fn has_lock(leader: &Client, client: &str) -> bool {
    let (_, body) = leader.call(&LockQueues {}, lock(client)).await.unwrap();
    String::from_utf8_lossy(&body).contains("queueId")
}

async fn make_all(leader: &Client) -> SendReply {
    let topic = UpdateTopic {
        topic: "late".into(),
        default_topic: "TBW102".into(),
        read_queue_nums: 3,
        write_queue_nums: 3,
        perm: 6,
        topic_filter_type: Default::default(),
        topic_sys_flag: 0,
        order: false,
        attributes: None,
        force: false,
    };
    leader.call(&topic, Bytes::new()).await.unwrap();
    let group = r#"{"groupName":"late-readers","consumeEnable":true,"retryMaxTimes":7}"#;
    leader.call(&UpdateGroup {}, group.into()).await.unwrap();
    assert!(has_lock(leader, "first").await);
    leader.call(&message(DELAYED, 0, &[("DELAY", "1")]), "delayed".into()).await.unwrap();
    let half = [("TRAN_MSG", "true"), ("PGROUP", "producers"), ("UNIQ_KEY", "0A0B0C0D")];
    let half = leader.call(&message(DECIDED, PREPARED, &half), "decided later".into()).await.unwrap().0;
    let consumed = UpdateConsumerOffset {
        consumer_group: "late-readers".into(),
        topic: TOPIC.into(),
        queue_id: CONSUMED,
        commit_offset: UP_TO,
    };
    leader.call(&consumed, Bytes::new()).await.unwrap();
    half
}

async fn find_all(leader: &Client, half: &SendReply) {
    let (_, topic) =
        leader.call(&GetTopicConfig { topic: "late".into(), logical: None }, Bytes::new()).await.unwrap();
    assert!(String::from_utf8_lossy(&topic).contains("\"writeQueueNums\":3"), "{topic:?}");
    let (_, group) =
        leader.call(&GetGroupConfig { group: "late-readers".into() }, Bytes::new()).await.unwrap();
    assert!(String::from_utf8_lossy(&group).contains("\"retryMaxTimes\":7"), "{group:?}");
    let consumed = QueryConsumerOffset {
        consumer_group: "late-readers".into(),
        topic: TOPIC.into(),
        queue_id: CONSUMED,
        set_zero_if_not_found: Some(false),
    };
    assert_eq!(leader.call(&consumed, Bytes::new()).await.unwrap().0.offset, UP_TO);
    assert!(!has_lock(leader, "second").await, "the queue was given away twice");
    assert!(has_lock(leader, "first").await);
    let place = half.message_id.as_str().get(16..).and_then(|hex| i64::from_str_radix(hex, 16).ok()).unwrap();
    let decision = EndTransaction {
        topic: Some(TOPIC.into()),
        producer_group: "producers".into(),
        transaction_table_offset: half.queue_offset,
        commit_log_offset: LogOffset(place),
        commit_or_rollback: COMMIT,
        from_transaction_check: false,
        message_id: "0A0B0C0D".into(),
        transaction_id: None,
        broker_name: None,
    };
    leader.call(&decision, Bytes::new()).await.unwrap();
    wait_for_bodies(leader, DECIDED, &["decided later"]).await;
    wait_for_bodies(leader, DELAYED, &["delayed"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_one_moment_before_a_kill_is_there_after() {
    assert!(DELAYED.max(DECIDED) < QUEUES);
    for settings in ["", "flushDiskType=ASYNC_FLUSH"] {
        let mut group = Group::started(settings);
        make_readers(&group).await;
        let clients = group.clients();
        let (leader, _) = insist(&clients, 0, 0, "who leads?").await;
        let half = make_all(&clients[leader]).await;
        group.kill(leader);
        let (next, _) = insist(&clients, leader, 0, "who leads now?").await;
        assert_ne!(next, leader);
        find_all(&clients[next], &half).await;
    }
}
