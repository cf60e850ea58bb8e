//! C13: how far a group is, it stays.

use std::collections::BTreeMap;

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::register::{Fault, Read, Write, judge};
use super::{Digest, Findings};
use crate::history::{Op, Outcome};

/// What is written to and read from the offset of one group in one queue.
type Register = (Vec<Write<Option<QueueOffset>>>, Vec<Read<Option<QueueOffset>>>);

/// Each group has one member that commits, so its offset in a queue is a register with one writer.
pub(super) fn monotonic(digest: &Digest<'_>, findings: &mut Findings) {
    for ((group, queue), (writes, reads)) in registers(digest) {
        for read in &reads {
            match judge(&writes, read, None) {
                None => {}
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
