//! The replicated tables: topics, groups, offsets, locks, progress and settings.
//!
//! They are a function of the commands applied to them, in order: no clock (times stand in the command), no randomness, no
//! thread, no map whose order changes from run to run. Two nodes that applied the same commands dump the same text and write
//! the same checkpoint, byte for byte. Only [`Tables::apply`] changes them, and [`lock_leases`] plans what it may be given.
//!
//! A command says what to do in full, with exact values: whoever proposes it has decided. So a command that comes too late
//! (a topic that is deleted already, a lock that somebody else took) changes nothing and says so, and never fails.
//!
//! Nothing here knows whether a client may ask for a change, whether a queue exists, or when a file is written. What must hold
//! in a restart but not in a failover (pull offsets, clients, statistics) is not here.

use std::sync::Arc;

use ferrymq_proto::name::{GroupName, TopicName};
use ferrymq_proto::position::QueueOffset;

pub mod command;
mod copy;
#[cfg(test)]
mod dump;
pub mod files;
mod groups;
mod kv;
mod lock_leases;
mod locks;
mod offsets;
mod progress;
mod topics;
mod version;
mod wire;

pub use command::{Command, LockGrant, OffsetChange, QueueLine, Reply};
pub use copy::Copy;
pub use groups::{Group, GroupRules, Groups};
pub use kv::Settings;
pub use lock_leases::Leases;
pub use locks::{ClientId, GrantNumber, Lock, Locks, TopicQueue};
pub use offsets::Offsets;
pub use progress::{DelayLevel, Progress, Register};
pub use topics::permission;
pub use topics::{NewTopic, SystemTopics, Topic, TopicRules, Topics};
pub use version::Stamp;
pub use wire::DecodeError;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    topics: Topics,
    groups: Groups,
    offsets: Offsets,
    locks: Locks,
    progress: Progress,
    settings: Settings,
}

impl Tables {
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    pub fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Does what the command says, as far as there is still something to do.
    pub fn apply(&mut self, command: Command) -> Reply {
        match command {
            Command::CreateTopics { topics, stamp } => Reply::changed(self.topics.create(topics, stamp)),
            Command::PutTopics { topics, stamp } => Reply::changed(self.topics.put(topics, stamp)),
            Command::DeleteTopics { topics, offsets, stamp } => self.delete_topics(&topics, offsets, stamp),
            Command::CreateGroups { groups, stamp } => Reply::changed(self.groups.create(groups, stamp)),
            Command::PutGroups { groups, stamp } => Reply::changed(self.groups.put(groups, stamp)),
            Command::DeleteGroups { groups, offsets, stamp } => self.delete_groups(&groups, offsets, stamp),
            Command::Forbid { group, topic, bits, stamp } => {
                Reply::changed(self.groups.forbid(&group, &topic, bits, stamp))
            }
            Command::CommitOffsets { changes, stamp } => Reply::changed(self.offsets.commit(changes, stamp)),
            Command::ResetOffsets { changes, stamp } => Reply::changed(self.offsets.reset(&changes, stamp)),
            Command::ForgetResets { group, topic, queues } => {
                Reply::changed(self.offsets.forget_resets(group.as_str(), topic.as_str(), &queues))
            }
            Command::CloneOffsets { from, to, topics, stamp } => {
                Reply::changed(self.offsets.clone_group(from.as_str(), &to, &topics, stamp))
            }
            Command::RemoveOffsets { group, topic, stamp } => {
                Reply::changed(self.offsets.remove(group.as_ref(), topic.as_ref(), stamp))
            }
            Command::GrantLocks { group, client, at, grants } => {
                Reply::Granted(self.locks.grant(&group, &client, at, grants))
            }
            Command::ReleaseLocks { group, queues } => {
                Reply::changed(self.locks.release(group.as_str(), &queues))
            }
            Command::Advance { delay, registers } => self.advance(delay, registers),
            Command::Configure { namespace, key, value: Some(value) } => {
                Reply::changed(self.settings.put(namespace, key, value))
            }
            Command::Configure { namespace, key, value: None } => {
                Reply::changed(self.settings.remove(&namespace, &key))
            }
            Command::Together(commands) => {
                Reply::Each(commands.into_iter().map(|command| self.apply(command)).collect())
            }
        }
    }

    /// All tables, to be [`restored`](Self::restore) here or on another node. Equal tables give equal bytes.
    pub fn checkpoint(&self) -> Vec<u8> {
        wire::write_tables(self)
    }

    pub fn restore(checkpoint: &[u8]) -> Result<Self, DecodeError> {
        wire::read_tables(checkpoint)
    }

    /// All tables as text, a line for each entry.
    #[cfg(test)]
    pub fn dump(&self) -> String {
        dump::write(self)
    }

    fn delete_topics(&mut self, topics: &[TopicName], offsets: bool, stamp: Stamp) -> Reply {
        let mut changed = self.topics.delete(topics, stamp);
        for topic in topics {
            self.locks.remove_topic(topic);
            changed |= offsets && self.offsets.remove(None, Some(topic), stamp);
        }
        Reply::changed(changed)
    }

    fn delete_groups(&mut self, groups: &[GroupName], offsets: bool, stamp: Stamp) -> Reply {
        let mut changed = self.groups.delete(groups, stamp);
        for group in groups {
            self.locks.remove_group(group);
            changed |= offsets && self.offsets.remove(Some(group), None, stamp);
        }
        Reply::changed(changed)
    }

    fn advance(
        &mut self,
        delay: Vec<(DelayLevel, QueueOffset)>,
        registers: Vec<(Arc<str>, Option<Register>)>,
    ) -> Reply {
        let mut changed = false;
        for (level, next) in delay {
            changed |= self.progress.set_delay(level, next);
        }
        for (name, value) in registers {
            changed |= self.progress.set_register(name, value);
        }
        Reply::changed(changed)
    }
}

#[cfg(test)]
mod tests;
