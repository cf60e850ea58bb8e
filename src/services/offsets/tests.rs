use std::fmt::Write as _;

use ferrymq_proto::position::Timestamp;

use super::*;
use crate::config::broker::{BROKER, BrokerConfig};
use crate::config::desk::BrokerDesk;
use crate::config::sources::{Sources, load};
use crate::node::Node;
use crate::replication::rehearsal::Rehearsal;
use crate::state::Reply;

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).expect("a topic")
}

fn line(queue: i32, next: i64) -> QueueLine {
    QueueLine { queue: QueueId(queue), next: QueueOffset(next) }
}

/// Commits against the tables, without a broker around them.
fn play(script: &str) -> String {
    let (mut pending, mut tables) = (Pending::default(), Tables::default());
    let mut proposed = Vec::new();
    let mut out = String::new();
    for text in script.lines().map(str::trim).filter(|text| !text.is_empty()) {
        let words: Vec<_> = text.split_whitespace().collect();
        let number = |word: &str| word.parse::<i64>().expect("a number");
        let answer = match words.as_slice() {
            ["commit", group, of_topic, queue, next] => {
                pending.commit(group, &topic(of_topic), line(number(queue) as i32, number(next)));
                String::new()
            }
            ["find", group, of_topic, queue] => {
                let queue = QueueId(number(queue) as i32);
                let found = pending.find(group, of_topic, queue);
                let found = found.or_else(|| tables.offsets().find(group, of_topic, queue));
                found.map_or_else(|| "nothing".to_owned(), |next| next.to_string())
            }
            ["propose", lines_max] => {
                proposed = pending.propose(number(lines_max) as usize);
                let lines: usize = proposed.iter().map(|change| change.queues.len()).sum();
                format!("{lines} lines")
            }
            ["apply"] => {
                let changes = std::mem::take(&mut proposed);
                let reply = tables.apply(Command::CommitOffsets { changes, stamp: Stamp::default() });
                pending.applied();
                format!("{}", reply == Reply::Changed)
            }
            ["fail"] => {
                pending.failed();
                String::new()
            }
            ["forget", group, queue] => {
                pending.forget(|of_group, _, of_queue| {
                    *of_group == **group && of_queue.0 == number(queue) as i32
                });
                String::new()
            }
            ["empty"] => format!("{}", pending.is_empty()),
            _ => panic!("no such command: {text}"),
        };
        writeln!(out, "{}", format!("{text} -> {answer}").trim_end()).expect("text");
    }
    out
}

#[track_caller]
fn check(script: &str) {
    let lines = script.lines().map(str::trim).filter(|line| !line.is_empty());
    let expected: String = lines.clone().map(|line| format!("{line}\n")).collect();
    let commands: String =
        lines.map(|line| format!("{}\n", line.split(" ->").next().unwrap_or_default())).collect();
    assert_eq!(play(&commands), expected);
}

#[test]
fn the_last_commit_of_a_queue_is_replicated() {
    check(
        "
        commit g t 0 5 ->
        commit g t 0 7 ->
        commit g t 1 3 ->
        find g t 0 -> 7
        find g t 2 -> nothing
        propose 100 -> 2 lines
        find g t 0 -> 7
        commit g t 0 9 ->
        find g t 0 -> 9
        apply -> true
        find g t 0 -> 9
        find g t 1 -> 3
        propose 100 -> 1 lines
        apply -> true
        empty -> true
        find g t 0 -> 9
        ",
    );
}

#[test]
fn what_could_not_be_replicated_is_proposed_again_unless_it_is_old() {
    check(
        "
        commit g t 0 5 ->
        commit g t 1 6 ->
        propose 100 -> 2 lines
        commit g t 0 4 ->
        fail ->
        find g t 0 -> 4
        find g t 1 -> 6
        propose 100 -> 2 lines
        apply -> true
        find g t 0 -> 4
        find g t 1 -> 6
        ",
    );
}

