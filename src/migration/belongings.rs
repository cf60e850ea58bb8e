//! What a broker keeps beside its messages: topics, groups, offsets, and how far its own work has come.

use std::fs;
use std::path::Path;

use ferrymq_proto::bodies::TimerCheckpoint;
use ferrymq_proto::position::{LogOffset, QueueOffset};

use super::source::list;
use crate::services::delays::timers::place::Place;
use crate::state::files::{ConfigFolder, FileError, Note};
use crate::state::{Command, Group, OffsetChange, QueueLine, Register, Stamp, Tables, Topic};

/// Files of Apache's broker that have no place in a group of ours, and what they are.
const NOT_MOVED: [(&str, &str); 5] = [
    ("consumerFilter.json", "filters of groups: consumers send them again"),
    ("consumerOrderInfo.json", "what POP consumers are in the midst of"),
    ("messageRequestMode.json", "which groups POP: set it anew"),
    ("topicQueueMapping.json", "static topics, which are not offered"),
    ("lmqConsumerOffset.json", "offsets of light message queues, which are not offered"),
];
/// An empty table of Apache's is not longer.
const EMPTY_BYTES_MAX: u64 = 160;

/// The tables, and what an operator should know about them.
#[derive(Debug)]
pub struct Belongings {
    pub tables: Tables,
    pub notes: Vec<Note>,
    pub not_moved: Vec<String>,
}

impl Belongings {
    /// Of a store whose broker did not end in order, what its own work has left in the log is found by reading it from `log_begin`.
    pub fn load(store: &Path, was_cut_off: bool, log_begin: LogOffset) -> Result<Self, FileError> {
        let loaded = ConfigFolder::of_store(store).load()?;
        let mut tables = loaded.tables;
        let config = store.join("config");
        let mut registers = timers(&config, &tables);
        // They say where in the old log something lies.
        for name in ["delays.log", "timers.log"] {
            let is_set = tables.progress().number(name).is_some();
            let moved = (is_set && was_cut_off).then_some(Register::Number(log_begin.0));
            registers.push((name.into(), moved));
        }
        tables.apply(Command::Advance { delay: Vec::new(), registers });
        Ok(Self { tables, notes: loaded.notes, not_moved: not_moved(&config) })
    }

    /// Numbers that grow as topics and groups are changed: of two copies, the newer one has the larger.
    pub fn age(&self) -> (i64, i64) {
        (self.tables.topics().version().counter, self.tables.groups().version().counter)
    }

    /// Takes over what another node of the same DLedger group knows more. There only the leader knows everything, the others ask
    /// it every ten seconds, and no version tells whose offsets are newer. So the farthest ones count: groups do not go back.
    pub fn lay_over(&mut self, other: &Tables) {
        // No clock: whoever goes on later must come to the same tables.
        let newest =
            |tables: &Tables| tables.topics().version().timestamp.max(tables.offsets().version().timestamp);
        let stamp = Stamp { at: newest(&self.tables).max(newest(other)), term: 0 };
        let topics = other.topics().iter().map(|(name, config)| Topic::new(name.clone(), (**config).clone()));
        let topics = Command::CreateTopics { topics: topics.collect(), stamp };
        let groups = other.groups().iter().map(|(name, config)| Group::new(name.clone(), (**config).clone()));
        let groups = Command::CreateGroups { groups: groups.collect(), stamp };
        let mut changes = Vec::new();
        for (group, topic, lines) in other.offsets().iter() {
            let known =
                |line: &QueueLine| self.tables.offsets().find(group.as_str(), topic.as_str(), line.queue);
            let queues: Vec<_> = lines
                .iter()
                .filter(|line| known(line).is_none_or(|known| known < line.next))
                .copied()
                .collect();
            changes.push(OffsetChange { group: group.clone(), topic: topic.clone(), queues });
        }
        let progress = self.tables.progress();
        let delay =
            other.progress().delays().filter(|(level, next)| progress.delay(*level) < *next).collect();
        let advance = Command::Advance { delay, registers: Vec::new() };
        for command in [topics, groups, Command::CommitOffsets { changes, stamp }, advance] {
            self.tables.apply(command);
        }
    }
}

/// How far the timers of Apache's broker have come, as ours say it.
fn timers(config: &Path, tables: &Tables) -> Vec<(std::sync::Arc<str>, Option<Register>)> {
    if Place::load(tables.progress()).is_some() {
        return Vec::new();
    }
    let bytes = fs::read(config.join("timercheck")).ok();
    let Some(found) = bytes.and_then(|bytes| TimerCheckpoint::decode(&bytes)) else { return Vec::new() };
    // What is due at its next tick is not served yet.
    let read = found.last_timer_queue_offset;
    Place { read, ..Place::before(found.last_read_time, QueueOffset(0)) }.registers()
}

fn not_moved(config: &Path) -> Vec<String> {
    let Ok(entries) = list(config) else { return Vec::new() };
    let is_used = |name: &str| {
        entries.iter().any(|entry| {
            entry.file_name().to_str() == Some(name)
                && entry.metadata().is_ok_and(|metadata| metadata.len() > EMPTY_BYTES_MAX)
        })
    };
    NOT_MOVED.iter().filter(|(name, _)| is_used(name)).map(|(name, what)| format!("{name}: {what}")).collect()
}
