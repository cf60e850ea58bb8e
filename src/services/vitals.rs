//! How this node is, as far as only its machine knows.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ferrymq_proto::position::Timestamp;
use ferrymq_storage::disk::{Disk, RealDisk, Space};

use crate::clock;

#[derive(Debug)]
pub struct Vitals {
    pub root: PathBuf,
    pub log_folder: PathBuf,
    pub boot: Timestamp,
    started: Instant,
}

impl Vitals {
    /// Of a node that starts now.
    pub fn new(root: PathBuf, log_folder: PathBuf) -> Self {
        Self { root, log_folder, boot: clock::now(), started: Instant::now() }
    }

    pub fn running_for(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Of the disk that a folder lies on, if that can be told.
pub fn space(folder: &Path) -> Option<Space> {
    let warn = |error| tracing::warn!(path = %folder.display(), %error, "cannot tell how full the disk is");
    RealDisk.space(folder).map_err(warn).ok()
}
