use ferrymq_proto::bodies::GroupConfig;
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::QueueId;

use super::*;
use crate::replication::NotStored;
use crate::replication::rehearsal::Rehearsal;
use crate::state::{Command, Group, Stamp, Topic, permission};

fn group() -> GroupName {
    GroupName::parse("g").expect("a group")
}

fn queue(topic: &str, queue: i32) -> TopicQueue {
    TopicQueue { topic: TopicName::parse(topic).expect("a topic"), queue: QueueId(queue) }
}

/// Locks for group `g` and topic `t` of two queues.
async fn locks() -> (std::sync::Arc<Rehearsal>, OrderLocks) {
    let (rehearsal, writer, tables) = Rehearsal::begin();
    let (groups, stamp) = (vec![Group::new(group(), GroupConfig::default())], Stamp::default());
    writer.change(Command::PutGroups { groups, stamp }).await.expect("a group");
    let topics = vec![Topic::of_queues(queue("t", 0).topic, 2, permission::READ | permission::WRITE)];
    writer.change(Command::PutTopics { topics, stamp }).await.expect("a topic");
    rehearsal.take_applied();
    (rehearsal, OrderLocks::new(tables, writer))
}

async fn lock(locks: &OrderLocks, client: &str, queues: &[TopicQueue]) -> Vec<String> {
    let held = locks.lock(&group(), &client.into(), queues.to_vec()).await.expect("an answer");
    held.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_queue_is_held_by_one_and_renewed_without_a_command() {
    let (rehearsal, locks) = locks().await;
    let both = [queue("t", 0), queue("t", 1)];
    assert!(!locks.is_any_held("g"));
    assert_eq!(lock(&locks, "a", &both[..1]).await, ["t/0"]);
    assert_eq!(lock(&locks, "b", &both).await, ["t/1"]);
    assert_eq!(rehearsal.take_applied().len(), 2);
    assert_eq!(lock(&locks, "a", &both).await, ["t/0"]);
    assert_eq!(lock(&locks, "b", &both).await, ["t/1"]);
    assert!(rehearsal.take_applied().is_empty(), "renewals are not replicated");
    assert!(locks.is_any_held("g") && !locks.is_any_held("other"));

    locks.unlock(&group(), &"b".into(), both.to_vec()).await.expect("freed");
    assert_eq!(lock(&locks, "a", &both).await, ["t/0", "t/1"], "only what it held was freed");
    locks.unlock(&group(), &"a".into(), both.to_vec()).await.expect("freed");
    assert!(!locks.is_any_held("g"));
}

#[tokio::test]
async fn what_does_not_exist_cannot_be_locked() {
    let (rehearsal, locks) = locks().await;
    let invented = [queue("t", 2), queue("t", -1), queue("nowhere", 0)];
    assert!(lock(&locks, "a", &invented).await.is_empty());
    let nobody = GroupName::parse("nobody").expect("a group");
    let held = locks.lock(&nobody, &"a".into(), vec![queue("t", 0)]).await.expect("an answer");
    assert!(held.is_empty());
    assert!(rehearsal.take_applied().is_empty());
}

#[tokio::test]
async fn a_lock_that_is_not_replicated_is_not_given() {
    let (rehearsal, locks) = locks().await;
    rehearsal.fail(Some(NotStored::NotLeader));
    let refused = locks.lock(&group(), &"a".into(), vec![queue("t", 0)]).await;
    assert!(matches!(refused, Err(Refusal::NotStored(NotStored::NotLeader))), "{refused:?}");
    rehearsal.fail(None);
    assert_eq!(lock(&locks, "b", &[queue("t", 0)]).await, ["t/0"]);
}
