//! Links that can be cut: how tests make partitions.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

/// The peers, by name, with whom a node cannot speak.
#[derive(Debug, Default)]
pub struct Links {
    cut: RwLock<BTreeSet<String>>,
}

impl Links {
    pub fn cut(&self, peer: &str) {
        self.cut.write().unwrap_or_else(PoisonError::into_inner).insert(peer.to_owned());
    }

    pub fn heal(&self) {
        self.cut.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn is_cut(&self, peer: &str) -> bool {
        self.cut.read().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }
}
