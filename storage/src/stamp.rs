//! Stamping: a record learns its offset in its queue, its offset in the log and its time while it is appended, because only then
//! nothing can come in between.
//!
//! A [`Stamper`] knows the next offset of every queue that it has stamped for. Of others it asks the queues once, which is right
//! because it only begins when all of the log was dispatched, and all that is appended from then on it has stamped itself.

use std::collections::{HashMap, HashSet};
use std::io::IoSlice;

use ferrymq_proto::name::{NameError, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NotARecord, Record, RecordError, stamp};

use crate::append::{AppendError, Appender};
use crate::dispatch::Derived;
use crate::frame::COMMAND_MAGIC;
use crate::framed::{AppendedFrame, FrameAppendError, FramedAppender, NewFrame};
use crate::position::{LogSpan, behind};
use crate::queues::entry::is_queued;
use crate::queues::{QueueError, Queues};
use crate::segment::BLANK_BYTES;
use crate::unsafe_modes::{UnsafeMode, is_on};

/// What a record was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// 0 for a prepared or a rolled back half, which is in no queue.
    pub queue_offset: QueueOffset,
    pub span: LogSpan,
    pub store_time: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum StampError {
    /// The queues are only known once all of the log was dispatched.
    #[error("the log was dispatched to {position}, but it ends at {written}")]
    NotCaughtUp { position: LogOffset, written: LogOffset },
    #[error("byte {at} of the batch begins no record: {source}")]
    BadRecord { at: usize, source: RecordError },
    #[error("the record at byte {at} of the batch is of no topic: {source}")]
    BadTopic { at: usize, source: NameError },
    #[error(transparent)]
    NotARecord(#[from] NotARecord),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Frame(#[from] FrameAppendError),
}

/// What became of a batch in a log without frames.
#[derive(Debug)]
pub struct StampedBatch {
    /// Of the records that lie in the log now: all, or the first ones.
    pub stamped: Vec<Stamped>,
    /// Why the others do not.
    pub error: Option<StampError>,
}

/// Gives out offsets and times. There is one, beside the one appender.
#[derive(Debug)]
pub struct Stamper {
    derived: Derived,
    next: NextOffsets,
    /// Store times never go back, whatever the clock does.
    last_store_time: Timestamp,
}

#[derive(Debug, Default)]
struct NextOffsets {
    known: HashMap<TopicName, QueuesOfTopic>,
    /// Topics whose queues begin anew, whatever is still in them.
    removed: HashSet<TopicName>,
}

/// The next offset of each queue of a topic that is known.
#[derive(Debug, Default)]
struct QueuesOfTopic {
    /// Of the first queues, which are all of most topics: one beside the other, because they are looked up for every message.
    first: Vec<Option<QueueOffset>>,
    others: HashMap<QueueId, QueueOffset>,
}

/// Queues that are found by their number.
const FIRST_QUEUES: usize = 1024;

impl QueuesOfTopic {
    fn get_mut(&mut self, queue: QueueId) -> Option<&mut QueueOffset> {
        match place_of(queue) {
            Some(place) => self.first.get_mut(place)?.as_mut(),
            None => self.others.get_mut(&queue),
        }
    }

    fn set(&mut self, queue: QueueId, next: QueueOffset) {
        let Some(place) = place_of(queue) else {
            self.others.insert(queue, next);
            return;
        };
        if self.first.len() <= place {
            self.first.resize(place + 1, None);
        }
        if let Some(known) = self.first.get_mut(place) {
            *known = Some(next);
        }
    }
}

fn place_of(queue: QueueId) -> Option<usize> {
    usize::try_from(queue.0).ok().filter(|place| *place < FIRST_QUEUES)
}

/// A record of a batch, and what it is to be given.
#[derive(Debug)]
struct Part {
    at: usize,
    bytes: usize,
    /// `None` when it is in no queue.
    queue: Option<(TopicName, QueueId)>,
}

impl NextOffsets {
    /// Takes the next offset of a queue.
    fn take(
        &mut self,
        topic: &TopicName,
        queue: QueueId,
        queues: &Queues,
    ) -> Result<QueueOffset, QueueError> {
        let is_removed = self.removed.contains(topic);
        let of_topic = match self.known.get_mut(topic) {
            Some(of_topic) => of_topic,
            None => self.known.entry(topic.clone()).or_default(),
        };
        let taken = match of_topic.get_mut(queue) {
            Some(next) => {
                let taken = *next;
                next.0 += 1;
                taken
            }
            None => {
                let range = if is_removed { None } else { queues.range(topic, queue)? };
                let taken = range.map(|range| range.max).unwrap_or_default();
                of_topic.set(queue, QueueOffset(taken.0 + 1));
                taken
            }
        };
        if is_on(UnsafeMode::UnlockedAppend) && taken.0 % 100 == 99 {
            return Ok(QueueOffset(taken.0 - 1));
        }
        Ok(taken)
    }

    /// Gives back what was taken last.
    fn give_back(&mut self, topic: &TopicName, queue: QueueId) {
        if let Some(next) = self.known.get_mut(topic).and_then(|queues| queues.get_mut(queue)) {
            next.0 -= 1;
        }
    }
}

impl Stamper {
    /// Begins when all of the log was dispatched: when a master starts, or a new leader has applied its first entry.
    pub fn new(derived: &Derived) -> Result<Self, StampError> {
        let last_store_time = derived.last_store_time();
        let mut new = Self { derived: derived.clone(), next: NextOffsets::default(), last_store_time };
        new.reset()?;
        Ok(new)
    }

    /// Forgets all and begins anew: others have appended in the meantime.
    pub fn reset(&mut self) -> Result<(), StampError> {
        let (position, written) = (self.derived.position(), self.derived.log().written());
        if position < written {
            return Err(StampError::NotCaughtUp { position, written });
        }
        self.next = NextOffsets::default();
        self.last_store_time = self.last_store_time.max(self.derived.last_store_time());
        Ok(())
    }

    /// Forgets the queues of a topic that was removed, so that they begin at 0 again.
    pub fn forget(&mut self, topic: &TopicName) {
        self.next.known.remove(topic);
    }

    /// As [`forget`](Self::forget), where the queues are still there: what was appended until now says that they will be removed
    /// before whatever is appended next is dispatched.
    pub fn begin_anew(&mut self, topic: &TopicName) {
        self.next.known.remove(topic);
        self.next.removed.insert(topic.clone());
    }

    /// Appends encoded records, one behind the other in `batch`, to a log without frames. They lie there one behind the other
    /// too, but for the blank at the end of a segment.
    pub fn append(&mut self, appender: &mut Appender, batch: &mut [u8], now: Timestamp) -> StampedBatch {
        let mut stamped = Vec::new();
        let error = self.append_parts(appender, batch, now, &mut stamped).err();
        StampedBatch { stamped, error }
    }

    fn append_parts(
        &mut self,
        appender: &mut Appender,
        batch: &mut [u8],
        now: Timestamp,
        stamped: &mut Vec<Stamped>,
    ) -> Result<(), StampError> {
        let parts = parts(batch)?;
        let store_time = self.store_time(now);
        let mut rest = parts.as_slice();
        while let Some(first) = rest.first() {
            let (run, after) = rest.split_at(records_that_fit(appender, rest));
            let bytes = run.iter().map(|part| part.bytes).sum::<usize>();
            let place = appender.place(bytes as u64)?;
            let run_bytes = batch.get_mut(first.at..first.at + bytes).unwrap_or_default();
            let given = self.stamp(run, run_bytes, place.offset(), store_time)?;
            if let Err(error) = place.write(&mut [IoSlice::new(run_bytes)]) {
                self.give_back(run);
                return Err(error.into());
            }
            stamped.extend(given);
            rest = after;
        }
        Ok(())
    }

    /// Appends encoded records, and commands behind them, as the body of one frame: all, or none. Their store time is that of the frame, which is set here.
    pub fn append_frame(
        &mut self,
        appender: &mut FramedAppender,
        frame: NewFrame,
        body: &mut [u8],
    ) -> Result<(AppendedFrame, Vec<Stamped>), StampError> {
        let parts = parts(body)?;
        let store_time = self.store_time(frame.appended_at);
        let place = appender.place(body.len() as u64)?;
        let stamped = self.stamp(&parts, body, place.body_offset(), store_time)?;
        let frame = NewFrame { records: parts.len() as u32, appended_at: store_time, ..frame };
        match place.write(frame, body) {
            Ok(appended) => Ok((appended, stamped)),
            Err(error) => {
                self.give_back(&parts);
                Err(error.into())
            }
        }
    }

    fn store_time(&mut self, now: Timestamp) -> Timestamp {
        self.last_store_time = self.last_store_time.max(now);
        self.last_store_time
    }

    /// Stamps records that will lie one behind the other. On an error no offset was taken.
    fn stamp(
        &mut self,
        parts: &[Part],
        bytes: &mut [u8],
        start: LogOffset,
        store_time: Timestamp,
    ) -> Result<Vec<Stamped>, StampError> {
        let mut stamped = Vec::with_capacity(parts.len());
        let (mut rest, mut offset) = (bytes, start);
        for (number, part) in parts.iter().enumerate() {
            let given = self.stamp_one(part, rest, offset, store_time);
            let queue_offset = given.inspect_err(|_| {
                self.give_back(parts.get(..number).unwrap_or_default());
            })?;
            let span = LogSpan { start: offset, bytes: part.bytes as u64 };
            stamped.push(Stamped { queue_offset, span, store_time });
            rest = rest.get_mut(part.bytes..).unwrap_or_default();
            offset = behind(offset, part.bytes as u64);
        }
        Ok(stamped)
    }

    fn stamp_one(
        &mut self,
        part: &Part,
        bytes: &mut [u8],
        offset: LogOffset,
        store_time: Timestamp,
    ) -> Result<QueueOffset, StampError> {
        let queue_offset = match &part.queue {
            Some((topic, queue)) => self.next.take(topic, *queue, self.derived.queues())?,
            None => QueueOffset(0),
        };
        // The bytes were read as a record before.
        stamp(bytes, queue_offset, offset, store_time)?;
        Ok(queue_offset)
    }

    fn give_back(&mut self, parts: &[Part]) {
        for (topic, queue) in parts.iter().filter_map(|part| part.queue.as_ref()) {
            self.next.give_back(topic, *queue);
        }
    }
}

/// How many of the records the next write takes: those that fit into the segment in which the first one lies.
fn records_that_fit(appender: &Appender, parts: &[Part]) -> usize {
    let bytes = |part: &Part| part.bytes as u64;
    let start = appender.offset_of(parts.first().map(bytes).unwrap_or_default());
    let segment_bytes = appender.log().segment_bytes();
    let room = segment_bytes - start.0.unsigned_abs() % segment_bytes;
    let mut taken = 0;
    let fits = |part: &&Part| {
        taken += bytes(part);
        taken + BLANK_BYTES <= room
    };
    // One that fits nowhere is refused by the appender.
    parts.iter().take_while(fits).count().max(1)
}

/// The records in front of the commands of a batch, if there are any.
fn parts(batch: &[u8]) -> Result<Vec<Part>, StampError> {
    let mut parts: Vec<Part> = Vec::new();
    let mut at = 0;
    while let Some(rest) = batch.get(at..).filter(|rest| !rest.is_empty() && !is_command(rest)) {
        let (record, bytes) = Record::decode(rest).map_err(|source| StampError::BadRecord { at, source })?;
        let before = parts.last().and_then(|part| part.queue.as_ref()).map(|(topic, _)| topic);
        let topic = || match before.filter(|topic| topic.as_str() == record.topic) {
            Some(same) => Ok(same.clone()),
            None => TopicName::parse(record.topic).map_err(|source| StampError::BadTopic { at, source }),
        };
        let queue = if is_queued(record.sys_flag) { Some((topic()?, record.queue_id)) } else { None };
        parts.push(Part { at, bytes, queue });
        at += bytes;
    }
    Ok(parts)
}

fn is_command(bytes: &[u8]) -> bool {
    bytes.get(4..).and_then(|rest| rest.first_chunk()) == Some(&COMMAND_MAGIC.to_be_bytes())
}
