//! The topics of a broker group, and the rules by which one comes into being without being asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use ferrymq_proto::bodies::{DataVersion, TopicConfig, TopicTable};
use ferrymq_proto::name::{GroupName, NameError, TopicName};

use super::{Command, Stamp, version};

mod system;

pub use system::SystemTopics;

/// The bits of a topic's permission (RocketMQ: PermName).
pub mod permission {
    /// Topics that a first message creates may be modelled on this one.
    pub const INHERIT: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const READ: i32 = 4;
}

/// Topics that may come by themselves. Past this a first message creates no more; an administrator still can.
const TOPICS_BY_THEMSELVES_MAX: usize = 65_536;

/// A topic as commands carry it. Invariant: its configuration has its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Topic {
    name: TopicName,
    config: Arc<TopicConfig>,
}

impl Topic {
    /// `config` under this name, whatever name it had.
    pub fn new(name: TopicName, mut config: TopicConfig) -> Self {
        name.as_str().clone_into(&mut config.topic_name);
        Self { name, config: Arc::new(config) }
    }

    /// A topic of `queues` queues to read and to write.
    pub fn of_queues(name: TopicName, queues: i32, perm: i32) -> Self {
        let config =
            TopicConfig { read_queue_nums: queues, write_queue_nums: queues, perm, ..TopicConfig::default() };
        Self::new(name, config)
    }

    pub fn name(&self) -> &TopicName {
        &self.name
    }

    pub fn config(&self) -> &Arc<TopicConfig> {
        &self.config
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topics {
    topics: BTreeMap<TopicName, Arc<TopicConfig>>,
    version: DataVersion,
}

/// A topic that its first message asks for.
#[derive(Clone, Debug)]
pub struct NewTopic<'a> {
    pub name: TopicName,
    /// The topic it is to be modelled on.
    pub template: &'a str,
    /// How many queues the producer wants at most.
    pub queues: i32,
    pub sys_flag: i32,
}

/// What the broker's configuration says about it.
#[derive(Clone, Copy, Debug)]
pub struct TopicRules {
    /// Whether [`ferrymq_proto::name::SystemTopic::Default`] may be the template (`autoCreateTopicEnable`).
    pub auto_create: bool,
}

/// Why a first message creates no topic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTopic {
    #[error("topic {0} does not exist, and neither does {1}, which it was to be modelled on")]
    NoTemplate(TopicName, String),
    #[error("topic {0} does not exist, and {1} must not be a model for new ones")]
    NotInherited(TopicName, String),
    #[error("topic {0} does not exist, and there are {1} topics already")]
    TooMany(TopicName, usize),
}

impl Topics {
    pub fn version(&self) -> &DataVersion {
        &self.version
    }

    pub fn find(&self, topic: &str) -> Option<&Arc<TopicConfig>> {
        self.topics.get(topic)
    }

    /// The topic of this name with the table's own copy of the name, which costs nothing to clone.
    pub fn find_named(&self, topic: &str) -> Option<(&TopicName, &Arc<TopicConfig>)> {
        self.topics.get_key_value(topic)
    }

    pub fn count(&self) -> usize {
        self.topics.len()
    }

