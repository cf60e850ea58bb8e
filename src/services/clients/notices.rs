//! "Share the queues anew": told to the members of a group when one joins or leaves, or when its topics change.
//!
//! Changes are gathered while others are being told, so a group that a thousand clients join at once is not told a thousand
//! times. A member whose connection takes no more misses its notice, and finds out by itself within twenty seconds.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferrymq_proto::name::GroupName;
use tokio::sync::Notify;

/// From one round of notices to the next.
pub const ROUND_PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub struct Notices {
    /// The groups whose members have not been told.
    changed: Mutex<BTreeSet<GroupName>>,
    arrived: Notify,
}

impl Notices {
    pub fn add(&self, groups: impl IntoIterator<Item = GroupName>) {
        let mut changed = self.changed();
        let before = changed.len();
        changed.extend(groups);
        if changed.len() != before {
            self.arrived.notify_one();
        }
    }

    /// Waits for changes, and takes them all.
    pub async fn take(&self) -> BTreeSet<GroupName> {
        loop {
            let changed = std::mem::take(&mut *self.changed());
            if !changed.is_empty() {
                return changed;
            }
            self.arrived.notified().await;
        }
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<GroupName>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
