//! Tables that Apache's broker keeps in RocksDB instead of in these files (`storeType=defaultRocksDB`, `configManagerVersion=v2`). They are not
//! read here, and whoever read the files in their stead would find nothing, or what was true long ago.

use std::io;
use std::path::Path;

use super::FileError;

/// Folders below `config`, and what is in each.
const FOLDERS: [(&str, &str); 4] = [
    ("topics", "topics"),
    ("subscriptionGroups", "groups"),
    ("consumerOffsets", "offsets of groups"),
    ("rdb", "topics, groups and offsets"),
];
/// Each database has it.
const CURRENT: &str = "CURRENT";

/// Refuses a store whose tables are elsewhere.
pub fn check(store: &Path) -> Result<(), FileError> {
    for (name, what) in FOLDERS {
        let path = store.join("config").join(name);
        match path.join(CURRENT).symlink_metadata() {
            Ok(_) => return Err(FileError::InRocksDb { path, what }),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(FileError::Io { action: "look into", path, source }),
        }
    }
    Ok(())
}
