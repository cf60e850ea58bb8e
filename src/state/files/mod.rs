//! The tables as files below `<storePathRootDir>/config`, where there is no Raft log to hold them: the names and the JSON are
//! Apache's, so that its broker can start on them and we can start on its.
//!
//! As there, each file has an older copy beside it (`.bak`), which is read when the file is missing, empty or damaged. Unlike
//! there, a damaged file without a good copy is not read as an empty table, since the next write would make that final.
//!
//! What Apache's files have no place for (registers, settings, resets that consumers were not told) is in a file of our own,
//! which Apache's broker ignores. Locks are in none: they are forgotten in a restart, as they are there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ferrymq_namesrv::stored_file;
use ferrymq_proto::bodies::DataVersion;
use ferrymq_proto::json::JsonError;

use super::Tables;

pub mod elsewhere;
mod layout;
mod own;
mod tables;
mod unknown;

/// One of the files. They are read in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigFile {
    Topics,
    Groups,
    Offsets,
    Delays,
    Own,
}

impl ConfigFile {
    pub const ALL: [Self; 5] = [Self::Topics, Self::Groups, Self::Offsets, Self::Delays, Self::Own];

    pub fn name(self) -> &'static str {
        match self {
            Self::Topics => "topics.json",
            Self::Groups => "subscriptionGroup.json",
            Self::Offsets => "consumerOffset.json",
            Self::Delays => "delayOffset.json",
            Self::Own => "ferrymq.json",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "{path} is damaged ({source}), and so is its copy {copy}, or there is none; mend it, or move it away to start without it"
    )]
    Damaged { path: PathBuf, source: Box<ContentError>, copy: PathBuf },
    #[error(
        "{path} is a RocksDB database: the {what} are in it, and there is no RocksDB here. Start Apache's broker on the store once \
         more, have it write them as JSON (`mqadmin rocksDBConfigToJson`), and move the folder away; or move it away to start without them"
    )]
    InRocksDb { path: PathBuf, what: &'static str },
}

/// Why a text is no such file.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    #[error("{0}")]
    Json(#[from] JsonError),
}

/// Something about the files that an operator should know and that did not keep us from reading them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    #[error("{path} is {state}; its older copy was read instead")]
    OlderCopy { path: PathBuf, state: String },
    #[error("{path} is empty, and it has no older copy: it is read as an empty table")]
    Empty { path: PathBuf },
    #[error(
        "{path} has members that are unknown here and will be missing when it is written again: {members}"
    )]
    UnknownMembers { path: PathBuf, members: String },
    #[error("{path} has the entry {entry:?}, which is left out: {reason}")]
    BadEntry { path: PathBuf, entry: String, reason: String },
}

#[derive(Debug, Default)]
pub struct Loaded {
    pub tables: Tables,
    pub notes: Vec<Note>,
}

/// The files of one broker.
#[derive(Debug)]
pub struct ConfigFolder {
    folder: PathBuf,
    /// What is in each file, as far as we know.
    written: [Written; ConfigFile::ALL.len()],
}

#[derive(Clone, Debug, Default, PartialEq)]
enum Written {
    /// Nothing that is worth a copy: there is no file, or it is damaged.
    #[default]
    Nothing,
    /// A good file, with nothing in it that would have to be compared.
    Something,
    Version(DataVersion),
    Text(String),
}

/// A file that has to be written because its table has changed.
#[derive(Debug)]
pub struct Due {
    file: ConfigFile,
    text: String,
    then: Written,
}

#[cfg(test)]
impl Due {
    pub fn file(&self) -> ConfigFile {
        self.file
    }
}

impl ConfigFolder {
    /// The files of the broker whose `storePathRootDir` is `store`.
    pub fn of_store(store: &Path) -> Self {
        Self { folder: store.join("config"), written: Default::default() }
    }

    pub fn path(&self, file: ConfigFile) -> PathBuf {
        self.folder.join(file.name())
    }

    /// Reads all files. Those that do not exist are empty tables.
    pub fn load(&mut self) -> Result<Loaded, FileError> {
        if let Some(store) = self.folder.parent() {
            elsewhere::check(store)?;
        }
        let mut loaded = Loaded::default();
        for file in ConfigFile::ALL {
            let path = self.path(file);
            if self.load_one(file, &path, &mut loaded)? {
                self.remember(file, Written::Something);
            }
        }
        Ok(loaded)
    }

    /// The files whose tables have changed since they were written.
    #[cfg(test)]
    pub fn due(&self, tables: &Tables) -> Vec<Due> {
        self.due_where(tables, |_| true)
    }

