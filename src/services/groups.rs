//! Groups of consumers: the ones that come by themselves, and what is allowed to them.

use std::sync::Arc;

use ferrymq_proto::bodies::{GroupConfig, GroupTable};
use ferrymq_proto::name::{GroupName, RETRY_PREFIX, TopicName};

use super::topics::Topics;
use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::{NotStored, SharedTables, Writer};
use crate::state::{Command, Group, GroupRules, permission};

/// Configured groups that one request may bring.
pub const GROUPS_AT_ONCE_MAX: usize = 10_000;

#[derive(Debug)]
pub struct Groups {
    tables: SharedTables,
    writer: Writer,
    topics: Arc<Topics>,
    rules: Live<GroupRules>,
}

/// What a consumer needs of the tables before it can be a member of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub group: GroupName,
    /// It consumes an ordered topic.
    pub is_ordered: bool,
    pub unit_mode: bool,
}

impl Groups {
    pub fn new(tables: SharedTables, writer: Writer, topics: Arc<Topics>, rules: Live<GroupRules>) -> Self {
        Self { tables, writer, topics, rules }
    }

    pub fn find(&self, group: &str) -> Option<Arc<GroupConfig>> {
        self.tables.read().groups().find(group).cloned()
    }

    /// The group of this name, which is created if it may come by itself.
    pub async fn ensure(&self, group: &str) -> Result<Arc<GroupConfig>, Refusal> {
        let missing = || Refusal::NoSuchGroup(group.to_owned());
        if let Some(found) = self.find(group) {
            return Ok(found);
        }
        let stamp = self.topics.stamp();
        // A name that could not be created is one that does not exist.
        let command = self.tables.read().groups().create_for_client(group, self.rules.get(), stamp);
        let command = command.map_err(|_| missing())?.ok_or_else(missing)?;
        self.writer.change(command).await?;
        tracing::info!(group, "created a group for its first consumer");
        self.find(group).ok_or_else(missing)
    }

    /// Whether any of these topics is an ordered one.
    pub fn consumes_in_order<'t>(&self, topics: impl IntoIterator<Item = &'t str>) -> bool {
        let tables = self.tables.read();
        topics.into_iter().any(|topic| tables.topics().find(topic).is_some_and(|topic| topic.order))
    }

    /// Whether the tables have what a consumer needs.
    pub fn is_met(&self, need: &Need) -> bool {
        let retry = format!("{RETRY_PREFIX}{}", need.group);
        let tables = self.tables.read();
        let topic = tables.topics().find(&retry);
        tables.groups().find(need.group.as_str()).is_some()
            && topic.is_some_and(|topic| topic.order == need.is_ordered)
    }

    /// Sees to it that the tables have what a consumer needs. Whether its group exists now.
    pub async fn meet(&self, need: &Need) -> Result<bool, Refusal> {
        let config = match self.ensure(need.group.as_str()).await {
            Ok(config) => config,
            // Some other node brings its group into being.
            Err(Refusal::NotStored(NotStored::NotLeader)) => return Ok(true),
            Err(Refusal::NoSuchGroup(_)) => return Ok(false),
            Err(refusal) => return Err(refusal),
        };
        let retry =
            self.topics.ensure_retry(&need.group, config.retry_queue_nums, need.is_ordered, need.unit_mode);
        match retry.await {
            Ok(()) | Err(Refusal::NotStored(NotStored::NotLeader)) => Ok(true),
            Err(refusal) => Err(refusal),
        }
    }

    /// Creates groups, or changes them.
    pub async fn put(&self, configs: Vec<GroupConfig>) -> Result<(), Refusal> {
        if configs.len() > GROUPS_AT_ONCE_MAX {
            return Err(Refusal::Parameter(format!(
                "{} groups are more than the {GROUPS_AT_ONCE_MAX} that one request can bring",
                configs.len()
            )));
        }
        let groups: Result<Vec<_>, Refusal> =
            configs.into_iter().map(|config| self.configured(config)).collect();
        let groups = groups?;
        if !groups.is_empty() {
            self.writer.change(Command::PutGroups { groups, stamp: self.topics.stamp() }).await?;
        }
        Ok(())
    }

    fn configured(&self, mut config: GroupConfig) -> Result<Group, Refusal> {
        let name = GroupName::parse_new(&config.group_name)?;
        // The attributes of a request are changes, and no attribute of a group is defined.
        if let Some(key) = config.attributes.keys().next() {
            let key = key.strip_prefix(['+', '-']).unwrap_or(key);
            return Err(Refusal::Failed(format!("unsupported key: {key}")));
        }
        config.attributes = self.find(name.as_str()).map(|old| old.attributes.clone()).unwrap_or_default();
        Ok(Group::new(name, config))
    }

    /// Removes a group, and with `offsets` how far it has consumed.
    pub async fn delete(&self, group: &str, offsets: bool) -> Result<(), Refusal> {
        let groups = vec![GroupName::parse(group)?];
        self.writer.change(Command::DeleteGroups { groups, offsets, stamp: self.topics.stamp() }).await?;
        Ok(())
    }

    /// At most `count` groups as tools get them, without the first `begin` ones; and how many there are.
    pub fn table(&self, begin: usize, count: usize) -> (GroupTable, usize) {
        let tables = self.tables.read();
        (tables.groups().body(begin, count), tables.groups().iter().len())
    }

    pub fn may_read(&self, group: &str, topic: &str) -> bool {
        self.tables.read().groups().forbidden(group, topic) & permission::READ == 0
    }

    /// Allows a group to read a topic, or forbids it.
    pub async fn allow_to_read(&self, group: &str, topic: &str, allowed: bool) -> Result<(), Refusal> {
        let bits = {
            let tables = self.tables.read();
            // What does not exist needs no prohibition, and the table must not grow with invented names.
            if tables.groups().find(group).is_none() {
                return Err(Refusal::NoSuchGroup(group.to_owned()));
            }
            let bits = tables.groups().forbidden(group, topic);
            if tables.topics().find(topic).is_none() && bits == 0 {
                return Err(Refusal::NoSuchTopic(topic.to_owned()));
            }
            if allowed { bits & !permission::READ } else { bits | permission::READ }
        };
        let (group, topic) = (GroupName::parse(group)?, TopicName::parse(topic)?);
        self.writer.change(Command::Forbid { group, topic, bits, stamp: self.topics.stamp() }).await?;
        Ok(())
    }
}
