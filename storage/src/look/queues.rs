//! Reading the files of queues as they lie there.

use std::sync::Arc;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset};

use super::{Look, failed_at};
use crate::position::LogSpan;
use crate::queues::QueueError;
use crate::queues::entry::{ENTRY_BYTES, Slot};
use crate::queues::files::{FileDamage, FilesKey, Place, QueueFiles};
use crate::recovery::OpenError;

/// Of Apache's files, unless those that are there are longer or shorter.
const FILE_ENTRIES_DEFAULT: u64 = 300_000;
/// They are read one after the other.
const OPEN_FILES_MAX: usize = 256;

/// A queue that has a folder.
#[derive(Clone, Debug)]
pub(crate) struct FoundQueue {
    pub topic: TopicName,
    pub id: QueueId,
    pub place: Place,
}

/// The last entry of a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("queue {queue} of {topic} has at {offset} a message that should lie at offset {} of the log", .record.start)]
pub struct LastEntry {
    pub topic: TopicName,
    pub queue: QueueId,
    pub offset: QueueOffset,
    pub record: LogSpan,
}

/// The queues of a store, and what reads them.
#[derive(Debug)]
pub(crate) struct FoundQueues {
    pub queues: Vec<FoundQueue>,
    pub files: QueueFiles,
    pub file_entries: u64,
}

pub(crate) fn failed(error: QueueError, look: &Look) -> OpenError {
    match error {
        QueueError::Io { path, source } => OpenError::Io { path, source },
        other => {
            OpenError::Io { path: look.queues_folder(), source: std::io::Error::other(other.to_string()) }
        }
    }
}

impl FoundQueues {
    /// In the order of their names.
    pub fn find(look: &Look) -> Result<Self, OpenError> {
        let mut queues = Vec::new();
        let folder = look.queues_folder();
        for topic in folders_in(look, &folder)? {
            let Ok(name) = TopicName::parse(&topic) else { continue };
            let of_topic = folder.join(&topic);
            let mut ids: Vec<i32> = Vec::new();
            ids.extend(folders_in(look, &of_topic)?.iter().filter_map(|id| id.parse::<i32>().ok()));
            ids.sort_unstable();
            for id in ids {
                let key = FilesKey(queues.len() as u64);
                let place = Place { key, folder: of_topic.join(id.to_string()) };
                queues.push(FoundQueue { topic: name.clone(), id: QueueId(id), place });
            }
        }
        let file_entries = file_entries(look, &queues)?;
        let files = QueueFiles::to_read(Arc::clone(&look.disk), file_entries, OPEN_FILES_MAX);
        Ok(Self { queues, files, file_entries })
    }

    /// From the first entry that is none of the blanks at the beginning to the first place where nothing was written.
    pub fn extent(
        &self,
        queue: &FoundQueue,
    ) -> Result<Result<(QueueOffset, QueueOffset, usize), FileDamage>, QueueError> {
        let bases = match self.files.list(&queue.place)? {
            Ok(bases) => bases,
            Err(damage) => return Ok(Err(damage)),
        };
        let (Some(first), Some(last)) = (bases.first(), bases.last()) else {
            return Ok(Ok((QueueOffset(0), QueueOffset(0), 0)));
        };
        let slot = |at: i64| -> Result<Slot, QueueError> {
            let read = self.files.read(&queue.place, QueueOffset(at), 1)?;
            Ok(read.first().map_or(Slot::Nothing, |raw| Slot::decode(raw)))
        };
        let search =
            |from: QueueOffset, is_before: &dyn Fn(Slot) -> bool| -> Result<QueueOffset, QueueError> {
                let (mut low, mut high) = (from.0, from.0 + self.file_entries as i64);
                while low < high {
                    let middle = low + (high - low) / 2;
                    if is_before(slot(middle)?) { low = middle + 1 } else { high = middle }
                }
                Ok(QueueOffset(low))
            };
        let begin = search(*first, &|slot| slot == Slot::Blank)?;
        let next = search(*last, &|slot| slot != Slot::Nothing)?;
        Ok(Ok((begin.min(next), next, bases.len())))
    }

    /// None of a queue whose files are damaged.
    pub fn last_entry(&self, queue: &FoundQueue) -> Result<Option<LastEntry>, QueueError> {
        let Ok((begin, next, _)) = self.extent(queue)? else { return Ok(None) };
        if begin == next {
            return Ok(None);
        }
        let offset = QueueOffset(next.0 - 1);
        let read = self.files.read(&queue.place, offset, 1)?;
        let Some(Slot::Entry(entry)) = read.first().map(|raw| Slot::decode(raw)) else { return Ok(None) };
        let record = LogSpan { start: entry.log_offset, bytes: entry.bytes.into() };
        Ok(Some(LastEntry { topic: queue.topic.clone(), queue: queue.id, offset, record }))
    }
}

fn folders_in(look: &Look, folder: &std::path::Path) -> Result<Vec<String>, OpenError> {
    match look.disk.list(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => {
            let entries = listed.map_err(failed_at(folder))?;
            Ok(entries.into_iter().filter(|entry| entry.is_folder).map(|entry| entry.name).collect())
        }
    }
}

/// All files of queues have the same length, but for one that a crash left short.
fn file_entries(look: &Look, queues: &[FoundQueue]) -> Result<u64, OpenError> {
    let mut longest = 0;
    for queue in queues.iter().take(OPEN_FILES_MAX) {
        let files = look.disk.list(&queue.place.folder).map_err(failed_at(&queue.place.folder))?;
        longest = files.iter().map(|file| file.bytes).fold(longest, u64::max);
    }
    Ok(if longest == 0 { FILE_ENTRIES_DEFAULT } else { longest / ENTRY_BYTES })
}
