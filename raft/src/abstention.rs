//! Why a node takes no part in elections.

use std::sync::{PoisonError, RwLock};

/// A node that may have lost something it has promised to keep neither votes nor stands for election.
#[derive(Debug, Default)]
pub(crate) struct Abstention {
    reason: RwLock<Option<String>>,
}

impl Abstention {
    pub fn reason(&self) -> Option<String> {
        self.reason.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn begin(&self, reason: String) {
        *self.reason.write().unwrap_or_else(PoisonError::into_inner) = Some(reason);
    }

    pub fn end(&self) {
        *self.reason.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
