//! Timers: messages for a moment of their own choice.
//!
//! They lie in one queue, in the order in which they came; the queue says of each when it is due. The [`wheel`] has those that
//! wait in order. It is made anew from the queue with every beginning.
//!
//! A timer that waits for longer than messages are kept is rolled: long before its segment of the log may be dropped it is
//! written once more, at the end, and its old record counts for nothing. Rolling goes through the queue in order, so that one
//! offset, below which nothing waits, says what was rolled.

pub mod apaches;
mod counts;
pub mod place;
pub mod wheel;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ferrymq_proto::bodies::TimerCheckpoint;
use ferrymq_proto::name::{NameError, TIMER_TOPIC, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{Record, property};
use ferrymq_storage::queues::{Boundary, QueueEntry, TimerCode};

use super::{Gathered, Portion, Progress, Trouble, Waiting, append_copy, delivered, with_record};
use crate::replication::{Batch, SharedTables};
use crate::services::archive::Archive;
use crate::services::message::{Message, NotAMessage};
use crate::services::recall;
pub use counts::TimerCounts;
use place::{Place, TICK_MS_MAX};
use wheel::{Kind, Timer, Wheel};

/// All timers are in one queue.
const QUEUE: QueueId = QueueId(0);
/// Timers in memory, some 40 bytes each. Of more, the nearest.
pub const NEAR_MAX: usize = 2_000_000;
/// Entries that are read before something else may be done.
const ENTRIES_AT_ONCE: usize = 16_384;
/// How often it is looked whether the oldest ones must be rolled, and how much of the queue is done with.
const UPKEEP_MS: i64 = 5_000;

#[derive(Clone, Copy, Debug)]
pub struct TimerSettings {
    pub near_max: usize,
    /// A timer that has lain for so long is rolled.
    pub roll_after: Duration,
    /// How far Apache's broker came, if this was its store.
    pub apaches: Option<(Timestamp, QueueOffset)>,
    /// Its precision.
    pub tick_ms: i64,
}

impl TimerSettings {
    /// Rolls after two thirds of the time for which messages are kept: Apache's two days of three.
    pub fn new(kept_for: Duration, apaches: Option<&TimerCheckpoint>, tick_ms: i64) -> Self {
        let apaches = apaches.map(|point| (point.last_read_time, point.last_timer_queue_offset));
        Self { near_max: NEAR_MAX, roll_after: kept_for / 3 * 2, apaches, tick_ms }
    }
}

#[derive(Debug)]
pub struct Timers {
    archive: Archive,
    tables: SharedTables,
    settings: TimerSettings,
    topic: TopicName,
    place: Place,
    /// Of the queue; `place.read` is not behind it.
    read_to: QueueOffset,
    wheel: Wheel,
    /// Came when their tick was over.
    late: BTreeSet<QueueOffset>,
    /// What was called off, by when and by which timer: of ticks that may not be over.
    called_off: HashMap<String, Timer>,
    /// Served before, though the progress does not say so.
    found: HashSet<QueueOffset>,
    reload: Option<Reload>,
    upkeep_at: Timestamp,
    counts: Arc<TimerCounts>,
}

/// Reads again what was behind the horizon.
#[derive(Clone, Copy, Debug)]
struct Reload {
    /// Nothing from it on is served before all is read.
    from: Timer,
    at: QueueOffset,
    end: QueueOffset,
}

impl Timers {
    pub fn new(archive: Archive, tables: SharedTables, settings: TimerSettings) -> Result<Self, NameError> {
        let counts = TimerCounts::default();
        counts.keep_from.store(archive.log().start().0, Ordering::Relaxed);
        Ok(Self {
            archive,
            tables,
            topic: TopicName::parse(TIMER_TOPIC)?,
            place: Place::start(QueueOffset(0)),
            read_to: QueueOffset(0),
            wheel: Wheel::new(settings.near_max),
            late: BTreeSet::new(),
            called_off: HashMap::new(),
            found: HashSet::new(),
            reload: None,
            upkeep_at: Timestamp(0),
            settings,
            counts: Arc::new(counts),
        })
    }

    pub fn counts(&self) -> Arc<TimerCounts> {
        Arc::clone(&self.counts)
    }

    /// Entries from an offset on, or from the first one that retention has left.
    fn entries(&self, from: QueueOffset) -> Result<Vec<(QueueOffset, QueueEntry)>, Trouble> {
        let span = self.archive.span(&self.topic, QUEUE)?.unwrap_or_default();
        let from = from.max(span.min);
        let entries = self.archive.entries(&self.topic, QUEUE, from, ENTRIES_AT_ONCE)?;
        Ok((from.0..).map(QueueOffset).zip(entries).collect())
    }

    fn timer(&self, offset: QueueOffset, entry: &QueueEntry) -> Result<Option<Timer>, Trouble> {
        timer_of(&self.archive, offset, entry)
    }

    /// Takes new timers in. False when there are none.
    fn read(&mut self) -> Result<bool, Trouble> {
        let entries = self.entries(self.read_to)?;
        for (offset, entry) in &entries {
            let offset = *offset;
            if let Some(timer) = self.timer(offset, entry)?.filter(|timer| self.place.waits(*timer)) {
                if timer.kind == Kind::Delivers && timer <= self.place.fired {
                    self.late.insert(offset);
                } else {
                    self.wheel.add(timer);
                }
            }
            self.read_to = QueueOffset(offset.0 + 1);
        }
        Ok(!entries.is_empty())
    }

    /// Reads on behind the horizon, if that was begun or is time to. Whether there is more to read.
    fn reload(&mut self) -> Result<bool, Trouble> {
        if self.reload.is_none() && self.wheel.is_running_low() {
            let end = self.read_to;
            self.reload = self.wheel.lift_horizon().map(|from| Reload { from, at: self.place.low, end });
        }
        let Some(mut reload) = self.reload else { return Ok(false) };
        let entries = self.entries(reload.at)?;
        let end = reload.end;
        for (offset, entry) in entries.iter().take_while(|(offset, _)| *offset < end) {
            let timer = self.timer(*offset, entry)?;
            if let Some(timer) = timer.filter(|timer| *timer >= reload.from && self.place.waits(*timer)) {
                self.wheel.add(timer);
            }
            reload.at = QueueOffset(offset.0 + 1);
        }
        let is_over = entries.is_empty() || reload.at >= reload.end;
        self.reload = (!is_over).then_some(reload);
        Ok(!is_over)
    }

    /// Gathers those that came too late. All of them are served before any other is.
    fn serve_late(&mut self, now: Timestamp, portion: Portion, batch: &mut Batch) -> Result<(), Trouble> {
        while let Some(offset) = self.late.first().copied() {
            if !portion.has_room(batch) {
                break;
            }
            self.serve(offset, now, batch)?;
            self.late.remove(&offset);
        }
        self.place.read = self.late.first().copied().unwrap_or(self.read_to);
        Ok(())
    }

    fn serve_due(&mut self, now: Timestamp, portion: Portion, batch: &mut Batch) -> Result<(), Trouble> {
        let limit = self.reload.map(|reload| reload.from);
        let is_due = |timer: &Timer| timer.due <= now && limit.is_none_or(|limit| *timer < limit);
        while let Some(timer) = self.wheel.first().filter(is_due) {
            match timer.kind {
                Kind::CallsOff => self.note_called_off(timer)?,
                Kind::Delivers if portion.has_room(batch) => {
                    self.serve(timer.offset, now, batch)?;
                    self.place.fired = timer;
                }
                Kind::Delivers => break,
            }
            self.wheel.pop_first();
        }
        Ok(())
    }

    fn note_called_off(&mut self, timer: Timer) -> Result<(), Trouble> {
        let Some(entry) = self.entry(timer.offset)? else { return Ok(()) };
        let key = |record: &Record<'_>| {
            record.properties.get(property::TIMER_DELETE_UNIQUE_KEY).map(|key| key.into_owned())
        };
        let key = with_record(&self.archive, entry.log_offset, entry.bytes, key)?.flatten();
        self.called_off.extend(key.map(|key| (key, timer)));
        Ok(())
    }

    fn entry(&self, offset: QueueOffset) -> Result<Option<QueueEntry>, Trouble> {
        Ok(self.archive.entries(&self.topic, QUEUE, offset, 1)?.first().copied())
    }

    /// Appends the message of a timer to the batch, unless it was called off or served before.
    fn serve(&mut self, offset: QueueOffset, now: Timestamp, batch: &mut Batch) -> Result<(), Trouble> {
        if self.found.remove(&offset) {
            return Ok(());
        }
        let Some(entry) = self.entry(offset)? else { return Ok(()) };
        let called_off = &self.called_off;
        let served = with_record(&self.archive, entry.log_offset, entry.bytes, |record| {
            match time_up(record, now, called_off)? {
                Some(message) => {
                    append_copy(message, entry.log_offset, batch).map_err(|error| error.to_string())
                }
                None => Ok(()),
            }
        })?;
        if let Some(Err(reason)) = served {
            tracing::error!(%offset, %reason, "a timer message is left out");
        }
        Ok(())
    }

    /// Writes the oldest ones once more, if they have lain for long.
    fn roll(&mut self, now: Timestamp, portion: Portion, batch: &mut Batch) -> Result<(), Trouble> {
        let age = i64::try_from(self.settings.roll_after.as_millis()).unwrap_or(i64::MAX);
        let stored_before = Timestamp(now.0.saturating_sub(age));
        let queues = self.archive.queues();
        let end = queues.search_time(&self.topic, QUEUE, stored_before, Boundary::Lower);
        let end = end.map_err(|error| {
            tracing::error!(%error, "the oldest timers cannot be found");
            Trouble::Lost
        })?;
        let end = end.unwrap_or_default().min(self.place.read);
        while self.place.low < end {
            let entries = self.entries(self.place.low)?;
            if entries.is_empty() {
                break;
            }
            for (offset, entry) in &entries {
                if *offset >= end || !portion.has_room(batch) {
                    return Ok(());
                }
                self.roll_one(*offset, entry, now, batch)?;
                self.place.low = QueueOffset(offset.0 + 1);
            }
        }
        Ok(())
    }

    fn roll_one(
        &mut self,
        offset: QueueOffset,
        entry: &QueueEntry,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), Trouble> {
        let Some(timer) = self.timer(offset, entry)?.filter(|timer| self.place.waits(*timer)) else {
            return Ok(());
        };
        self.wheel.remove(timer);
        if self.found.remove(&offset) {
            return Ok(());
        }
        let rolled = with_record(&self.archive, entry.log_offset, entry.bytes, |record| {
            let copy = rolled(record, now).map_err(|error| error.to_string())?;
            append_copy(copy, entry.log_offset, batch).map_err(|error| error.to_string())
        })?;
        if let Some(Err(reason)) = rolled {
            tracing::error!(%offset, %reason, "a timer message cannot be rolled, and is left out");
        }
        Ok(())
    }

    /// Whatever is before `low` is done with.
    fn raise_low(&mut self, now: Timestamp) -> Result<(), Trouble> {
        // Whoever catches up is still before `now`.
        let served_to = match self.wheel.first() {
            Some(first) => first.due.min(now),
            None if self.wheel.count() > 0 => self.place.fired.due,
            None => now,
        };
        self.called_off.retain(|_, timer| timer.due.0.saturating_add(TICK_MS_MAX) >= served_to.0);
        let called_off = self.called_off.values().map(|timer| timer.offset);
        let late = self.late.first().copied();
        let waiting = self.wheel.lowest_offset().into_iter().chain(late).chain(called_off).min();
        // What is read again is not counted yet.
        if self.reload.is_none() && self.found.is_empty() {
            self.place.low = self.place.low.max(waiting.unwrap_or(self.read_to).min(self.place.read));
        }
        let keep_from = match self.entry(self.place.low)? {
            Some(entry) => entry.log_offset,
            None => self.archive.derived().position(),
        };
        self.counts.keep_from.store(keep_from.0, Ordering::Relaxed);
        Ok(())
    }

    fn publish(&self) {
        self.counts.waiting.store(self.wheel.count() + self.late.len() as u64, Ordering::Relaxed);
        self.counts.read_to.store(self.read_to.0, Ordering::Relaxed);
        let fired = self.place.fired;
        let first = match self.wheel.first() {
            Some(first) => first.due.0,
            None if self.wheel.count() == 0 => i64::MAX,
            // It is not in memory.
            None => fired.due.0,
        };
        self.counts.first_due.store(first, Ordering::Relaxed);
        self.counts.fired_due.store(fired.due.0, Ordering::Relaxed);
        self.counts.fired_offset.store(fired.offset.0, Ordering::Relaxed);
    }
}

