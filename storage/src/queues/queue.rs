//! One queue: its entries in files, and behind them those that are still in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use super::entry::{QueueEntry, RawEntry, Slot};
use super::files::{FileDamage, Place};
use super::{QueueError, QueueRange, Shared};

/// Entries for which a tail gets room at least.
const TAIL_GROWTH: usize = 8;

#[derive(Debug)]
pub(crate) struct Queue {
    pub topic: TopicName,
    pub id: QueueId,
    pub(super) place: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// Nobody has asked for it yet.
    Closed,
    Open(Contents),
    /// With its topic. Whoever still holds it must look again.
    Removed,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// The first entry of the files. Some from there on may be blank, or of records that were dropped.
    pub begin: QueueOffset,
    /// The files have the entries up to here.
    pub written: QueueOffset,
    /// The entries from there on. What is dispatched faster than written piles up here; [`Shared`] bounds what all have.
    pub tail: Vec<RawEntry>,
    /// Behind the newest record that was dispatched here, if one was. All before it were.
    pub end: Option<LogOffset>,
    /// How far the queue reached when its files were still whole. They are made anew, and may not get there if the log has
    /// dropped those records; but no offset is given twice.
    pub floor: Option<QueueOffset>,
    /// What lies from `written` on in the files is of before: they are made anew.
    pub has_old_entries: bool,
    /// The first entry whose record is in a log that starts there.
    min: Option<(LogOffset, QueueOffset)>,
    is_dirty: bool,
}

/// The queue was removed with its topic.
#[derive(Clone, Copy, Debug)]
pub(super) struct Removed;

impl Contents {
    /// A queue whose next entry is `next`, and which has none before it.
    pub fn empty(next: QueueOffset) -> Self {
        Self { begin: next, written: next, ..Self::default() }
    }

    /// Makes room for an entry more. Twice as much each time, as a vector does by itself, would be half empty in 50,000 queues.
    fn grow_tail(&mut self) {
        if self.tail.len() == self.tail.capacity() {
            self.tail.reserve_exact((self.tail.len() / 4).max(TAIL_GROWTH));
        }
    }

    /// The offset of the next entry.
    pub fn next(&self) -> QueueOffset {
        QueueOffset(self.written.0 + self.tail.len() as i64)
    }
}

