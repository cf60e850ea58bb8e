//! Verbs about messages.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use ferrymq_proto::bodies::{ConsumeResult, ConsumeType};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::QueryMessages;
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{Record, Records, property};

use super::options::Given;
use super::shown::Message;
use super::{groups, inspect, topics};
use crate::cli::print;
use crate::cli::remote::{
    Failure, Found, Located, Moment, Pulled, Remote, locate, shown_body, unreadable, with_unique_id,
};
use crate::cli::topic::Outgoing;
use crate::config::quoted;

/// What one pull asks for.
const BATCH: i32 = 32;
const FOUND_MAX: i32 = 64;
const CONSUMED_MAX: i64 = 128;

pub async fn send(remote: &Remote, given: &Given) -> Result<(), Failure> {
    if given.has('i') && !given.has('b') {
        return Err(Failure::usage("-i (qid) wants -b (broker) too"));
    }
    let message = Outgoing {
        topic: given.text('t').to_owned(),
        tag: given.get('c').map(str::to_owned),
        key: given.get('k').map(str::to_owned).into_iter().collect(),
        group: given.get('b').map(str::to_owned),
        queue: given.number('i')?,
        ..Outgoing::default()
    };
    let sent = message.send(remote, 0, given.text('p').as_bytes().to_vec()).await?;
    let line = |broker: &str, queue: &str, result: &str, id: &str| {
        format!("{broker:<32}  {queue:<4}  {result:<20}    {id}\n")
    };
    print(&line("#Broker Name", "#QID", "#Send Result", "#MsgId"));
    print(&line(&sent.broker, &sent.queue.0.to_string(), "SEND_OK", &sent.id));
    Ok(())
}

/// The queues of a topic that can be read; of one broker or one queue, if -b and -i say so.
async fn queues(remote: &Remote, given: &Given) -> Result<Vec<Found>, Failure> {
    let (broker, queue) = (given.get('b'), given.number::<i32>('i')?);
    let mut found = Vec::new();
    for (node, count) in remote.readable(given.text('t')).await? {
        let is_it = |number: &i32| queue.is_none_or(|wanted| wanted == *number);
        if broker.is_none_or(|wanted| wanted == node.group) {
            let place = |number| Found { node: node.clone(), queue: QueueId(number), next: QueueOffset(0) };
            found.extend((0..count).filter(is_it).map(place));
        }
    }
    if found.is_empty() { Err(Failure::no_topic(given.text('t'))) } else { Ok(found) }
}

/// The queue as Java writes it.
fn named(found: &Found, topic: &str) -> String {
    format!("MessageQueue [topic={topic}, brokerName={}, queueId={}]", found.node.group, found.queue.0)
}

fn status(pulled: &Pulled) -> &'static str {
    match pulled.code {
        ResponseCode::SUCCESS => "FOUND",
        ResponseCode::PULL_RETRY_IMMEDIATELY => "NO_MATCHED_MSG",
        ResponseCode::PULL_OFFSET_MOVED => "OFFSET_ILLEGAL",
        _ => "NO_NEW_MSG",
    }
}

fn lines(pulled: &Pulled, broker: &str, prints_body: bool) -> Result<String, Failure> {
    let mut text = String::new();
    for record in Records::new(&pulled.records) {
        let record = record.map_err(|error| unreadable(&error))?;
        let ends = Some((pulled.min, pulled.max));
        text += &Message { record, broker, ends }.line(prints_body);
    }
    Ok(text)
}

/// Where to read a queue from and to: its ends, or what the options with these letters say.
async fn range(
    remote: &Remote,
    given: &Given,
    found: &Found,
    (begin, end): (char, char),
) -> Result<(i64, i64), Failure> {
    let topic = given.text('t');
    let min = match given.time(begin)? {
        Some(time) => remote.offset_at(found, topic, Moment(time)).await?,
        None => remote.min_offset(found, topic).await?,
    };
    let max = match given.time(end)? {
        Some(time) => remote.offset_at(found, topic, Moment(time)).await?,
        None => remote.max_offset(found, topic).await?,
    };
    Ok((min.0, max.0))
}

