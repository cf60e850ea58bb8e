//! How soon pulls that wait hear of a message: holds pulls, sends one message at a time, and ends. For `tests/bench/wake`.
//!
//! ```text
//! wake ADDRESS spread|together PULLS ROUNDS
//! ```
//! `spread`: each pull waits for a queue of its own, and a message wakes one of them. `together`: all wait for one queue, and a
//! message wakes them all; the last one counts. Prints microseconds from the moment at which the send was begun, and from the
//! one at which it was acknowledged: 0 when the pull was answered before.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod requests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{PullMessage, PullReply};
use ferrymq_proto::net::Client;
use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::sync::mpsc;
use tokio::time::sleep;

const TOPIC: &str = "wake";
const GROUP: &str = "wake";
const CALL_MAX: Duration = Duration::from_secs(60);
const SUSPEND_MS: i64 = 40_000;
/// Over which the pulls are spread.
const CONNECTIONS: usize = 16;
/// Until all pulls wait: at first, and again after a message.
const SETTLED: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(20);
/// Rounds that do not count.
const WARM: usize = 50;
/// It may wait, and brings its subscription along.
const PULL_FLAGS: i32 = 0x2 | 0x4;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| -> usize { arguments[at].parse().expect("a number") };
    let (address, is_together, pulls, rounds) =
        (&arguments[0], arguments[1] == "together", number(2), number(3));
    let queues = if is_together { 1 } else { pulls };
    let sender = Client::new(address, CALL_MAX);
    sender.call(&requests::topic(TOPIC, queues), Bytes::new()).await.expect("a topic");
    sender
        .call(&requests::send(GROUP, TOPIC, QueueId(0)), Bytes::from_static(b"first"))
        .await
        .expect("a send");
    let holders: Vec<_> = (0..CONNECTIONS).map(|_| Arc::new(Client::new(address, CALL_MAX))).collect();
    let (heard, mut hearing) = mpsc::unbounded_channel();
    for pull in 0..pulls {
        let client = Arc::clone(&holders[pull % CONNECTIONS]);
        tokio::spawn(hold(client, if is_together { 0 } else { pull }, heard.clone()));
    }
    sleep(SETTLED).await;
    // What was there has been read.
    while hearing.try_recv().is_ok() {}
    let (mut from_begin, mut from_acknowledged) = (Vec::new(), Vec::new());
    for round in 0..WARM + rounds {
        sleep(PAUSE).await;
        let began = Instant::now();
        sender
            .call(
                &requests::send(GROUP, TOPIC, queue_id(round * 7_919 % queues)),
                Bytes::from_static(b"wake"),
            )
            .await
            .expect("a send");
        let acknowledged = Instant::now();
        let mut last = began;
        for _ in 0..if is_together { pulls } else { 1 } {
            last = last.max(hearing.recv().await.expect("a pull"));
        }
        if round >= WARM {
            from_begin.push(last.duration_since(began));
            from_acknowledged.push(last.saturating_duration_since(acknowledged));
        }
    }
    report("begin", from_begin);
    report("acknowledged", from_acknowledged);
}

fn report(from: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_micros();
    println!("{from} p50={} p99={} max={}", at(0.5), at(0.99), at(1.0));
}

fn queue_id(queue: usize) -> QueueId {
    QueueId(i32::try_from(queue).unwrap())
}

/// Pulls one queue for ever, and says when a pull has brought something.
async fn hold(client: Arc<Client>, queue: usize, heard: mpsc::UnboundedSender<Instant>) {
    let mut next = QueueOffset(0);
    loop {
        let header = PullMessage {
            sys_flag: PULL_FLAGS,
            commit_offset: QueueOffset(0),
            suspend_timeout_millis: SUSPEND_MS,
            subscription: Some("*".into()),
            expression_type: Some("TAG".into()),
            ..requests::pull(GROUP, TOPIC, queue_id(queue), next)
        };
        let mut command = Command::request(RequestCode::PULL_MESSAGE);
        command.fields = header.to_fields();
        let answer = client.exchange(command).await.expect("an answer");
        let at = Instant::now();
        let reply =
            PullReply::decode(&answer.fields).unwrap_or_else(|_| panic!("no answer to a pull: {answer:?}"));
        next = reply.next_begin_offset;
        // Whoever measures may have ended.
        if answer.code == ResponseCode::SUCCESS.0 && heard.send(at).is_err() {
            return;
        }
    }
}