impl Queue {
    pub(super) fn new(topic: TopicName, id: QueueId, place: Place) -> Self {
        Self { topic, id, place, state: Mutex::new(State::Closed) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works with the contents, which are opened if they are not.
    pub(super) fn with<T>(
        self: &Arc<Self>,
        shared: &Shared,
        work: impl FnOnce(&mut Contents) -> Result<T, QueueError>,
    ) -> Result<Result<T, Removed>, QueueError> {
        let mut state = self.state();
        if matches!(*state, State::Closed) {
            *state = State::Open(shared.open_contents(self)?);
        }
        match &mut *state {
            State::Open(contents) => work(contents).map(Ok),
            _ => Ok(Err(Removed)),
        }
    }

    /// Works with the contents if they are open.
    pub(super) fn with_open<T>(&self, work: impl FnOnce(&mut Contents) -> T) -> Option<T> {
        match &mut *self.state() {
            State::Open(contents) => Some(work(contents)),
            _ => None,
        }
    }

    /// Says what was in memory.
    pub(super) fn remove(&self) -> usize {
        match std::mem::replace(&mut *self.state(), State::Removed) {
            State::Open(contents) => contents.tail.len(),
            _ => 0,
        }
    }
}

impl Shared {
    /// Puts an entry behind the others. Its offset is the record's own.
    pub(super) fn put(
        &self,
        queue: &Arc<Queue>,
        at: QueueOffset,
        entry: &QueueEntry,
    ) -> Result<Result<(), Removed>, QueueError> {
        queue.with(self, |contents| {
            if contents.next() != at {
                self.rejoin(queue, contents, at, entry.log_offset)?;
            }
            contents.floor = None;
            contents.end = Some(entry.end());
            contents.grow_tail();
            contents.tail.push(entry.encode());
            self.count_tail(1);
            self.mark_dirty(queue, contents);
            Ok(())
        })
    }

    pub(super) fn mark_dirty(&self, queue: &Arc<Queue>, contents: &mut Contents) {
        if !std::mem::replace(&mut contents.is_dirty, true) {
            self.dirty().push(Arc::clone(queue));
        }
    }

    /// An entry comes that does not follow the last one. Entries before it may be lost: then the log has them. If it has not,
    /// the queue begins anew: the log says so, when a topic was removed and made again, or its first records were dropped.
    fn rejoin(
        &self,
        queue: &Arc<Queue>,
        contents: &mut Contents,
        at: QueueOffset,
        log_offset: LogOffset,
    ) -> Result<(), QueueError> {
        let next = contents.next();
        let is_news = !self.is_rebuilding();
        if is_news && at > next {
            self.rebuild_contents(queue, contents, &FileDamage::Gap(at), log_offset)?;
        }
        if contents.next() != at {
            if is_news {
                let (topic, id) = (&queue.topic, queue.id);
                tracing::warn!(%topic, %id, %next, %at, "the queue begins anew at the offset of its next record");
            }
            self.empty_contents(queue, contents, at)?;
        }
        Ok(())
    }

    /// Forgets all entries, also in the files.
    pub(super) fn empty_contents(
        &self,
        queue: &Queue,
        contents: &mut Contents,
        next: QueueOffset,
    ) -> Result<(), QueueError> {
        self.files.remove_all(&queue.place)?;
        self.uncount_tail(contents.tail.len());
        // It stays in the list of those that must be written, if it is there.
        *contents = Contents { is_dirty: contents.is_dirty, ..Contents::empty(next) };
        Ok(())
    }

    /// Writes the entries of records before `to`. True when some remain in memory.
    pub(super) fn write_tail(&self, queue: &Queue, to: LogOffset) -> Result<bool, QueueError> {
        let written = queue.with_open(|contents| {
            let is_due = |raw: &&RawEntry| match Slot::decode(&raw[..]) {
                Slot::Entry(entry) => entry.end() <= to,
                Slot::Blank | Slot::Nothing => true,
            };
            let count = contents.tail.iter().take_while(is_due).count();
            let due = contents.tail.get(..count).unwrap_or_default();
            self.files.write(&queue.place, contents.written, due)?;
            contents.written.0 += count as i64;
            if count == contents.tail.len() {
                // Without its capacity: that of 50,000 queues would add up.
                contents.tail = Vec::new();
            } else {
                contents.tail.drain(..count);
            }
            self.uncount_tail(count);
            contents.is_dirty = !contents.tail.is_empty();
            Ok(contents.is_dirty)
        });
        written.unwrap_or(Ok(false))
    }

    pub(super) fn range_of(
        &self,
        queue: &Arc<Queue>,
        contents: &mut Contents,
    ) -> Result<QueueRange, QueueError> {
        let max = contents.next();
        if let Some(floor) = contents.floor.filter(|floor| *floor > max) {
            return Ok(QueueRange { min: floor, max: floor });
        }
        let start = self.log.start();
        if let Some((of, min)) = contents.min
            && of == start
        {
            return Ok(QueueRange { min, max });
        }
        let min = match self.find_min(queue, contents, start)? {
            Ok(min) => min,
            Err(damaged) => {
                let to = contents.end.unwrap_or(self.trusted_to);
                self.rebuild_contents(queue, contents, &FileDamage::BadEntry(damaged), to)?;
                let folder = || queue.place.folder.clone();
                let again = self.find_min(queue, contents, start)?;
                again.map_err(|offset| QueueError::Damaged { folder: folder(), offset })?
            }
        };
        contents.min = Some((start, min));
        Ok(QueueRange { min, max: contents.next() })
    }

    /// The first entry whose record was not dropped, or one that is damaged.
    fn find_min(
        &self,
        queue: &Queue,
        contents: &Contents,
        start: LogOffset,
    ) -> Result<Result<QueueOffset, QueueOffset>, QueueError> {
        let known = contents.min.map(|(_, min)| min).unwrap_or(contents.begin);
        let (mut low, mut high) = (known.max(contents.begin).0, contents.next().0);
        // Nearly always it is the first one.
        let mut middle = low;
        while low < high {
            match self.slot(queue, contents, QueueOffset(middle))? {
                Slot::Entry(entry) if entry.log_offset >= start => high = middle,
                Slot::Entry(_) | Slot::Blank => low = middle + 1,
                Slot::Nothing => return Ok(Err(QueueOffset(middle))),
            }
            middle = low + (high - low) / 2;
        }
        Ok(Ok(QueueOffset(low)))
    }

    fn slot(&self, queue: &Queue, contents: &Contents, at: QueueOffset) -> Result<Slot, QueueError> {
        let in_tail = usize::try_from(at.0 - contents.written.0).ok();
        if let Some(raw) = in_tail.and_then(|index| contents.tail.get(index)) {
            return Ok(Slot::decode(raw));
        }
        let read = self.files.read(&queue.place, at, 1)?;
        Ok(read.first().map_or(Slot::Nothing, |raw| Slot::decode(raw)))
    }
}

/// The queues of one topic that are known.
#[derive(Debug, Default)]
pub(super) struct Topic(Mutex<TopicQueues>);

#[derive(Debug, Default)]
pub(super) struct TopicQueues {
    pub queues: HashMap<QueueId, Arc<Queue>>,
    /// Whoever still holds it must look for the topic again.
    pub removed: bool,
}

impl Topic {
    pub fn lock(&self) -> MutexGuard<'_, TopicQueues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
