//! Registers that one client writes and anybody reads.
//!
//! With a single writer no search is needed: a read may see the newest write that was acknowledged before it began, or any
//! write that may have taken effect after that one. A write of which nothing is known may take effect at any later time.

use crate::history::{EventIndex, Outcome};

#[derive(Clone, Copy, Debug)]
pub(super) struct Write<T> {
    pub value: T,
    pub invoked: EventIndex,
    pub completed: Option<EventIndex>,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Read<T> {
    pub value: T,
    pub invoked: EventIndex,
    pub completed: EventIndex,
}

/// What is wrong with a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault<T> {
    /// It shows what was overwritten by an acknowledged write.
    Stale { newer: T, written: EventIndex },
    /// It shows what nobody had written yet.
    Unwritten,
}

/// `initial` is what the register holds before any write.
pub(super) fn judge<T: Copy + PartialEq>(
    writes: &[Write<T>],
    read: &Read<T>,
    initial: T,
) -> Option<Fault<T>> {
    let effective = |write: &&Write<T>| write.outcome != Outcome::Fail && write.invoked < read.completed;
    let settled = |write: &&Write<T>| {
        write.outcome == Outcome::Ok && write.completed.is_some_and(|completed| completed < read.invoked)
    };
    let newest = writes.iter().filter(settled).max_by_key(|write| write.invoked);
    let may_follow = |write: &Write<T>| match newest {
        // Acknowledged before the newest one began: overwritten for good.
        Some(newest) => {
            write.outcome == Outcome::Info || write.completed.is_none_or(|at| at > newest.invoked)
        }
        None => true,
    };
    let mut written = writes.iter().filter(effective).filter(|write| write.value == read.value).peekable();
    let known = written.peek().is_some() || read.value == initial;
    let initial_is_left = newest.is_none() && read.value == initial;
    if initial_is_left || written.any(may_follow) {
        return None;
    }
    match newest {
        Some(newest) if known => {
            Some(Fault::Stale { newer: newest.value, written: newest.completed.unwrap_or(newest.invoked) })
        }
        _ => Some(Fault::Unwritten),
    }
}
