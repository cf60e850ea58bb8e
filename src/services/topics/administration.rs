//! Topics as administrators want them.

use std::collections::BTreeMap;

use ferrymq_proto::bodies::TopicConfig;
use ferrymq_proto::name::{RETRY_PREFIX, SYSTEM_TOPIC_PREFIX, SystemTopic, TopicName};

use super::Topics;
use super::attributes::{self, MESSAGE_TYPE, MIXED};
use crate::refusal::Refusal;
use crate::state::{Command, Topic};

/// Topics that one request may bring.
const TOPICS_AT_ONCE_MAX: usize = 10_000;
/// Queues of one topic.
const QUEUES_MAX: i32 = 16_384;
/// All bits of a permission.
const PERMISSION_MAX: i32 = 7;

/// What tools may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdminRules {
    /// Topics may be given the type MIXED.
    pub may_mix_types: bool,
    /// The broker's own topics are not to be touched.
    pub guards_system_topics: bool,
    /// A deleted topic takes the retry topics with it that its groups have for it.
    pub deletes_retry_topics: bool,
}

impl Topics {
    /// Whether it is one of the broker's own.
    pub fn is_system(&self, topic: &str) -> bool {
        topic.starts_with(SYSTEM_TOPIC_PREFIX)
            || SystemTopic::ALL.iter().any(|system| system.as_str() == topic)
            || self.settings.system.contains(topic)
    }

    /// The broker's own topics.
    pub fn system(&self) -> impl Iterator<Item = &str> {
        let named = self.settings.system.iter().map(TopicName::as_str);
        named
            .filter(|topic| SystemTopic::ALL.iter().all(|system| system.as_str() != *topic))
            .chain(SystemTopic::ALL.iter().map(|system| system.as_str()))
    }

    /// Creates topics, or changes them: all or none. Their attributes are changes, `+key` and `-key`.
    pub async fn put(&self, configs: Vec<TopicConfig>) -> Result<(), Refusal> {
        if configs.len() > TOPICS_AT_ONCE_MAX {
            return Err(Refusal::Parameter(format!(
                "{} topics are more than the {TOPICS_AT_ONCE_MAX} that one request can bring",
                configs.len()
            )));
        }
        let rules = self.settings.admin.get();
        // Of a topic that comes twice the last word counts, as if it came in two requests.
        let mut topics = BTreeMap::new();
        for config in configs {
            let topic = self.configured(config, rules)?;
            topics.insert(topic.name().clone(), topic);
        }
        let topics: Vec<Topic> = topics.into_values().collect();
        let is_news = |topic: &Topic| self.find(topic.name().as_str()).as_ref() != Some(topic.config());
        let command = topics
            .iter()
            .any(is_news)
            .then(|| Command::PutTopics { topics: topics.clone(), stamp: self.stamp() });
        self.change(command).await
    }

    fn configured(&self, mut config: TopicConfig, rules: AdminRules) -> Result<Topic, Refusal> {
        let name = self.guarded(&config.topic_name, rules)?;
        for (what, number) in
            [("readQueueNums", config.read_queue_nums), ("writeQueueNums", config.write_queue_nums)]
        {
            if !(0..=QUEUES_MAX).contains(&number) {
                return Err(Refusal::Parameter(format!("{what} is {number}, not from 0 to {QUEUES_MAX}")));
            }
        }
        if !(0..=PERMISSION_MAX).contains(&config.perm) {
            return Err(Refusal::Parameter(format!(
                "the permission {} is not from 0 to {PERMISSION_MAX}",
                config.perm
            )));
        }
        let wants_mixed =
            config.attributes.get(&format!("+{MESSAGE_TYPE}")).is_some_and(|kind| kind == MIXED);
        if wants_mixed && !rules.may_mix_types {
            return Err(Refusal::Parameter("MIXED message type is not supported.".to_owned()));
        }
        let present = self.find(name.as_str());
        let present = present.as_ref().map(|present| &present.attributes);
        config.attributes = attributes::changed(present, &config.attributes)
            .map_err(|error| Refusal::Failed(error.to_string()))?;
        Ok(Topic::new(name, config))
    }

    /// A topic that tools may change.
    fn guarded(&self, topic: &str, rules: AdminRules) -> Result<TopicName, Refusal> {
        if topic.trim().is_empty() {
            return Err(Refusal::Parameter("The specified topic is blank.".to_owned()));
        }
        let name = TopicName::parse_new(topic).map_err(|error| {
            Refusal::Parameter(format!("The specified topic: {}, {error}", crate::config::quoted(topic)))
        })?;
        self.check_not_system(topic, rules)?;
        Ok(name)
    }

    fn check_not_system(&self, topic: &str, rules: AdminRules) -> Result<(), Refusal> {
        if rules.guards_system_topics && self.is_system(topic) {
            return Err(Refusal::Parameter(format!("The topic[{topic}] is conflict with system topic.")));
        }
        Ok(())
    }

    /// Deletes a topic with its messages, and what goes with it. `groups` have consumed it. Gives all that are gone.
    pub async fn delete<'g>(
        &self,
        topic: &str,
        groups: impl Iterator<Item = &'g str>,
    ) -> Result<Vec<TopicName>, Refusal> {
        if topic.trim().is_empty() {
            return Err(Refusal::Parameter("The specified topic is blank.".to_owned()));
        }
        let rules = self.settings.admin.get();
        self.check_not_system(topic, rules)?;
        // One that came from elsewhere may have a name that could not be given here.
        let mut topics = vec![TopicName::parse(topic)?];
        if rules.deletes_retry_topics {
            let names = groups.flat_map(|group| self.pop_retry_topics(group, topic));
            topics.extend(names.filter_map(|name| Some(self.find_named(&name)?.0)));
        }
        self.remove(topics.clone()).await?;
        Ok(topics)
    }

    /// How the topic may be called in which POP consumers of a group get messages of `topic` again.
    fn pop_retry_topics(&self, group: &str, topic: &str) -> Vec<String> {
        let mut names = vec![format!("{RETRY_PREFIX}{group}+{topic}")];
        // The older spelling is that of another group's own retry topic, if there is such a group.
        let older = format!("{group}_{topic}");
        if self.tables.read().groups().find(&older).is_none() {
            names.push(format!("{RETRY_PREFIX}{older}"));
        }
        names
    }

    /// Deletes the queues of topics that no longer exist, which are among `stored`.
    pub async fn delete_unused(&self, stored: Vec<TopicName>) -> Result<usize, Refusal> {
        let is_unused =
            |topic: &TopicName| !self.is_system(topic.as_str()) && self.find(topic.as_str()).is_none();
        let unused: Vec<_> = stored.into_iter().filter(is_unused).collect();
        let count = unused.len();
        if count > 0 {
            self.remove(unused).await?;
        }
        Ok(count)
    }

    async fn remove(&self, topics: Vec<TopicName>) -> Result<(), Refusal> {
        tracing::info!(?topics, "deleting topics");
        self.change(Some(Command::DeleteTopics { topics, offsets: true, stamp: self.stamp() })).await
    }
}