pub async fn print_all(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (topic, expression) = (given.text('t'), given.get('s').unwrap_or("*"));
    let prints_body = given.truth('d').unwrap_or(true);
    let mut queues = Vec::new();
    // Here -b is a time, not a broker.
    for (node, count) in remote.readable(topic).await? {
        let place = |number| Found { node: node.clone(), queue: QueueId(number), next: QueueOffset(0) };
        queues.extend((0..count).map(place));
    }
    for mut found in queues {
        let (min, max) = range(remote, given, &found, ('b', 'e')).await?;
        print(&format!("minOffset={min}, maxOffset={max}, {}\n", named(&found, topic)));
        found.next = QueueOffset(min);
        while found.next.0 < max {
            let pulled = remote.pull(&found, topic, expression, BATCH, 0).await?;
            print(&lines(&pulled, &found.node.group, prints_body)?);
            let (status, next) = (status(&pulled), pulled.next);
            let is_end = next <= found.next || !matches!(status, "FOUND" | "NO_MATCHED_MSG");
            found.next = next.max(found.next);
            let what = if status == "NO_MATCHED_MSG" { "no matched msg" } else { "print msg finished" };
            if status != "FOUND" {
                print(&format!("{} {what}. status={status}, offset={}\n", named(&found, topic), next.0));
            }
            if is_end {
                break;
            }
        }
        print(&format!("{}\n", "-".repeat(56)));
    }
    Ok(())
}

pub async fn consume(remote: &Remote, given: &Given) -> Result<(), Failure> {
    if (given.has('o') && !given.has('i')) || (given.has('i') && !given.has('b')) {
        return Err(Failure::usage("-o (offset) wants -i (queueId), and that wants -b (brokerName)"));
    }
    let topic = given.text('t');
    let mut left = given.number('c')?.unwrap_or(CONSUMED_MAX);
    if left <= 0 {
        return Err(Failure::usage("-c wants a positive number"));
    }
    for mut found in queues(remote, given).await? {
        let (min, mut max) = range(remote, given, &found, ('s', 'e')).await?;
        let offset = given.number('o')?.unwrap_or(0);
        if offset > max {
            print(&format!("{} no matched msg, offset={offset}\n", named(&found, topic)));
            continue;
        }
        let first = min.max(offset);
        if max - first > left {
            print(&match given.has('i') {
                true => format!("The oldler {left} message will be provided\n"),
                false => {
                    format!("The older {left} message of the {} queue will be provided\n", found.queue.0)
                }
            });
            max = first + left - 1;
            left = 0;
        } else {
            left -= (max - first) + 1;
        }
        found.next = QueueOffset(first);
        consume_queue(remote, topic, found, max).await?;
        if left <= 0 {
            break;
        }
    }
    Ok(())
}

/// Up to the last offset, or the end of the queue.
async fn consume_queue(remote: &Remote, topic: &str, mut found: Found, last: i64) -> Result<(), Failure> {
    while found.next.0 <= last {
        let count = i32::try_from(last - found.next.0 + 1).unwrap_or(BATCH);
        let pulled = remote.pull(&found, topic, "*", count, 0).await?;
        let next = pulled.next;
        match status(&pulled) {
            "FOUND" => print(&format!("Consume ok\n{}", lines(&pulled, &found.node.group, true)?)),
            "NO_MATCHED_MSG" => {
                let queue = named(&found, topic);
                print(&format!("{queue} no matched msg. status=NO_MATCHED_MSG, offset={}\n", next.0));
            }
            status => {
                let queue = named(&found, topic);
                print(&format!("{queue} print msg finished. status={status}, offset={}\n", next.0));
                break;
            }
        }
        if next <= found.next {
            break;
        }
        found.next = next;
    }
    Ok(())
}

