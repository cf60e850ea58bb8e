//! C13: how far a group is, it stays.

use std::collections::{BTreeMap, BTreeSet};

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::register::{Fault, Read, Write, judge};
use super::{Digest, Findings};
use crate::history::{Event, EventIndex, EventType, Nanos, NodeId, Op, Outcome, phases};

/// What is written to and read from the offset of one group in one queue.
type Register = (Vec<Write<Option<QueueOffset>>>, Vec<Read<Option<QueueOffset>>>);

/// Each group has one member that commits, so its offset in a queue is a register with one writer. A broker may keep commits in
/// memory for a while: what a node took in that time before it stopped to lead may be gone. Nothing else may, and nothing that was
/// taken by another node, or when all was well again.
pub(super) fn monotonic(digest: &Digest<'_>, findings: &mut Findings) {
    let losses = losses_of_memory(digest);
    for ((group, queue), (writes, reads)) in registers(digest) {
        for read in &reads {
            match judge(&writes, read, None) {
                None => {}
                Some(Fault::Stale { .. }) if is_forgotten(digest, &losses, &writes, read) => {}
                Some(Fault::Stale { newer, written }) => {
                    findings.add("offset-regression", &[written, read.completed], || {
                        format!(
                            "group {group} had committed {} in queue {queue}, and later hears {}",
                            shown(newer),
                            shown(read.value)
                        )
                    });
                }
                Some(Fault::Unwritten) => findings.add("offset-ahead", &[read.completed], || {
                    format!(
                        "group {group} hears {} in queue {queue}, which it never committed",
                        shown(read.value)
                    )
                }),
            }
        }
    }
}

/// From the moment when a leader loses its followers until the name server leads to another: the lease, an election, and the
/// time between two looks of the observer, on a busy machine.
const UNNOTICED: Nanos = Nanos(3_000_000_000);

/// A node may have lost what was in its memory alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Loss {
    node: Lost,
    began: EventIndex,
    /// What it took in this time may be gone, and shortly before as well.
    from: Nanos,
    until: Nanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Node(NodeId),
    AllBut(NodeId),
    All,
}

impl Loss {
    fn explains(&self, written_by: Option<NodeId>, at: Nanos, in_memory: Nanos) -> bool {
        let concerns = match self.node {
            Lost::All => true,
            Lost::Node(node) => written_by.is_none_or(|by| by == node),
            Lost::AllBut(node) => written_by.is_none_or(|by| by != node),
        };
        concerns && self.from.0.saturating_sub(in_memory.0) <= at.0 && at <= self.until
    }
}

/// Faults that struck a node, from their beginning to their end; another leader and restarts, whatever they come from.
fn losses_of_memory(digest: &Digest<'_>) -> Vec<Loss> {
    let mut losses = Vec::new();
    let mut asked: BTreeMap<i64, &Event> = BTreeMap::new();
    let mut open: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    let mut struck: BTreeMap<i64, &[NodeId]> = BTreeMap::new();
    let nodes = usize::try_from(digest.begin.nodes).unwrap_or_default();
    let quorum = usize::try_from(digest.begin.quorum).unwrap_or_default();
    let mut leader = None;
    for event in digest.history {
        let before = Nanos(event.time.0.saturating_sub(UNNOTICED.0));
        let loss = |node, from| Loss { node, began: event.index, from, until: event.time };
        match &event.op {
            Op::Fault(fault) if event.kind == EventType::Invoke => drop(asked.insert(fault.number, event)),
            Op::Fault(fault) => {
                let Some(began) = asked.get(&fault.number) else { continue };
                struck.insert(fault.number, &fault.struck);
                let gone: BTreeSet<NodeId> = struck.values().copied().flatten().copied().collect();
                // Whoever has too few others to lead is struck as well.
                let too_few = nodes.saturating_sub(gone.len()) < quorum && !fault.struck.is_empty();
                let each = fault.struck.iter().copied().map(Lost::Node);
                let lost: Vec<Lost> = if too_few { vec![Lost::All] } else { each.collect() };
                for node in lost {
                    open.entry(fault.number).or_default().push(losses.len());
                    let until = Nanos(u64::MAX);
                    losses.push(Loss { node, began: began.index, from: began.time, until });
                }
            }
            Op::Heal(fault) if event.kind == EventType::Info => {
                struck.remove(&fault.number);
                for at in open.remove(&fault.number).unwrap_or_default() {
                    losses.get_mut(at).into_iter().for_each(|loss: &mut Loss| loss.until = event.time);
                }
            }
            Op::Leader(change) => {
                let changed =
                    change.node.is_none_or(|next| leader.replace(next).is_some_and(|was| was != next));
                let node = change.node.map_or(Lost::All, Lost::AllBut);
                losses.extend(changed.then(|| loss(node, before)));
            }
            Op::Notice(notice) => losses.extend(notice.node.map(|node| loss(Lost::Node(node), before))),
            Op::Phase(phase) if phase.phase == phases::RESTARTED => losses.push(loss(Lost::All, before)),
            _ => {}
        }
    }
    losses
}

/// Whether everything that a read misses was in memory alone when that was lost.
fn is_forgotten(
    digest: &Digest<'_>,
    losses: &[Loss],
    writes: &[Write<Option<QueueOffset>>],
    read: &Read<Option<QueueOffset>>,
) -> bool {
    let in_memory = Nanos(digest.begin.offsets_in_memory_ms.max(0).cast_unsigned() * 1_000_000);
    let shown = writes.iter().filter(|write| write.value == read.value && write.invoked < read.completed);
    let shown = shown.map(|write| write.invoked).max();
    let mut missed = writes.iter().filter(|write| {
        let is_newer = shown.is_none_or(|shown| write.invoked > shown);
        is_newer && write.outcome == Outcome::Ok && write.completed.is_some_and(|at| at < read.invoked)
    });
    in_memory.0 > 0
        && missed.all(|write| {
            let Some(event) = write.completed.and_then(|completed| digest.event(completed)) else {
                return false;
            };
            let Op::Commit(commit) = &event.op else { return false };
            losses
                .iter()
                .any(|loss| loss.began < read.completed && loss.explains(commit.node, event.time, in_memory))
        })
}

fn shown(offset: Option<QueueOffset>) -> String {
    offset.map_or("no offset".to_owned(), |offset| format!("offset {offset}"))
}

fn registers<'h>(digest: &Digest<'h>) -> BTreeMap<(&'h str, QueueId), Register> {
    let mut registers: BTreeMap<(&str, QueueId), Register> = BTreeMap::new();
    for call in &digest.calls {
        match (&call.invoked.op, &call.newest().op) {
            (Op::Commit(asked), _) => {
                let completed = call.completed.map(|event| event.index);
                let write = Write {
                    value: asked.offset,
                    invoked: call.invoked.index,
                    completed,
                    outcome: call.outcome,
                };
                registers.entry((&asked.group, asked.queue)).or_default().0.push(write);
            }
            (Op::Fetch(asked), Op::Fetch(heard)) if call.outcome == Outcome::Ok => {
                let completed = call.newest().index;
                let read = Read { value: heard.offset, invoked: call.invoked.index, completed };
                registers.entry((&asked.group, asked.queue)).or_default().1.push(read);
            }
            _ => {}
        }
    }
    registers
}
