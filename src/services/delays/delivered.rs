//! Which messages were delivered already: every copy says what it is a copy of.
//!
//! It says so in the field that says of a committed transaction where its half lies, which consumers never look at: the log
//! offset of the record that waited, and one more. So it is never 0, and never the offset at which a half begins.

use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};
use ferrymq_proto::record::Record;
use ferrymq_storage::{Log, ReadError, RecordsError, Window};

use crate::services::archive::Archive;

/// What a copy of the record at `source` carries.
pub fn mark_of(source: LogOffset) -> LogOffset {
    LogOffset(source.0 + 1)
}

/// A message that waited, and of which there is a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    pub queue: QueueId,
    pub offset: QueueOffset,
}

/// The messages of a topic of which there are copies in the log from `from` to `to`.
pub fn sources(
    archive: &Archive,
    topic: &str,
    from: LogOffset,
    to: LogOffset,
) -> Result<Vec<Source>, RecordsError> {
    let marks = match marks(archive.log(), from, to) {
        // The log is another one than it was: what lies at that offset is no beginning of anything.
        Err(RecordsError::Damaged(at)) if at == from => {
            tracing::warn!(%from, "the log is read from its beginning, to find what was delivered");
            marks(archive.log(), archive.log().start(), to)?
        }
        found => found?,
    };
    let source_of = |mark: LogOffset| {
        let bytes = archive.record(LogOffset(mark.0 - 1))?;
        let (record, _) = Record::decode(&bytes).ok()?;
        let source = Source { queue: record.queue_id, offset: record.queue_offset };
        (record.topic == topic).then_some(source)
    };
    Ok(marks.into_iter().filter_map(source_of).collect())
}

fn marks(log: &Log, from: LogOffset, to: LogOffset) -> Result<Vec<LogOffset>, RecordsError> {
    let mut marks = Vec::new();
    let mut at = from.max(log.start());
    while at < to {
        let window = match Window::read(log, at, to) {
            // Retention was quicker.
            Err(RecordsError::Read(ReadError::BeforeStart { start, .. })) => {
                at = start;
                continue;
            }
            read => read?,
        };
        let mut pieces = window.pieces();
        while let Some(placed) = pieces.next_record()? {
            if placed.record.prepared_offset.0 > 0 {
                marks.push(placed.record.prepared_offset);
            }
        }
        at = pieces.position();
    }
    Ok(marks)
}