/// All messages with a key, with the broker group that has them; -b and -e say of what time, and a letter how many.
pub async fn with_key(
    remote: &Remote,
    given: &Given,
    topic: &str,
    key: &str,
    count: char,
) -> Result<Vec<(String, Bytes)>, Failure> {
    let mut found = Vec::new();
    for (node, _) in remote.readable(topic).await? {
        let request = QueryMessages {
            topic: topic.into(),
            key: key.into(),
            max_num: given.number(count)?.unwrap_or(FOUND_MAX),
            begin_timestamp: given.time('b')?.unwrap_or_default(),
            end_timestamp: given.time('e')?.unwrap_or(Timestamp(i64::MAX)),
            ..QueryMessages::default()
        };
        match remote.ask(&node.address, &request, Bytes::new()).await {
            Ok((_, records)) => found.push((node.group.clone(), records)),
            Err(failure) if failure.is(ResponseCode::QUERY_NOT_FOUND) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

pub async fn by_key(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (topic, key) = (given.text('t'), given.text('k'));
    let found = with_key(remote, given, topic, key, 'm').await?;
    if found.is_empty() {
        return Err(nothing(topic, key));
    }
    print(&format!("{:<50} {:>4} {:>40} {}\n", "#Message ID", "#QID", "#Offset", "#IndexKey"));
    for (broker, records) in &found {
        for record in Records::new(records) {
            let record = record.map_err(|error| unreadable(&error))?;
            let (queue, offset) = (record.queue_id.0, record.queue_offset.0);
            let id = Message { record, broker, ends: None }.id();
            let entry = format!("{}@{topic}@K@{key}@{id}@{}", record.store_timestamp.0, record.log_offset.0);
            print(&format!("{id:<50} {queue:>4} {offset:>40} {entry}\n"));
        }
    }
    Ok(())
}

fn nothing(topic: &str, wanted: &str) -> Failure {
    let help = "`ferrymq topic peek` shows the messages there are.";
    Failure::nothing(format!("no message of {} is found by {}", quoted(topic), quoted(wanted)), help)
}

pub async fn by_unique_key(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (topic, id) = (given.text('t'), given.text('i'));
    let mut found = with_unique_id(remote, topic, id).await?;
    if found.is_empty() {
        return Err(nothing(topic, id));
    }
    if let (Some(group), Some(client)) = (given.get('g'), given.get('d')) {
        return push(remote, &found, group, client).await;
    }
    if !given.has('a') {
        found.truncate(1);
    }
    for message in &found {
        print(&detail(remote, message.record()?, "").await?);
    }
    Ok(())
}

pub async fn by_id(remote: &Remote, given: &Given) -> Result<(), Failure> {
    for id in given.text('i').split(',').map(str::trim).filter(|id| !id.is_empty()) {
        let found = locate(remote, given.get('t'), id).await?;
        if let (Some(group), Some(client)) = (given.get('g'), given.get('d')) {
            push(remote, &[found], group, client).await?;
        } else if given.truth('s').unwrap_or_default() {
            let sent = found.send_again(remote).await?;
            print(&format!(
                "prepare resend msg. originalMsgId={id}\nSendResult [sendStatus=SEND_OK, offsetMsgId={}, queueId={}, queueOffset={}]\n",
                sent.message_id, sent.queue_id.0, sent.queue_offset.0
            ));
        } else {
            let record = found.record()?;
            let place = format!("{:<20} {}\n", "OffsetID:", record.message_id());
            let body = given.get('f').map(|_| format!("{:<20} {}\n", "Message Body:", shown_body(&record)));
            print(&format!("{place}{}{}", detail(remote, record, "\n").await?, body.unwrap_or_default()));
        }
    }
    Ok(())
}

async fn push(remote: &Remote, found: &[Located], group: &str, client: &str) -> Result<(), Failure> {
    for message in found {
        let (_, result) = message.push(remote, group, Some(client)).await?;
        print(&format!("{}\n", written(&result)));
    }
    Ok(())
}

fn written(result: &ConsumeResult) -> String {
    format!(
        "ConsumeMessageDirectlyResult [order={}, autoCommit={}, consumeResult={}, remark={}, spentTimeMills={}]",
        result.order,
        result.auto_commit,
        result.outcome.map_or("null", |outcome| outcome.as_str()),
        result.remark.as_deref().unwrap_or("null"),
        result.spent_time_millis
    )
}

pub async fn by_offset(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let topic = given.text('t');
    let mut found = queues(remote, given).await?.into_iter();
    let mut place = found.next().ok_or_else(|| Failure::no_topic(topic))?;
    place.next = QueueOffset(given.number('o')?.unwrap_or_default());
    let pulled = remote.pull(&place, topic, "*", 1, 0).await?;
    let record = Records::new(&pulled.records).next().transpose().map_err(|error| unreadable(&error))?;
    let Some(record) = record else {
        return Err(nothing(topic, given.text('o')));
    };
    let ends = Some((pulled.min, pulled.max));
    let head = format!("{:<20} {}\n", "OffsetID:", record.message_id());
    let body = given.get('f').map(|_| format!("{:<20} {}\n", "Message Body:", shown_body(&record)));
    let message = Message { record, broker: &place.node.group, ends };
    print(&format!("{head}{}", detail_of(remote, &message, "\n").await?));
    print(&body.unwrap_or_default());
    Ok(())
}

async fn detail(remote: &Remote, record: Record<'_>, end: &str) -> Result<String, Failure> {
    detail_of(remote, &Message { record, broker: "", ends: None }, end).await
}

/// Everything about a message, where its body was put, and how far the groups of its topic are with it.
async fn detail_of(remote: &Remote, message: &Message<'_>, end: &str) -> Result<String, Failure> {
    let path = keep_body(message)
        .map_err(|error| Failure::operation(format!("the body cannot be written to a file: {error}")))?;
    let mut text = message.detail() + &format!("{:<20} {}\n", "Message Body Path:", path.display());
    let tracks = tracks(remote, &message.record).await?;
    if tracks.is_empty() {
        text += "\n\nWARN: No Consumer\n";
    } else {
        text += "\n\n";
        for (group, state) in tracks {
            text +=
                &format!("MessageTrack [consumerGroup={group}, trackType={state}, exceptionDesc=null]{end}");
        }
        text += if end.is_empty() { "\n" } else { "" };
    }
    Ok(text)
}

/// Where Apache's tool puts bodies too. An id is the client's word: one that is no plain name becomes none of a file.
fn keep_body(message: &Message<'_>) -> io::Result<PathBuf> {
    let id = message.id();
    let is_plain = id.chars().all(|character| character.is_ascii_alphanumeric());
    let name = if is_plain && !id.is_empty() { id } else { message.record.message_id().to_string() };
    let folder = std::env::temp_dir().join("rocketmq/msgbodys");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(name);
    // The folder is everybody's: what lies there under this name may lead elsewhere.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::create_new(&path)?;
    io::Write::write_all(&mut file, message.record.body)?;
    Ok(path)
}

/// For each group of the topic: has it consumed the message?
async fn tracks(remote: &Remote, record: &Record<'_>) -> Result<Vec<(String, &'static str)>, Failure> {
    let mut tracks = Vec::new();
    for group in topics::groups(remote, record.topic).await? {
        let state = match inspect::connections(remote, &group, None).await? {
            None => "NOT_ONLINE",
            Some(members) if members.consume_type == ConsumeType::Actively => "PULL",
            Some(members) => {
                let stats = groups::stats(remote, &group, Some(record.topic)).await?;
                let is_past = stats.offsets.iter().any(|(queue, at)| {
                    queue.queue_id == record.queue_id && at.consumer_offset > record.queue_offset
                });
                let tags = members.subscriptions.get(record.topic).map(|data| &data.tags);
                let tag = record.properties.get(property::TAGS).unwrap_or_default();
                let is_wanted =
                    tags.is_none_or(|tags| tags.is_empty() || tags.contains("*") || tags.contains(&*tag));
                match (is_past, is_wanted) {
                    (false, _) => "NOT_CONSUME_YET",
                    (true, true) => "CONSUMED",
                    (true, false) => "CONSUMED_BUT_FILTERED",
                }
            }
        };
        tracks.push((group, state));
    }
    Ok(tracks)
}
