//! The whole of a simulated disk: files, names, and what is to go wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::dice::Dice;
use super::inode::{Change, Inode, Survival};
use crate::disk::{Access, Entry, Space};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HandleId(u64);

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails. Of a write, the first half lands. After a sync, the changes before it count as clean and are lost.
    Io,
    /// There is no more room. Of a write, the first half lands.
    NoRoom,
    /// A write lands as many bytes further on, or before, and nothing tells.
    Misdirected(i64),
}

/// What the disk says it has done, and has not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    SyncData,
    SyncFolder,
    Truncate,
}

/// A change of one file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call<'a> {
    Write { at: u64, bytes: &'a [u8] },
    Sync,
    Truncate(u64),
    Allocate(u64),
}

#[derive(Clone, Debug)]
enum NameChange {
    Create(PathBuf, InodeId),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl NameChange {
    fn path(&self) -> &Path {
        let (Self::Create(path, _) | Self::Rename(_, path) | Self::Remove(path)) = self;
        path
    }

    fn is_within(&self, folder: &Path) -> bool {
        self.path().parent() == Some(folder)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, InodeId>) {
        match self {
            Self::Create(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct State {
    inodes: BTreeMap<InodeId, Inode>,
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, InodeId>,
    durable_names: BTreeMap<PathBuf, InodeId>,
    pending_names: Vec<NameChange>,
    last_id: u64,
    pub changes: u64,
    pub calls: u64,
    pub crash_at: Option<u64>,
    pub crashed: bool,
    pub faults: BTreeMap<u64, Fault>,
    pub room: Option<u64>,
    pub read_only: bool,
    pub lie: Option<(Lie, PathBuf)>,
    pub cold: BTreeSet<InodeId>,
    pub waiting_reads: usize,
    pub read_aheads: Vec<(u64, u64)>,
}

fn power_failed() -> io::Error {
    io::Error::other("the power failed")
}

fn io_fault() -> io::Error {
    // EIO
    io::Error::from_raw_os_error(5)
}

fn no_room() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Begins a call. What it returns is to go wrong with it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        if self.crashed {
            return Err(power_failed());
        }
        let call = self.calls;
        self.calls += 1;
        Ok(self.faults.remove(&call))
    }

    /// Begins a call that only fails or does not.
    fn begin_plain(&mut self) -> io::Result<()> {
        match self.begin()? {
            Some(Fault::Io) => Err(io_fault()),
            Some(Fault::NoRoom) => Err(no_room()),
            Some(Fault::Misdirected(_)) | None => Ok(()),
        }
    }

    /// Ends a change: the power may fail now.
    fn end_change(&mut self) -> io::Result<()> {
        let change = self.changes;
        self.changes += 1;
        self.crashed |= self.crash_at == Some(change);
        if self.crashed { Err(power_failed()) } else { Ok(()) }
    }

    /// Ends a sync, which has happened only if the power has not failed.
    fn end_sync(&mut self, is_lie: bool, sync: impl FnOnce(&mut Self)) -> io::Result<()> {
        self.end_change()?;
        if !is_lie {
            sync(self);
        }
        Ok(())
    }

    /// Whether the disk lies about something that happens to the path.
    fn is_lie(&self, lie: Lie, path: &Path) -> bool {
        self.lie.as_ref().is_some_and(|(told, within)| *told == lie && path.starts_with(within))
    }

    fn is_lie_about(&self, lie: Lie, inode: InodeId) -> bool {
        self.names.iter().any(|(path, named)| *named == inode && self.is_lie(lie, path))
    }

    fn check_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }

    fn used(&self) -> u64 {
        self.names
            .values()
            .filter_map(|inode| self.inodes.get(inode))
            .map(|inode| inode.cached.len() as u64)
            .sum()
    }

    pub fn space(&mut self) -> io::Result<Space> {
        self.begin_plain()?;
        let used = self.used();
        let total = self.room.unwrap_or(u64::MAX);
        let free = total.saturating_sub(used);
        Ok(Space { total, free, available: free })
    }

    pub fn set_cold(&mut self, path: &Path, cold: bool) {
        if let Some(inode) = self.names.get(path) {
            if cold {
                self.cold.insert(*inode)
            } else {
                self.cold.remove(inode)
            };
        }
    }

    pub fn is_cold(&self, inode: InodeId) -> bool {
        self.cold.contains(&inode)
    }

    pub fn create(&mut self, path: &Path) -> io::Result<(InodeId, HandleId)> {
        self.begin_plain()?;
        self.check_writable()?;
        if self.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if !path.parent().is_some_and(|folder| self.folders.contains(folder)) {
            return Err(not_found());
        }
        let inode = InodeId(self.next_id());
        self.inodes.insert(inode, Inode::default());
        self.change_names(NameChange::Create(path.to_owned(), inode))?;
        Ok((inode, HandleId(self.next_id())))
    }

    pub fn open(&mut self, path: &Path, access: Access) -> io::Result<(InodeId, HandleId)> {
        self.begin_plain()?;
        let inode = self.names.get(path).copied().ok_or_else(not_found)?;
        if access == Access::Write {
            self.check_writable()?;
        }
        Ok((inode, HandleId(self.next_id())))
    }

    pub fn list(&mut self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.begin_plain()?;
        if !self.folders.contains(folder) {
            return Err(not_found());
        }
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let within = |path: &&PathBuf| path.parent() == Some(folder);
        let files = self.names.iter().filter(|(path, _)| within(path)).filter_map(|(path, inode)| {
            let bytes = self.inodes.get(inode)?.cached.len() as u64;
            Some(Entry { name: name(path)?, bytes, is_folder: false })
        });
        let folders = self.folders.iter().filter(within);
        let folders = folders.filter_map(|path| Some(Entry { name: name(path)?, bytes: 0, is_folder: true }));
        let mut entries: Vec<_> = files.chain(folders).collect();
        entries.sort();
        Ok(entries)
    }

    pub fn create_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.begin_plain()?;
        if !self.folders.contains(folder) {
            self.check_writable()?;
            self.folders.extend(folder.ancestors().map(Path::to_owned));
        }
        Ok(())
    }

    pub fn remove_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.begin_plain()?;
        self.check_writable()?;
        let is_within = |path: &&PathBuf| path.parent() == Some(folder);
        if self.names.keys().any(|path| is_within(&path)) || self.folders.iter().any(|path| is_within(&path))
        {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if self.folders.remove(folder) { Ok(()) } else { Err(not_found()) }
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin_plain()?;
        self.check_writable()?;
        if !self.names.contains_key(from) {
            return Err(not_found());
        }
        self.change_names(NameChange::Rename(from.to_owned(), to.to_owned()))
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.begin_plain()?;
        self.check_writable()?;
        if !self.names.contains_key(path) {
            return Err(not_found());
        }
        self.change_names(NameChange::Remove(path.to_owned()))
    }

    fn change_names(&mut self, change: NameChange) -> io::Result<()> {
        change.apply(&mut self.names);
        self.pending_names.push(change);
        self.end_change()
    }

    pub fn sync_folder(&mut self, folder: &Path) -> io::Result<()> {
        self.begin_plain()?;
        self.end_sync(self.is_lie(Lie::SyncFolder, folder), |state| {
            let pending = std::mem::take(&mut state.pending_names);
            let (synced, pending): (Vec<_>, Vec<_>) =
                pending.into_iter().partition(|change| change.is_within(folder));
            synced.iter().for_each(|change| change.apply(&mut state.durable_names));
            state.pending_names = pending;
        })
    }

    pub fn sync_below(&mut self, folder: &Path) -> io::Result<()> {
        let fault = self.begin()?;
        let is_honest = |state: &Self, lie, path: &Path| path.starts_with(folder) && !state.is_lie(lie, path);
        let files: Vec<_> = self.names.iter().map(|(path, inode)| (path.clone(), *inode)).collect();
        let files = files.into_iter().filter(|(path, _)| is_honest(self, Lie::SyncData, path));
        let files: Vec<_> = files.map(|(_, inode)| inode).collect();
        if fault.is_some() {
            files.into_iter().for_each(|inode| {
                let _ = self.inode(inode).map(Inode::forget_pending);
            });
            self.end_change()?;
            return Err(io_fault());
        }
        self.end_sync(false, |state| {
            files.into_iter().for_each(|inode| {
                let _ = state.inode(inode).map(Inode::sync);
            });
            let pending = std::mem::take(&mut state.pending_names);
            let is_synced = |change: &NameChange| is_honest(state, Lie::SyncFolder, change.path());
            let (synced, pending): (Vec<_>, Vec<_>) = pending.into_iter().partition(is_synced);
            synced.iter().for_each(|change| change.apply(&mut state.durable_names));
            state.pending_names = pending;
        })
    }

    fn inode(&mut self, inode: InodeId) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(not_found)
    }

