//! Waking the one who delivers, when something arrives that is due before it would wake by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ferrymq_proto::name::{SystemTopic, TIMER_TOPIC};
use ferrymq_proto::position::Timestamp;
use ferrymq_storage::dispatch::Arrival;
use ferrymq_storage::queues::TimerCode;
use tokio::sync::Notify;

/// One for each place where messages wait.
#[derive(Clone, Debug, Default)]
pub struct Alarms {
    pub levels: Arc<Alarm>,
    pub timers: Arc<Alarm>,
}

impl Alarms {
    /// Called for every message that comes into a queue: most are none of its business.
    pub fn arrived(&self, arrival: &Arrival<'_>) {
        let topic = arrival.topic.as_str();
        if topic == SystemTopic::Schedule.as_str() {
            self.levels.ring_before(Timestamp(arrival.tags_code.0));
        } else if topic == TIMER_TOPIC {
            let due = TimerCode::read(arrival.tags_code).map(|code| code.due);
            self.timers.ring_before(due.unwrap_or_default());
        }
    }
}

#[derive(Debug)]
pub struct Alarm {
    /// What is due later need not wake anybody.
    until: AtomicI64,
    bell: Notify,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { until: AtomicI64::new(i64::MAX), bell: Notify::new() }
    }
}

impl Alarm {
    fn ring_before(&self, due: Timestamp) {
        if due.0 < self.until.load(Ordering::SeqCst) {
            self.bell.notify_one();
        }
    }

    /// From now on whatever arrives rings, also when nobody waits yet. To be called before looking at what is there.
    pub fn listen(&self) {
        self.until.store(i64::MAX, Ordering::SeqCst);
    }

    /// Waits for a while, or until something arrives that is due before that is over.
    pub async fn wait(&self, now: Timestamp, time: Duration) {
        let milliseconds = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        self.until.store(now.0.saturating_add(milliseconds), Ordering::SeqCst);
        // Either way it is time to look.
        let _ = tokio::time::timeout(time, self.bell.notified()).await;
    }
}
