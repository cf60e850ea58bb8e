//! Each table as the text of its file, and back.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ferrymq_proto::bodies::{
    ConsumerOffsets, DataVersion, DelayOffsets, GroupTable, TopicConfig, TopicTable,
};
use ferrymq_proto::json::{self, Dialect, JsonError};
use ferrymq_proto::name::{GroupName, NameError, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset};

use super::own::{self, OwnTables};
use super::{ConfigFile, ContentError, Loaded, Note, unknown};
use crate::state::{DelayLevel, Group, Groups, QueueLine, Register, Tables, Topic, Topics};

/// Between the topic and the group of a key. A new group has none in its name, so the last one counts.
const SEPARATOR: char = '@';

ferrymq_proto::body! {
    /// A [`TopicTable`](ferrymq_proto::bodies::TopicTable) without what belongs to static topics (RocketMQ:
    /// TopicConfigSerializeWrapper).
    pub struct TopicsFile {
        data_version: DataVersion = "dataVersion",
        topic_config_table: BTreeMap<String, TopicConfig> = "topicConfigTable",
    }
}

impl From<&Topics> for TopicsFile {
    fn from(topics: &Topics) -> Self {
        let TopicTable { data_version, topic_config_table, .. } = topics.body(0, usize::MAX);
        Self { data_version, topic_config_table }
    }
}

/// Also what is forbidden to groups that do not exist, which tools do not get to see.
fn groups_file(groups: &Groups) -> GroupTable {
    let mut file = groups.body(0, usize::MAX);
    for (group, topic, bits) in groups.all_forbidden() {
        file.forbidden.entry(group.to_string()).or_default().insert(topic.to_string(), bits);
    }
    file
}

/// Puts what `bytes` say into the tables. Nothing is changed when it fails.
pub fn read(file: ConfigFile, path: &Path, bytes: &[u8], loaded: &mut Loaded) -> Result<(), ContentError> {
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let unknown = unknown::members(file, text)?;
    let mut reading = Reading { path, loaded };
    match file {
        ConfigFile::Topics => reading.topics(json::from_str(text)?),
        ConfigFile::Groups => reading.groups(json::from_str(text)?),
        ConfigFile::Offsets => reading.offsets(json::from_str(text)?),
        ConfigFile::Delays => reading.delays(&json::from_str(text)?),
        ConfigFile::Own => reading.own(json::from_str(text)?),
    }
    if !unknown.is_empty() {
        let members = unknown.into_iter().collect::<Vec<_>>().join(", ");
        loaded.notes.push(Note::UnknownMembers { path: path.to_owned(), members });
    }
    Ok(())
}

/// The text of a file. Numbers as keys stand unquoted, as Apache's broker writes them.
pub fn write(file: ConfigFile, tables: &Tables) -> String {
    match file {
        ConfigFile::Topics => json::to_string(&TopicsFile::from(tables.topics()), Dialect::Fastjson),
        ConfigFile::Groups => json::to_string(&groups_file(tables.groups()), Dialect::Fastjson),
        ConfigFile::Offsets => json::to_string(&tables.offsets().body(), Dialect::Fastjson),
        ConfigFile::Delays => json::to_string(&tables.progress().delay_body(), Dialect::Fastjson),
        ConfigFile::Own => json::to_string(&own_tables(tables), Dialect::Fastjson),
    }
}

fn own_tables(tables: &Tables) -> OwnTables {
    let mut own = OwnTables::default();
    for (name, register) in tables.progress().registers() {
        match register {
            Register::Number(number) => drop(own.numbers.insert(name.to_string(), *number)),
            Register::Bytes(bytes) => drop(own.bytes.insert(name.to_string(), own::to_hex(bytes))),
        }
    }
    for (group, topic, lines) in tables.offsets().resets() {
        let lines = lines.iter().map(|line| (line.queue, line.next)).collect();
        own.resets.insert(format!("{topic}{SEPARATOR}{group}"), lines);
    }
    for (namespace, key, value) in tables.settings().iter() {
        own.settings.entry(namespace.to_string()).or_default().insert(key.to_string(), value.to_string());
    }
    own
}

