//! From another broker's store to a group of ours, while neither runs.
//!
//! What is read: the store of a classic broker, Apache's or ours, or that of a DLedger node. What is made: the folder of the
//! first node of a group, and copies of it for the others, as if the group had been there all the time. Every message keeps its
//! queue, its offset there, its times, hosts, keys and tags; topics, groups, what they consumed and what waits come with it.
//! What changes is where messages lie in the log, and so the ids that are made of that.
//!
//! All of the source is read and checked before anything is written ([`survey`]). Nothing in it is changed. The new store belongs
//! to no node before it is complete; whoever is killed in the midst of it goes on where the [`journal`] says.

mod belongings;
mod copies;
mod journal;
mod ledger;
mod places;
pub mod source;
pub mod survey;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ferrymq_proto::position::LogOffset;
use ferrymq_proto::record::Record;
use ferrymq_raft::{Founding, Member, NodeId, NodeMetaError};
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::dispatch::DerivedSettings;
use ferrymq_storage::{BootId, FlushMode};

use crate::state::files::FileError;
use belongings::Belongings;
use journal::Journal;
use source::{Ending, Source, SourceError, list, place};
use survey::{Fate, Limits, Survey};
use target::{Plan, Target, TargetError};

/// Beside the records: frames, queues, index, and room for the next segment.
const SEGMENTS_MORE: u64 = 2;
const SHARE_MORE: u64 = 10;
/// What a file system puts into a new folder.
const NOBODYS: &str = "lost+found";

/// A group that is to begin.
#[derive(Clone, Debug)]
pub struct Group {
    pub cluster: String,
    pub name: String,
    pub nodes: Vec<Node>,
    pub segment_bytes: u64,
    pub derived: DerivedSettings,
    pub mode: FlushMode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub member: Member,
    pub folder: PathBuf,
}

/// What a migration is told.
#[derive(Clone, Debug)]
pub struct Order {
    /// Of several nodes of one DLedger group, the one that has most is read.
    pub from: Vec<PathBuf>,
    /// Of the source, if it does not say so itself.
    pub segment_bytes: Option<u64>,
    pub ending: Ending,
    pub to: Group,
}

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error("{0}")]
    Source(#[from] SourceError),
    #[error("{0}")]
    Tables(#[from] FileError),
    #[error("{0}")]
    Target(#[from] TargetError),
    #[error("{0}")]
    Node(#[from] NodeMetaError),
    #[error("{0} is no DLedger node's; only the nodes of one DLedger group are read together")]
    NotTogether(PathBuf),
    #[error("{0} belongs to a node already")]
    Taken(PathBuf),
    #[error("{folder} is not empty: there is {name}")]
    NotEmpty { folder: PathBuf, name: String },
    #[error(
        "{folder} holds an unfinished migration of another group, or from elsewhere: from {source_folder}"
    )]
    OtherMigration { folder: PathBuf, source_folder: String },
    #[error("{0} has changed since the unfinished migration began")]
    Changed(PathBuf),
    #[error("{folder} has room for {found} bytes, and {needed} are needed")]
    NoRoom { folder: PathBuf, found: u64, needed: u64 },
    #[error("the store cannot be moved as it is: {} obstacles, such as:\n  {}", .0.count, .0.named.join("\n  "))]
    Obstacles(survey::Obstacles),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
}

impl MigrationError {
    /// Whether nothing was tried, so that nothing is lost.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Target(_) | Self::Node(_) | Self::Io { .. } => false,
            Self::Source(error) => !matches!(error, SourceError::Io { .. }),
            _ => true,
        }
    }
}

fn failed_at(path: &Path) -> impl FnOnce(io::Error) -> MigrationError {
    let path = path.to_owned();
    |source| MigrationError::Io { path, source }
}

