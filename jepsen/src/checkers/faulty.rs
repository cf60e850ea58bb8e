//! What the faults of a history prove about the nodes: who did not run, and who could not reach a quorum.
//!
//! A fault counts from the event that says it is installed to the event that asks for its end: between those two it was there
//! for certain.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, EventIndex, EventType, FaultValue, Flow, NodeId, Op};

/// A node may not have run at some time between two events; `None` if it never ran again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Downtime {
    pub node: NodeId,
    pub from: EventIndex,
    pub until: Option<EventIndex>,
}

/// A node had no quorum from one event to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isolation {
    pub node: NodeId,
    pub from: EventIndex,
    pub until: Option<EventIndex>,
}

/// Calls `visit` with the faults in force after each change.
fn walk(history: &[Event], mut visit: impl FnMut(EventIndex, &BTreeMap<i64, &FaultValue>)) {
    let mut active: BTreeMap<i64, &FaultValue> = BTreeMap::new();
    for event in history {
        match (&event.op, event.kind) {
            (Op::Fault(fault), EventType::Info) if fault.result.as_deref() == Some("installed") => {
                active.insert(fault.number, fault);
            }
            (Op::Heal(fault), EventType::Invoke) => {
                active.remove(&fault.number);
            }
            _ => continue,
        }
        visit(event.index, &active);
    }
}

/// When each node may not have run: from the first sign of a fault that ends or pauses it to the last.
pub fn downtimes(history: &[Event]) -> Vec<Downtime> {
    let mut asked: BTreeMap<i64, EventIndex> = BTreeMap::new();
    let mut downtimes: Vec<(i64, Downtime)> = Vec::new();
    for event in history {
        match (&event.op, event.kind) {
            (Op::Fault(fault), EventType::Invoke) => drop(asked.insert(fault.number, event.index)),
            (Op::Fault(fault), _) => {
                let from = asked.get(&fault.number).copied().unwrap_or(event.index);
                // Whoever is only cut off runs on.
                let ended: &[NodeId] = if fault.cut.is_empty() { &fault.struck } else { &[] };
                let nodes: BTreeSet<NodeId> = fault.down.iter().chain(ended).copied().collect();
                downtimes.extend(
                    nodes.into_iter().map(|node| (fault.number, Downtime { node, from, until: None })),
                );
            }
            (Op::Heal(fault), EventType::Info) => {
                let own = downtimes.iter_mut().filter(|(number, _)| *number == fault.number);
                own.for_each(|(_, down)| down.until = Some(event.index));
            }
            (Op::Notice(notice), _) => {
                let ended =
                    notice.node.map(|node| Downtime { node, from: event.index, until: Some(event.index) });
                downtimes.extend(ended.map(|down| (0, down)));
            }
            _ => {}
        }
    }
    downtimes.into_iter().map(|(_, down)| down).collect()
}

/// When each node could not hear from enough others for a quorum of `quorum` of all `nodes`.
pub fn isolations(history: &[Event], nodes: u8, quorum: usize) -> Vec<Isolation> {
    let mut intervals = Intervals::default();
    walk(history, |at, active| {
        let isolated = |node: NodeId| reachable(node, nodes, active) < quorum;
        intervals.update(at, (0..nodes).map(NodeId), isolated);
    });
    intervals.finish().into_iter().map(|(node, from, until)| Isolation { node, from, until }).collect()
}

/// Nodes that `node` can speak with and hear from, itself included; 0 when it does not run.
fn reachable(node: NodeId, nodes: u8, active: &BTreeMap<i64, &FaultValue>) -> usize {
    let down = |node: NodeId| active.values().any(|fault| fault.down.contains(&node));
    let cut = |from: NodeId, to: NodeId| active.values().any(|fault| fault.cut.contains(&Flow { from, to }));
    if down(node) {
        return 0;
    }
    let both_ways =
        |other: &NodeId| *other == node || !(down(*other) || cut(node, *other) || cut(*other, node));
    (0..nodes).map(NodeId).filter(both_ways).count()
}

#[derive(Default)]
struct Intervals {
    open: BTreeMap<NodeId, EventIndex>,
    closed: Vec<(NodeId, EventIndex, Option<EventIndex>)>,
}

impl Intervals {
    fn update(
        &mut self,
        at: EventIndex,
        named: impl Iterator<Item = NodeId>,
        holds: impl Fn(NodeId) -> bool,
    ) {
        for node in named {
            if holds(node) {
                self.open.entry(node).or_insert(at);
            }
        }
        let ended: Vec<NodeId> = self.open.keys().copied().filter(|node| !holds(*node)).collect();
        for node in ended {
            if let Some(from) = self.open.remove(&node) {
                self.closed.push((node, from, Some(at)));
            }
        }
    }

    fn finish(mut self) -> Vec<(NodeId, EventIndex, Option<EventIndex>)> {
        self.closed.extend(self.open.into_iter().map(|(node, from)| (node, from, None)));
        self.closed
    }
}
