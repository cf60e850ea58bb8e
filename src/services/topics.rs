//! Topics: the ones that come by themselves, those that administrators make, and what may be done with them on this broker.

mod administration;
pub mod attributes;

use std::collections::BTreeSet;
use std::sync::Arc;

use ferrymq_proto::bodies::TopicConfig;
use ferrymq_proto::name::{GroupName, RETRY_PREFIX, SystemTopic, TopicName};
use tokio::runtime::Handle;

pub use self::administration::AdminRules;
use super::announcements::Announcements;
use crate::clock;
use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::{SharedTables, Writer};
use crate::state::{Command, NewTopic, Stamp, Topic, TopicRules, permission};

/// System flags of a topic: it belongs to a unit, or it has subscribers of a unit.
const UNIT: i32 = 1;
const UNIT_SUBSCRIBED: i32 = 2;

/// What may be done with topics on this broker at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission(pub i32);

impl Permission {
    pub fn may_write(self) -> bool {
        self.0 & permission::WRITE != 0
    }

    pub fn may_read(self) -> bool {
        self.0 & permission::READ != 0
    }
}

/// What the configuration says about topics.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    pub rules: Live<TopicRules>,
    pub admin: Live<AdminRules>,
    pub permission: Live<Permission>,
    /// Topics that are the broker's own although their names do not show it.
    pub system: BTreeSet<TopicName>,
    pub broker_ip: String,
}

#[derive(Debug)]
pub struct Topics {
    tables: SharedTables,
    writer: Writer,
    settings: TopicSettings,
    /// What the name servers have to know.
    announcements: Arc<Announcements>,
    runtime: Handle,
}

impl Topics {
    pub fn new(tables: SharedTables, writer: Writer, settings: TopicSettings) -> Self {
        Self { tables, writer, settings, announcements: Arc::default(), runtime: Handle::current() }
    }

    pub fn broker_ip(&self) -> String {
        self.settings.broker_ip.clone()
    }

    pub fn broker_permission(&self) -> Permission {
        self.settings.permission.get()
    }

    pub fn announcements(&self) -> Arc<Announcements> {
        Arc::clone(&self.announcements)
    }

    /// Says that the name servers should hear of something.
    pub fn announce(&self) {
        self.announcements.announce();
    }

    pub fn find(&self, topic: &str) -> Option<Arc<TopicConfig>> {
        self.tables.read().topics().find(topic).cloned()
    }

    /// The topic of this name, for those who only read.
    pub fn find_named(&self, topic: &str) -> Option<(TopicName, Arc<TopicConfig>)> {
        let tables = self.tables.read();
        tables.topics().find_named(topic).map(|(name, config)| (name.clone(), Arc::clone(config)))
    }

    /// Creates the topic of a first message, if the rules allow it.
    pub async fn create_for_message(
        &self,
        name: TopicName,
        template: &str,
        queues: i32,
        unit_mode: bool,
    ) -> Result<Arc<TopicConfig>, Refusal> {
        let sys_flag = match (unit_mode, name.is_retry()) {
            (false, _) => 0,
            (true, false) => UNIT,
            (true, true) => UNIT_SUBSCRIBED,
        };
        let new = NewTopic { name: name.clone(), template, queues, sys_flag };
        let stamp = self.stamp();
        let command = {
            let tables = self.tables.read();
            match tables.topics().create_for_message(new, self.settings.rules.get(), stamp) {
                Ok(command) => Some(command),
                Err(no_topic) => match name.as_str().strip_prefix(RETRY_PREFIX) {
                    Some(group) => {
                        tables.topics().create_retry(&GroupName::parse(group)?, 1, false, sys_flag, stamp)?
                    }
                    None => {
                        tracing::info!(%no_topic, "a first message creates no topic");
                        return Err(Refusal::NoSuchTopic(name.to_string()));
                    }
                },
            }
        };
        self.change(command).await?;
        self.find(name.as_str()).ok_or_else(|| Refusal::NoSuchTopic(name.to_string()))
    }

    /// Sees to it that the retry topic of a group is there and as it should be.
    pub async fn ensure_retry(
        &self,
        group: &GroupName,
        queues: i32,
        is_ordered: bool,
        unit_mode: bool,
    ) -> Result<(), Refusal> {
        let sys_flag = if unit_mode { UNIT_SUBSCRIBED } else { 0 };
        let command =
            self.tables.read().topics().create_retry(group, queues, is_ordered, sys_flag, self.stamp())?;
        self.change(command).await
    }

    /// Sees to it that the topic for the messages a group gave up is there.
    pub async fn ensure_dead_letter(&self, group: &GroupName) -> Result<(), Refusal> {
        let command = self.tables.read().topics().create_dead_letter(group, self.stamp())?;
        self.change(command).await
    }

    /// Sees to it that the topic for transactions that were given up is there.
    pub async fn ensure_given_up(&self) -> Result<(), Refusal> {
        let permission = permission::READ | permission::WRITE;
        let topic = Topic::of_queues(SystemTopic::TransactionGivenUp.into(), 1, permission);
        let command = self.tables.read().topics().create_missing(vec![topic], self.stamp());
        self.change(command).await
    }

    /// As [`Self::ensure_dead_letter`], for those who cannot wait: a message may be in a topic before the topic is known.
    pub fn want_dead_letter_topic(self: &Arc<Self>, group: &GroupName) {
        let is_missing = TopicName::dead_letter(group).is_ok_and(|topic| self.find(topic.as_str()).is_none());
        if is_missing {
            let (topics, group) = (Arc::clone(self), group.clone());
            self.runtime.spawn(async move {
                if let Err(error) = topics.ensure_dead_letter(&group).await {
                    tracing::warn!(%group, %error, "the topic for dead letters could not be created");
                }
            });
        }
    }

    /// Makes a change of the tables, and returns when the name servers know it.
    pub async fn change(&self, command: Option<Command>) -> Result<(), Refusal> {
        if let Some(command) = command {
            self.writer.change(command).await?;
            self.announcements.wait_until_known(self.announcements.announce()).await;
        }
        Ok(())
    }

    /// For a change that is decided now.
    pub fn stamp(&self) -> Stamp {
        Stamp { at: clock::now(), term: self.writer.term() }
    }
}
