//! How long messages are kept: on a schedule, what is old enough goes, and what must go when the disk runs full.
//!
//! What is dropped of the log is dropped of the queues and the index behind it. Nothing goes that a queue needs to know how far
//! it has come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrymq_proto::position::LogOffset;
use ferrymq_raft::GroupHandle;
use ferrymq_storage::dispatch::Derived;
use ferrymq_storage::retention::{Cause, Retention, RetentionRequest, RetentionSettings};

use crate::clock;
use crate::config::live::Live;
use crate::services::delays::timers::TimerCounts;

/// After an error.
const PAUSE: Duration = Duration::from_secs(10);
/// A group drops them at once, up to a checkpoint.
const SEGMENTS_MAX: usize = 64;

/// What this node decides by itself.
#[derive(Clone, Debug)]
pub enum Scope {
    /// What goes of its log, and whether there is room for more.
    Log,
    /// Whether there is room, and what is old. The group drops it, when no node needs it any more.
    Group(GroupHandle),
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
            let stepped = match &self.scope {
                Scope::Log => self.with_retention(step).await,
                Scope::Group(group) => self.step_of(group).await,
            };
            match stepped {
                Some(next_in) => tokio::time::sleep(next_in).await,
                None if self.is_stopped() => return,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.retention.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Works where it may wait for the disk. None once the store is about to be closed.
    async fn with_retention<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Retention, &Derived, LogOffset) -> T + Send + 'static,
    ) -> Option<T> {
        let (derived, settings) = (self.derived.clone(), self.settings.get());
        let (timers, is_asked) = (self.timers.clone(), self.request.is_waiting());
        let retention = Arc::clone(&self.retention);
        let worked = tokio::task::spawn_blocking(move || {
            let mut retention = retention.lock().unwrap_or_else(PoisonError::into_inner);
            let retention = retention.as_mut()?;
            retention.follow(settings);
            // Who asks will not wait until it is time to sync.
            if is_asked && derived.synced() < derived.log().durable() {
                let synced = derived.sync();
                let _ = synced.inspect_err(|error| tracing::error!(%error, "the queues cannot be synced"));
            }
            let synced = derived.synced();
            let keep_from = timers.map_or(synced, |timers| timers.keep_from().min(synced));
            Some(work(retention, &derived, keep_from))
        });
        worked.await.inspect_err(|error| tracing::error!(%error, "retention failed")).ok().flatten()
    }

    async fn step_of(&self, group: &GroupHandle) -> Option<Duration> {
        let old = self.with_retention(find_old).await?;
        let interval = self.settings.get().run_interval;
        let Some((offset, cause)) = old else { return Some(interval) };
        match group.drop_before(offset).await {
            Ok(None) => {}
            Ok(Some(start)) => {
                tracing::info!(offset = %start, ?cause, "dropped segments: the log begins here now");
                self.with_retention(|_, derived, _| drop_derived(derived)).await?;
            }
            Err(error) => tracing::error!(%error, "old messages cannot be dropped"),
        }
        Some(interval)
    }

    /// Returns when nothing is being dropped any more. Blocks.
    pub fn stop(&self) {
        self.retention.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// One step, and when to take the next one.
fn step(retention: &mut Retention, derived: &Derived, keep_from: LogOffset) -> Duration {
    let stepped = match retention.step(clock::now(), clock::local_hour(), keep_from) {
        Ok(stepped) => stepped,
        Err(error) => {
            tracing::error!(%error, "old messages cannot be dropped");
            return PAUSE;
        }
    };
    if stepped.dropped.is_some() {
        drop_derived(derived);
    }
    stepped.next_in
}

/// What is old, while nothing of it goes yet.
fn find_old(retention: &mut Retention, _: &Derived, keep_from: LogOffset) -> Option<(LogOffset, Cause)> {
    let is_requested = retention.request().take_run();
    let decided = retention.decide(clock::now(), clock::local_hour(), keep_from, is_requested, SEGMENTS_MAX);
    let decision = decided.inspect_err(|error| tracing::error!(%error, "what is old cannot be told"));
    decision.ok()?.drop_before
}

fn drop_derived(derived: &Derived) {
    if let Err(error) = derived.drop_before(derived.log().start()) {
        tracing::error!(%error, "what is derived from dropped messages cannot be dropped");
    }
}
