//! Pulls that found nothing and wait for a message.
//!
//! A parked pull costs memory only. It is served once more when a message that it may want has arrived in its queue, when it
//! has waited long enough, or when somebody wakes all of a queue; then it never waits again.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferrymq_proto::filter::Filter;
use ferrymq_proto::position::{QueueId, QueueOffset};
use ferrymq_proto::record::Properties;
use ferrymq_proto::record::tag::TagCode;

use crate::clock;

/// Tables with a lock of their own, so that queues do not wait for each other.
const SHARDS: usize = 16;
/// How often those that have waited long enough are looked for.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(200);

/// A consumer that was served is back before that, or does not hurry.
const COMES_BACK_MS: i64 = 1000;

/// Pulls that may wait, which takes about a gigabyte. The next ones are told that there is nothing.
const PARKED_MAX: usize = 1_000_000;
/// What the filters of those may take that nobody shares.
const FILTER_BYTES_MAX: usize = 256 << 20;

/// What is served once more. Called on a thread that has other things to do: it must be quick.
pub type Again = Box<dyn FnOnce() + Send>;

pub struct Parked {
    /// A message from here on is wanted.
    pub offset: QueueOffset,
    pub filter: Arc<Filter>,
    /// What the filter takes, if it is this pull's alone.
    pub filter_bytes: usize,
    pub until: Instant,
    /// Says that nobody waits any more.
    pub is_gone: Box<dyn Fn() -> bool + Send>,
    pub again: Again,
}

#[derive(PartialEq, Eq, Hash)]
struct Place {
    topic: Arc<str>,
    queue: QueueId,
}

/// A place that is not owned.
trait PlaceKey {
    fn parts(&self) -> (&str, QueueId);
}

impl PlaceKey for Place {
    fn parts(&self) -> (&str, QueueId) {
        (&self.topic, self.queue)
    }
}

impl PlaceKey for (&str, QueueId) {
    fn parts(&self) -> (&str, QueueId) {
        *self
    }
}

impl Hash for dyn PlaceKey + '_ {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // As the derived one of `Place`.
        let (topic, queue) = self.parts();
        topic.hash(state);
        queue.hash(state);
    }
}

impl PartialEq for dyn PlaceKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn PlaceKey + '_ {}

impl<'a> Borrow<dyn PlaceKey + 'a> for Place {
    fn borrow(&self) -> &(dyn PlaceKey + 'a) {
        self
    }
}

type Table = HashMap<Place, Vec<Parked>>;

#[derive(Default)]
pub struct Arrivals {
    shards: [Mutex<Table>; SHARDS],
    /// How many are parked, so that an arrival that nobody waits for costs nothing.
    count: AtomicUsize,
    filter_bytes: AtomicUsize,
    /// When one was parked last.
    parked_at: AtomicI64,
}

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Arrivals({} parked)", self.count())
    }
}

impl Arrivals {
    /// How many pulls wait.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    /// Whether a pull waits, or did a moment ago: who is served comes back.
    pub fn are_awaited(&self) -> bool {
        self.count() > 0 || clock::now().0 - self.parked_at.load(Ordering::Relaxed) < COMES_BACK_MS
    }

    /// Whether one more may be parked, whose own filter takes so much.
    pub fn has_room(&self, filter_bytes: usize) -> bool {
        let taken = self.filter_bytes.load(Ordering::Relaxed);
        self.count() < PARKED_MAX && (filter_bytes == 0 || taken + filter_bytes <= FILTER_BYTES_MAX)
    }

    /// Parks a pull. Whoever parks looks once more whether something has arrived meanwhile, and then calls [`Self::wake`].
    pub fn park(&self, topic: &str, queue: QueueId, parked: Parked) {
        // Counted before it can be seen: an arrival that reads no count comes before the look of the one who parks.
        self.count.fetch_add(1, Ordering::SeqCst);
        self.filter_bytes.fetch_add(parked.filter_bytes, Ordering::Relaxed);
        self.parked_at.store(clock::now().0, Ordering::Relaxed);
        let mut table = self.shard(topic, queue);
        match table.get_mut(&(topic, queue) as &dyn PlaceKey) {
            Some(waiting) => waiting.push(parked),
            None => drop(table.insert(Place { topic: topic.into(), queue }, vec![parked])),
        }
    }

    /// A message has arrived: serves those who wait for it.
    pub fn arrived(
        &self,
        topic: &str,
        queue: QueueId,
        offset: QueueOffset,
        code: TagCode,
        properties: Properties<'_>,
    ) {
        if self.count() == 0 {
            return;
        }
        self.take(topic, queue, |parked| {
            offset >= parked.offset
                && parked.filter.matches_code(code)
                && (matches!(&*parked.filter, Filter::Tags(_)) || parked.filter.matches(&properties))
        });
    }

    /// Serves those of a queue who want something before `end`.
    pub fn wake(&self, topic: &str, queue: QueueId, end: QueueOffset) {
        self.take(topic, queue, |parked| parked.offset < end);
    }

    /// Serves all who wait: this node has another role, or stops.
    pub fn wake_all(&self) {
        self.sweep_where(|_| true);
    }

    /// Serves those who have waited long enough, and forgets those whom nobody can answer.
    pub fn sweep(&self, now: Instant) {
        self.sweep_where(|parked| parked.until <= now);
    }

    fn sweep_where(&self, mut is_due: impl FnMut(&Parked) -> bool) {
        for shard in &self.shards {
            let mut due = Vec::new();
            lock(shard).retain(|_, waiting| {
                due.extend(waiting.extract_if(.., |parked| is_due(parked) || (parked.is_gone)()));
                !waiting.is_empty()
            });
            self.serve(due);
        }
    }

    fn take(&self, topic: &str, queue: QueueId, mut is_due: impl FnMut(&Parked) -> bool) {
        let mut table = self.shard(topic, queue);
        let Some(waiting) = table.get_mut(&(topic, queue) as &dyn PlaceKey) else { return };
        let due: Vec<_> = waiting.extract_if(.., |parked| is_due(parked)).collect();
        if waiting.is_empty() {
            table.remove(&(topic, queue) as &dyn PlaceKey);
        }
        drop(table);
        self.serve(due);
    }

    fn serve(&self, due: Vec<Parked>) {
        self.count.fetch_sub(due.len(), Ordering::SeqCst);
        for parked in due {
            self.filter_bytes.fetch_sub(parked.filter_bytes, Ordering::Relaxed);
            (parked.again)();
        }
    }

    fn shard(&self, topic: &str, queue: QueueId) -> MutexGuard<'_, Table> {
        let mut hasher = DefaultHasher::new();
        (topic, queue).hash(&mut hasher);
        let index = hasher.finish() as usize % SHARDS;
        let [first, ..] = &self.shards;
        lock(self.shards.get(index).unwrap_or(first))
    }
}

fn lock(shard: &Mutex<Table>) -> MutexGuard<'_, Table> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
