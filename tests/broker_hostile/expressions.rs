//! SQL of two mebibytes, as long as one may be: stated by very many groups, and brought along by very many pulls that wait.

use bytes::Bytes;
use ferrymq_proto::command::Command;
use ferrymq_proto::net::Client;
use tokio::task::JoinSet;

use crate::broker::{Broker, pull, request, said, send};

const TOPIC: &str = "expressions";
const LITERAL_BYTES: usize = (2 << 20) - 64;
const GROUPS: usize = 150;
const PULLS: usize = 220;
/// What those that are stated, and those that wait, may take; and all other work.
const ROOM_BYTES: usize = 256 << 20;
const OTHERS_BYTES: usize = 96 << 20;
const TOO_MUCH: i32 = 29;
const NOTHING: i32 = 19;
const FOUND: i32 = 0;

/// No two are the same, and each matches what has n=1.
fn expression(number: usize) -> String {
    format!("a = '{number}{}' OR n = 1", "x".repeat(LITERAL_BYTES))
}

async fn state(client: &Client, number: usize) -> Command {
    let body = format!(
        r#"{{"clientID":"c","producerDataSet":[],"consumerDataSet":[{{"groupName":"group-{number}","subscriptionDataSet":[{{"topic":"{TOPIC}","subString":"{}","expressionType":"SQL92","subVersion":1}}]}}]}}"#,
        expression(number)
    );
    client.exchange(request(34, &[], body)).await.unwrap()
}

/// For what its group has stated; it does not wait.
fn pull_for(group: &str) -> Command {
    let fields = [
        ("consumerGroup", group),
        ("topic", TOPIC),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("maxMsgNums", "1"),
        ("sysFlag", "0"),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", "0"),
        ("subVersion", "1"),
    ];
    request(11, &fields, Bytes::new())
}

pub async fn they_have_their_room() {
    let broker = Broker::start(&["enablePropertyFilter=true"]);
    let client = broker.client();
    assert_eq!(client.exchange(send(TOPIC, 0, "n=1", 0, "first")).await.unwrap().code, 0);
    let before = broker.resident();
    let mut stated = 0;
    for number in 0..GROUPS {
        let answer = state(&client, number).await;
        if answer.code != 0 {
            assert_eq!(answer.code, TOO_MUCH, "{}", said(&answer));
            break;
        }
        // Compiled now.
        let answer = client.exchange(pull_for(&format!("group-{number}"))).await.unwrap();
        assert_eq!(answer.code, FOUND, "{}", answer.remark.unwrap_or_default());
        stated += 1;
    }
    assert!(stated > 0 && stated < GROUPS, "{stated} groups of {GROUPS}");
    // What was stated before holds, and may be stated again.
    assert_eq!(state(&client, 0).await.code, 0);
    let grown = broker.resident().saturating_sub(before);
    println!("{stated} groups stated long expressions: {} MiB", grown >> 20);
    assert!(grown < ROOM_BYTES + OTHERS_BYTES, "{grown} bytes for {stated} groups");

    let (mut waiting, before) = (JoinSet::new(), broker.resident());
    let mut most = before;
    for number in 0..PULLS {
        let own = broker.client();
        waiting.spawn(async move {
            // At the end of the queue: there is nothing yet.
            let text = expression(number);
            own.exchange(pull(TOPIC, "0", "1", ("SQL92", &text))).await.unwrap()
        });
        if number % 8 == 7 {
            // All of them are not to be on their way at a time.
            let looked = client.exchange(request(30, &[("topic", TOPIC), ("queueId", "0")], "")).await;
            assert_eq!(looked.unwrap().code, 0);
            most = most.max(broker.resident());
        }
    }
    // Who has no room is told at once that there is nothing.
    while let Some(answer) = waiting.try_join_next() {
        assert_eq!(answer.unwrap().code, NOTHING);
    }
    let mut turned_away = 0;
    while (waiting.len() * LITERAL_BYTES) > ROOM_BYTES {
        let answer = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(answer.code, NOTHING, "{}", answer.remark.unwrap_or_default());
        turned_away += 1;
    }
    let grown = most.max(broker.resident()) - before;
    println!(
        "{} pulls wait with long expressions, {turned_away} were turned away: {} MiB",
        waiting.len(),
        grown >> 20
    );
    assert!(grown < ROOM_BYTES + OTHERS_BYTES, "{grown} bytes for {} pulls", waiting.len());
    assert_eq!(client.exchange(send(TOPIC, 0, "n=1", 0, "second")).await.unwrap().code, 0);
    // A few more of them had been turned away: an expression takes a little more than its text.
    let mut found = 0;
    while let Some(answer) = waiting.join_next().await {
        let code = answer.unwrap().code;
        assert!(matches!(code, FOUND | NOTHING), "{code}");
        found += usize::from(code == FOUND);
    }
    let most = ROOM_BYTES / LITERAL_BYTES;
    assert!((most * 9 / 10..=most).contains(&found), "{found} were served, and there is room for {most}");
}
