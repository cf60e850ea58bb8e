//! C13: how far a group is, it stays.

use std::collections::BTreeMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::register::{Fault, Read, Write, judge};
use super::{Digest, Findings};
use crate::history::{Event, EventIndex, EventType, Nanos, Op, Outcome, phases};

/// What is written to and read from the offset of one group in one queue.
type Register = (Vec<Write<Option<QueueOffset>>>, Vec<Read<Option<QueueOffset>>>);

/// Each group has one member that commits, so its offset in a queue is a register with one writer. A broker may keep commits in
/// memory for a while: what was committed in that time before a disturbance may be gone after it.
pub(super) fn monotonic(digest: &Digest<'_>, findings: &mut Findings) {
    let disturbances = disturbances(digest);
    for ((group, queue), (writes, reads)) in registers(digest) {
        for read in &reads {
            match judge(&writes, read, None) {
                None => {}
                Some(Fault::Stale { .. }) if is_forgotten(digest, &disturbances, &writes, read) => {}
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

/// A time in which a broker may have forgotten what was in its memory alone.
struct Disturbance {
    began: EventIndex,
    from: Nanos,
    until: Nanos,
}

/// Faults from their beginning to their end, and changes of the leader and restarts whatever they come from.
fn disturbances(digest: &Digest<'_>) -> Vec<Disturbance> {
    let end_of = |number: i64| {
        let is_end = |event: &&Event| matches!(&event.op, Op::Heal(fault) if fault.number == number && event.kind == EventType::Info);
        digest.history.iter().find(is_end).map_or(Nanos(u64::MAX), |event| event.time)
    };
    let disturbance = |event: &Event| {
        let until = match &event.op {
            Op::Fault(fault) if event.kind == EventType::Invoke => end_of(fault.number),
            Op::Leader(_) | Op::Notice(_) => event.time,
            Op::Phase(phase) if phase.phase == phases::RESTARTED => event.time,
            _ => return None,
        };
        Some(Disturbance { began: event.index, from: event.time, until })
    };
    digest.history.iter().filter_map(disturbance).collect()
}

/// Whether all that a read misses was in memory when something happened.
fn is_forgotten(
    digest: &Digest<'_>,
    disturbances: &[Disturbance],
    writes: &[Write<Option<QueueOffset>>],
    read: &Read<Option<QueueOffset>>,
) -> bool {
    let in_memory = digest.begin.offsets_in_memory_ms.max(0).cast_unsigned() * 1_000_000;
    let shown = writes.iter().filter(|write| write.value == read.value && write.invoked < read.completed);
    let shown = shown.map(|write| write.invoked).max();
    let missed = writes.iter().filter(|write| {
        let is_newer = shown.is_none_or(|shown| write.invoked > shown);
        is_newer && write.outcome == Outcome::Ok && write.completed.is_some_and(|at| at < read.invoked)
    });
    let Some(oldest) = missed.filter_map(|write| digest.time_of(write.completed?)).min() else {
        return false;
    };
    in_memory > 0
        && disturbances.iter().any(|disturbance| {
            disturbance.began < read.completed
                && disturbance.from.0 <= oldest.0.saturating_add(in_memory)
                && oldest.0 <= disturbance.until.0.saturating_add(in_memory)
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