/// What is told while it lasts.
pub trait Watcher {
    /// A part of the work begins, of so many bytes.
    fn begins(&mut self, what: &'static str, bytes: u64);
    fn has_come(&mut self, bytes: u64);
    fn ends(&mut self);
}

/// A migration that was checked.
#[derive(Debug)]
pub struct Migration {
    group: Group,
    source: Source,
    belongings: Belongings,
    boot: BootId,
    journal: Journal,
    is_resumed: bool,
    survey: Survey,
    tail: u64,
    with_tail: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub records: u64,
    pub bytes: u64,
}

impl Migration {
    /// Looks at both sides and reads all of the source. Nothing is written.
    pub fn check(order: Order, watcher: &mut dyn Watcher) -> Result<Self, MigrationError> {
        let Order { from, segment_bytes, ending, to: group } = order;
        let (source, belongings) =
            choose(&from, segment_bytes, ending, LogOffset(group.segment_bytes as i64))?;
        let boot = RealDisk::boot_id().map_err(failed_at(&source.folder))?;
        let fingerprint = source.fingerprint()?;
        let found = group.find_journal(&source, fingerprint, ending.with_tail)?;
        let is_resumed = found.is_some();
        let journal = found.unwrap_or_else(|| {
            let nodes: Vec<NodeId> =
                group.nodes.iter().map(|node| Founding::number(&node.member.name, boot)).collect();
            let folder = source.folder.display().to_string();
            Journal::begin(fingerprint, folder, &nodes, group.names(), ending.with_tail)
        });
        let resumed = journal.reached().map_or(LogOffset(0), |reached| reached.source);
        let limits = Limits { segment_bytes: group.segment_bytes, resumed };
        watcher.begins("checking", source.bytes());
        let survey = Survey::take(&source, &belongings.tables, limits, &mut |done| watcher.has_come(done));
        watcher.ends();
        let survey = survey?;
        let tail = if ending.with_tail { 0 } else { source.entries_behind(survey.end)? };
        let with_tail = ending.with_tail;
        Ok(Self { group, source, belongings, boot, journal, is_resumed, survey, tail, with_tail })
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    pub fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Of a DLedger node, entries that are not known to be committed, and are left out.
    pub fn tail(&self) -> u64 {
        self.tail
    }

    pub fn with_tail(&self) -> bool {
        self.with_tail
    }

    pub fn topics(&self) -> usize {
        self.belongings.tables.topics().count()
    }

    pub fn groups(&self) -> usize {
        self.belongings.tables.groups().count()
    }

    /// What an operator should know.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        self.belongings.notes.iter().map(ToString::to_string)
    }

    /// What beside the messages has no place in the group.
    pub fn not_moved(&self) -> &[String] {
        &self.belongings.not_moved
    }

    /// Whether it can be done.
    pub fn verdict(&self) -> Result<(), MigrationError> {
        if self.survey.obstacles.count > 0 {
            return Err(MigrationError::Obstacles(self.survey.obstacles.clone()));
        }
        self.check_room()
    }

    fn check_room(&self) -> Result<(), MigrationError> {
        let left = self.survey.bytes.saturating_sub(self.journal.bytes);
        let each = left + left / SHARE_MORE + SEGMENTS_MORE * self.group.segment_bytes;
        let mut needed: BTreeMap<u64, u64> = BTreeMap::new();
        for (number, node) in self.group.nodes.iter().enumerate() {
            if number < self.journal.copies as usize || self.journal.copies > 0 && number == 0 {
                continue;
            }
            let there = node.folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
            let device = there.metadata().map_err(failed_at(there))?.dev();
            let needed = needed.entry(device).or_default();
            *needed += each;
            let found = RealDisk.space(there).map_err(failed_at(there))?.available;
            if found < *needed {
                return Err(MigrationError::NoRoom { folder: node.folder.clone(), found, needed: *needed });
            }
        }
        Ok(())
    }

