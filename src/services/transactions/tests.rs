//! Transactions on a whole broker, as scripts: what producers say, what they are asked, what consumers would find, and what is
//! left of it after a crash in between.

mod stage;

use std::time::Duration;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::message_id::OffsetMessageId;

use super::TransactionRules;
use super::questions::{Step, step};
use super::table::{Half, Root};
use crate::clock;
use stage::{Place, Stage, TOPIC, play};

#[tokio::test(flavor = "multi_thread")]
async fn a_half_becomes_a_message_or_nothing() {
    play(
        "
        half a
        half b
        half c
        found ->
        commit a -> 0
        rollback b -> 0
        unknown c -> 0
        found -> a
        commit a -> 0
        rollback a -> 0
        commit b -> 0
        found -> a
        progress -> halves 0 marks 0
        mark
        found RMQ_SYS_TRANS_OP_HALF_TOPIC -> 0,1,
        progress -> halves 2 marks 1
        commit c -> 0
        mark
        progress -> halves 3 marks 2
        commit a -> 0
        commit b -> 0
        found -> a c
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ends_it_must_be_who_began_it() {
    play(
        "
        half a
        commit a other -> 1 The producer group wrong
        rollback a other -> 1 The producer group wrong
        found ->
        commit a -> 0
        found -> a
        ",
    )
    .await;
    let mut stage = Stage::new().await;
    stage.half("a", "").await;
    let a = stage.places["a"][0];
    let mut cases = vec![
        (Place { queue_offset: QueueOffset(9), ..a }, "1 The transaction state table offset wrong"),
        (Place { log_offset: LogOffset(-1), ..a }, "1 Find prepared transaction message failed"),
        (Place { log_offset: LogOffset(i64::MAX), ..a }, "1 Find prepared transaction message failed"),
        (
            Place { log_offset: LogOffset(a.log_offset.0 + 1), ..a },
            "1 Find prepared transaction message failed",
        ),
    ];
    assert_eq!(stage.end_place(a, 8, "p", false).await, "0");
    stage.found(TOPIC);
    // A message that is no half, though it has all of its properties.
    let topic = TopicName::parse(TOPIC).expect("a topic");
    let entries = stage.broker.archive.entries(&topic, QueueId(0), QueueOffset(0), 1).expect("entries");
    let log_offset = entries[0].log_offset;
    let message = Place { queue_offset: QueueOffset(0), log_offset };
    cases.push((message, "1 Find prepared transaction message failed"));
    for (place, expected) in cases {
        assert_eq!(stage.end_place(place, 8, "p", false).await, expected, "{place:?}");
    }
    assert_eq!(stage.found(TOPIC), "a");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn producers_are_asked_until_it_is_given_up() {
    play(
        "
        half a
        half b
        ask 0 ->
        ask 2000 -> a:1 b:1
        mark
        progress -> halves 2 marks 1
        commit b -> 0
        ask 2000 -> a:2
        ask 2000 -> a:3
        found TRANS_CHECK_MAX_TIME_TOPIC ->
        ask 2000 ->
        found TRANS_CHECK_MAX_TIME_TOPIC -> a
        ask 2000 ->
        commit a -> 0
        found -> b
        found TRANS_CHECK_MAX_TIME_TOPIC -> a
        half c
        ask 300000000 ->
        found TRANS_CHECK_MAX_TIME_TOPIC -> a c
        ",
    )
    .await;
}

#[test]
fn what_is_due_for_a_half() {
    let rules = TransactionRules {
        timeout_ms: 6_000,
        check_interval: Duration::ZERO,
        checks_max: 15,
        kept_ms: 100_000,
        marks_bytes_max: 0,
        marks_interval: Duration::ZERO,
    };
    // Age, questions asked, immunity, how many later halves wait for it.
    let cases = [
        (6_000, 0, None, 0, None),
        (6_001, 0, None, 0, Some(Step::Ask)),
        (6_001, 14, None, 0, Some(Step::Ask)),
        (0, 15, None, 0, Some(Step::GiveUp)),
        (100_001, 0, None, 0, Some(Step::GiveUp)),
        (100_001, 0, Some(i64::MAX), 0, Some(Step::GiveUp)),
        (-1, 0, None, 0, Some(Step::Ask)),
        (1_001, 0, Some(1_000), 0, Some(Step::Ask)),
        (20_000, 0, Some(20_000), 10_000, None),
        (20_000, 0, Some(20_000), 10_001, Some(Step::Move)),
        (20_001, 0, Some(20_000), 0, Some(Step::Ask)),
    ];
    for (age, checks, immunity_ms, later, due) in cases {
        let (queue_offset, log_offset) = (QueueOffset(0), LogOffset(0));
        let half = Half {
            root: Root(log_offset),
            queue_offset,
            log_offset,
            born: Timestamp(1_000_000),
            checks,
            immunity_ms,
        };
        let now = Timestamp(1_000_000 + age);
        assert_eq!(step(&rules, &half, now, later), due, "{age} {checks} {immunity_ms:?} {later}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_answer_and_the_answer_to_a_question_are_one() {
    play(
        "
        half a
        half b
        ask 2000 -> a:1 b:1
        commit a@0 -> 0
        commit a@1 -> 0
        rollback b@1 -> 0
        commit b@0 -> 0
        found -> a
        ask 2000 ->
        crash
        commit a@0 -> 0
        commit a@1 -> 0
        commit b@0 -> 0
        ask 2000 ->
        found -> a
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_to_be_left_alone_is() {
    play(
        "
        half a CHECK_IMMUNITY_TIME_IN_SECONDS=20
        half b CHECK_IMMUNITY_TIME_IN_SECONDS=20
        ask 2000 ->
        ask 21000 -> a:1 b:1
        commit a -> 0
        found -> a
        ",
    )
    .await;
    let mut stage = Stage::new().await;
    let now = clock::now();
    stage.half("a", "CHECK_IMMUNITY_TIME_IN_SECONDS=0").await;
    let half = stage.places["a"][0];
    // It can be ended for as long as the others can, too: a second.
    while clock::now().0 <= now.0 + 1500 {
        tokio::task::yield_now().await;
    }
    let said = stage.end_place(half, 8, "p", false).await;
    assert!(said.starts_with("604 "), "{said}");
    assert_eq!(stage.found(TOPIC), "");
    assert_eq!(stage.end_place(half, 8, "p", true).await, "0");
    assert_eq!(stage.found(TOPIC), "a");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_forgotten_or_done_twice_after_a_crash() {
    play(
        "
        half a
        half b
        half c
        half d
        crash
        commit a -> 0
        rollback b -> 0
        crash
        found RMQ_SYS_TRANS_OP_HALF_TOPIC ->
        commit a -> 0
        found -> a
        ask 2000 -> b:1 c:1 d:1
        crash
        ask 2000 -> b:2 c:2 d:2
        rollback b -> 0
        commit c@1 -> 0
        crash
        commit c@0 -> 0
        commit c -> 0
        ask 2000 -> b:3 d:3
        mark
        crash
        commit d -> 0
        restart
        commit d@0 -> 0
        rollback b@0 -> 0
        ask 2000 ->
        found -> a c d
        found TRANS_CHECK_MAX_TIME_TOPIC ->
        ",
    )
    .await;
}

/// A classic log may end within a batch.
#[tokio::test(flavor = "multi_thread")]
async fn of_what_was_written_together_any_part_may_be_lost() {
    play(
        "
        half a
        half b
        ask 2000 -> a:1 b:1
        found RMQ_SYS_TRANS_HALF_TOPIC -> a b a b
        crash 1
        found RMQ_SYS_TRANS_HALF_TOPIC -> a b a b
        found RMQ_SYS_TRANS_OP_HALF_TOPIC ->
        commit a@0 -> 0
        commit a@1 -> 0
        found -> a
        ask 2000 -> b:2
        crash 1
        commit a@0 -> 0
        crash 2
        ask 2000 -> b:2
        commit b@0 -> 0
        commit a@1 -> 0
        found -> a b
        crash 1
        found -> a
        ask 2000 -> b:3
        commit b -> 0
        found -> a b
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_begins_with_the_commit() {
    play(
        "
        half a DELAY=1
        found RMQ_SYS_TRANS_HALF_TOPIC -> a
        found SCHEDULE_TOPIC_XXXX ->
        commit a -> 0
        found SCHEDULE_TOPIC_XXXX -> a
        crash
        ask 2000 ->
        ",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_can_be_resumed() {
    let mut stage = Stage::new().await;
    stage.half("a", "").await;
    for asked in ["a:1", "a:2", "a:3", ""] {
        assert_eq!(stage.ask(2000).await, asked);
    }
    assert_eq!(stage.found("TRANS_CHECK_MAX_TIME_TOPIC"), "a");
    let topic = TopicName::parse("TRANS_CHECK_MAX_TIME_TOPIC").expect("a topic");
    let entries = stage.broker.archive.entries(&topic, QueueId(0), QueueOffset(0), 1).expect("entries");
    let id = |log_offset| OffsetMessageId { store_host: stage.broker.address, log_offset }.to_string();
    let given_up = id(entries[0].log_offset);
    let half = id(stage.places["a"][0].log_offset);
    let transactions = &stage.broker.transactions;
    for id in [half.as_str(), "", "junk"] {
        let refusal = transactions.resume(id).await.expect_err("nothing to resume").to_string();
        assert!(refusal.contains("failed"), "{refusal}");
    }
    transactions.resume(&given_up).await.expect("resumed");
    transactions.resume(&given_up).await.expect("resumed already");
    assert_eq!(stage.ask(2000).await, "a:1");
    assert_eq!(stage.end("a", 8, "p").await, "0");
    let mut stage = stage.crash(0).await;
    assert_eq!(stage.ask(2000).await, "");
    assert_eq!(stage.found(TOPIC), "a");
    stage.stop().await;
}
