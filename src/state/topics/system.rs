//! The topics that every broker has from its start.

use ferrymq_proto::name::{BrokerName, ClusterName, NameError, SystemTopic, TIMER_TOPIC, TopicName};

use super::{Topic, permission};

const READ_WRITE: i32 = permission::READ | permission::WRITE;

/// One queue for each level of `messageDelayLevel`, as many as Apache's broker has.
const SCHEDULE_QUEUES: i32 = 18;

/// How many queues a topic has that says nothing else.
const PLAIN_QUEUES: i32 = 16;

/// What the system topics of a broker depend on.
#[derive(Clone, Debug)]
pub struct SystemTopics {
    pub cluster: ClusterName,
    pub broker: BrokerName,
    /// `defaultTopicQueueNums`.
    pub default_queues: i32,
    /// `autoCreateTopicEnable`.
    pub auto_create: bool,
    /// `clusterTopicEnable`: the cluster's topic may be read and written.
    pub cluster_topic: bool,
    /// `brokerTopicEnable`.
    pub broker_topic: bool,
    /// The topic of message traces, where there is one (`traceTopicEnable`, `msgTraceTopicName`).
    pub trace: Option<TopicName>,
    /// `reviveQueueNum`.
    pub revive_queues: i32,
    /// `timerWheelEnable`.
    pub timers: bool,
}

impl SystemTopics {
    /// The topics. Fails for names of a cluster or a broker that are too long to stand in a topic.
    pub fn list(&self) -> Result<Vec<Topic>, NameError> {
        let Self { cluster, broker, .. } = self;
        let mut topics = vec![
            system(SystemTopic::SelfTest, 1),
            system(SystemTopic::Benchmark, 1024),
            system(SystemTopic::OffsetMoved, 1),
            system(SystemTopic::Schedule, SCHEDULE_QUEUES),
            system(SystemTopic::TransactionHalf, 1),
            system(SystemTopic::TransactionOperation, 1),
            system(SystemTopic::TransactionHalfRocks, 1),
            system(SystemTopic::TransactionOperationRocks, 1),
            named(cluster.as_str(), PLAIN_QUEUES, model(self.cluster_topic))?,
            named(broker.as_str(), 1, model(self.broker_topic))?,
            named(&format!("{cluster}_REPLY_TOPIC"), 1, READ_WRITE)?,
            named(&format!("rmq_sys_REVIVE_LOG_{cluster}"), self.revive_queues, READ_WRITE)?,
            named(&format!("rmq_sys_SYNC_BROKER_MEMBER_{broker}"), 1, permission::INHERIT)?,
        ];
        if self.auto_create {
            let perm = READ_WRITE | permission::INHERIT;
            topics.push(Topic::of_queues(SystemTopic::Default.into(), self.default_queues, perm));
        }
        if let Some(trace) = &self.trace {
            topics.push(Topic::of_queues(trace.clone(), 1, READ_WRITE));
        }
        if self.timers {
            topics.push(named(TIMER_TOPIC, 1, READ_WRITE)?);
        }
        Ok(topics)
    }
}

fn system(topic: SystemTopic, queues: i32) -> Topic {
    Topic::of_queues(topic.into(), queues, READ_WRITE)
}

fn named(name: &str, queues: i32, perm: i32) -> Result<Topic, NameError> {
    Ok(Topic::of_queues(TopicName::parse(name)?, queues, perm))
}

fn model(open: bool) -> i32 {
    if open { READ_WRITE | permission::INHERIT } else { permission::INHERIT }
}