    /// Does it.
    pub fn run(mut self, watcher: &mut dyn Watcher) -> Result<Outcome, MigrationError> {
        self.verdict()?;
        for node in &self.group.nodes {
            if Journal::load(&node.folder).map_err(failed_at(&node.folder))?.is_none() {
                self.journal.save(&node.folder).map_err(failed_at(&node.folder))?;
            }
        }
        if self.journal.copies == 0 {
            self.write(watcher)?;
        }
        self.copy(watcher)?;
        self.admit()?;
        Ok(Outcome { records: self.journal.records, bytes: self.journal.bytes })
    }

    fn founding(&self) -> Founding {
        let members = self.journal.nodes().into_iter().zip(&self.group.nodes);
        Founding {
            cluster: self.group.cluster.clone(),
            group: self.group.name.clone(),
            members: members.map(|(number, node)| (number, node.member.clone())).collect(),
            segment_bytes: self.group.segment_bytes,
        }
    }

    fn first(&self) -> &Path {
        self.group.nodes.first().map_or(Path::new(""), |node| &node.folder)
    }

    fn write(&mut self, watcher: &mut dyn Watcher) -> Result<(), MigrationError> {
        let folder = self.first().to_owned();
        let plan = Plan {
            folder: folder.clone(),
            founding: self.founding(),
            derived: self.group.derived.clone(),
            tables: self.belongings.tables.checkpoint(),
            begins: self.survey.begins(),
        };
        let mut target = Target::open(plan, self.journal.clone(), self.survey.start)?;
        let from = target.reached();
        let total = (self.survey.end.0 - from.0).max(0).unsigned_abs();
        watcher.begins("moving", total);
        let moved = self.move_records(&mut target, from, watcher).and_then(|()| self.finish(target));
        watcher.ends();
        self.journal = moved?;
        self.journal.copies = 1;
        self.journal.save(&folder).map_err(failed_at(&folder))
    }

    /// Ends the new store in order, if it is a copy of what the source is now.
    fn finish(&self, target: Target) -> Result<Journal, MigrationError> {
        if self.source.fingerprint()? != self.journal.fingerprint {
            return Err(MigrationError::Changed(self.source.folder.clone()));
        }
        Ok(target.finish(&self.survey.ends())?)
    }

    fn move_records(
        &self,
        target: &mut Target,
        from: LogOffset,
        watcher: &mut dyn Watcher,
    ) -> Result<(), MigrationError> {
        let mut sieve = self.survey.sieve();
        let mut records = self.source.records(from)?;
        while let Some(found) = records.next_record()? {
            // What cannot be read was counted by the survey.
            let Ok((record, _)) = Record::decode(found.bytes) else { continue };
            if sieve.judge(found.offset, &record) == Fate::Moved {
                target.add(&found)?;
            }
            watcher.has_come((found.next.0 - from.0).unsigned_abs());
        }
        Ok(())
    }

    /// Gives the other nodes what the first one has.
    fn copy(&mut self, watcher: &mut dyn Watcher) -> Result<(), MigrationError> {
        let first = self.first().to_owned();
        let others: Vec<PathBuf> = self
            .group
            .nodes
            .iter()
            .skip(self.journal.copies as usize)
            .map(|node| node.folder.clone())
            .collect();
        for folder in others {
            watcher.begins("copying", copies::bytes_below(&first).map_err(failed_at(&first))?);
            let mut done = 0;
            let copied = copies::copy(&first, &folder, &mut |bytes| {
                done += bytes;
                watcher.has_come(done);
            });
            watcher.ends();
            copied.map_err(|(path, source)| MigrationError::Io { path, source })?;
            self.journal.copies += 1;
            self.journal.save(&first).map_err(failed_at(&first))?;
        }
        Ok(())
    }

