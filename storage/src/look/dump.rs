//! The contents of a store, one thing after the other.

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::Record;
use ferrymq_proto::record::tag::TagCode;

use super::queues::{FoundQueues, failed};
use super::{Look, end_of_segment, failed_at};
use crate::disk::Access;
use crate::frame::FrameHeader;
use crate::index;
use crate::index::format::{ENTRY_BYTES, Entry, Sizes};
use crate::position::{Chain, LogSpan};
use crate::queues::entry::Slot;
use crate::recovery::OpenError;
use crate::scan::records::Pieces;
use crate::scan::{Damage, Step, Unit, Walk};

/// Entries of a queue that are read at once.
const CHUNK_ENTRIES: usize = 4096;

/// Which part of the log is to be shown.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// What lies there or behind it.
    pub from: LogOffset,
    pub topic: Option<String>,
    pub queue: Option<QueueId>,
}

impl LogFilter {
    fn takes(&self, record: &Record<'_>) -> bool {
        self.topic.as_deref().is_none_or(|topic| topic == record.topic)
            && self.queue.is_none_or(|queue| queue == record.queue_id)
    }

    /// Whether only records are wanted.
    fn is_narrow(&self) -> bool {
        self.topic.is_some() || self.queue.is_some()
    }
}

/// One thing of a log.
#[derive(Clone, Debug)]
pub enum Item<'a> {
    Record {
        span: LogSpan,
        record: Record<'a>,
    },
    Frame {
        span: LogSpan,
        header: FrameHeader,
    },
    Blank {
        span: LogSpan,
    },
    /// The walk goes on with the next segment.
    Damaged {
        offset: LogOffset,
        damage: Damage,
    },
}

/// What the one who is shown something wants then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    More,
    Enough,
}

