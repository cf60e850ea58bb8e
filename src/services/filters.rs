//! Filters that pulls bring along, compiled once for many pulls.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ferrymq_proto::filter::{Filter, FilterError};

/// Filters that are kept. When there are more, all are compiled anew: nobody has so many in use.
const FILTERS_MAX: usize = 4096;
/// Longer ones are compiled every time.
const TEXT_BYTES_MAX: usize = 1024;

#[derive(Debug, Default)]
pub struct Filters {
    compiled: Mutex<HashMap<String, Arc<Filter>>>,
}

impl Filters {
    /// What the filter of a text takes that is not kept here, but by whoever has asked for it.
    pub fn bytes_beside(kind: &str, text: &str) -> usize {
        if text.len() > TEXT_BYTES_MAX { Filter::bytes_max(kind, text.len()) } else { 0 }
    }

    pub fn compile(&self, kind: &str, text: &str) -> Result<Arc<Filter>, FilterError> {
        if text.len() > TEXT_BYTES_MAX {
            return Filter::compile(kind, text).map(Arc::new);
        }
        let key = format!("{kind} {text}");
        if let Some(filter) = self.table().get(&key) {
            return Ok(Arc::clone(filter));
        }
        let filter = Arc::new(Filter::compile(kind, text)?);
        let mut table = self.table();
        if table.len() >= FILTERS_MAX {
            table.clear();
        }
        table.insert(key, Arc::clone(&filter));
        Ok(filter)
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Filter>>> {
        self.compiled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