    pub fn change_file(&mut self, inode: InodeId, call: Call<'_>) -> io::Result<()> {
        let fault = self.begin()?;
        self.check_writable()?;
        match call {
            Call::Write { at, bytes } => self.write(inode, at, bytes, fault),
            Call::Sync if fault.is_some() => {
                self.inode(inode)?.forget_pending();
                self.end_change()?;
                Err(io_fault())
            }
            Call::Sync => self.end_sync(self.is_lie_about(Lie::SyncData, inode), |state| {
                if let Ok(inode) = state.inode(inode) {
                    inode.sync();
                }
            }),
            Call::Truncate(_) | Call::Allocate(_) if fault == Some(Fault::Io) => Err(io_fault()),
            Call::Truncate(_) | Call::Allocate(_) if fault == Some(Fault::NoRoom) => Err(no_room()),
            Call::Truncate(_) if self.is_lie_about(Lie::Truncate, inode) => self.end_change(),
            Call::Truncate(bytes) => {
                self.inode(inode)?.change(Change::Length(bytes as usize));
                self.end_change()
            }
            Call::Allocate(bytes) => self.allocate(inode, bytes),
        }
    }

    fn write(&mut self, inode: InodeId, at: u64, bytes: &[u8], fault: Option<Fault>) -> io::Result<()> {
        let present = self.inode(inode)?.cached.len() as u64;
        let growth = (at + bytes.len() as u64).saturating_sub(present);
        let free = self.room.map_or(u64::MAX, |room| room.saturating_sub(self.used()));
        let (landing, result) = match fault {
            Some(Fault::Io) => (bytes.len() / 2, Err(io_fault())),
            Some(Fault::NoRoom) => (bytes.len() / 2, Err(no_room())),
            _ if growth > free => (bytes.len().saturating_sub((growth - free) as usize), Err(no_room())),
            _ => (bytes.len(), Ok(())),
        };
        let place = match fault {
            Some(Fault::Misdirected(by)) => at.saturating_add_signed(by),
            _ => at,
        };
        let landed = bytes.get(..landing).unwrap_or_default().to_vec();
        self.inode(inode)?.change(Change::Write { at: place as usize, bytes: landed });
        self.end_change()?;
        result
    }

