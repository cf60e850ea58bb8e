//! Settings that all nodes of a group must agree on, because they change what data means: small values in namespaces.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Values by namespace and key. A namespace exists while it has a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    namespaces: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<str>>>,
}

impl Settings {
    /// All values of a namespace, by key.
    pub fn namespace(&self, namespace: &str) -> impl Iterator<Item = (&Arc<str>, &Arc<str>)> {
        self.namespaces.get(namespace).into_iter().flatten()
    }

    /// Everything: namespace, key, value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Arc<str>)> {
        self.namespaces
            .iter()
            .flat_map(|(namespace, values)| values.iter().map(move |(key, value)| (namespace, key, value)))
    }

    /// Whether anything changed.
    pub(super) fn put(&mut self, namespace: Arc<str>, key: Arc<str>, value: Arc<str>) -> bool {
        self.namespaces.entry(namespace).or_default().insert(key, Arc::clone(&value)) != Some(value)
    }

    /// Whether there was one.
    pub(super) fn remove(&mut self, namespace: &str, key: &str) -> bool {
        let Some(values) = self.namespaces.get_mut(namespace) else { return false };
        let removed = values.remove(key).is_some();
        if values.is_empty() {
            self.namespaces.remove(namespace);
        }
        removed
    }
}
