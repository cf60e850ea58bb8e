//! Writes the history while the run goes on, and counts what the progress line tells.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use ferrymq_proto::json::{self, Dialect};

use super::glance::Glance;
use super::{Event, EventIndex, EventType, Nanos, NodeId, Op, Process};

/// What has happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    /// Messages whose sending was acknowledged.
    pub acknowledged: u64,
    pub failed: u64,
    pub unknown: u64,
    pub faults: u64,
    pub leader: Option<NodeId>,
    pub leader_changes: u64,
    /// Places that were said to hold two messages.
    pub anomalies: u64,
}

/// The one place where events get their index and their time.
#[derive(Debug)]
pub struct Recorder {
    began: Instant,
    /// Guards the order of the events: an index is given and its line is written under one lock.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    tally: Tally,
    glance: Glance,
    /// The first write that failed; the history is worth nothing after it.
    error: Option<io::Error>,
}

impl Recorder {
    pub fn create(path: &Path) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, File::create_new(path)?);
        let state = State { file, tally: Tally::default(), glance: Glance::default(), error: None };
        Ok(Self { began: Instant::now(), state: Mutex::new(state) })
    }

    pub fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Appends an event.
    pub fn record(&self, process: Process, kind: EventType, op: Op) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let index = EventIndex(state.tally.events);
        state.tally.count(kind, &op);
        state.tally.anomalies += state.glance.look(kind, &op);
        let event = Event { index, time: self.now(), process, kind, op };
        let mut line = json::to_string(&event, Dialect::Standard);
        line.push('\n');
        if let Err(error) = state.file.write_all(line.as_bytes()) {
            state.error.get_or_insert(error);
        }
    }

    pub fn tally(&self) -> Tally {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).tally
    }

    /// Whether nothing could be written since some moment.
    pub fn is_broken(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).error.is_some()
    }

    /// Writes what is buffered; reports the first error of the whole run.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.error.take() {
            Some(error) => Err(error),
            None => state.file.flush(),
        }
    }
}

impl Tally {
    /// Takes one more event into account.
    pub fn count(&mut self, kind: EventType, op: &Op) {
        self.events += 1;
        match (kind, op) {
            (EventType::Ok, Op::Send(sent) | Op::Half(sent)) => {
                self.acknowledged += sent.messages.len() as u64;
            }
            (EventType::Info, Op::Fault(fault)) if fault.result.as_deref() == Some("installed") => {
                self.faults += 1;
            }
            (_, Op::Leader(leader)) => {
                self.leader_changes += u64::from(leader.node.is_some() && leader.node != self.leader);
                self.leader = leader.node.or(self.leader);
            }
            (EventType::Fail, _) => self.failed += 1,
            (EventType::Info, Op::Send(_) | Op::Half(_)) => self.unknown += 1,
            _ => {}
        }
    }
}
