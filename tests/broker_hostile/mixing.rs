//! Very many connections at a time, each with requests of its own that are cut anywhere: every answer is that to its own
//! request, and every message is stored as its sender wrote it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::command::{Command, HeaderForm};
use ferrymq_proto::frame::{FRAME_BYTES_MAX, take};
use ferrymq_proto::record::{Record, property};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::broker::{Broker, field, pull, request, send};
use crate::resources::connections;

/// 10,000 take a debug build most of a minute where others work too: `FERRYMQ_CONNECTIONS=10000`.
const CONNECTIONS: usize = 2_000;
/// Of each connection.
const MESSAGES: usize = 3;
const BODY_BYTES_MAX: u64 = 3_000;
const CHUNK_BYTES_MAX: u64 = 700;
const TOPICS: usize = 8;
const NO_SUCH_TOPIC: i32 = 17;
/// Of the topics' configuration.
const GET_TOPIC: i32 = 351;
const PULL_NOT_FOUND: i32 = 19;

/// SplitMix64.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 1 to `most`.
    pub fn roll(&mut self, most: u64) -> usize {
        (self.next() % most + 1) as usize
    }
}

fn number_from(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

pub async fn answers_stay_with_their_requests() {
    let count = connections(number_from("FERRYMQ_CONNECTIONS", CONNECTIONS));
    let seed = number_from("FERRYMQ_SEED", std::process::id() as usize) as u64;
    println!("FERRYMQ_SEED={seed}, {count} connections");
    let broker = Broker::start(&["longPollingEnable=true"]);
    for topic in 0..TOPICS {
        // A first message makes the topic, so that the others find it there.
        assert_eq!(broker.client().exchange(send(&name(topic), 0, "", 0, "first")).await.unwrap().code, 0);
    }
    let all_open = Arc::new(Barrier::new(count));
    let mut talks = JoinSet::new();
    for number in 0..count {
        let dice = Dice(seed ^ (number as u64) << 32);
        talks.spawn(talk(broker.address.clone(), number, dice, Arc::clone(&all_open)));
    }
    let stored: usize = talks.join_all().await.into_iter().sum();
    assert_eq!(stored, count * MESSAGES);
}

fn name(topic: usize) -> String {
    format!("mixed-{}", topic % TOPICS)
}

/// One connection's requests. Gives how many messages it has stored and read back.
async fn talk(address: String, number: usize, mut dice: Dice, all_open: Arc<Barrier>) -> usize {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let form = if number.is_multiple_of(2) { HeaderForm::Json } else { HeaderForm::Binary };
    let mut line = Line { stream, form, incoming: BytesMut::new() };
    // Who says nothing for long after it has come is closed, and the last one may come late.
    let greeting = [request(GET_TOPIC, &[("topic", &name(number))], Bytes::new())];
    assert_eq!(line.ask(&greeting, &mut dice).await[&0].code, 0);
    all_open.wait().await;

    let mut bodies = Vec::new();
    let mut requests = Vec::new();
    for message in 0..MESSAGES {
        let body: Bytes = (0..dice.roll(BODY_BYTES_MAX)).map(|_| dice.next() as u8).collect();
        let unique = format!("UNIQ_KEY={number}-{message}");
        requests.push(send(&name(number + message), (number % 4) as i32, &unique, 0, body.clone()));
        requests.push(request(GET_TOPIC, &[("topic", &format!("nowhere-{number}-{message}"))], Bytes::new()));
        bodies.push(body);
    }
    let answers = line.ask(&requests, &mut dice).await;
    let mut places = Vec::new();
    for message in 0..MESSAGES {
        let sent = &answers[&((2 * message) as i32)];
        let what = format!("connection {number}, message {message}: {sent:?}");
        assert_eq!((sent.code, field(sent, "transactionId")), (0, format!("{number}-{message}")), "{what}");
        places.push((field(sent, "queueId"), field(sent, "queueOffset")));
        let refused = &answers[&((2 * message + 1) as i32)];
        let remark = refused.remark.as_deref().unwrap_or_default();
        let is_own = remark.contains(&format!("nowhere-{number}-{message}"));
        assert!(refused.code == NO_SUCH_TOPIC && is_own, "{what}: {refused:?}");
    }
    for (message, (queue, offset)) in places.iter().enumerate() {
        let pulls = [pull(&name(number + message), queue, offset, ("TAG", "*"))];
        let answer = loop {
            let answer = line.ask(&pulls, &mut dice).await.remove(&0).unwrap();
            // A pull is not held for ever.
            if answer.code != PULL_NOT_FOUND {
                break answer;
            }
        };
        let what = format!("connection {number}, message {message}");
        assert_eq!(answer.code, 0, "{what}: {answer:?}");
        let (record, length) = Record::decode(&answer.body).unwrap();
        assert!(record.body == bodies[message] && length == answer.body.len(), "{what}: another's body");
        let unique = record.properties.get(property::UNIQUE_KEY).unwrap();
        assert_eq!(unique, format!("{number}-{message}"), "{what}");
    }
    MESSAGES
}

struct Line {
    stream: TcpStream,
    form: HeaderForm,
    incoming: BytesMut,
}

impl Line {
    /// Writes all requests, cut at random, and gives their answers by the places of the requests.
    async fn ask(&mut self, requests: &[Command], dice: &mut Dice) -> HashMap<i32, Command> {
        let mut outgoing = BytesMut::new();
        for (number, request) in requests.iter().enumerate() {
            let mut request = request.clone().with_opaque(number as i32);
            request.form = self.form;
            request.encode(&mut outgoing);
        }
        while !outgoing.is_empty() {
            // Half of the cuts are a few bytes apart: within lengths, and within headers.
            let most = if dice.roll(2) == 1 { 9 } else { CHUNK_BYTES_MAX };
            let chunk = outgoing.split_to(dice.roll(most).min(outgoing.len()));
            self.stream.write_all(&chunk).await.unwrap();
            tokio::task::yield_now().await;
        }
        let mut answers = HashMap::new();
        while answers.len() < requests.len() {
            while let Some(frame) = take(&mut self.incoming, FRAME_BYTES_MAX).unwrap() {
                let answer = Command::decode(frame).unwrap();
                assert!(answer.is_answer() && (0..requests.len() as i32).contains(&answer.opaque));
                let twice = answers.insert(answer.opaque, answer);
                assert!(twice.is_none(), "{twice:?}");
            }
            if answers.len() < requests.len() {
                assert!(self.stream.read_buf(&mut self.incoming).await.unwrap() > 0, "closed");
            }
        }
        assert!(self.incoming.is_empty(), "more than was asked for");
        answers
    }
}
