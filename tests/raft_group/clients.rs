//! A client that knows all nodes of a group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::bodies::RaftStatus;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::{Header, Request};
use ferrymq_proto::headers::{GetRaftStatus, PullMessage, PullReply, SendMessage, SendReply};
use ferrymq_proto::json;
use ferrymq_proto::net::{CallError, Client};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::Record;
use ferrymq_proto::record::message_id::OffsetMessageId;

use super::group::{PATIENCE, QUEUES, TOPIC};

/// What a node says of itself.
pub async fn status(client: &Client) -> RaftStatus {
    let (_, body) = client.call(&GetRaftStatus {}, Bytes::new()).await.unwrap();
    json::from_slice(&body).unwrap()
}

/// To a queue, with these properties.
pub fn message(queue: i32, sys_flag: i32, properties: &[(&str, &str)]) -> SendMessage {
    let properties: String =
        properties.iter().map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).collect();
    SendMessage {
        producer_group: "producers".into(),
        topic: TOPIC.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: QUEUES,
        queue_id: QueueId(queue),
        sys_flag,
        born_timestamp: Timestamp(1),
        flag: 0,
        properties: (!properties.is_empty()).then(|| properties.into()),
        reconsume_times: 0,
        unit_mode: false,
        batch: false,
        max_reconsume_times: None,
        broker_name: None,
    }
}

pub async fn send(client: &Client, queue: i32, body: &str) -> Result<SendReply, CallError> {
    let header = message(queue, 0, &[]);
    let (reply, _) = client.call(&header, Bytes::copy_from_slice(body.as_bytes())).await?;
    Ok(reply)
}

/// The one that took it, to whomever it was sent: it stands in the id of the message.
fn taker(clients: &[Client], reply: &SendReply) -> usize {
    let host = OffsetMessageId::parse(&reply.message_id).unwrap().store_host;
    clients.iter().position(|client| format!("{client:?}") == format!("Client({host})")).unwrap()
}

/// Sends until somebody has taken it, and says who.
pub async fn insist(clients: &[Client], first: usize, queue: i32, body: &str) -> (usize, QueueOffset) {
    insist_and_tell(clients, first, queue, body, |_| {}).await
}

/// As [`insist`], and tells of each try that failed.
pub async fn insist_and_tell(
    clients: &[Client],
    first: usize,
    queue: i32,
    body: &str,
    failed: impl Fn(CallError),
) -> (usize, QueueOffset) {
    let until = Instant::now() + PATIENCE;
    let mut to = first;
    loop {
        match send(&clients[to], queue, body).await {
            Ok(reply) => return (taker(clients, &reply), reply.queue_offset),
            Err(error) => {
                assert!(Instant::now() < until, "nobody takes messages: {error}");
                failed(error);
            }
        }
        to = (to + 1) % clients.len();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// All messages of a queue that a node has, from the first one.
pub async fn read_queue(client: &Client, queue: i32, count: usize) -> Vec<String> {
    read_from(client, queue, 0, count).await
}

/// So many messages of a queue, from one on.
pub async fn read_from(client: &Client, queue: i32, first: i64, count: usize) -> Vec<String> {
    let until = Instant::now() + PATIENCE;
    let mut found: Vec<String> = Vec::new();
    while found.len() < count {
        assert!(
            Instant::now() < until,
            "only {} of {count} messages of queue {queue} are there",
            found.len()
        );
        let Ok((_, body)) = pull(client, queue, QueueOffset(first + found.len() as i64)).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (record, size) = Record::decode(rest).unwrap();
            let next = QueueOffset(first + found.len() as i64);
            assert_eq!(record.queue_offset, next, "queue {queue}");
            found.push(String::from_utf8(record.body.to_vec()).unwrap());
            rest = &rest[size..];
        }
    }
    found
}

fn question(queue: i32, from: QueueOffset) -> PullMessage {
    PullMessage {
        consumer_group: "readers".into(),
        topic: TOPIC.into(),
        queue_id: QueueId(queue),
        queue_offset: from,
        max_message_nums: 32,
        sys_flag: 4,
        commit_offset: QueueOffset(0),
        suspend_timeout_millis: 0,
        subscription: Some("*".into()),
        subscription_version: 0,
        expression_type: None,
        max_message_bytes: None,
        request_source: None,
        proxy_forward_client_id: None,
        lite_topic: None,
    }
}

pub async fn pull(client: &Client, queue: i32, from: QueueOffset) -> Result<(PullReply, Bytes), CallError> {
    client.call(&question(queue, from), Bytes::new()).await
}

/// Waits until a queue has come so far on a node.
pub async fn wait_for_end(client: &Client, queue: i32, end: i64, until: Instant) {
    while bounds(client, queue, end).await.is_none_or(|reply| reply.max_offset.0 < end) {
        assert!(Instant::now() < until, "queue {queue} does not get as far as {end}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// What a node says of a queue, whether it has the message or not.
pub async fn bounds(client: &Client, queue: i32, from: i64) -> Option<PullReply> {
    let mut command = Command::request(PullMessage::CODE);
    command.fields = question(queue, QueueOffset(from)).to_fields();
    let answer = client.exchange(command).await;
    answer.ok().and_then(|answer| PullReply::decode(&answer.fields).ok())
}

/// Waits until a node knows of a message, and says whether it was there and is gone with its age.
pub async fn is_gone(client: &Client, queue: i32, offset: i64) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        let reply = bounds(client, queue, offset).await;
        if let Some(reply) = reply.filter(|reply| reply.max_offset.0 > offset) {
            return reply.min_offset.0 > offset;
        }
        assert!(Instant::now() < until, "message {offset} of queue {queue} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a queue holds these messages and no others.
pub async fn wait_for_bodies(client: &Client, queue: i32, expected: &[&str]) {
    let until = Instant::now() + PATIENCE;
    let mut bodies = Vec::new();
    while bodies != expected {
        assert!(Instant::now() < until, "queue {queue} holds {bodies:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let Ok((_, body)) = pull(client, queue, QueueOffset(0)).await else { continue };
        bodies.clear();
        let mut rest = &body[..];
        while !rest.is_empty() {
            let (record, size) = Record::decode(rest).unwrap();
            bodies.push(String::from_utf8(record.body.to_vec()).unwrap());
            rest = &rest[size..];
        }
    }
}
