//! Opening a queue: how far do its files reach, and are they whole?
//!
//! Of its files, entries of records before the checkpoint are trusted: all of them are there, if nothing was lost. Behind them
//! lie entries that a crash left, with holes between them, which are dispatched once more. So one search tells the end, and it
//! begins where the checkpoint knows the end to have been.
//!
//! While everything is dispatched anew, only entries of records that the log has dropped are trusted. All behind them is written
//! over, and what is left of it goes at the end.

use std::sync::Arc;

use ferrymq_proto::position::{LogOffset, QueueOffset};

use super::census::Known;
use super::entry::{Labels, QueueEntry, Slot, is_queued};
use super::files::FileDamage;
use super::queue::{Contents, Queue};
use super::{QueueError, Shared};
use crate::scan::records::Window;

impl Shared {
    pub(super) fn open_contents(&self, queue: &Arc<Queue>) -> Result<Contents, QueueError> {
        let known = self.census().get(&queue.topic, queue.id);
        let found = match self.files.list(&queue.place)? {
            Ok(bases) => {
                self.find_end(queue, &bases, known)?.ok_or(FileDamage::Missing(queue.place.folder.clone()))
            }
            Err(damage) => Err(damage),
        };
        if self.is_rebuilding() {
            return self.open_to_rebuild(queue, found.ok(), known);
        }
        let damage = match (found, known) {
            (Ok(found), None) => return Ok(found),
            (Err(FileDamage::Missing(path)), None) if path == queue.place.folder => {
                return Ok(Contents::empty(QueueOffset(0)));
            }
            // It was said where the queue begins, and no more: there need not be any file.
            (Ok(found), Some(known)) if known.begin == known.next && found.written < known.next => {
                let mut contents = found;
                self.empty_contents(queue, &mut contents, known.next)?;
                return Ok(contents);
            }
            (Err(FileDamage::Missing(_)), Some(known)) if known.begin == known.next => {
                return Ok(Contents::empty(known.next));
            }
            (Ok(found), Some(known)) if found.written >= known.next => return Ok(found),
            (Ok(found), Some(known)) => FileDamage::Lost { found: found.written, expected: known.next },
            (Err(damage), _) => damage,
        };
        let mut contents = Contents::empty(known.unwrap_or_default().next);
        self.rebuild_contents(queue, &mut contents, &damage, self.trusted_to)?;
        Ok(contents)
    }

    /// Keeps the entries of dropped records, so that offsets go on behind them.
    fn open_to_rebuild(
        &self,
        queue: &Queue,
        found: Option<Contents>,
        known: Option<Known>,
    ) -> Result<Contents, QueueError> {
        let floor = known.map(|known| known.next);
        let Some(mut contents) = found else {
            let mut contents = Contents::default();
            self.empty_contents(queue, &mut contents, floor.unwrap_or_default())?;
            return Ok(contents);
        };
        contents.floor = floor;
        contents.has_old_entries = true;
        Ok(contents)
    }

    /// Takes away what of a queue's files was not made anew. To write over the rest costs far less than to remove files and make
    /// them again.
    pub(super) fn remove_old_entries(
        &self,
        queue: &Queue,
        contents: &mut Contents,
    ) -> Result<(), QueueError> {
        if !contents.has_old_entries {
            return Ok(());
        }
        let base = self.files.base(contents.written);
        let mut behind = base;
        if contents.written > base {
            self.files.cut(&queue.place, base, contents.written)?;
            behind = self.files.next_base(base);
        }
        let last = self.files.list(&queue.place)?.unwrap_or_default().last().copied().unwrap_or_default();
        while behind <= last {
            self.files.remove(&queue.place, behind)?;
            behind = self.files.next_base(behind);
        }
        contents.has_old_entries = false;
        Ok(())
    }

    /// The trusted entries of these files. `None` when there are no files.
    fn find_end(
        &self,
        queue: &Queue,
        bases: &[QueueOffset],
        known: Option<Known>,
    ) -> Result<Option<Contents>, QueueError> {
        let (Some(first), Some(last)) = (bases.first(), bases.last()) else { return Ok(None) };
        let (mut low, mut high) = (first.0, self.files.next_base(*last).0);
        let known_end = if self.is_rebuilding() { *first } else { known.unwrap_or_default().next };
        let file = high - last.0;
        if (low..high).contains(&known_end.0)
            && (known_end.0 == low || self.is_trusted(queue, known_end.0 - 1)?)
        {
            low = known_end.0;
            // Not far behind it, if at all.
            let mut step = 1;
            while low < high && self.is_trusted(queue, (low + step - 1).min(high - 1))? {
                low = (low + step).min(high);
                step *= 2;
            }
            high = high.min(low + step - 1);
        } else {
            // First between the files, so that most of them stay closed.
            while high - low > file {
                let middle = low + (high - low) / file / 2 * file;
                if self.is_trusted(queue, middle)? { low = middle } else { high = middle }
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if self.is_trusted(queue, middle)? { low = middle + 1 } else { high = middle }
        }
        let mut found = Contents::empty(QueueOffset(low));
        found.begin = *first;
        Ok(Some(found))
    }

    fn is_trusted(&self, queue: &Queue, at: i64) -> Result<bool, QueueError> {
        let read = self.files.read(&queue.place, QueueOffset(at), 1)?;
        Ok(match read.first().map_or(Slot::Nothing, |raw| Slot::decode(raw)) {
            Slot::Entry(entry) => entry.log_offset < self.trusted_to,
            Slot::Blank => true,
            Slot::Nothing => false,
        })
    }

    /// Makes the entries anew from the records before `to`. It takes as long as reading the log.
    pub(super) fn rebuild_contents(
        &self,
        queue: &Arc<Queue>,
        contents: &mut Contents,
        damage: &FileDamage,
        to: LogOffset,
    ) -> Result<(), QueueError> {
        let (topic, id) = (&queue.topic, queue.id);
        tracing::warn!(%topic, %id, %damage, "the files of a queue are damaged; they are made anew from the log");
        let mut made = Contents::empty(contents.next());
        let mut at = self.log.start();
        while at < to {
            let window = Window::read(&self.log, at, to)?;
            let mut pieces = window.pieces();
            while let Some(placed) = pieces.next_record()? {
                let record = &placed.record;
                if placed.offset >= to || record.topic != queue.topic.as_str() || record.queue_id != id {
                    continue;
                }
                if !is_queued(record.sys_flag) {
                    continue;
                }
                if record.queue_offset != made.next() {
                    made = Contents::empty(record.queue_offset);
                }
                made.tail.push(QueueEntry::of(&placed, &Labels::of(record), &self.levels).encode());
                made.end = Some(placed.end());
            }
            at = pieces.position();
        }
        self.empty_contents(queue, contents, made.begin)?;
        self.count_tail(made.tail.len());
        let is_dirty = !made.tail.is_empty();
        contents.tail = made.tail;
        contents.end = made.end;
        if is_dirty {
            self.mark_dirty(queue, contents);
        }
        Ok(())
    }
}
