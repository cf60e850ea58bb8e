//! Pairs what was asked with what was heard.

use std::collections::HashMap;

use super::{Event, EventType, HistoryError, Process};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// It has no effect.
    Fail,
    /// Nobody knows.
    Info,
}

/// One operation of a client.
#[derive(Clone, Copy, Debug)]
pub struct Call<'h> {
    pub invoked: &'h Event,
    /// `None` when the run ended first.
    pub completed: Option<&'h Event>,
    pub outcome: Outcome,
}

impl<'h> Call<'h> {
    /// Whether `self` had ended before `other` began.
    pub fn precedes(&self, other: &Self) -> bool {
        self.completed.is_some_and(|completed| completed.index < other.invoked.index)
    }

    /// The event that knows most.
    pub fn newest(&self) -> &'h Event {
        self.completed.unwrap_or(self.invoked)
    }
}

/// The operations of all clients, in the order in which they began. Events of the nemesis and the observer are none.
pub fn calls(history: &[Event]) -> Result<Vec<Call<'_>>, HistoryError> {
    let mut calls: Vec<Call<'_>> = Vec::with_capacity(history.len() / 2);
    let mut open: HashMap<Process, usize> = HashMap::new();
    for event in history {
        if !matches!(event.process, Process::Client(_)) {
            continue;
        }
        let outcome = match event.kind {
            EventType::Invoke => {
                if open.insert(event.process, calls.len()).is_some() {
                    return Err(HistoryError::TwoAtOnce { at: event.index, process: event.process });
                }
                calls.push(Call { invoked: event, completed: None, outcome: Outcome::Info });
                continue;
            }
            EventType::Ok => Outcome::Ok,
            EventType::Fail => Outcome::Fail,
            EventType::Info => Outcome::Info,
        };
        let unasked = HistoryError::Unasked { at: event.index, process: event.process };
        let asked = open.remove(&event.process).ok_or(unasked)?;
        if let Some(call) = calls.get_mut(asked) {
            if call.invoked.op.f() != event.op.f() {
                return Err(HistoryError::Unasked { at: event.index, process: event.process });
            }
            call.completed = Some(event);
            call.outcome = outcome;
        }
    }
    Ok(calls)
}
