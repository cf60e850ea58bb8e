use ferrymq_proto::position::QueueOffset;

use super::*;
use crate::history::{BeginValue, EventType, FaultValue, Flow, Nanos, NodeId, OffsetValue, Op, Process};

fn fault(index: u64, number: i64, begins: bool, down: &[u8], cut: &[(u8, u8)]) -> Event {
    let value = FaultValue {
        fault: "f".into(),
        number,
        down: down.iter().copied().map(NodeId).collect(),
        cut: cut.iter().map(|(from, to)| Flow { from: NodeId(*from), to: NodeId(*to) }).collect(),
        result: Some("installed".into()),
        proof: None,
    };
    let (kind, op) =
        if begins { (EventType::Info, Op::Fault(value)) } else { (EventType::Invoke, Op::Heal(value)) };
    Event { index: EventIndex(index), time: Nanos(index), process: Process::Nemesis, kind, op }
}

fn intervals(history: &[Event]) -> Vec<(u8, u64, Option<u64>)> {
    let mut list: Vec<_> = isolations(history, 3, 2)
        .into_iter()
        .map(|isolation| (isolation.node.0, isolation.from.0, isolation.until.map(|until| until.0)))
        .collect();
    list.sort_unstable();
    list
}

/// Who is proved to have had no quorum, and when.
#[test]
fn isolations_of_faults() {
    let isolate_0: &[(u8, u8)] = &[(0, 1), (1, 0), (0, 2), (2, 0)];
    let cases = [
        (vec![fault(1, 1, true, &[], isolate_0), fault(5, 1, false, &[], isolate_0)], vec![(0, 1, Some(5))]),
        // What one does not hear, it cannot count.
        (vec![fault(1, 1, true, &[], &[(0, 1), (0, 2)])], vec![(0, 1, None)]),
        // One link is not enough.
        (vec![fault(1, 1, true, &[], &[(0, 1), (1, 0)])], vec![]),
        // A dead node has nobody, and the living two have each other.
        (vec![fault(1, 1, true, &[2], &[])], vec![(2, 1, None)]),
        (
            vec![fault(1, 1, true, &[1, 2], &[]), fault(4, 1, false, &[], &[])],
            vec![(0, 1, Some(4)), (1, 1, Some(4)), (2, 1, Some(4))],
        ),
        // Two faults together isolate whom neither isolates alone.
        (
            vec![
                fault(1, 1, true, &[2], &[]),
                fault(2, 2, true, &[], &[(0, 1)]),
                fault(3, 1, false, &[], &[]),
                fault(4, 2, false, &[], &[]),
            ],
            vec![(0, 2, Some(3)), (1, 2, Some(3)), (2, 1, Some(3))],
        ),
    ];
    for (history, expected) in cases {
        assert_eq!(intervals(&history), expected, "{history:?}");
    }
}

#[test]
fn a_history_without_anything_is_not_accused_and_does_not_count() {
    let findings = judge(&[]).expect("a history");
    assert!(findings.is_empty());
    let demands = coverage::Demands { acknowledged: 1, queues: 1, ..coverage::Demands::default() };
    assert_eq!(
        coverage::gaps(&[], &demands),
        [
            "0 messages were acknowledged, fewer than 1",
            "0 of 1 queues were written",
            "the final reads were not completed"
        ]
    );
}

#[test]
fn names_of_anomalies() {
    assert!(is_anomaly("lost"));
    assert!(!is_anomaly("found"));
    assert_eq!(Checker::find("C8").map(|checker| checker.name), Some("real-time-order"));
}

/// A broker that says so may forget what was committed shortly before a crash, and nothing older.
#[test]
fn offsets_in_memory() {
    let second = |seconds: u64| Nanos(seconds * 1_000_000_000);
    let offset = |offset| OffsetValue {
        group: "g".into(),
        offset: Some(QueueOffset(offset)),
        ..OffsetValue::default()
    };
    let regressions = |in_memory_ms: i64, crash_at: u64| {
        let begin = BeginValue { offsets_in_memory_ms: in_memory_ms, ..BeginValue::default() };
        let crash = FaultValue { fault: "kill-one".into(), number: 1, ..FaultValue::default() };
        let client = Process::Client(0);
        let events = [
            (0, Process::Observer, EventType::Info, Op::Begin(begin)),
            (1, client, EventType::Invoke, Op::Commit(offset(7))),
            (1, client, EventType::Ok, Op::Commit(offset(7))),
            (10, client, EventType::Invoke, Op::Commit(offset(8))),
            (10, client, EventType::Ok, Op::Commit(offset(8))),
            (crash_at, Process::Nemesis, EventType::Invoke, Op::Fault(crash.clone())),
            (crash_at, Process::Nemesis, EventType::Info, Op::Heal(crash)),
            (60, client, EventType::Invoke, Op::Fetch(OffsetValue { offset: None, ..offset(0) })),
            (60, client, EventType::Ok, Op::Fetch(offset(7))),
        ];
        let event = |(index, (at, process, kind, op)): (usize, (u64, Process, EventType, Op))| Event {
            index: EventIndex(index as u64),
            time: second(at),
            process,
            kind,
            op,
        };
        let history: Vec<Event> = events.into_iter().enumerate().map(event).collect();
        judge(&history).expect("a history").has("offset-regression")
    };
    for (in_memory_ms, crash_at, expected) in
        [(2000, 11, false), (2000, 13, true), (0, 11, true), (2000, 10, false), (2000, 5, true)]
    {
        assert_eq!(regressions(in_memory_ms, crash_at), expected, "{in_memory_ms} ms, crash at {crash_at} s");
    }
}
