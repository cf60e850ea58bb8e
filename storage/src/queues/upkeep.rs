//! What the owner of the queues does to them: entries in, entries to the files, and away what is not needed any more.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset};

use super::census::{Census, Known};
use super::entry::{DelayLevels, QueueEntry, Slot};
use super::queue::{Contents, Queue};
use super::{QueueError, Queues, unpoisoned};

impl Queues {
    /// The bytes of entries that are in memory only.
    pub(crate) fn tail_bytes(&self) -> u64 {
        self.shared.tail_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn levels(&self) -> &DelayLevels {
        &self.shared.levels
    }

    /// Puts an entry into its queue, and says the topic's name. `None` when no topic can have that name.
    pub(crate) fn put(
        &self,
        topic: &str,
        queue: QueueId,
        at: QueueOffset,
        entry: &QueueEntry,
    ) -> Result<Option<Arc<Queue>>, QueueError> {
        loop {
            let Some(queue) = self.shared.find_or_make(topic, queue)? else { return Ok(None) };
            if self.shared.put(&queue, at, entry)?.is_ok() {
                return Ok(Some(queue));
            }
        }
    }

    /// Writes the entries of all records before `to`.
    pub(crate) fn flush(&self, to: LogOffset) -> Result<(), QueueError> {
        let dirty = std::mem::take(&mut *self.shared.dirty());
        let mut dirty = dirty.into_iter();
        let mut remaining = Vec::new();
        let mut result = Ok(());
        for queue in dirty.by_ref() {
            match self.shared.write_tail(&queue, to) {
                Ok(false) => {}
                Ok(true) => remaining.push(queue),
                Err(error) => {
                    remaining.push(queue);
                    result = Err(error);
                    break;
                }
            }
        }
        self.shared.dirty().extend(remaining.into_iter().chain(dirty));
        result
    }

    /// What the files have, after a flush.
    pub(crate) fn census(&self) -> Census {
        for queue in self.shared.all_open() {
            let known = queue.with_open(|contents| Known {
                begin: contents.begin.max(contents.floor.unwrap_or_default()),
                next: contents.written.max(contents.floor.unwrap_or_default()),
            });
            if let Some(known) = known {
                self.shared.census().set(&queue.topic, queue.id, known);
            }
        }
        self.shared.census().clone()
    }

    /// Takes away what was not made anew, and from now on trusts what is in the files.
    pub(crate) fn end_rebuild(&self) -> Result<(), QueueError> {
        for topic in self.topics()? {
            for id in self.queues_of(&topic)? {
                let Some(queue) = self.shared.find(&topic, id)? else { continue };
                // If the queue was removed, so were its files.
                let _ =
                    queue.with(&self.shared, |contents| self.shared.remove_old_entries(&queue, contents))?;
            }
        }
        self.shared.rebuilding.store(false, Ordering::Release);
        Ok(())
    }

    /// Removes the queues of a topic.
    pub(crate) fn remove_topic(&self, name: &TopicName) -> Result<(), QueueError> {
        let shared = &self.shared;
        let Some(topic) = shared.topic(name.as_str())? else { return Ok(()) };
        let mut topics = unpoisoned(shared.topics.write());
        let queues = {
            let mut topic = topic.lock();
            topic.removed = true;
            std::mem::take(&mut topic.queues)
        };
        for queue in queues.into_values() {
            shared.uncount_tail(queue.remove());
            shared.files.remove_all(&queue.place)?;
            self.remove_folder(&queue.place.folder);
        }
        self.remove_folder(&shared.folder.join(name.as_str()));
        shared.census().0.remove(name);
        topics.remove(name);
        Ok(())
    }

    /// Something of somebody else may lie in there, which is not ours to remove.
    fn remove_folder(&self, folder: &Path) {
        match self.shared.files.disk().remove_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(folder = %folder.display(), %error, "cannot remove the folder of a topic");
            }
            _ => {}
        }
    }

    /// Removes the files that only have entries of records before `start`. The last one of a queue always stays, as in Apache:
    /// it says how far the queue has come.
    pub(crate) fn drop_before(&self, start: LogOffset) -> Result<(), QueueError> {
        for topic in self.topics()? {
            for id in self.queues_of(&topic)? {
                let Some(queue) = self.shared.find(&topic, id)? else { continue };
                if self.has_several_files(&queue) {
                    // If the queue was removed, so were its files.
                    let _ = queue.with(&self.shared, |contents| self.drop_files(&queue, contents, start))?;
                }
            }
        }
        Ok(())
    }

    /// As far as is known without opening it.
    fn has_several_files(&self, queue: &Queue) -> bool {
        let opened = queue.with_open(|contents| Known { begin: contents.begin, next: contents.written });
        let known = opened.or_else(|| self.shared.census().get(&queue.topic, queue.id));
        known.is_none_or(|known| {
            known.next >= self.shared.files.next_base(self.shared.files.base(known.begin))
        })
    }

    fn drop_files(&self, queue: &Queue, contents: &mut Contents, start: LogOffset) -> Result<(), QueueError> {
        let files = &self.shared.files;
        loop {
            let base = files.base(contents.begin);
            let next = files.next_base(base);
            // Behind it lies an entry, and so a file.
            if contents.written <= next {
                return Ok(());
            }
            let last = files.read(&queue.place, QueueOffset(next.0 - 1), 1)?;
            match last.first().map(|raw| Slot::decode(raw)) {
                Some(Slot::Entry(entry)) if entry.log_offset >= start => return Ok(()),
                _ => files.remove(&queue.place, base)?,
            }
            contents.begin = next;
        }
    }
}
