//! Which processes a running `ferrymq dev` has, for the commands that act on them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use ferrymq_namesrv::stored_file;
use ferrymq_proto::json::{self, Dialect};

use super::children::Children;
use super::plan::Plan;
use crate::cli::remote::Failure;

ferrymq_proto::body! {
    /// What one user's development group is.
    pub struct Record {
        folder: String = "folder",
        name_server: String = "nameServer",
        nodes: Vec<Running> = "nodes",
    }

    pub struct Running {
        address: String = "address",
        name: String = "name",
        /// Absent: it does not run now.
        pid: Option<u32> = "pid",
    }
}

fn path() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|folder| folder.is_dir());
    let user = rustix::process::getuid().as_raw();
    own.map_or_else(
        || std::env::temp_dir().join(format!("ferrymq-dev-{user}.json")),
        |folder| folder.join("ferrymq-dev.json"),
    )
}

pub fn write(plan: &Plan, children: &Children) -> Result<(), Failure> {
    let running = |node: &super::plan::PlannedNode| Running {
        address: node.address(),
        name: node.name.clone(),
        pid: children.id(&node.name),
    };
    let record = Record {
        folder: plan.folder.path.display().to_string(),
        name_server: plan.name_server.clone(),
        nodes: plan.nodes.iter().map(running).collect(),
    };
    let path = path();
    let text = json::to_string(&record, Dialect::Fastjson);
    stored_file::replace(&path, text.as_bytes())
        .map_err(|error| Failure::operation(format!("{} cannot be written: {error}", path.display())))
}

pub fn remove() {
    // There may be none, when the start failed.
    let _ = fs::remove_file(path());
}

/// What runs. Another user's file says nothing about our processes.
pub fn read() -> Result<Record, Failure> {
    let path = path();
    let none = || {
        Failure::nothing("no development group of this user runs".to_owned(), "start one with `ferrymq dev`.")
    };
    let metadata = fs::symlink_metadata(&path).map_err(|_| none())?;
    if !metadata.is_file() || metadata.uid() != rustix::process::getuid().as_raw() {
        return Err(none());
    }
    let text = fs::read_to_string(&path).map_err(|_| none())?;
    json::from_str(&text)
        .map_err(|error| Failure::operation(format!("{} cannot be read: {error}", path.display())))
}