/// The timer of an entry. `None` for one that is none.
fn timer_of(archive: &Archive, offset: QueueOffset, entry: &QueueEntry) -> Result<Option<Timer>, Trouble> {
    let code = match TimerCode::read(entry.tags_code) {
        Some(code) => Some(code),
        // Apache's broker wrote the entry.
        None => with_record(archive, entry.log_offset, entry.bytes, TimerCode::of)?.flatten(),
    };
    let kind = |code: TimerCode| if code.calls_off { Kind::CallsOff } else { Kind::Delivers };
    Ok(code.map(|code| Timer { due: code.due, kind: kind(code), offset }))
}

impl Waiting for Timers {
    const NAME: &'static str = "timers";

    fn begin(&mut self, mark: LogOffset, end: LogOffset) -> Result<(), Trouble> {
        let span = self.archive.span(&self.topic, QUEUE)?.unwrap_or_default();
        let noted = Place::load(self.tables.read().progress());
        let TimerSettings { apaches, tick_ms, .. } = self.settings;
        let noted =
            noted.filter(|noted| !apaches.is_some_and(|said| apaches::has_gone_on(noted, tick_ms, said)));
        let mut place = noted.unwrap_or_else(|| match apaches {
            // What is due at its next tick is not served yet.
            Some((read_time, read)) => {
                let fired = Timer { due: read_time, kind: Kind::CallsOff, offset: QueueOffset(0) };
                Place { low: span.min, read, fired }
            }
            None => Place::start(span.min),
        });
        // What a power loss took from the log comes again under the same offsets.
        place.low = place.low.clamp(span.min, span.max);
        place.read = place.read.clamp(place.low, span.max);
        self.place = place;
        self.read_to = place.low;
        self.wheel = Wheel::new(self.settings.near_max);
        self.late.clear();
        self.called_off.clear();
        self.reload = None;
        self.upkeep_at = Timestamp(0);
        let sources = delivered::sources(&self.archive, self.topic.as_str(), mark, end)?;
        self.found = sources.into_iter().map(|source| source.offset).collect();
        // Nothing is served before all is known that may be due before it.
        while self.read_to < span.max && self.read()? {}
        self.forget_found()?;
        Ok(())
    }

