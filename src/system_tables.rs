//! The topics and groups that every broker has, whoever asks for them.

use ferrymq_proto::name::TopicName;

use crate::config::broker::BrokerConfig;
use crate::replication::{NotStored, SharedTables, Writer};
use crate::state::{self, Command, Stamp, SystemTopics, Topic};

/// Apache's default (`reviveQueueNum`).
const REVIVE_QUEUES: i32 = 8;

#[derive(Debug, thiserror::Error)]
pub enum SystemTablesError {
    #[error("{0}")]
    Name(#[from] ferrymq_proto::name::NameError),
    #[error("{0}")]
    NotStored(#[from] NotStored),
}

/// What a broker's settings say about them.
#[derive(Debug)]
pub struct SystemTables {
    topics: Vec<Topic>,
}

impl SystemTables {
    pub fn of(config: &BrokerConfig) -> Result<Self, SystemTablesError> {
        let topics = SystemTopics {
            cluster: config.identity.cluster.clone(),
            broker: config.identity.name.clone(),
            default_queues: i32::try_from(config.topics.queues).unwrap_or(i32::MAX),
            auto_create: config.topics.are_created,
            cluster_topic: config.topics.has_cluster_topic,
            broker_topic: config.topics.has_broker_topic,
            trace: config.topics.has_trace_topic.then(|| config.topics.trace_topic.clone()),
            revive_queues: REVIVE_QUEUES,
            timers: config.timer.is_enabled,
        };
        Ok(Self { topics: topics.list()? })
    }

    pub fn names(&self) -> impl Iterator<Item = &TopicName> {
        self.topics.iter().map(Topic::name)
    }

    /// Creates those that are missing.
    pub async fn create(&self, tables: &SharedTables, writer: &Writer) -> Result<(), SystemTablesError> {
        let stamp = Stamp { at: crate::clock::now(), term: writer.term() };
        let commands: Vec<Command> = {
            let tables = tables.read();
            let groups = tables.groups().create_missing(state::Groups::from_the_start(), stamp);
            tables.topics().create_missing(self.topics.clone(), stamp).into_iter().chain(groups).collect()
        };
        for command in commands {
            writer.change(command).await?;
        }
        Ok(())
    }
}