struct Reading<'a> {
    path: &'a Path,
    loaded: &'a mut Loaded,
}

impl Reading<'_> {
    fn topics(&mut self, table: TopicsFile) {
        let topics: Vec<_> = table
            .topic_config_table
            .into_iter()
            .filter_map(|(name, config)| {
                self.name(&name, TopicName::parse(&name)).map(|name| Topic::new(name, config))
            })
            .collect();
        self.loaded.tables.topics.load(topics, table.data_version);
    }

    fn groups(&mut self, table: GroupTable) {
        let groups: Vec<_> = table
            .groups
            .into_iter()
            .filter_map(|(name, config)| {
                self.name(&name, GroupName::parse(&name)).map(|name| Group::new(name, config))
            })
            .collect();
        self.loaded.tables.groups.load(groups, table.data_version);
        for (group, topics) in table.forbidden {
            let Some(group) = self.name(&group, GroupName::parse(&group)) else { continue };
            for (topic, bits) in topics {
                if let Some(topic) = self.name(&topic, TopicName::parse(&topic)) {
                    self.loaded.tables.groups.put_forbidden(&group, &topic, bits);
                }
            }
        }
    }

    fn offsets(&mut self, table: ConsumerOffsets) {
        for (key, queues) in table.offsets {
            if let Some((topic, group)) = self.key(&key) {
                self.loaded.tables.offsets.load(&group, &topic, lines(queues));
            }
        }
        self.loaded.tables.offsets.load_version(table.data_version.unwrap_or_default());
    }

    fn delays(&mut self, table: &DelayOffsets) {
        for (level, next) in &table.offsets {
            self.loaded.tables.progress.set_delay(DelayLevel(*level), *next);
        }
    }

    fn own(&mut self, table: OwnTables) {
        let Tables { progress, settings, .. } = &mut self.loaded.tables;
        for (name, number) in table.numbers {
            progress.set_register(name.into(), Some(Register::Number(number)));
        }
        for (namespace, values) in table.settings {
            let namespace: Arc<str> = namespace.into();
            for (key, value) in values {
                settings.put(Arc::clone(&namespace), key.into(), value.into());
            }
        }
        for (name, text) in table.bytes {
            match own::from_hex(&text) {
                Some(bytes) => {
                    let register = Some(Register::Bytes(bytes));
                    self.loaded.tables.progress.set_register(name.into(), register);
                }
                None => self.left_out(name, "its value is not hexadecimal"),
            }
        }
        for (key, queues) in table.resets {
            if let Some((topic, group)) = self.key(&key) {
                self.loaded.tables.offsets.load_reset(&group, &topic, lines(queues));
            }
        }
    }

    fn key(&mut self, key: &str) -> Option<(TopicName, GroupName)> {
        let Some((topic, group)) = key.rsplit_once(SEPARATOR) else {
            self.left_out(key.to_owned(), "it is not topic@group");
            return None;
        };
        let topic = self.name(key, TopicName::parse(topic))?;
        Some((topic, self.name(key, GroupName::parse(group))?))
    }

    fn name<N>(&mut self, entry: &str, name: Result<N, NameError>) -> Option<N> {
        name.map_err(|error| self.left_out(entry.to_owned(), &error.to_string())).ok()
    }

    fn left_out(&mut self, entry: String, reason: &str) {
        let (path, reason) = (self.path.to_owned(), reason.to_owned());
        self.loaded.notes.push(Note::BadEntry { path, entry, reason });
    }
}

fn lines(queues: BTreeMap<QueueId, QueueOffset>) -> impl Iterator<Item = QueueLine> {
    queues.into_iter().map(|(queue, next)| QueueLine { queue, next })
}