    fn gather(&mut self, now: Timestamp, portion: Portion) -> Result<Gathered, Trouble> {
        let mut gathered = Gathered::default();
        let is_behind = self.read()?;
        let is_reloading = self.reload()?;
        self.serve_late(now, portion, &mut gathered.batch)?;
        if self.late.is_empty() {
            self.serve_due(now, portion, &mut gathered.batch)?;
        }
        if gathered.batch.count == 0 && now >= self.upkeep_at {
            self.roll(now, portion, &mut gathered.batch)?;
            if gathered.batch.count == 0 {
                self.raise_low(now)?;
                self.upkeep_at = Timestamp(now.0.saturating_add(UPKEEP_MS));
            }
        }
        self.publish();
        let first = self.wheel.first().map(|timer| timer.due);
        let is_to_read = is_behind || is_reloading || self.wheel.is_running_low();
        let at_once = is_to_read.then_some(now);
        gathered.next = first.into_iter().chain(at_once).chain([self.upkeep_at]).min();
        Ok(gathered)
    }

    fn progress(&self) -> Progress {
        Progress { levels: Vec::new(), registers: self.place.registers() }
    }

    fn is_settled(&self) -> bool {
        self.found.is_empty()
    }
}

impl Timers {
    /// Of what was found, only what would be served again counts.
    fn forget_found(&mut self) -> Result<(), Trouble> {
        for offset in self.found.clone() {
            let timer = match self.entry(offset)? {
                Some(entry) => self.timer(offset, &entry)?,
                None => None,
            };
            if !timer.is_some_and(|timer| self.place.waits(timer)) {
                self.found.remove(&offset);
            }
        }
        Ok(())
    }
}

