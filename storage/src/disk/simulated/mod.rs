//! A disk in memory that does to its files what real ones do on their worst day, the same for the same seed.
//!
//! Each file has two faces: what readers see, and what is on the platter with the changes since the last sync waiting in
//! between. [`SimulatedDisk::power_loss`] makes the disk that is found after the power came back: every sector of 512 bytes
//! shows its content after some number of the changes that touched it, chosen for each sector, and so does the length; each
//! name that was changed since its folder was synced is there or not. [`SimulatedDisk::process_loss`] is the mild case: only
//! the handles and locks are gone.
//!
//! Every call has a number. A test may let the power fail in the midst of change n ([`crash_at_change`]), or let call n fail,
//! land elsewhere or run out of room ([`fail_call`]); it may rot a bit, and ask the disk to lie ([`pretend`]), which shows that
//! a checker would notice.
//!
//! A file may be [cold](SimulatedDisk::chill): who reads it waits until it is warm again.
//!
//! Left out: other stalls, and reads that fail half way.
//!
//! [`crash_at_change`]: SimulatedDisk::crash_at_change
//! [`fail_call`]: SimulatedDisk::fail_call
//! [`pretend`]: SimulatedDisk::pretend

mod dice;
mod inode;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub use dice::Dice;
pub use state::{Fault, Lie};

use super::{Access, Disk, DiskFile, Entry, Space};
use state::{Call, HandleId, InodeId, State};

#[derive(Clone, Debug, Default)]
pub struct SimulatedDisk(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    warmed: Condvar,
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Shared { state: Mutex::new(state), warmed: Condvar::new() }))
    }

    /// Lets all reads of a file wait, until it is [warm](Self::warm) again.
    pub fn chill(&self, path: &Path) {
        self.state().set_cold(path, true);
    }

    pub fn warm(&self, path: &Path) {
        self.state().set_cold(path, false);
        self.0.warmed.notify_all();
    }

    /// Warms all files, also those without a name.
    pub fn warm_all(&self) {
        self.state().cold.clear();
        self.0.warmed.notify_all();
    }

    /// How many reads wait for a cold file.
    pub fn waiting_reads(&self) -> usize {
        self.state().waiting_reads
    }

    /// The disk after a power loss. Which changes survive is drawn from `seed`; what was synced always does.
    #[must_use]
    pub fn power_loss(&self, seed: u64) -> Self {
        Self::with(self.state().after_power_loss(&mut Dice::new(seed)))
    }

    /// The disk after the end of all processes: nothing is lost, and nothing is synced by it.
    #[must_use]
    pub fn process_loss(&self) -> Self {
        Self::with(self.state().after_process_loss())
    }

    /// How many changes there were: writes, syncs, cuts, allocations, and changes of names.
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// How many calls there were, reads as well.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets the power fail in the midst of change number `change`, counted from 0. All later calls fail.
    pub fn crash_at_change(&self, change: u64) {
        self.state().crash_at = Some(change);
    }

    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// Lets call number `call`, counted from 0, go wrong.
    pub fn fail_call(&self, call: u64, fault: Fault) {
        self.state().faults.insert(call, fault);
    }

    /// Room for the bytes of all files. `None` is endless.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Where and how far the disk was asked to read ahead.
    pub fn read_aheads(&self) -> Vec<(u64, u64)> {
        self.state().read_aheads.clone()
    }

    pub fn set_read_only(&self, read_only: bool) {
        self.state().read_only = read_only;
    }

    /// Lets it lie about all files and folders within a path.
    pub fn pretend(&self, lie: Lie, within: &Path) {
        self.state().lie = Some((lie, within.to_owned()));
    }

    /// What readers see of every file.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.state().files()
    }

    /// Turns one bit of a file, on the platter as well. Says if there is such a bit.
    pub fn flip_bit(&self, path: &Path, bit: u64) -> bool {
        self.state().edit(path, |bytes| {
            let byte = usize::try_from(bit / 8).ok().and_then(|at| bytes.get_mut(at));
            byte.map(|byte| *byte ^= 1 << (bit % 8)).is_some()
        })
    }

    /// Puts a file there as if it had always been, in place of the one that was.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        self.state().plant(path, bytes);
    }

    /// Takes a file away as if it had never been.
    pub fn uproot(&self, path: &Path) {
        self.state().uproot(path);
    }
}

impl Disk for SimulatedDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let (inode, handle) = self.state().create(path)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), inode, handle, access: Access::Write }))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let (inode, handle) = self.state().open(path, access)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), inode, handle, access }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        self.state().list(folder)
    }

    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().create_folder(folder)
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().create_folder(folder)
    }

    fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().remove_folder(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.state().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.state().sync_folder(folder)
    }

    fn sync_below(&self, folder: &Path) -> io::Result<()> {
        self.state().sync_below(folder)
    }

    fn space(&self, _folder: &Path) -> io::Result<Space> {
        self.state().space()
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    inode: InodeId,
    handle: HandleId,
    access: Access,
}

impl SimulatedFile {
    fn change(&self, call: Call<'_>) -> io::Result<()> {
        if self.access == Access::Read {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened for reading"));
        }
        self.disk.state().change_file(self.inode, call)
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, parts: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len()).sum());
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        if bytes.is_empty() { Ok(()) } else { self.change(Call::Write { at, bytes: &bytes }) }
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut state = self.disk.state();
        state.waiting_reads += 1;
        let is_cold = |state: &mut State| state.is_cold(self.inode);
        let warm = self.disk.0.warmed.wait_while(state, is_cold);
        state = warm.unwrap_or_else(PoisonError::into_inner);
        state.waiting_reads -= 1;
        state.read(self.inode, buffer, at)
    }

    fn read_cached_at(&self, buffer: &mut [u8], at: u64) -> io::Result<Option<usize>> {
        let mut state = self.disk.state();
        if state.is_cold(self.inode) { Ok(None) } else { state.read(self.inode, buffer, at).map(Some) }
    }

    fn read_ahead(&self, at: u64, bytes: u64) {
        self.disk.state().read_aheads.push((at, bytes));
    }

    fn let_go(&self, _at: u64, _bytes: u64) {}

    fn bytes(&self) -> io::Result<u64> {
        self.disk.state().file_bytes(self.inode)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.change(Call::Sync)
    }

    fn sync_all(&self) -> io::Result<()> {
        self.change(Call::Sync)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.change(Call::Truncate(bytes))
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        self.change(Call::Allocate(bytes))
    }

    fn is_locked(&self) -> io::Result<bool> {
        self.disk.state().is_locked(self.inode, self.handle)
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.disk.state().try_lock(self.inode, self.handle)
    }
}

impl Drop for SimulatedFile {
    fn drop(&mut self) {
        self.disk.state().close(self.inode, self.handle);
    }
}
