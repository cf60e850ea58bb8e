//! The replicated tables, as everybody may read them.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::state::Tables;

/// Only a replicator changes them.
#[derive(Clone, Debug)]
pub struct SharedTables(Arc<RwLock<Tables>>);

impl SharedTables {
    pub fn new(tables: Tables) -> Self {
        Self(Arc::new(RwLock::new(tables)))
    }

    /// Never held across an `await`.
    pub fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
