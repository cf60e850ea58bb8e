//! What there is of a store: its files, and what they say of themselves. Only the end of the log is walked over.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record;

use super::queues::{FoundQueues, failed};
use super::{Look, end_of, failed_at};
use crate::checkpoint::{self, SyncedFile, WrittenFile};
use crate::files::Keeper;
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::index;
use crate::meta::{BootId, Layout, StoreMeta};
use crate::recovery::OpenError;
use crate::scan::Damage;
use crate::segment::Segment;
use crate::sums::{self, entry::Slot};

/// Of a record that is needed to learn when it was stored.
const HEAD_BYTES: usize = 128;

#[derive(Clone, Debug)]
pub struct Inspection {
    pub folder: PathBuf,
    pub layout: Layout,
    pub segment_bytes: u64,
    pub keeper: Keeper,
    /// What `store.meta` says. `None` when it is missing, or void because Apache's broker has had the store.
    pub meta: Option<StoreMeta>,
    pub has_abort_marker: bool,
    /// Behind the last whole unit.
    pub end: LogOffset,
    /// What lies there, if it is not the beginning of nothing.
    pub torn: Option<Damage>,
    pub segments: Vec<SegmentFacts>,
    pub queue_file_entries: u64,
    pub topics: BTreeMap<TopicName, Vec<QueueFacts>>,
    pub index: Vec<IndexFacts>,
    pub checkpoint: CheckpointFacts,
}

#[derive(Clone, Debug)]
pub struct SegmentFacts {
    pub path: PathBuf,
    pub base: LogOffset,
    pub end: LogOffset,
    /// When its first record was stored, or its first frame appended. `None` when there is none.
    pub first_time: Option<Timestamp>,
    /// Of it, how much has a checksum beside the log.
    pub summed_bytes: u64,
}

#[derive(Clone, Debug)]
pub struct QueueFacts {
    pub id: QueueId,
    pub begin: QueueOffset,
    pub next: QueueOffset,
    pub files: usize,
    /// What is wrong with the names or lengths of its files.
    pub problem: Option<String>,
}

#[derive(Clone, Debug)]
pub struct IndexFacts {
    pub path: PathBuf,
    pub bytes: u64,
    pub entries: u32,
    pub slots_used: u32,
    pub begin_time: Timestamp,
    pub end_time: Timestamp,
    pub begin_offset: LogOffset,
    pub end_offset: LogOffset,
}

/// What the files say of how far what is derived is good.
#[derive(Clone, Debug, Default)]
pub struct CheckpointFacts {
    pub synced: Option<SyncedFacts>,
    pub synced_is_damaged: bool,
    /// In the life of the machine that this names.
    pub written: Option<(BootId, LogOffset)>,
    pub written_is_damaged: bool,
    /// For Apache's broker: the times of the newest record in the log, in the queues and in the index.
    pub apaches: Option<[Timestamp; 3]>,
}

#[derive(Clone, Copy, Debug)]
pub struct SyncedFacts {
    pub position: LogOffset,
    pub last_store_time: Timestamp,
    pub queues: usize,
    /// The next start makes the queues, or the index, anew.
    pub queues_are_void: bool,
    pub index_is_void: bool,
}

/// Looks at all there is.
pub fn inspect(look: &Look) -> Result<Inspection, OpenError> {
    let (from, chain) = look.near_end()?;
    let (end, torn) = end_of(look, from, chain)?;
    let found = FoundQueues::find(look)?;
    let mut topics: BTreeMap<TopicName, Vec<QueueFacts>> = BTreeMap::new();
    for queue in &found.queues {
        let id = queue.id;
        let facts = match found.extent(queue).map_err(|error| failed(error, look))? {
            Ok((begin, next, files)) => QueueFacts { id, begin, next, files, problem: None },
            Err(damage) => {
                let (begin, next) = (QueueOffset(0), QueueOffset(0));
                QueueFacts { id, begin, next, files: 0, problem: Some(damage.to_string()) }
            }
        };
        topics.entry(queue.topic.clone()).or_default().push(facts);
    }
    Ok(Inspection {
        folder: look.files.folder.clone(),
        layout: look.stored.layout,
        segment_bytes: look.stored.segment_bytes,
        keeper: look.keeper,
        meta: look.has_meta.then_some(look.stored),
        has_abort_marker: look.has_abort_marker()?,
        end,
        torn,
        segments: look.segments.iter().map(|segment| facts_of(look, segment)).collect::<Result<_, _>>()?,
        queue_file_entries: found.file_entries,
        topics,
        index: index_files(look)?,
        checkpoint: checkpoint_facts(look)?,
    })
}

fn facts_of(look: &Look, segment: &Segment) -> Result<SegmentFacts, OpenError> {
    let mut head = [0; HEAD_BYTES];
    segment.read_padded(segment.base(), &mut head).map_err(failed_at(segment.path()))?;
    let frame = head.first_chunk::<FRAME_HEADER_BYTES>().and_then(|header| FrameHeader::decode(header).ok());
    let first_time = frame.map(|frame| frame.appended_at).or_else(|| record::stored_at(&head));
    let path = sums::path(&look.files, segment.base());
    let sums = sums::read(&*look.disk, &path, segment.base()).map_err(failed_at(&path))?;
    let bytes_of = |slot: &Slot| if let Slot::Entry(entry) = slot { u64::from(entry.bytes) } else { 0 };
    let summed_bytes = sums.iter().map(|(_, slot)| bytes_of(slot)).sum();
    let path = segment.path().to_owned();
    Ok(SegmentFacts { path, base: segment.base(), end: segment.end(), first_time, summed_bytes })
}

fn index_files(look: &Look) -> Result<Vec<IndexFacts>, OpenError> {
    let headers = index::headers(&*look.disk, &look.index_folder());
    let headers = headers.map_err(|index::IndexError::Io { path, source }| OpenError::Io { path, source })?;
    let facts = |(path, bytes, header): (PathBuf, u64, index::Header)| IndexFacts {
        path,
        bytes,
        entries: header.next.saturating_sub(1),
        slots_used: header.slots_used,
        begin_time: header.begin_time,
        end_time: header.end_time,
        begin_offset: header.begin_offset,
        end_offset: header.end_offset,
    };
    Ok(headers.into_iter().map(facts).collect())
}

fn checkpoint_facts(look: &Look) -> Result<CheckpointFacts, OpenError> {
    let (synced, written) = look.checkpoint()?;
    let mut facts = CheckpointFacts {
        synced_is_damaged: synced == SyncedFile::Damaged,
        written_is_damaged: written == WrittenFile::Damaged,
        ..CheckpointFacts::default()
    };
    if let SyncedFile::Found(synced) = synced {
        facts.synced = Some(SyncedFacts {
            position: synced.good.position,
            last_store_time: synced.good.last_store_time,
            queues: synced.census.0.values().map(BTreeMap::len).sum(),
            queues_are_void: synced.rebuilds.queues,
            index_is_void: synced.rebuilds.index,
        });
    }
    if let WrittenFile::Found(boot, good) = written {
        facts.written = Some((boot, good.position));
    }
    let apaches = checkpoint::read_apaches(&*look.disk, &look.files.folder);
    facts.apaches = apaches.map_err(|(path, source)| OpenError::Io { path, source })?;
    Ok(facts)
}
