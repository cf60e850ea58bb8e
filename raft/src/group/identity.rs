//! Who this node is, and whether its folder still is what it was.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::PathBuf;

use ferrymq_storage::unsafe_modes::{UnsafeMode, is_on};
use ferrymq_storage::{BootId, FlushMode, LastStop, Report};

use super::{LogParts, StartError};
use crate::meta::{self, MetaFile, NodeMeta};
use crate::settings::GroupSettings;
use crate::types::NodeId;

pub(crate) fn meta_path(settings: &GroupSettings) -> PathBuf {
    meta::path_in(&settings.folder)
}

/// Opens the file that says who this node is, or makes the node anew.
pub(super) fn open(settings: &GroupSettings, parts: &LogParts) -> Result<MetaFile, StartError> {
    let path = meta_path(settings);
    let is_lazy = settings.mode == FlushMode::Async;
    let Some(file) = MetaFile::open(&*parts.disk, &path)? else {
        if parts.report.end.chain.index.0 > 0 {
            return Err(StartError::IdentityLost { path });
        }
        let meta = NodeMeta {
            node: new_node(&settings.name, settings.boot),
            cluster: settings.cluster.clone(),
            group: settings.group.clone(),
            name: settings.name.clone(),
            boot: settings.boot,
            is_clean: false,
            is_lazy,
            is_quarantined: false,
            has_log: false,
            vote: None,
            purged: None,
        };
        return Ok(MetaFile::create(&*parts.disk, &path, meta)?);
    };
    let found = file.current();
    check_names(settings, &found, &path)?;
    if found.has_log && is_lost(&parts.report) {
        return Err(StartError::LogLost { folder: settings.folder.clone() });
    }
    let lost_machine = found.is_lazy && !found.is_clean && found.boot != settings.boot;
    file.change(|meta| {
        meta.is_quarantined |= lost_machine;
        meta.boot = settings.boot;
        meta.is_clean = false;
        meta.is_lazy = is_lazy;
    })
    .map_err(|source| StartError::Io { path, source })?;
    Ok(file)
}

/// A log that had entries always begins with a store that was there.
fn is_lost(report: &Report) -> bool {
    report.last_stop == LastStop::New
}

fn check_names(settings: &GroupSettings, found: &NodeMeta, path: &std::path::Path) -> Result<(), StartError> {
    let own = (&settings.cluster, &settings.group, &settings.name);
    if own == (&found.cluster, &found.group, &found.name) {
        return Ok(());
    }
    let describe = |(cluster, group, name): (&String, &String, &String)| {
        format!("node {name} of group {group} in cluster {cluster}")
    };
    Err(StartError::OtherNode {
        path: path.to_owned(),
        found: describe((&found.cluster, &found.group, &found.name)),
        configured: describe(own),
    })
}

/// Chance enough that no two folders of a group ever have the same.
pub(crate) fn new_node(name: &str, boot: BootId) -> NodeId {
    if is_on(UnsafeMode::RejoinAsVoter) {
        return NodeId(u64::from(crc32fast::hash(name.as_bytes())).max(1));
    }
    let mut hasher = RandomState::new().build_hasher();
    hasher.write(name.as_bytes());
    hasher.write(&boot.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    hasher.write_u128(now.as_nanos());
    hasher.write_u32(std::process::id());
    NodeId(hasher.finish().max(1))
}