#[test]
fn much_is_replicated_in_several_commands() {
    check(
        "
        commit a t 0 1 ->
        commit a t 1 1 ->
        commit b t 0 1 ->
        commit c t 0 1 ->
        propose 2 -> 2 lines
        apply -> true
        empty -> false
        propose 2 -> 2 lines
        apply -> true
        empty -> true
        ",
    );
}

#[test]
fn voided_commits_are_gone() {
    check(
        "
        commit g t 0 5 ->
        commit g t 1 5 ->
        forget g 0 ->
        find g t 0 -> nothing
        find g t 1 -> 5
        forget g 1 ->
        empty -> true
        ",
    );
}

#[test]
fn a_request_says_where_a_reset_leads() {
    let target = |offset: Option<i64>, time| Target::new(offset.map(QueueOffset), Timestamp(time));
    assert_eq!(target(None, 5), Target::Time(Timestamp(5)));
    assert_eq!(target(None, -1), Target::End);
    assert_eq!(target(Some(-1), -7), Target::End);
    assert_eq!(target(Some(0), -1), Target::Offset(QueueOffset(0)));
    assert_eq!(target(Some(-5), 1), Target::Offset(QueueOffset(-5)), "out of every range");
}

/// A leader that did not hear of its followers for a moment may not propose; when nobody else has led meanwhile, it still has
/// all that was committed.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_leader_could_not_replicate_for_a_moment_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = format!("storePathRootDir={}", folder.path().display());
    let small =
        ["mappedFileSizeCommitLog=4194304".to_owned(), "diskSpaceWarningLevelRatio=99".to_owned(), root];
    let loaded = load(&BROKER, &Sources { settings: small.into(), ..Sources::default() });
    let mut config: BrokerConfig = loaded.written.config().clone();
    config.network.bind_address = std::net::Ipv4Addr::LOCALHOST.into();
    config.network.listen_port = 0;
    let node =
        Node::start(&config, Arc::new(BrokerDesk::new(&BROKER, loaded.written))).await.expect("a node");
    let (rehearsal, writer, tables) = Rehearsal::begin();
    let archive = node.broker().archive.clone();
    let offsets = Offsets::new(tables.clone(), writer, archive, Live::from(config.offsets.clone()), 0);
    offsets.commit("g", &topic("orders"), QueueId(0), QueueOffset(7));
    rehearsal.fail(Some(NotStored::NotLeader));
    offsets.flush().await;
    assert_eq!(offsets.find("g", "orders", QueueId(0)), Some(QueueOffset(7)));
    rehearsal.fail(None);
    offsets.flush().await;
    assert_eq!(tables.read().offsets().find("g", "orders", QueueId(0)), Some(QueueOffset(7)));
    offsets.commit("g", &topic("orders"), QueueId(0), QueueOffset(8));
    offsets.forget_pending();
    assert_eq!(offsets.find("g", "orders", QueueId(0)), Some(QueueOffset(7)));

    // Who wants an answer has it when the tables know, or hears that they may not.
    let orders = topic("orders");
    let safely = |next| offsets.commit_safely("g", &orders, QueueId(0), QueueOffset(next));
    let stored = || tables.read().offsets().find("g", "orders", QueueId(0));
    assert_eq!(safely(9).await, Ok(Commit::Taken));
    assert_eq!(stored(), Some(QueueOffset(9)));
    rehearsal.fail(Some(NotStored::NotLeader));
    assert_eq!(safely(10).await, Err(NotStored::NotLeader));
    rehearsal.fail(None);
    let flushing = offsets.hold_back().await;
    let mut waiting = std::pin::pin!(safely(11));
    let early = tokio::time::timeout(Duration::from_millis(1), waiting.as_mut()).await;
    assert!(early.is_err(), "others are being replicated");
    offsets.forget_pending();
    drop(flushing);
    assert_eq!(waiting.await, Err(NotStored::LeaderChanged));
    assert_eq!(stored(), Some(QueueOffset(9)));
}
