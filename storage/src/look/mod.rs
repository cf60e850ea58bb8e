//! Looking at a store that nobody has open: what there is ([`inspect`]), its contents ([`dump`]), and whether it is whole
//! ([`verify`](crate::verify)). Nothing is changed and nothing repaired; a folder that cannot be written will do.

pub mod dump;
pub mod inspect;
pub mod loss;
pub(crate) mod queues;
pub mod reading;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ferrymq_proto::position::LogOffset;

use crate::apaches::ApachesNotes;
use crate::checkpoint::{self, Good, SyncedFile, WrittenFile};
use crate::disk::{Access, Disk};
use crate::dispatch::QueueEnd;
use crate::files::{self, Keeper, StoreFiles};
use crate::meta::{self, BootId, Layout, StoreMeta};
use crate::position::{Chain, Mark, behind};
use crate::recovery::{OpenError, SegmentFault, Settings, Survey, SurveyError, survey};
use crate::segment::{BLANK_BYTES, Segment};

pub use queues::LastEntry;

/// How far a long look has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub bytes_done: u64,
    pub bytes_total: u64,
}

/// What a store does not say of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assumed {
    /// Of a folder of Apache's. Otherwise its first segment tells.
    pub segment_bytes: Option<u64>,
    /// This life of the machine, in which the page cache has lost nothing.
    pub boot: Option<BootId>,
}

/// A store that is only looked at.
#[derive(Debug)]
pub struct Look {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) files: StoreFiles,
    pub(crate) stored: StoreMeta,
    pub(crate) keeper: Keeper,
    pub(crate) segments: VecDeque<Arc<Segment>>,
    pub(crate) boot: Option<BootId>,
    /// Whether `store.meta` says what `stored` does. Else it is missing, or void because Apache's broker has had the store.
    pub(crate) has_meta: bool,
    /// What is wrong with the files of the log.
    pub(crate) faults: Vec<SegmentFault>,
}

/// How far the files of what is derived must be good.
#[derive(Clone, Debug)]
pub(crate) enum DerivedState {
    Good(Good),
    /// Nothing is known of them, so that the next start makes them anew.
    Void,
    /// They are Apache's: their own names and headers say what they have.
    Apaches,
}

pub(crate) fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    |source| OpenError::Io { path, source }
}

