//! The key-value table: small settings that tools keep for clients, in namespaces. The one that matters to brokers and clients
//! is [`ORDER_TOPICS`].
//!
//! Every change is on disk before it is answered.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ferrymq_proto::bodies::KvConfig;
use ferrymq_proto::json::{self, Dialect, JsonError};

use crate::stored_file;

/// The namespace that says which queues of an ordered topic exist: topic → `brokerA:4;brokerB:4`.
pub const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

/// Bytes of all names and values together. Tools keep a line per ordered topic here, not data.
const TABLE_BYTES_MAX: usize = 16 << 20;

pub type Namespace = BTreeMap<String, String>;

#[derive(Debug)]
pub struct KvTable {
    path: PathBuf,
    namespaces: BTreeMap<String, Namespace>,
}

#[derive(Debug, thiserror::Error)]
pub enum KvError {
    #[error("cannot {action} {path}: {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{path} is no key-value file ({source}); mend it, or move it away to start with an empty table")]
    Damaged { path: PathBuf, source: JsonError },
    #[error("the key-value table is full ({TABLE_BYTES_MAX} bytes)")]
    Full,
}

impl KvTable {
    /// Reads the table; a missing file is an empty one. A damaged file is refused, since going on would overwrite it.
    pub fn load(path: &Path) -> Result<Self, KvError> {
        let namespaces = match fs::read(path) {
            Ok(bytes) if bytes.is_empty() => BTreeMap::new(),
            Ok(bytes) => {
                let file: KvConfig = json::from_slice(&bytes)
                    .map_err(|source| KvError::Damaged { path: path.to_owned(), source })?;
                file.config_table
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(KvError::Io { action: "read", path: path.to_owned(), source }),
        };
        Ok(Self { path: path.to_owned(), namespaces })
    }

    pub fn get(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.get(key).map(String::as_str)
    }

    pub fn namespace(&self, namespace: &str) -> Option<&Namespace> {
        self.namespaces.get(namespace)
    }

    /// A table with one more value, not yet in force. [`Self::save`] it, then put it in this one's place.
    pub fn with(&self, namespace: &str, key: &str, value: &str) -> Result<Self, KvError> {
        let mut changed = Self { path: self.path.clone(), namespaces: self.namespaces.clone() };
        changed.namespaces.entry(namespace.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
        if changed.bytes() > TABLE_BYTES_MAX {
            return Err(KvError::Full);
        }
        Ok(changed)
    }

    /// A table with one value less, or `None` when it was not there. The namespace stays, as it does at Apache's.
    pub fn without(&self, namespace: &str, key: &str) -> Option<Self> {
        self.get(namespace, key)?;
        let mut changed = Self { path: self.path.clone(), namespaces: self.namespaces.clone() };
        changed.namespaces.get_mut(namespace)?.remove(key);
        Some(changed)
    }

    fn bytes(&self) -> usize {
        let entries =
            |values: &Namespace| values.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        self.namespaces.iter().map(|(name, values)| name.len() + entries(values)).sum()
    }

    /// Writes the table to disk. Returns once it would survive a power cut.
    pub fn save(&self) -> Result<(), KvError> {
        let text = json::to_string(&KvConfig { config_table: self.namespaces.clone() }, Dialect::Standard);
        stored_file::replace(&self.path, text.as_bytes()).map_err(|source| KvError::Io {
            action: "replace",
            path: self.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(folder: &tempfile::TempDir) -> KvTable {
        KvTable::load(&folder.path().join("deeper/kvConfig.json")).unwrap()
    }

    #[test]
    fn a_saved_table_is_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let changed =
            table(&folder).with(ORDER_TOPICS, "T", "broker-a:4").unwrap().with("other", "k", "v").unwrap();
        changed.save().unwrap();
        let text = fs::read_to_string(&changed.path).unwrap();
        assert_eq!(text, r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:4"},"other":{"k":"v"}}}"#);
        let loaded = table(&folder);
        assert_eq!(
            (loaded.get(ORDER_TOPICS, "T"), loaded.get("other", "k")),
            (Some("broker-a:4"), Some("v"))
        );
        assert_eq!((loaded.get("other", "T"), loaded.get("none", "k")), (None, None));
        assert!(loaded.without("other", "nothing").is_none());
        let emptied = loaded.without("other", "k").unwrap();
        assert_eq!(emptied.namespace("other"), Some(&Namespace::new()));
        assert_eq!(emptied.namespace("none"), None);
    }

    #[test]
    fn a_damaged_file_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kvConfig.json");
        fs::write(&path, "{\"configTable\":{\"a\":").unwrap();
        let error = KvTable::load(&path).unwrap_err().to_string();
        assert!(error.contains("kvConfig.json is no key-value file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"configTable\":{\"a\":");
    }

    #[test]
    fn the_table_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let value = "v".repeat(TABLE_BYTES_MAX);
        assert!(matches!(table(&folder).with("n", "k", &value), Err(KvError::Full)));
    }

    #[test]
    fn a_table_that_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let blocked = KvTable { path: folder.path().join("file/kv.json"), namespaces: BTreeMap::new() };
        assert!(matches!(blocked.save(), Err(KvError::Io { action: "replace", .. })));
    }
}
