use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use super::*;
use crate::message::{BodyHash, MessageId};

fn sent() -> Op {
    let message = Sent { id: MessageId { producer: 4, counter: 912 }, hash: BodyHash(0x9f3c) };
    Op::Send(SendValue {
        queue: QueueId(3),
        messages: vec![message],
        offset: Some(QueueOffset(5501)),
        log_offset: Some(LogOffset(1_048_576)),
        node: Some(NodeId(2)),
        ..SendValue::default()
    })
}

#[test]
fn an_event_is_one_line() {
    let event = Event {
        index: EventIndex(23),
        time: Nanos(815_002_211),
        process: Process::Client(4),
        kind: EventType::Ok,
        op: sent(),
    };
    let line = json::to_string(&event, Dialect::Standard);
    assert_eq!(
        line,
        r#"{"index":23,"time":815002211,"process":4,"type":"ok","f":"send","value":{"q":3,"m":[{"id":"4.912","h":"0000000000009f3c"}],"o":5501,"phys":1048576,"node":"n2"}}"#
    );
    assert_eq!(json::from_str::<Event>(&line), Ok(event));
}

#[test]
fn what_was_recorded_is_read_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let recorder = Recorder::create(&path).expect("a file");
    recorder.record(Process::Client(4), EventType::Invoke, sent());
    recorder.record(
        Process::Nemesis,
        EventType::Info,
        Op::Fault(FaultValue {
            promoted: Some(NodeId(1)),
            fault: "kill-one".into(),
            result: Some("installed".into()),
            ..FaultValue::default()
        }),
    );
    recorder.record(Process::Client(4), EventType::Ok, sent());
    recorder.record(Process::Observer, EventType::Info, Op::Leader(LeaderValue { node: Some(NodeId(1)) }));
    recorder.finish().expect("written");
    let tally = recorder.tally();
    assert_eq!((tally.events, tally.acknowledged, tally.faults, tally.leader_changes), (4, 1, 1, 1));

    let history = load(&path).expect("a history");
    assert_eq!(history.len(), 4);
    assert!(history.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let calls = calls(&history).expect("pairs");
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].outcome, Outcome::Ok);
}

/// Damage of every kind is told with its line, and nothing panics.
#[test]
fn damaged_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let recorder = Recorder::create(&path).expect("a file");
    recorder.record(Process::Client(0), EventType::Invoke, sent());
    recorder.record(Process::Client(0), EventType::Ok, sent());
    recorder.finish().expect("written");
    let text = std::fs::read_to_string(&path).expect("the file");
    let (first, second) = text.split_once('\n').expect("two lines");
    let cases = [
        ("cut off", format!("{first}\n{}", &second[..second.len() / 2]), "line 2 of the history is no event"),
        ("order", format!("{second}{first}\n"), "line 2 of the history is out of order"),
        ("twice", format!("{first}\n{first}\n"), "line 2 of the history is out of order"),
        ("type", text.replace("invoke", "invok"), "line 1 of the history is no event"),
        ("operation", text.replace("send", "sand"), "line 1 of the history is no event"),
        ("empty line", format!("{first}\n\n{second}"), "line 2 of the history is no event"),
        ("not JSON", "PK\u{3}\u{4}".to_owned(), "line 1 of the history is no event"),
    ];
    for (name, text, expected) in cases {
        std::fs::write(&path, text).expect("written");
        let error = load(&path).expect_err(name).to_string();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
    let missing = load(&folder.path().join("none")).expect_err("no file").to_string();
    assert!(missing.starts_with("cannot read "), "{missing}");
}

#[test]
fn answers_that_nobody_asked_for() {
    let event = |index, kind, op| Event {
        index: EventIndex(index),
        time: Nanos(index),
        process: Process::Client(1),
        kind,
        op,
    };
    let pull = Op::Pull(PullValue::default());
    let cases = [
        vec![event(0, EventType::Ok, sent())],
        vec![event(0, EventType::Invoke, sent()), event(1, EventType::Invoke, sent())],
        vec![event(0, EventType::Invoke, sent()), event(1, EventType::Ok, pull)],
    ];
    for history in cases {
        assert!(calls(&history).is_err(), "{history:?}");
    }
}
