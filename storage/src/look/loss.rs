//! What lies behind a place of a classic log, for who is about to cut it off there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::Record;

use super::{Look, failed_at};
use crate::apaches::record_behind;
use crate::meta::Layout;
use crate::recovery::OpenError;
use crate::scan::{Step, Unit, Walk};
use crate::segment::Segment;

/// What can still be read there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Whole messages, with so many bytes.
    pub records: u64,
    pub bytes: u64,
    /// When the first and the last of them were stored.
    pub stored: Option<(Timestamp, Timestamp)>,
    /// Their queues, by name.
    pub queues: BTreeMap<(TopicName, QueueId), Lost>,
    /// Files of the log that lie there entirely, and in which something was written.
    pub files: Vec<PathBuf>,
}

/// What of a queue lies there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    pub first: QueueOffset,
    pub last: QueueOffset,
    pub records: u64,
}

/// Reads all that lies behind `at`, whatever is damaged there.
pub fn behind(look: &Look, at: LogOffset) -> Result<Loss, OpenError> {
    let mut loss = Loss::default();
    for segment in look.segments.iter().filter(|segment| segment.end() > at) {
        let before = loss.records;
        loss.add(look, segment, segment.base().max(at))
            .map_err(|source| failed_at(segment.path())(source))?;
        if segment.base() > at && loss.records > before {
            loss.files.push(segment.path().to_owned());
        }
    }
    Ok(loss)
}

impl Loss {
    /// All whole records of a segment from a place on.
    fn add(&mut self, look: &Look, segment: &Segment, from: LogOffset) -> std::io::Result<()> {
        let mut next = Some(from);
        while let Some(at) = next.filter(|at| *at < segment.end()) {
            let mut walk = Walk::new(&look.segments, Layout::Classic, at, None);
            loop {
                match walk.step()? {
                    Step::Unit { span, .. } if span.start >= segment.end() => return Ok(()),
                    Step::Unit { unit: Unit::Record, span, .. } => self.count(walk.unit_bytes(span)),
                    Step::Unit { .. } => {}
                    _ => break,
                }
            }
            next = record_behind(segment, walk.position().offset)?;
        }
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        self.records += 1;
        self.bytes += bytes.len() as u64;
        let Ok((record, _)) = Record::decode(bytes) else { return };
        let time = record.store_timestamp;
        self.stored =
            Some(self.stored.map_or((time, time), |(first, last)| (first.min(time), last.max(time))));
        let Ok(topic) = TopicName::parse(record.topic) else { return };
        let offset = record.queue_offset;
        let lost = self.queues.entry((topic, record.queue_id));
        let lost = lost.or_insert(Lost { first: offset, last: offset, records: 0 });
        lost.first = lost.first.min(offset);
        lost.last = lost.last.max(offset);
        lost.records += 1;
    }
}