    /// Makes the folders those of nodes, and takes the journals away: that of the first one last.
    fn admit(&self) -> Result<(), MigrationError> {
        let founding = self.founding();
        for (number, node) in self.journal.nodes().into_iter().zip(&self.group.nodes) {
            if !Founding::is_taken(&RealDisk, &node.folder).map_err(failed_at(&node.folder))? {
                founding.admit(&RealDisk, &node.folder, number, (self.boot, self.group.mode))?;
            }
        }
        for node in self.group.nodes.iter().rev() {
            Journal::remove(&node.folder).map_err(failed_at(&node.folder))?;
        }
        Ok(())
    }
}

/// How much a node has: of its log, and then of its tables. More comes later.
type Merits = [(i64, i64); 2];

/// Opens the source, or of several nodes the one that has most.
fn choose(
    from: &[PathBuf],
    segment_bytes: Option<u64>,
    ending: Ending,
    log_begin: LogOffset,
) -> Result<(Source, Belongings), MigrationError> {
    let mut best: Option<(Merits, Source, Belongings)> = None;
    for folder in from {
        // Who goes on later may stand elsewhere.
        let folder = &place(folder);
        let source = Source::open(folder, segment_bytes, ending)?;
        let belongings = Belongings::load(folder, source.was_cut_off()?, log_begin)?;
        let reach = match source.ledger() {
            None if from.len() > 1 => return Err(MigrationError::NotTogether(folder.clone())),
            Some(ledger) if ending.with_tail => ledger.last().map_err(SourceError::from)?,
            other => (0, other.map_or(0, ledger::Ledger::committed)),
        };
        let merits = [reach, belongings.age()];
        best = Some(match best.take() {
            Some((known, best_source, mut best_belongings)) if known >= merits => {
                best_belongings.lay_over(&belongings.tables);
                (known, best_source, best_belongings)
            }
            other => {
                let mut belongings = belongings;
                if let Some((_, _, other)) = other {
                    belongings.lay_over(&other.tables);
                }
                (merits, source, belongings)
            }
        });
    }
    let (_, source, belongings) = best.ok_or_else(|| SourceError::NoStore(PathBuf::new()))?;
    Ok((source, belongings))
}

impl Group {
    fn names(&self) -> Vec<String> {
        let name = |node: &Node| {
            let Node { member, folder } = node;
            format!("{} {} {} {} {}", self.cluster, self.name, member.name, member.address, folder.display())
        };
        self.nodes.iter().map(name).collect()
    }

    /// The journal of a migration that was not finished. Else all folders must be empty.
    fn find_journal(
        &self,
        source: &Source,
        fingerprint: u32,
        with_tail: bool,
    ) -> Result<Option<Journal>, MigrationError> {
        let mut first: Option<Journal> = None;
        for (number, node) in self.nodes.iter().enumerate() {
            let folder = &node.folder;
            let found = Journal::load(folder).map_err(failed_at(&Journal::path(folder)))?;
            if let Some(journal) = found {
                let is_same = journal.names == self.names()
                    && journal.source == source.folder.display().to_string()
                    && journal.with_tail == with_tail;
                if !is_same {
                    return Err(MigrationError::OtherMigration {
                        folder: folder.clone(),
                        source_folder: journal.source,
                    });
                }
                if journal.fingerprint != fingerprint {
                    return Err(MigrationError::Changed(source.folder.clone()));
                }
                if number == 0 {
                    first = Some(journal);
                }
                continue;
            }
            // The last steps of a migration: this one was admitted already.
            let is_copied = |journal: &Journal| journal.copies as usize >= self.nodes.len();
            if Founding::is_taken(&RealDisk, folder).map_err(failed_at(folder))? {
                if first.as_ref().is_some_and(is_copied) {
                    continue;
                }
                return Err(MigrationError::Taken(folder.clone()));
            }
            let entries = list(folder).map_err(failed_at(folder))?;
            let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
            if let Some(name) = names.into_iter().find(|name| name != NOBODYS) {
                return Err(MigrationError::NotEmpty { folder: folder.clone(), name });
            }
        }
        Ok(first)
    }
}