    /// All topics, in order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&TopicName, &Arc<TopicConfig>)> {
        self.topics.iter()
    }

    /// The table as tools and slaves get it: at most `count` topics, without the first `begin` ones.
    pub fn body(&self, begin: usize, count: usize) -> TopicTable {
        let page = self.topics.iter().skip(begin).take(count);
        TopicTable {
            data_version: self.version.clone(),
            topic_config_table: page.map(|(name, config)| (name.to_string(), (**config).clone())).collect(),
            ..TopicTable::default()
        }
    }

    /// What creates the topic that a first message asks for.
    pub fn create_for_message(
        &self,
        new: NewTopic<'_>,
        rules: TopicRules,
        stamp: Stamp,
    ) -> Result<Command, NoTopic> {
        let Some(template) = self.find(new.template) else {
            return Err(NoTopic::NoTemplate(new.name, new.template.to_owned()));
        };
        let forbidden =
            !rules.auto_create && new.template == ferrymq_proto::name::SystemTopic::Default.as_str();
        if forbidden || template.perm & permission::INHERIT == 0 {
            return Err(NoTopic::NotInherited(new.name, new.template.to_owned()));
        }
        if self.topics.len() >= TOPICS_BY_THEMSELVES_MAX {
            return Err(NoTopic::TooMany(new.name, self.topics.len()));
        }
        let queues = new.queues.min(template.write_queue_nums).max(0);
        let config = TopicConfig {
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm: template.perm & !permission::INHERIT,
            topic_filter_type: template.topic_filter_type,
            topic_sys_flag: new.sys_flag,
            ..TopicConfig::default()
        };
        Ok(Command::CreateTopics { topics: vec![Topic::new(new.name, config)], stamp })
    }

    /// What makes the retry topic of a group as it should be, or nothing when it is. `ordered` says whether the group
    /// consumes an ordered topic.
    pub fn create_retry(
        &self,
        group: &GroupName,
        queues: i32,
        ordered: bool,
        sys_flag: i32,
        stamp: Stamp,
    ) -> Result<Option<Command>, NameError> {
        let name = TopicName::retry(group)?;
        let Some(present) = self.find(name.as_str()) else {
            let config = TopicConfig {
                read_queue_nums: queues,
                write_queue_nums: queues,
                order: ordered,
                topic_sys_flag: sys_flag,
                ..TopicConfig::default()
            };
            return Ok(Some(Command::CreateTopics { topics: vec![Topic::new(name, config)], stamp }));
        };
        if present.order == ordered {
            return Ok(None);
        }
        let config = TopicConfig { order: ordered, ..(**present).clone() };
        Ok(Some(Command::PutTopics { topics: vec![Topic::new(name, config)], stamp }))
    }

    /// What creates the topic of the messages that `group` gave up, or nothing when it exists.
    pub fn create_dead_letter(&self, group: &GroupName, stamp: Stamp) -> Result<Option<Command>, NameError> {
        let topic = Topic::of_queues(TopicName::dead_letter(group)?, 1, permission::READ | permission::WRITE);
        Ok(self.create_missing(vec![topic], stamp))
    }

    /// What creates those of `topics` that do not exist, or nothing when all do.
    pub fn create_missing(&self, topics: Vec<Topic>, stamp: Stamp) -> Option<Command> {
        let missing: Vec<_> =
            topics.into_iter().filter(|topic| !self.topics.contains_key(&topic.name)).collect();
        (!missing.is_empty()).then_some(Command::CreateTopics { topics: missing, stamp })
    }

    pub(super) fn create(&mut self, topics: Vec<Topic>, stamp: Stamp) -> bool {
        let before = self.topics.len();
        for topic in topics {
            self.topics.entry(topic.name).or_insert(topic.config);
        }
        self.bump(self.topics.len() != before, stamp)
    }

    pub(super) fn put(&mut self, topics: Vec<Topic>, stamp: Stamp) -> bool {
        let mut changed = false;
        for Topic { name, config } in topics {
            changed |= self.topics.insert(name, Arc::clone(&config)) != Some(config);
        }
        self.bump(changed, stamp)
    }

    pub(super) fn delete(&mut self, topics: &[TopicName], stamp: Stamp) -> bool {
        let before = self.topics.len();
        for topic in topics {
            self.topics.remove(topic);
        }
        self.bump(self.topics.len() != before, stamp)
    }

    /// Takes what was stored: the version does not move.
    pub(super) fn load(&mut self, topics: impl IntoIterator<Item = Topic>, version: DataVersion) {
        self.topics.extend(topics.into_iter().map(|topic| (topic.name, topic.config)));
        self.version = version;
    }

    fn bump(&mut self, changed: bool, stamp: Stamp) -> bool {
        if changed {
            version::advance(&mut self.version, stamp);
        }
        changed
    }
}