    /// As [`Self::due`], of some files.
    pub fn due_where(&self, tables: &Tables, is_wanted: impl Fn(ConfigFile) -> bool) -> Vec<Due> {
        let wanted = ConfigFile::ALL.into_iter().filter(|file| is_wanted(*file));
        wanted.filter_map(|file| self.due_one(file, tables)).collect()
    }

    /// Writes the files. When it returns without an error they would survive a power cut.
    pub fn write(&mut self, due: Vec<Due>) -> Result<(), FileError> {
        due.into_iter().try_for_each(|due| self.write_one(due))
    }

    /// Whether the file itself was good.
    fn load_one(&self, file: ConfigFile, path: &Path, loaded: &mut Loaded) -> Result<bool, FileError> {
        let state = match read(path)? {
            None => "missing".to_owned(),
            Some(bytes) if bytes.is_empty() => "empty".to_owned(),
            Some(bytes) => match tables::read(file, path, &bytes, loaded) {
                Ok(()) => return Ok(true),
                Err(source) => return self.load_older(file, path, Some(source), String::new(), loaded),
            },
        };
        self.load_older(file, path, None, state, loaded)
    }

    fn load_older(
        &self,
        file: ConfigFile,
        path: &Path,
        damage: Option<ContentError>,
        state: String,
        loaded: &mut Loaded,
    ) -> Result<bool, FileError> {
        let copy = older_copy(path);
        let bytes = read(&copy)?.filter(|bytes| !bytes.is_empty());
        let older = bytes.map(|bytes| tables::read(file, &copy, &bytes, loaded));
        let state = damage.as_ref().map_or(state, |damage| format!("damaged ({damage})"));
        match (older, damage) {
            (Some(Ok(())), _) => {
                loaded.notes.push(Note::OlderCopy { path: path.to_owned(), state });
            }
            (_, Some(damage)) | (Some(Err(damage)), None) => {
                return Err(FileError::Damaged { path: path.to_owned(), source: Box::new(damage), copy });
            }
            (None, None) if state == "empty" => loaded.notes.push(Note::Empty { path: path.to_owned() }),
            (None, None) => {}
        }
        Ok(false)
    }

    fn due_one(&self, file: ConfigFile, tables: &Tables) -> Option<Due> {
        let version = match file {
            ConfigFile::Topics => Some(tables.topics().version()),
            ConfigFile::Groups => Some(tables.groups().version()),
            ConfigFile::Offsets => Some(tables.offsets().version()),
            ConfigFile::Delays | ConfigFile::Own => None,
        };
        let present = self.written.get(file as usize)?;
        if let (Some(version), Written::Version(written)) = (version, present)
            && version == written
        {
            return None;
        }
        let text = layout::pretty(&tables::write(file, tables));
        // A folder that has no file of ours gets none before there is something to put in it.
        let nothing =
            file == ConfigFile::Own && *present == Written::Nothing && text == own_file_of_nothing();
        if nothing || matches!(present, Written::Text(written) if *written == text) {
            return None;
        }
        let then =
            version.map_or_else(|| Written::Text(text.clone()), |version| Written::Version(version.clone()));
        Some(Due { file, text, then })
    }

    /// As Apache's broker does it, so that a crash in between leaves the older copy.
    fn write_one(&mut self, due: Due) -> Result<(), FileError> {
        let path = self.path(due.file);
        let is_good = self.written.get(due.file as usize).is_some_and(|written| *written != Written::Nothing);
        self.remember(due.file, Written::Nothing);
        if is_good {
            match fs::rename(&path, older_copy(&path)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(FileError::Io { action: "rename", path, source: error });
                }
                _ => {}
            }
        }
        stored_file::replace(&path, due.text.as_bytes()).map_err(|source| FileError::Io {
            action: "replace",
            path,
            source,
        })?;
        self.remember(due.file, due.then);
        Ok(())
    }

    fn remember(&mut self, file: ConfigFile, written: Written) {
        if let Some(slot) = self.written.get_mut(file as usize) {
            *slot = written;
        }
    }
}

/// Puts what `body`, in the form of a file, says into the tables. `origin` is named where something is left out.
pub fn read_body(
    file: ConfigFile,
    origin: &Path,
    body: &[u8],
    loaded: &mut Loaded,
) -> Result<(), ContentError> {
    tables::read(file, origin, body, loaded)
}

/// A table in the form of its file, in one line.
pub fn body(file: ConfigFile, tables: &Tables) -> String {
    tables::write(file, tables)
}

fn own_file_of_nothing() -> String {
    layout::pretty(&tables::write(ConfigFile::Own, &Tables::default()))
}

fn older_copy(path: &Path) -> PathBuf {
    path.with_extension("json.bak")
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FileError::Io { action: "read", path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
