//! The consumer groups of a broker group, what is forbidden to them, and the rule by which one comes into being.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrymq_proto::bodies::{DataVersion, GroupConfig, GroupTable};
use ferrymq_proto::name::{GroupName, NameError, TopicName};

use super::{Command, Stamp, version};

/// Groups that every broker has: of tools, of Apache's cloud services, and of the transaction service.
const FROM_THE_START: [&str; 8] = [
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PULL",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_RMQ_SYS_TRANS",
];

/// Groups that may come by themselves. Past this a consumer creates no more; an administrator still can.
const GROUPS_BY_THEMSELVES_MAX: usize = 65_536;

/// A group as commands carry it. Invariant: its configuration has its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    name: GroupName,
    config: Arc<GroupConfig>,
}

impl Group {
    /// `config` under this name, whatever name it had.
    pub fn new(name: GroupName, mut config: GroupConfig) -> Self {
        name.as_str().clone_into(&mut config.group_name);
        Self { name, config: Arc::new(config) }
    }

    pub fn name(&self) -> &GroupName {
        &self.name
    }

    pub fn config(&self) -> &Arc<GroupConfig> {
        &self.config
    }
}

/// What the broker's configuration says about groups that nobody created.
#[derive(Clone, Copy, Debug)]
pub struct GroupRules {
    /// `autoCreateSubscriptionGroup`.
    pub auto_create: bool,
    /// `enableCreateSysGroup`: groups of brokers and their tools may come even when others may not.
    pub auto_create_system: bool,
}

type Forbidden = BTreeMap<GroupName, BTreeMap<TopicName, i32>>;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Groups {
    groups: BTreeMap<GroupName, Arc<GroupConfig>>,
    /// Bits of what a group may not do with a topic; no group without a topic, no topic without a bit.
    forbidden: Forbidden,
    version: DataVersion,
}

impl Groups {
    /// Whether every broker has it.
    pub fn is_predefined(group: &str) -> bool {
        FROM_THE_START.contains(&group)
    }

    pub fn version(&self) -> &DataVersion {
        &self.version
    }

    pub fn find(&self, group: &str) -> Option<&Arc<GroupConfig>> {
        self.groups.get(group)
    }

    pub fn count(&self) -> usize {
        self.groups.len()
    }

    /// All groups, in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&GroupName, &Arc<GroupConfig>)> {
        self.groups.iter()
    }

    /// The bits of what `group` may not do with `topic`.
    pub fn forbidden(&self, group: &str, topic: &str) -> i32 {
        self.forbidden.get(group).and_then(|topics| topics.get(topic)).copied().unwrap_or_default()
    }

    /// Everything that is forbidden, by group and topic.
    pub fn all_forbidden(&self) -> impl Iterator<Item = (&GroupName, &TopicName, i32)> {
        self.forbidden
            .iter()
            .flat_map(|(group, topics)| topics.iter().map(move |(topic, bits)| (group, topic, *bits)))
    }

    /// The table as tools and slaves get it: at most `count` groups, without the first `begin` ones.
    pub fn body(&self, begin: usize, count: usize) -> GroupTable {
        let mut body = GroupTable { data_version: self.version.clone(), ..GroupTable::default() };
        for (name, config) in self.groups.iter().skip(begin).take(count) {
            body.groups.insert(name.to_string(), (**config).clone());
            if let Some(topics) = self.forbidden.get(name) {
                let topics = topics.iter().map(|(topic, bits)| (topic.to_string(), *bits)).collect();
                body.forbidden.insert(name.to_string(), topics);
            }
        }
        body
    }

    /// What creates a group that a client belongs to, or nothing when it must not come by itself.
    pub fn create_for_client(
        &self,
        group: &str,
        rules: GroupRules,
        stamp: Stamp,
    ) -> Result<Option<Command>, NameError> {
        let name = GroupName::parse_new(group)?;
        let allowed = rules.auto_create || (rules.auto_create_system && name.is_system());
        if !allowed || self.groups.len() >= GROUPS_BY_THEMSELVES_MAX {
            return Ok(None);
        }
        Ok(self.create_missing(vec![Group::new(name, GroupConfig::default())], stamp))
    }

    /// What creates those of `groups` that do not exist, or nothing when all do.
    pub fn create_missing(&self, groups: Vec<Group>, stamp: Stamp) -> Option<Command> {
        let missing: Vec<_> =
            groups.into_iter().filter(|group| !self.groups.contains_key(&group.name)).collect();
        (!missing.is_empty()).then_some(Command::CreateGroups { groups: missing, stamp })
    }

    /// The groups that every broker has from its start.
    pub fn from_the_start() -> Vec<Group> {
        let names = FROM_THE_START.iter().filter_map(|name| GroupName::parse(name).ok());
        names.map(|name| Group::new(name, GroupConfig::default())).collect()
    }

    pub(super) fn create(&mut self, groups: Vec<Group>, stamp: Stamp) -> bool {
        let before = self.groups.len();
        for group in groups {
            self.groups.entry(group.name).or_insert(group.config);
        }
        self.bump(self.groups.len() != before, stamp)
    }

    pub(super) fn put(&mut self, groups: Vec<Group>, stamp: Stamp) -> bool {
        let mut changed = false;
        for Group { name, config } in groups {
            changed |= self.groups.insert(name, Arc::clone(&config)) != Some(config);
        }
        self.bump(changed, stamp)
    }

    pub(super) fn delete(&mut self, groups: &[GroupName], stamp: Stamp) -> bool {
        let mut changed = false;
        for group in groups {
            changed |= self.groups.remove(group).is_some();
            changed |= self.forbidden.remove(group).is_some();
        }
        self.bump(changed, stamp)
    }

    pub(super) fn forbid(&mut self, group: &GroupName, topic: &TopicName, bits: i32, stamp: Stamp) -> bool {
        let changed = self.forbidden(group.as_str(), topic.as_str()) != bits;
        self.put_forbidden(group, topic, bits);
        self.bump(changed, stamp)
    }

    /// Takes what was stored: the version does not move.
    pub(super) fn load(&mut self, groups: impl IntoIterator<Item = Group>, version: DataVersion) {
        self.groups.extend(groups.into_iter().map(|group| (group.name, group.config)));
        self.version = version;
    }

    pub(super) fn put_forbidden(&mut self, group: &GroupName, topic: &TopicName, bits: i32) {
        let topics = self.forbidden.entry(group.clone()).or_default();
        if bits == 0 {
            topics.remove(topic);
        } else {
            topics.insert(topic.clone(), bits);
        }
        if topics.is_empty() {
            self.forbidden.remove(group);
        }
    }

    fn bump(&mut self, changed: bool, stamp: Stamp) -> bool {
        if changed {
            version::advance(&mut self.version, stamp);
        }
        changed
    }
}