    fn allocate(&mut self, inode: InodeId, bytes: u64) -> io::Result<()> {
        let present = self.inode(inode)?.cached.len() as u64;
        if bytes <= present {
            return Ok(());
        }
        if self.room.is_some_and(|room| self.used() + (bytes - present) > room) {
            return Err(no_room());
        }
        self.inode(inode)?.change(Change::Length(bytes as usize));
        self.end_change()
    }

    pub fn read(&mut self, inode: InodeId, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.begin_plain()?;
        let bytes = self.inode(inode)?.cached.get(at as usize..).unwrap_or_default();
        let filled = bytes.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(filled)
    }

    pub fn file_bytes(&mut self, inode: InodeId) -> io::Result<u64> {
        self.begin_plain()?;
        Ok(self.inode(inode)?.cached.len() as u64)
    }

    pub fn is_locked(&mut self, inode: InodeId, handle: HandleId) -> io::Result<bool> {
        self.begin_plain()?;
        Ok(self.inode(inode)?.locked_by.is_some_and(|owner| owner != handle))
    }

    pub fn try_lock(&mut self, inode: InodeId, handle: HandleId) -> io::Result<bool> {
        self.begin_plain()?;
        let owner = self.inode(inode)?.locked_by.get_or_insert(handle);
        Ok(*owner == handle)
    }

    pub fn close(&mut self, inode: InodeId, handle: HandleId) {
        if let Some(inode) = self.inodes.get_mut(&inode)
            && inode.locked_by == Some(handle)
        {
            inode.locked_by = None;
        }
    }

    /// A disk with these names and files, and nothing else of this one.
    fn fresh(&self, names: BTreeMap<PathBuf, InodeId>, inodes: BTreeMap<InodeId, Inode>) -> Self {
        Self {
            inodes,
            folders: self.folders.clone(),
            durable_names: names.clone(),
            names,
            last_id: self.last_id,
            room: self.room,
            lie: self.lie.clone(),
            ..Self::default()
        }
    }

    pub fn after_power_loss(&self, dice: &mut Dice) -> Self {
        let survival = Survival::draw(dice);
        let mut names = self.durable_names.clone();
        for change in &self.pending_names {
            if survival.changes(1, dice) == 1 {
                change.apply(&mut names);
            }
        }
        let inodes = names.values().filter_map(|id| {
            let inode = self.inodes.get(id)?;
            Some((*id, inode.survivor(survival, dice)))
        });
        let inodes = inodes.collect();
        self.fresh(names, inodes)
    }

    pub fn after_process_loss(&self) -> Self {
        let inodes = self.inodes.iter().map(|(id, inode)| (*id, inode.after_process_loss()));
        let mut state = self.fresh(self.names.clone(), inodes.collect());
        state.durable_names = self.durable_names.clone();
        state.pending_names = self.pending_names.clone();
        state
    }

    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.names.iter();
        files
            .filter_map(|(path, inode)| Some((path.clone(), self.inodes.get(inode)?.cached.clone())))
            .collect()
    }

    pub fn edit(&mut self, path: &Path, change: impl Fn(&mut Vec<u8>) -> bool) -> bool {
        let inode = self.names.get(path).and_then(|inode| self.inodes.get_mut(inode));
        inode.is_some_and(|inode| inode.edit(&change))
    }

    pub fn plant(&mut self, path: &Path, bytes: &[u8]) {
        let inode = InodeId(self.next_id());
        self.inodes.insert(inode, Inode::planted(bytes));
        self.folders.extend(path.ancestors().skip(1).map(Path::to_owned));
        self.names.insert(path.to_owned(), inode);
        self.durable_names.insert(path.to_owned(), inode);
    }

    pub fn uproot(&mut self, path: &Path) {
        self.names.remove(path);
        self.durable_names.remove(path);
    }
}