/// Shows the log from a place on, up to its end, torn or not.
pub fn log(look: &Look, filter: &LogFilter, show: &mut dyn FnMut(Item<'_>) -> Next) -> Result<(), OpenError> {
    let (start, _) = look.beginning();
    let first = look.segment_at(filter.from).map_or(start, |segment| segment.base());
    let mut from = first;
    loop {
        let chain = (from == LogOffset(0)).then(Chain::default);
        let mut walk = Walk::new(&look.segments, look.stored.layout, from, chain);
        let Some(damaged) = log_to_damage(&mut walk, filter, show)? else { return Ok(()) };
        // Behind what was never durable, there is nothing that counts.
        let next = end_of_segment(look, damaged);
        if next >= look.durable() && (look.has_meta || look.segment_at(next).is_none()) {
            return Ok(());
        }
        from = next;
    }
}

/// Says where there is damage, unless the log ends before that or no more is wanted.
fn log_to_damage(
    walk: &mut Walk<'_>,
    filter: &LogFilter,
    show: &mut dyn FnMut(Item<'_>) -> Next,
) -> Result<Option<LogOffset>, OpenError> {
    loop {
        let path = walk.segment().map(|segment| segment.path().to_owned()).unwrap_or_default();
        match walk.step().map_err(failed_at(&path))? {
            Step::Unit { span, .. } if span.end() <= filter.from => {}
            Step::Unit { unit, span, .. } => {
                if show_unit(unit, span, walk.unit_bytes(span), filter, show) == Next::Enough {
                    return Ok(None);
                }
            }
            Step::Damaged(damage) => {
                let offset = walk.position().offset;
                let next = show(Item::Damaged { offset, damage });
                return Ok((next == Next::More).then_some(offset));
            }
            Step::Nothing | Step::NoSegment => return Ok(None),
        }
    }
}

fn show_unit(
    unit: Unit,
    span: LogSpan,
    bytes: &[u8],
    filter: &LogFilter,
    show: &mut dyn FnMut(Item<'_>) -> Next,
) -> Next {
    let around = match unit {
        Unit::Frame(header) => Some(Item::Frame { span, header }),
        Unit::Blank => Some(Item::Blank { span }),
        Unit::Record => None,
    };
    if let Some(around) = around.filter(|_| !filter.is_narrow() && span.start >= filter.from)
        && show(around) == Next::Enough
    {
        return Next::Enough;
    }
    let mut pieces = Pieces::of(span.start, if unit == Unit::Blank { &[] } else { bytes });
    // What is no record within a frame was checked as a part of it.
    while let Ok(Some(placed)) = pieces.next_record() {
        let span = LogSpan { start: placed.offset, bytes: placed.bytes.into() };
        if placed.offset >= filter.from
            && filter.takes(&placed.record)
            && show(Item::Record { span, record: placed.record }) == Next::Enough
        {
            return Next::Enough;
        }
    }
    Next::More
}

/// An entry of a queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueItem<'a> {
    pub topic: &'a TopicName,
    pub queue: QueueId,
    pub offset: QueueOffset,
    pub record: LogSpan,
    pub tags_code: TagCode,
}

/// Shows the entries of queues, as the files have them.
pub fn queues(
    look: &Look,
    topic: Option<&str>,
    queue: Option<QueueId>,
    from: QueueOffset,
    show: &mut dyn FnMut(QueueItem<'_>) -> Next,
) -> Result<(), OpenError> {
    let found = FoundQueues::find(look)?;
    let is_wanted = |topic_found: &TopicName, id: QueueId| {
        topic.is_none_or(|topic| topic == topic_found.as_str()) && queue.is_none_or(|queue| queue == id)
    };
    for of in found.queues.iter().filter(|found| is_wanted(&found.topic, found.id)) {
        let extent = found.extent(of).map_err(|error| failed(error, look))?;
        // What is wrong with its files, an inspection tells.
        let Ok((begin, next, _)) = extent else { continue };
        let mut at = begin.max(from);
        while at < next {
            let count = usize::try_from(next.0 - at.0).unwrap_or(usize::MAX).min(CHUNK_ENTRIES);
            let raw = found.files.read(&of.place, at, count).map_err(|error| failed(error, look))?;
            for raw in &raw {
                if let Slot::Entry(entry) = Slot::decode(raw) {
                    let record = LogSpan { start: entry.log_offset, bytes: entry.bytes.into() };
                    let tags_code = entry.tags_code;
                    let item = QueueItem { topic: &of.topic, queue: of.id, offset: at, record, tags_code };
                    if show(item) == Next::Enough {
                        return Ok(());
                    }
                }
                at.0 += 1;
            }
        }
    }
    Ok(())
}

/// An entry of the index.
#[derive(Clone, Copy, Debug)]
pub struct IndexItem<'a> {
    pub file: &'a str,
    pub number: u32,
    pub hash: i32,
    pub record: LogOffset,
    /// To the second.
    pub time: Timestamp,
    pub previous: u32,
}

/// Shows the entries of the index of files with so many slots and entries.
pub fn index(
    look: &Look,
    (slots, entries): (u32, u32),
    show: &mut dyn FnMut(IndexItem<'_>) -> Next,
) -> Result<(), OpenError> {
    let sizes = Sizes { slots, entries };
    let headers = index::headers(&*look.disk, &look.index_folder());
    let headers = headers.map_err(|index::IndexError::Io { path, source }| OpenError::Io { path, source })?;
    for (path, bytes, header) in headers {
        if bytes != sizes.file_bytes() {
            continue;
        }
        let file = look.disk.open(&path, Access::Read).map_err(failed_at(&path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        for number in 1..header.next.min(entries) {
            let mut raw = [0; ENTRY_BYTES as usize];
            file.read_at(&mut raw, sizes.entry_at(number)).map_err(failed_at(&path))?;
            let entry = Entry::decode(&raw);
            let item = IndexItem {
                file: &name,
                number,
                hash: entry.hash,
                record: entry.offset,
                time: header.time_after(entry.seconds),
                previous: entry.previous,
            };
            if show(item) == Next::Enough {
                return Ok(());
            }
        }
    }
    Ok(())
}
