//! Histories as EDN, one operation a line, for checkers that are not ours.
//!
//! Jepsen's Kafka checker knows sends of one value to one key and polls of several; an offset is the position of a value. A batch
//! of ours is one operation with several sends. Ids become numbers, which that checker wants.

use std::fmt::Write;

use crate::history::{Event, EventType, Op, Process, Seen, Sent};
use crate::message::MessageId;

/// A number that no other message of the run has.
fn number(id: MessageId) -> u64 {
    u64::from(id.producer) << 32 | (id.counter & 0xFFFF_FFFF)
}

fn process(process: Process) -> String {
    match process {
        Process::Client(number) => number.to_string(),
        other => format!(":{other}"),
    }
}

fn line(out: &mut String, event: &Event, f: &str, value: &str) {
    let kind = event.kind.as_str();
    let process = process(event.process);
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{{:index {}, :time {}, :process {process}, :type :{kind}, :f :{f}, :value {value}}}",
        event.index, event.time.0
    );
}

/// Sends, polls and the final polls of the leader, as `jepsen.tests.kafka` has them.
pub fn edn_kafka(history: &[Event]) -> String {
    let mut out = String::new();
    for event in history {
        match &event.op {
            Op::Send(value) if value.delay_ms.is_none() => {
                let offset =
                    |at: i64| value.offset.filter(|_| event.kind == EventType::Ok).map(|first| first.0 + at);
                let sends = (0..).zip(&value.messages).map(|(at, sent): (i64, &Sent)| match offset(at) {
                    Some(offset) => format!("[:send {} [{offset} {}]]", value.queue, number(sent.id)),
                    None => format!("[:send {} {}]", value.queue, number(sent.id)),
                });
                line(&mut out, event, "send", &format!("[{}]", sends.collect::<Vec<_>>().join(" ")));
            }
            Op::Pull(value) => poll(&mut out, event, value.queue.0, &value.seen),
            Op::Scan(value) if value.leader => poll(&mut out, event, value.queue.0, &value.seen),
            _ => {}
        }
    }
    out
}

fn poll(out: &mut String, event: &Event, queue: i32, seen: &[Seen]) {
    if event.kind == EventType::Invoke {
        return line(out, event, "poll", "[[:poll]]");
    }
    let pairs: Vec<String> =
        seen.iter().map(|seen| format!("[{} {}]", seen.offset, number(seen.id))).collect();
    line(out, event, "poll", &format!("[[:poll {{{queue} [{}]}}]]", pairs.join(" ")));
}

/// Commits and questions, as operations on registers whose key is group and queue.
pub fn edn_register(history: &[Event]) -> String {
    let mut out = String::new();
    for event in history {
        let (f, value) = match &event.op {
            Op::Commit(value) => ("write", value),
            Op::Fetch(value) => ("read", value),
            _ => continue,
        };
        let offset = value.offset.map_or("nil".to_owned(), |offset| offset.to_string());
        line(&mut out, event, f, &format!("[\"{}/{}\" {offset}]", value.group, value.queue));
    }
    out
}

#[cfg(test)]
mod tests {
    use ferrymq_proto::position::{QueueId, QueueOffset};

    use super::*;
    use crate::history::{EventIndex, Nanos, OffsetValue, PullValue, SendValue};
    use crate::message::BodyHash;

    fn event(kind: EventType, op: Op) -> Event {
        Event { index: EventIndex(3), time: Nanos(5), process: Process::Client(2), kind, op }
    }

    #[test]
    fn sends_and_polls() {
        let id = |counter| MessageId { producer: 1, counter };
        let send = SendValue {
            queue: QueueId(4),
            messages: vec![Sent { id: id(1), hash: BodyHash(0) }, Sent { id: id(2), hash: BodyHash(0) }],
            offset: Some(QueueOffset(7)),
            ..SendValue::default()
        };
        let pull = PullValue {
            queue: QueueId(4),
            seen: vec![Seen { id: id(1), hash: BodyHash(0), offset: QueueOffset(7) }],
            ..PullValue::default()
        };
        let text = edn_kafka(&[
            event(EventType::Ok, Op::Send(send.clone())),
            event(EventType::Info, Op::Send(send)),
            event(EventType::Invoke, Op::Pull(PullValue::default())),
            event(EventType::Ok, Op::Pull(pull)),
        ]);
        let expected = "\
{:index 3, :time 5, :process 2, :type :ok, :f :send, :value [[:send 4 [7 4294967297]] [:send 4 [8 4294967298]]]}
{:index 3, :time 5, :process 2, :type :info, :f :send, :value [[:send 4 4294967297] [:send 4 4294967298]]}
{:index 3, :time 5, :process 2, :type :invoke, :f :poll, :value [[:poll]]}
{:index 3, :time 5, :process 2, :type :ok, :f :poll, :value [[:poll {4 [[7 4294967297]]}]]}
";
        assert_eq!(text, expected);
    }

    #[test]
    fn registers() {
        let value = OffsetValue {
            group: "g".into(),
            queue: QueueId(1),
            offset: Some(QueueOffset(9)),
            ..OffsetValue::default()
        };
        let text = edn_register(&[
            event(EventType::Ok, Op::Commit(value.clone())),
            event(EventType::Ok, Op::Fetch(OffsetValue { offset: None, ..value })),
        ]);
        let expected = "\
{:index 3, :time 5, :process 2, :type :ok, :f :write, :value [\"g/1\" 9]}
{:index 3, :time 5, :process 2, :type :ok, :f :read, :value [\"g/1\" nil]}
";
        assert_eq!(text, expected);
    }
}
