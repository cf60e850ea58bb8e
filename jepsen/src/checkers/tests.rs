use ferrymq_proto::position::QueueOffset;

use super::*;
use crate::history::{
    BeginValue, EventType, FaultValue, Flow, LeaderValue, Nanos, NodeId, OffsetValue, Op, Process,
};

fn fault(index: u64, number: i64, begins: bool, down: &[u8], cut: &[(u8, u8)]) -> Event {
    let value = FaultValue {
        fault: "f".into(),
        number,
        down: down.iter().copied().map(NodeId).collect(),
        cut: cut.iter().map(|(from, to)| Flow { from: NodeId(*from), to: NodeId(*to) }).collect(),
        struck: Vec::new(),
        promoted: None,
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

/// What a leader had taken shortly before it was struck may be gone; nothing else may.
#[test]
fn offsets_that_may_be_forgotten() {
    // How long it may be in memory, when the commit was that is missed later, who took it, and who was struck from 10 s to 15 s.
    // From 12 s on n1 leads, who had not led before.
    let cases: [(i64, u64, u8, &[u8], bool); 9] = [
        (2000, 8_500, 0, &[0], true),
        (2000, 11_000, 0, &[0], true),
        (2000, 14_900, 0, &[0], true),
        // In memory for longer than is promised.
        (2000, 6_000, 0, &[0], false),
        // By who was struck, once all was well again.
        (2000, 15_100, 0, &[0], false),
        // By who leads now.
        (2000, 13_000, 1, &[0], false),
        // By who had lost its followers, and by who had not lost enough of them.
        (2000, 13_000, 0, &[1, 2], true),
        (2000, 13_000, 0, &[2], false),
        // By a broker that promises to keep them all.
        (0, 11_000, 0, &[0], false),
    ];
    for (in_memory_ms, at, node, struck, may_be_forgotten) in cases {
        let findings = judge(&forgetful(in_memory_ms, at, node, struck)).expect("a history");
        let was_accused = findings.has("offset-regression");
        assert_eq!(was_accused, !may_be_forgotten, "{at} ms by n{node}, {struck:?} struck");
    }
}

fn forgetful(in_memory_ms: i64, commit_ms: u64, node: u8, struck: &[u8]) -> Vec<Event> {
    let offset = |offset, node| OffsetValue {
        group: "g".into(),
        offset: Some(QueueOffset(offset)),
        node: Some(NodeId(node)),
        ..OffsetValue::default()
    };
    let begin =
        BeginValue { nodes: 3, quorum: 2, offsets_in_memory_ms: in_memory_ms, ..BeginValue::default() };
    let nodes: Vec<NodeId> = struck.iter().copied().map(NodeId).collect();
    let struck = || FaultValue { number: 1, struck: nodes.clone(), ..FaultValue::default() };
    let leader = |node| Op::Leader(LeaderValue { node: Some(NodeId(node)) });
    let (observer, nemesis) = (Process::Observer, Process::Nemesis);
    let (invoke, ok, info) = (EventType::Invoke, EventType::Ok, EventType::Info);
    let mut events = vec![
        (0, observer, info, Op::Begin(begin)),
        (1, observer, info, leader(0)),
        (1000, Process::Client(0), invoke, Op::Commit(offset(4, 0))),
        (1001, Process::Client(0), ok, Op::Commit(offset(4, 0))),
        (10_000, nemesis, invoke, Op::Fault(struck())),
        (10_010, nemesis, info, Op::Fault(struck())),
        (12_000, observer, info, leader(1)),
        (14_990, nemesis, invoke, Op::Heal(struck())),
        (15_000, nemesis, info, Op::Heal(struck())),
        (commit_ms, Process::Client(0), invoke, Op::Commit(offset(5, node))),
        (commit_ms + 1, Process::Client(0), ok, Op::Commit(offset(5, node))),
        (20_000, Process::Client(1), invoke, Op::Fetch(offset(0, 1))),
        (20_001, Process::Client(1), ok, Op::Fetch(offset(4, 1))),
    ];
    events.sort_by_key(|(ms, ..)| *ms);
    (0..)
        .zip(events)
        .map(|(index, (ms, process, kind, op))| Event {
            index: EventIndex(index),
            time: Nanos(ms * 1_000_000),
            process,
            kind,
            op,
        })
        .collect()
}
