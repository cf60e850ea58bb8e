//! A replicator for tests of services: it changes the tables at once, and can be told to fail. It stores no messages.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Batch, Changed, Done, NotStored, Replicator, SharedTables, Wait, Writer};
use crate::state::{Command, Tables};

#[derive(Debug)]
pub struct Rehearsal {
    tables: SharedTables,
    failure: Mutex<Option<NotStored>>,
    applied: Mutex<Vec<Command>>,
}

impl Rehearsal {
    /// The replicator, who writes through it, and what it writes to.
    pub fn begin() -> (Arc<Self>, Writer, SharedTables) {
        let tables = SharedTables::new(Tables::default());
        let rehearsal =
            Arc::new(Self { tables: tables.clone(), failure: Mutex::default(), applied: Mutex::default() });
        let writer = Writer(Arc::clone(&rehearsal) as Arc<dyn Replicator>);
        (rehearsal, writer, tables)
    }

    /// Every change fails so from now on; `None`: none does.
    pub fn fail(&self, failure: Option<NotStored>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// What was applied since the last call.
    pub fn take_applied(&self) -> Vec<Command> {
        std::mem::take(&mut *self.applied.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Replicator for Rehearsal {
    fn append(&self, _batch: Batch, _wait: Wait, done: Done) {
        done(Err(NotStored::Stopping));
    }

    fn change(&self, command: Command, done: Changed) {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        done(match failure {
            Some(failure) => Err(failure),
            None => {
                self.applied.lock().unwrap_or_else(PoisonError::into_inner).push(command.clone());
                Ok(self.tables.write().apply(command))
            }
        });
    }

    fn is_leader(&self) -> bool {
        true
    }

    fn is_current(&self) -> bool {
        true
    }

    fn term(&self) -> i64 {
        0
    }

    fn stop(&self) {}
}