impl Look {
    /// Of a store whose log has no gap.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, assumed: Assumed) -> Result<Self, OpenError> {
        let look = Self::find(disk, folder, assumed)?;
        match look.faults.first() {
            Some(fault) => Err(SurveyError::from(fault.clone()).into()),
            None => Ok(look),
        }
    }

    /// Of a store of which segments may be missing: which, is among the faults.
    pub fn open_damaged(disk: Arc<dyn Disk>, folder: &Path, assumed: Assumed) -> Result<Self, OpenError> {
        let mut look = Self::find(disk, folder, assumed)?;
        // Of a store that says nothing of itself nobody knows which length is right, if not its first segment has it.
        let first = look.segments.front().map(|first| first.path());
        if !look.has_meta
            && let Some(fault @ SegmentFault::BadLength { path, .. }) = look.faults.first()
            && first.is_none_or(|first| first == path)
        {
            return Err(SurveyError::from(fault.clone()).into());
        }
        // If all are missing, the first one is among the faults already.
        if let Some(last) = look.segments.back().map(|last| last.end()) {
            let durable = look.durable();
            look.faults.extend(survey::missing_between(
                &look.files,
                look.stored.segment_bytes,
                last,
                durable,
            ));
        }
        Ok(look)
    }

    fn find(disk: Arc<dyn Disk>, folder: &Path, assumed: Assumed) -> Result<Self, OpenError> {
        let files = StoreFiles::within(folder);
        let keeper = files::keeper(&*disk, &files).map_err(failed_at(&files.lock))?;
        let stored = meta::read(&*disk, &files.meta)?;
        let is_ours = |stored: &StoreMeta| keeper != Keeper::Apache || stored.layout == Layout::Framed;
        let has_meta = stored.as_ref().is_some_and(is_ours);
        let stored = match stored {
            Some(stored) if has_meta => stored,
            other => {
                let segment_bytes = assumed.segment_bytes.or(other.map(|stored| stored.segment_bytes));
                meta_of_apaches(&*disk, &files, segment_bytes)?
            }
        };
        let survey = Survey::look(&*disk, &files, &stored)?;
        let segments = survey.open_to_read(&*disk, &files).map_err(failed_at(&files.log))?;
        let faults = survey.faults;
        Ok(Self { disk, files, stored, keeper, segments, boot: assumed.boot, has_meta, faults })
    }

    /// Of a folder with the queues of a store whose log is no log of ours.
    pub fn of_queues(disk: Arc<dyn Disk>, folder: &Path) -> Self {
        Self {
            disk,
            files: StoreFiles::within(folder),
            stored: StoreMeta::new(Layout::Classic, Settings::SEGMENT_BYTES_DEFAULT, LogOffset(0)),
            keeper: Keeper::Apache,
            segments: VecDeque::new(),
            boot: None,
            has_meta: false,
            faults: Vec::new(),
        }
    }

    pub fn layout(&self) -> Layout {
        self.stored.layout
    }

    pub fn segment_bytes(&self) -> u64 {
        self.stored.segment_bytes
    }

    /// How far the queues have come, as their files say.
    pub fn queue_ends(&self) -> Result<Vec<QueueEnd>, OpenError> {
        let found = queues::FoundQueues::find(self)?;
        let mut ends = Vec::new();
        for queue in &found.queues {
            let extent = found.extent(queue).map_err(|error| queues::failed(error, self))?;
            // What is wrong with its files, an inspection tells.
            let Ok((_, next, _)) = extent else { continue };
            ends.push(QueueEnd { topic: queue.topic.clone(), queue: queue.id, next });
        }
        Ok(ends)
    }

    /// The last entry of each queue that has one.
    pub(crate) fn last_entries(&self) -> Result<Vec<LastEntry>, OpenError> {
        let found = queues::FoundQueues::find(self)?;
        let last = |queue| found.last_entry(queue).map_err(|error| queues::failed(error, self)).transpose();
        found.queues.iter().filter_map(last).collect()
    }

    /// Whether the last stop was none in order, as far as a marker tells.
    pub fn was_cut_off(&self) -> Result<bool, OpenError> {
        self.has_abort_marker()
    }

    /// Whether a process has the store open, so that much of what is found here will be otherwise soon. It must not be this one.
    pub fn is_in_use(&self) -> Result<bool, OpenError> {
        files::is_in_use(&*self.disk, &self.files).map_err(failed_at(&self.files.lock))
    }

    /// Everything before it must be whole.
    pub(crate) fn durable(&self) -> LogOffset {
        self.stored.durable.max(self.stored.confirmed.offset)
    }

    /// From where a walk over all of the log begins.
    pub(crate) fn beginning(&self) -> (LogOffset, Option<Chain>) {
        let start = self.segments.front().map_or(self.stored.start, |first| first.base());
        (start, (start == LogOffset(0)).then(Chain::default))
    }

    /// A place near the end, from which a walk leads there.
    pub(crate) fn near_end(&self) -> Result<(LogOffset, Option<Chain>), OpenError> {
        if self.has_meta {
            let Mark { offset, chain } = self.stored.confirmed;
            return Ok((offset, Some(chain)));
        }
        for segment in self.segments.iter().rev() {
            let mut head = [0; BLANK_BYTES as usize];
            segment.read_padded(segment.base(), &mut head).map_err(failed_at(segment.path()))?;
            if head != [0; BLANK_BYTES as usize] {
                return Ok((segment.base(), None));
            }
        }
        Ok(self.beginning())
    }

    pub(crate) fn segment_at(&self, offset: LogOffset) -> Option<&Arc<Segment>> {
        let covers = |segment: &&Arc<Segment>| segment.base() <= offset && offset < segment.end();
        self.segments.iter().find(covers)
    }

    /// What `derived.synced` and `derived.written` say.
    pub(crate) fn checkpoint(&self) -> Result<(SyncedFile, WrittenFile), OpenError> {
        let folder = &self.files.folder;
        let failed = |(path, source): checkpoint::PathError| OpenError::Io { path, source };
        let synced = checkpoint::read_synced(&*self.disk, folder).map_err(failed)?;
        let written = checkpoint::read_written(&*self.disk, folder).map_err(failed)?;
        Ok((synced, written))
    }

    pub(crate) fn derived_state(&self, synced: &SyncedFile, written: &WrittenFile) -> DerivedState {
        if !self.has_meta && self.stored.layout == Layout::Classic {
            return DerivedState::Apaches;
        }
        let SyncedFile::Found(synced) = synced else { return DerivedState::Void };
        if synced.rebuilds.any() {
            return DerivedState::Void;
        }
        match written {
            WrittenFile::Found(boot, good)
                if Some(*boot) == self.boot && good.position >= synced.good.position =>
            {
                DerivedState::Good(good.clone())
            }
            _ => DerivedState::Good(synced.good.clone()),
        }
    }

    /// Whether Apache's broker runs, or did not end in order.
    pub(crate) fn has_abort_marker(&self) -> Result<bool, OpenError> {
        exists(&*self.disk, &self.files.abort).map_err(failed_at(&self.files.abort))
    }

    /// What Apache's broker says of the end of a classic log, if nothing of ours does.
    pub(crate) fn apaches_notes(&self) -> Result<Option<ApachesNotes>, OpenError> {
        let is_apaches = !self.has_meta && self.stored.layout == Layout::Classic;
        is_apaches.then(|| ApachesNotes::read(&self.disk, &self.files)).transpose()
    }

    pub(crate) fn queues_folder(&self) -> PathBuf {
        self.files.folder.join("consumequeue")
    }

    pub(crate) fn index_folder(&self) -> PathBuf {
        self.files.folder.join("index")
    }
}

