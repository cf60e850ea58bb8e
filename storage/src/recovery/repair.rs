//! Bringing the files into the state that the walk has found.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ending::Ending;
use super::survey::Survey;
use super::{OpenError, failed_at};
use crate::disk::Disk;
use crate::files::StoreFiles;
use crate::segment::{self, Segment};

pub(super) struct Repair<'a> {
    pub disk: &'a dyn Disk,
    pub files: &'a StoreFiles,
    pub segment_bytes: u64,
}

/// The log as it is now.
pub(super) struct Repaired {
    pub segments: VecDeque<Arc<Segment>>,
    /// The last of them: the log ends in it.
    pub last: Arc<Segment>,
    pub removed: Vec<PathBuf>,
}

impl Repair<'_> {
    /// Makes the end durable, and all behind it nothing. A crash in the midst of it leaves work for the next time, which finds
    /// the same end.
    pub fn run(
        &self,
        mut segments: VecDeque<Arc<Segment>>,
        survey: &Survey,
        ending: &Ending,
    ) -> Result<Repaired, OpenError> {
        for base in &survey.dropped {
            let path = self.files.log.join(segment::name(*base));
            self.disk.remove(&path).map_err(failed_at(&path))?;
        }
        let mut removed = Vec::new();
        for base in survey.behind.iter().rev() {
            let path = self.files.log.join(segment::name(*base));
            self.remove(&path).map_err(failed_at(&path))?;
            removed.push(path);
        }
        while let Some(behind) = segments.pop_back_if(|last| last.base() > ending.end.offset) {
            // One by one from the end, so that a crash leaves no gap.
            self.remove(behind.path()).map_err(failed_at(behind.path()))?;
            removed.push(behind.path().to_owned());
        }
        let last = self.last(&mut segments, ending)?;
        if !ending.is_in_order {
            // A process may have ended before it synced the names that it gave, and they are relied on from now on.
            for folder in [&self.files.folder, &self.files.log] {
                self.disk.sync_folder(folder).map_err(failed_at(folder))?;
            }
            last.cut(ending.end.offset).map_err(failed_at(last.path()))?;
            for segment in segments.iter().filter(|segment| segment.end() > ending.walked_from) {
                segment.sync().map_err(failed_at(segment.path()))?;
            }
        }
        Ok(Repaired { segments, last, removed })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)?;
        self.disk.sync_folder(&self.files.log)
    }

    /// The segment in which the log ends. It is made if the log is empty, or ends with a segment that is full.
    fn last(
        &self,
        segments: &mut VecDeque<Arc<Segment>>,
        ending: &Ending,
    ) -> Result<Arc<Segment>, OpenError> {
        let end = ending.end.offset;
        if let Some(last) = segments.back().filter(|last| end < last.end()) {
            return Ok(Arc::clone(last));
        }
        let folder = &self.files.log;
        let made = Segment::create(self.disk, folder, end, self.segment_bytes).map_err(failed_at(folder))?;
        let made = Arc::new(made);
        segments.push_back(Arc::clone(&made));
        Ok(made)
    }
}
