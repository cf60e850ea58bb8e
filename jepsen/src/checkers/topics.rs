//! Topics that were made are there, and those that were unmade are not.

use std::collections::BTreeMap;

use super::register::{Fault, Read, Write, judge};
use super::{Digest, Findings};
use crate::history::{Op, Outcome};

type Register = (Vec<Write<Option<i64>>>, Vec<Read<Option<i64>>>);

/// A topic is a register of its number of queues. Each has one client that makes and unmakes it.
pub(super) fn registers(digest: &Digest<'_>, findings: &mut Findings) {
    let mut topics: BTreeMap<&str, Register> = BTreeMap::new();
    for call in &digest.calls {
        let completed = call.completed.map(|event| event.index);
        let write = |value| Write { value, invoked: call.invoked.index, completed, outcome: call.outcome };
        match (&call.invoked.op, &call.newest().op) {
            (Op::CreateTopic(asked), _) => {
                topics.entry(&asked.topic).or_default().0.push(write(asked.queues));
            }
            (Op::DeleteTopic(asked), _) => topics.entry(&asked.topic).or_default().0.push(write(None)),
            (Op::FindTopic(asked), Op::FindTopic(heard)) if call.outcome == Outcome::Ok => {
                let completed = call.newest().index;
                let read = Read { value: heard.queues, invoked: call.invoked.index, completed };
                topics.entry(&asked.topic).or_default().1.push(read);
            }
            _ => {}
        }
    }
    for (topic, (writes, reads)) in topics {
        for read in &reads {
            let found = read.value.map_or("is not there".to_owned(), |queues| format!("has {queues} queues"));
            match judge(&writes, read, None) {
                None => {}
                Some(Fault::Stale { newer, written }) => {
                    findings.add("topic-stale", &[written, read.completed], || {
                        let newer =
                            newer.map_or("deleted".to_owned(), |queues| format!("given {queues} queues"));
                        format!("topic {topic} had been {newer}, and later {found}")
                    });
                }
                Some(Fault::Unwritten) => findings.add("topic-wrong", &[read.completed], || {
                    format!("topic {topic} {found}, which nobody ever asked for")
                }),
            }
        }
    }
}
