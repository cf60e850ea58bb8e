//! How long messages are kept: on a schedule, what is old enough goes, and what must go when the disk runs full.
//!
//! What is dropped of the log is dropped of the queues and the index behind it. Nothing goes that a queue needs to know how far
//! it has come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_storage::dispatch::Derived;
use ferrymq_storage::retention::{Retention, RetentionRequest, RetentionSettings};

use crate::clock;
use crate::config::live::Live;
use crate::services::delays::timers::TimerCounts;

/// After an error.
const PAUSE: Duration = Duration::from_secs(10);

/// What this node decides by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What goes of its log, and whether there is room for more.
    Log,
    /// Whether there is room: what goes is decided by its group.
    Room,
}

#[derive(Debug)]
pub struct Keeping {
    scope: Scope,
    derived: Derived,
    settings: Live<RetentionSettings>,
    request: RetentionRequest,
    /// None once the store is about to be closed.
    retention: Arc<Mutex<Option<Retention>>>,
    /// A timer that waits must not go with the log.
    timers: Option<Arc<TimerCounts>>,
}

impl Keeping {
    pub fn new(
        derived: Derived,
        settings: Live<RetentionSettings>,
        scope: Scope,
        timers: Option<Arc<TimerCounts>>,
    ) -> Self {
        let retention = Retention::new(derived.log().clone(), settings.get());
        let request = retention.request();
        Self { scope, derived, settings, request, retention: Arc::new(Mutex::new(Some(retention))), timers }
    }

    /// Lets what has expired go at any hour.
    pub fn request_run(&self) {
        self.request.make();
    }

    /// Runs until it is dropped, or stopped.
    pub async fn run(&self) {
        loop {
            let (derived, settings, scope) = (self.derived.clone(), self.settings.get(), self.scope);
            let retention = Arc::clone(&self.retention);
            let synced = derived.synced();
            let keep_from = self.timers.as_ref().map_or(synced, |timers| timers.keep_from().min(synced));
            let stepped = tokio::task::spawn_blocking(move || {
                let mut retention = retention.lock().unwrap_or_else(PoisonError::into_inner);
                retention.as_mut().map(|retention| step(retention, &derived, settings, scope, keep_from))
            });
            match stepped.await {
                Ok(Some(next_in)) => tokio::time::sleep(next_in).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "retention failed");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Returns when nothing is being dropped any more. Blocks.
    pub fn stop(&self) {
        self.retention.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// One step, and when to take the next one.
fn step(
    retention: &mut Retention,
    derived: &Derived,
    settings: RetentionSettings,
    scope: Scope,
    keep_from: LogOffset,
) -> Duration {
    let (now, hour, interval) = (clock::now(), clock::local_hour(), settings.run_interval);
    retention.follow(settings);
    if scope == Scope::Room {
        if let Err(error) = retention.decide(now, hour, keep_from, false, 0) {
            tracing::error!(%error, "the room on the disk cannot be judged");
        }
        return interval;
    }
    let stepped = match retention.step(now, hour, keep_from) {
        Ok(stepped) => stepped,
        Err(error) => {
            tracing::error!(%error, "old messages cannot be dropped");
            return PAUSE;
        }
    };
    if stepped.dropped.is_some()
        && let Err(error) = derived.drop_before(derived.log().start())
    {
        tracing::error!(%error, "what is derived from dropped messages cannot be dropped");
    }
    stepped.next_in
}
