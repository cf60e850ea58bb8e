//! What a slave takes over of its master's tables, as far as the master has told.

use std::path::Path;

use super::files::{self, ConfigFile, ContentError, Loaded};
use super::{Reply, Stamp, Tables};

/// Tables of a master, each told by itself.
#[derive(Debug)]
pub struct Copy {
    told: Vec<ConfigFile>,
    loaded: Loaded,
    forgets_registers: bool,
    stamp: Stamp,
}

impl Copy {
    pub fn begin(stamp: Stamp) -> Self {
        Self { told: Vec::new(), loaded: Loaded::default(), forgets_registers: false, stamp }
    }

    /// A table as the master has told it: in the form of its file.
    pub fn add(&mut self, file: ConfigFile, body: &[u8]) -> Result<(), ContentError> {
        files::read_body(file, Path::new("the master's answer"), body, &mut self.loaded)?;
        self.told.push(file);
        Ok(())
    }

    /// The master keeps no registers, so those that are here mean nothing.
    pub fn forget_registers(&mut self) {
        self.forgets_registers = true;
    }
}

impl Tables {
    /// Takes over what the master has told. Its topics and groups take the place of those that are here; what was consumed is
    /// laid over. Changed: name servers should hear of it.
    pub fn take_over(&mut self, copy: Copy) -> Reply {
        let Copy { told, loaded, forgets_registers, stamp } = copy;
        let master = loaded.tables;
        let has = |file| told.contains(&file);
        let mut topics_changed = false;
        if has(ConfigFile::Topics) && self.topics != master.topics {
            self.topics = master.topics;
            topics_changed = true;
        }
        if has(ConfigFile::Groups) {
            self.groups = master.groups;
        }
        if has(ConfigFile::Own) {
            self.offsets.replace_resets(&master.offsets);
            self.progress.replace_registers(&master.progress);
            self.settings = master.settings;
        } else if forgets_registers {
            self.progress.replace_registers(&Default::default());
        }
        if has(ConfigFile::Offsets) {
            self.offsets.lay_over(master.offsets, stamp);
        }
        if has(ConfigFile::Delays) {
            for (level, next) in master.progress.delays() {
                self.progress.set_delay(level, next);
            }
        }
        Reply::changed(topics_changed)
    }
}