/// The message as it goes where it belongs: with all of its properties, as consumers get it from Apache's broker. `None` if it was called off.
fn time_up(
    record: &Record<'_>,
    now: Timestamp,
    called_off: &HashMap<String, Timer>,
) -> Result<Option<Message>, String> {
    let text = |error: NotAMessage| error.to_string();
    let homeless = || "it does not say where it belongs".to_owned();
    let topic = record.properties.get(property::REAL_TOPIC).ok_or_else(homeless)?;
    if !called_off.is_empty()
        && let Some(unique_key) = record.properties.get(property::UNIQUE_KEY)
        && let Some(timer) = called_off.get(&recall::key(&topic, &unique_key))
        && record.properties.get(property::TIMER_OUT_MS).is_some_and(|tick| *tick == timer.due.to_string())
    {
        return Ok(None);
    }
    let queue = record.properties.get(property::REAL_QUEUE_ID).and_then(|queue| queue.parse().ok());
    let mut message = Message::from_record(record).map_err(text)?;
    message.topic = TopicName::parse(&topic).map_err(|error| error.to_string())?;
    message.queue_id = QueueId(queue.ok_or_else(homeless)?);
    note_times(&mut message, record, now);
    Ok(Some(message))
}

/// The message as it goes to the end of the queue in which it waits.
fn rolled(record: &Record<'_>, now: Timestamp) -> Result<Message, NotAMessage> {
    let mut message = Message::from_record(record)?;
    let times = message.property(property::TIMER_ROLL_TIMES).and_then(|times| times.parse::<i32>().ok());
    let times = times.unwrap_or_default().saturating_add(1);
    // For information only: where there is no room for it, it is left out.
    let _ = message.set(property::TIMER_ROLL_TIMES, &times.to_string());
    // A delay counts from when the message came first.
    if message.properties.get(property::TIMER_DELIVER_MS).is_none()
        && let Some(code) = TimerCode::of(record).filter(|code| !code.calls_off)
    {
        let _ = message.set(property::TIMER_DELIVER_MS, &code.due.to_string());
    }
    note_times(&mut message, record, now);
    Ok(message)
}

/// For information only: where there is no room for it, it is left out.
fn note_times(message: &mut Message, record: &Record<'_>, now: Timestamp) {
    let _ = message.set(property::TIMER_ENQUEUE_MS, &record.store_timestamp.to_string());
    let _ = message.set(property::TIMER_DEQUEUE_MS, &now.to_string());
}
