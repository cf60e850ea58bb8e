//! Why a node takes no part in elections.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

/// What keeps a node out of elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cause {
    /// It may have lost what it had acknowledged.
    Loss,
    /// What it has is damaged.
    Damage,
}

/// A node that may not have what it has promised to keep neither votes nor stands for election.
#[derive(Debug, Default)]
pub(crate) struct Abstention {
    reasons: RwLock<BTreeMap<Cause, String>>,
}

impl Abstention {
    pub fn reason(&self) -> Option<String> {
        self.reasons.read().unwrap_or_else(PoisonError::into_inner).values().next().cloned()
    }

    pub fn begin(&self, cause: Cause, reason: String) {
        self.reasons.write().unwrap_or_else(PoisonError::into_inner).insert(cause, reason);
    }

    /// Says whether there is no other cause.
    pub fn end(&self, cause: Cause) -> bool {
        let mut reasons = self.reasons.write().unwrap_or_else(PoisonError::into_inner);
        reasons.remove(&cause);
        reasons.is_empty()
    }
}