pub(crate) fn exists(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    match disk.open(path, Access::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|_| true),
    }
}

/// Nothing is known of how far it was durable: the walk will say how far it is whole.
fn meta_of_apaches(
    disk: &dyn Disk,
    files: &StoreFiles,
    segment_bytes: Option<u64>,
) -> Result<StoreMeta, OpenError> {
    let first = Survey::first_segment(disk, files).map_err(failed_at(&files.log))?;
    let found = first.as_ref().map(|(_, bytes)| *bytes).filter(|bytes| *bytes > 0);
    let segment_bytes = segment_bytes.or(found).unwrap_or(Settings::SEGMENT_BYTES_DEFAULT);
    let start = first.map(|(base, _)| base).unwrap_or_default();
    Ok(StoreMeta::new(Layout::Classic, segment_bytes, start))
}

/// The end of a walk from a place: behind the last whole unit, with what is wrong there.
pub(crate) fn end_of(
    look: &Look,
    from: LogOffset,
    chain: Option<Chain>,
) -> Result<(LogOffset, Option<crate::scan::Damage>), OpenError> {
    end_of_segments(&look.segments, look.stored.layout, from, chain)
}

/// The same of segments that follow each other.
pub(crate) fn end_of_segments(
    segments: &VecDeque<Arc<Segment>>,
    layout: Layout,
    from: LogOffset,
    chain: Option<Chain>,
) -> Result<(LogOffset, Option<crate::scan::Damage>), OpenError> {
    use crate::scan::{Step, Walk};
    let mut walk = Walk::new(segments, layout, from, chain);
    loop {
        let path = walk.segment().map(|segment| segment.path().to_owned()).unwrap_or_default();
        match walk.step().map_err(failed_at(&path))? {
            Step::Unit { .. } => {}
            Step::Damaged(damage) => return Ok((walk.position().offset, Some(damage))),
            Step::Nothing | Step::NoSegment => return Ok((walk.position().offset, None)),
        }
    }
}

/// The end of the segment in which an offset lies.
pub(crate) fn end_of_segment(look: &Look, offset: LogOffset) -> LogOffset {
    look.segment_at(offset).map_or(behind(offset, 1), |segment| segment.end())
}
