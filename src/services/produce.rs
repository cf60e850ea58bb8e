//! Taking messages from producers: what is allowed, which queue, and what becomes of them.
//!
//! The order of the checks is Apache's, since it decides what a client hears.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use ferrymq_proto::bodies::{TopicConfig, TopicFilter};
use ferrymq_proto::name::{GroupName, RETRY_PREFIX, Senders, SystemTopic, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};
use ferrymq_proto::record::batch::BatchEntries;
use ferrymq_proto::record::message_id::{Origin, UniqueId};
use ferrymq_proto::record::{Properties, PropertyList, SysFlag, TransactionState, property};
use ferrymq_proto::text::Text;

use super::message::Message;
use super::order_locks::OrderLocks;
use super::posting::Posting;
use super::topics::Topics;
use super::transactions;
use crate::clock;
use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::{NotStored, SharedTables, Stored, Wait};

/// Since this version a client says how often a message may be consumed again.
pub const SAYS_RECONSUME_TIMES_MAX: i32 = 121;

/// Tells ids that the broker makes from those of producers on the same machine.
const ORIGIN_INSTANCE: u32 = 0xFE88_0B0C;

/// What a broker writes into every message it takes.
#[derive(Clone, Debug)]
pub struct Marks {
    pub cluster: String,
    pub region: Text,
    pub store_host: SocketAddr,
}

#[derive(Clone, Copy, Debug)]
pub struct ProduceRules {
    /// Producers are told that they may send traces.
    pub traces: bool,
    /// Before this moment nothing is taken.
    pub opens_at: Option<Timestamp>,
    pub refuses_transactions: bool,
    /// Messages of one batch together.
    pub batch_bytes_max: usize,
}

/// What a producer asks for.
#[derive(Clone, Debug)]
pub struct Submission<'a> {
    pub topic: &'a str,
    /// What a new topic is modelled on.
    pub template: &'a str,
    pub template_queues: i32,
    pub queue_id: QueueId,
    pub sys_flag: SysFlag,
    pub born_timestamp: Timestamp,
    pub born_host: SocketAddr,
    pub flag: i32,
    pub properties: &'a str,
    pub reconsume_times: i32,
    pub reconsume_times_max: Option<i32>,
    pub unit_mode: bool,
    pub is_batch: bool,
    pub client_version: i32,
    pub body: Bytes,
}

/// What a producer is told of a message that was taken.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub queue_id: QueueId,
    pub stored: Vec<Stored>,
    pub transaction_id: Option<String>,
    /// What the sender of a timer message calls it off by: a moment in its tick, and its unique key.
    pub timer: Option<(Timestamp, String)>,
}

pub type Taken = Box<dyn FnOnce(Result<Receipt, Refusal>) + Send>;

#[derive(Debug)]
pub struct Produce {
    tables: SharedTables,
    topics: Arc<Topics>,
    locks: Arc<OrderLocks>,
    posting: Posting,
    marks: Marks,
    rules: Live<ProduceRules>,
    origin: Origin,
    turn: AtomicU32,
}

impl Produce {
    pub fn new(
        tables: SharedTables,
        topics: Arc<Topics>,
        locks: Arc<OrderLocks>,
        posting: Posting,
        marks: Marks,
        rules: Live<ProduceRules>,
    ) -> Self {
        let origin = Origin {
            ip: marks.store_host.ip(),
            process: std::process::id() as u16,
            instance: ORIGIN_INSTANCE,
        };
        Self { tables, topics, locks, posting, marks, rules, origin, turn: AtomicU32::new(0) }
    }

    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Whether producers may send traces.
    pub fn traces(&self) -> bool {
        self.rules.get().traces
    }

    /// The topic that a submission goes to, if it exists. Else it has to be created first.
    pub fn topic(&self, submission: &Submission<'_>) -> Result<Option<Arc<TopicConfig>>, Refusal> {
        let topics = &self.topics;
        if let Some(opens_at) = self.rules.get().opens_at.filter(|opens_at| *opens_at > clock::now()) {
            return Err(Refusal::NotOpen { address: topics.broker_ip(), opens_at });
        }
        // In a broker that takes no more, ordered messages must not go elsewhere unnoticed.
        let found = self.tables.read().topics().find(submission.topic).cloned();
        if !topics.broker_permission().may_write() && found.as_ref().is_some_and(|topic| topic.order) {
            return Err(Refusal::BrokerForbidden {
                address: topics.broker_ip(),
                operation: "sending message",
            });
        }
        if found.is_none() || SystemTopic::ALL.iter().any(|system| submission.topic == system.as_str()) {
            let name = TopicName::parse_new(submission.topic)?;
            let system = SystemTopic::find(&name);
            if system.is_some_and(|system| system.senders() == Senders::BrokersOnly) {
                return Err(Refusal::SystemTopicForbidden(name));
            }
        }
        Ok(found)
    }

    /// Creates the topic of a first message, as the rules allow.
    pub async fn create_topic(&self, submission: &Submission<'_>) -> Result<Arc<TopicConfig>, Refusal> {
        let name = TopicName::parse_new(submission.topic)?;
        self.topics
            .create_for_message(name, submission.template, submission.template_queues, submission.unit_mode)
            .await
    }

    /// The reply of a submission: it is handed on as it came.
    pub fn reply(&self, submission: &Submission<'_>, topic: &TopicConfig) -> Result<Message, Refusal> {
        Ok(Message {
            topic: TopicName::parse(submission.topic)?,
            queue_id: self.choose_queue(submission.queue_id, topic)?,
            flag: submission.flag,
            sys_flag: submission.sys_flag.with_transaction(TransactionState::None),
            born_timestamp: submission.born_timestamp,
            born_host: submission.born_host,
            store_host: self.marks.store_host,
            reconsume_times: submission.reconsume_times,
            prepared_offset: LogOffset(0),
            properties: read_properties(submission.properties)?,
            body: submission.body.clone(),
        })
    }

    /// Takes a submission to a topic that exists, and says once what became of it.
    pub fn take(&self, submission: &Submission<'_>, topic: &TopicConfig, taken: Taken) {
        if submission.is_batch {
            match self.batch(submission, topic) {
                Ok(messages) => self.post_batch(messages, taken),
                Err(refusal) => taken(Err(refusal)),
            }
        } else {
            match self.message(submission, topic) {
                Ok((message, queue_id)) => self.post(message, queue_id, taken),
                Err(refusal) => taken(Err(refusal)),
            }
        }
    }

    fn post(&self, message: Message, queue_id: QueueId, taken: Taken) {
        let transaction_id = message.property(property::UNIQUE_KEY);
        let due = self.posting.due(&message);
        // The moment behind a tick's first one is in that tick for whoever rounds it once more.
        let due = due.filter(|_| !message.topic.is_retry()).map(|due| Timestamp(due.0 + 1));
        let recall = due.and_then(|due| Some((due, transaction_id.clone()?)));
        self.posting.post(
            message,
            Box::new(move |result| {
                let receipt = |stored| Receipt { queue_id, stored, transaction_id, timer: recall };
                taken(result.map(receipt).map_err(Refusal::from));
            }),
        );
    }

    fn post_batch(&self, messages: Vec<Message>, taken: Taken) {
        let Some(first) = messages.first() else {
            return taken(Err(Refusal::MessageIllegal("the batch is empty".to_owned())));
        };
        let (queue_id, transaction_id) = (first.queue_id, first.property(property::UNIQUE_KEY));
        let wait = if first.waits_for_safety() { Wait::AsConfigured } else { Wait::Written };
        self.posting.post_all(
            messages,
            wait,
            Box::new(move |result| {
                let receipt = |stored| Receipt { queue_id, stored, transaction_id, timer: None };
                taken(result.map(receipt).map_err(Refusal::from));
            }),
        );
    }

    /// The message as it is stored, and the queue that its sender is told: where it goes when nothing keeps it elsewhere.
    fn message(
        &self,
        submission: &Submission<'_>,
        topic: &TopicConfig,
    ) -> Result<(Message, QueueId), Refusal> {
        let mut queue_id = self.choose_queue(submission.queue_id, topic)?;
        let mut properties = read_properties(submission.properties)?;
        properties.remove(property::POP_CHECKPOINT);
        let mut message = Message {
            topic: TopicName::parse(submission.topic)?,
            queue_id,
            flag: submission.flag,
            sys_flag: with_tags_of(submission.sys_flag, topic),
            born_timestamp: submission.born_timestamp,
            born_host: submission.born_host,
            store_host: self.marks.store_host,
            reconsume_times: submission.reconsume_times,
            prepared_offset: LogOffset(0),
            properties,
            body: submission.body.clone(),
        };
        message.set(property::REGION, &self.marks.region)?;
        let rules = self.rules.get();
        message.set(property::TRACE_ON, if rules.traces { "true" } else { "false" })?;
        if message.topic.is_retry() {
            self.give_up_if_due(&mut message, submission)?;
        }
        if message.properties.get(property::UNIQUE_KEY).is_none() {
            message.set(property::UNIQUE_KEY, &self.unique_key())?;
        }
        if let Some(by_priority) = message.queue_by_priority(topic.write_queue_nums) {
            queue_id = by_priority;
            message.queue_id = by_priority;
        }
        message.set(property::CLUSTER, &self.marks.cluster)?;
        let is_compacted =
            topic.attributes.get("cleanup.policy").is_some_and(|policy| policy == "COMPACTION");
        if is_compacted && message.properties.get(property::KEYS).is_none() {
            return Err(Refusal::MessageIllegal("Required message key is missing".to_owned()));
        }
        let is_retried = message.reconsume_times > 0 && message.delay_level() > 0;
        if message.is_half() && !is_retried {
            if rules.refuses_transactions {
                let operation = "sending transaction message";
                return Err(Refusal::BrokerForbidden { address: self.topics.broker_ip(), operation });
            }
            transactions::prepare(&mut message)?;
        }
        Ok((message, queue_id))
    }

    /// A message that was consumed in vain too often, or whose order is at stake, goes to the dead letters.
    fn give_up_if_due(&self, message: &mut Message, submission: &Submission<'_>) -> Result<(), Refusal> {
        let name = submission.topic.strip_prefix(RETRY_PREFIX).unwrap_or_default();
        let group = self.tables.read().groups().find(name).cloned();
        let group = group.ok_or_else(|| Refusal::NoSuchGroup(name.to_owned()))?;
        let said =
            submission.reconsume_times_max.filter(|_| submission.client_version >= SAYS_RECONSUME_TIMES_MAX);
        let max = said.unwrap_or(group.retry_max_times);
        if message.reconsume_times > max || self.locks.is_any_held(name) {
            let group = GroupName::parse(name)?;
            message.set(property::DELAY_LEVEL, "-1")?;
            message.topic = TopicName::dead_letter(&group)?;
            message.queue_id = QueueId(0);
            self.topics.want_dead_letter_topic(&group);
        }
        Ok(())
    }

    fn batch(&self, submission: &Submission<'_>, topic: &TopicConfig) -> Result<Vec<Message>, Refusal> {
        let illegal = |reason: &str| Refusal::MessageIllegal(reason.to_owned());
        let queue_id = self.choose_queue(submission.queue_id, topic)?;
        let name = TopicName::parse(submission.topic)?;
        if name.is_retry() {
            return Err(illegal("batch request does not support retry group"));
        }
        if submission.sys_flag.transaction() != TransactionState::None {
            return Err(illegal("a batch cannot be part of a transaction"));
        }
        if read_properties(submission.properties)?.get(property::DELAY_LEVEL).is_some() {
            return Err(illegal("a batch cannot be delayed"));
        }
        let bytes_max = self.rules.get().batch_bytes_max;
        if submission.body.len() > bytes_max {
            // Not an illegal message: Java's encoder throws here, and the client hears of an error of the system.
            return Err(Refusal::Failed(format!(
                "message body size exceeded, msg body size: {}, maxMessageSize: {}",
                submission.body.len(),
                bytes_max
            )));
        }
        let sys_flag = with_tags_of(submission.sys_flag, topic);
        let waits = read_properties(submission.properties)?.get(property::WAIT).map(|wait| wait.into_owned());
        let entries = BatchEntries::new(&submission.body);
        entries
            .map(|entry| {
                let entry = entry.map_err(|error| illegal(&error.to_string()))?;
                let mut properties =
                    PropertyList::read(entry.properties).map_err(|error| illegal(&error.to_string()))?;
                if properties.get(property::DELAY_LEVEL).is_some_and(|level| level != "0") {
                    return Err(illegal("a message of a batch cannot be delayed"));
                }
                if let Some(wait) = &waits {
                    properties.set(property::WAIT, wait).map_err(|error| illegal(&error.to_string()))?;
                }
                Ok(Message {
                    topic: name.clone(),
                    queue_id,
                    flag: entry.flag,
                    sys_flag,
                    born_timestamp: submission.born_timestamp,
                    born_host: submission.born_host,
                    store_host: self.marks.store_host,
                    reconsume_times: submission.reconsume_times,
                    prepared_offset: LogOffset(0),
                    properties,
                    body: submission.body.slice_ref(entry.body),
                })
            })
            .collect()
    }

    fn choose_queue(&self, wanted: QueueId, topic: &TopicConfig) -> Result<QueueId, Refusal> {
        let queues = topic.write_queue_nums.max(topic.read_queue_nums);
        if wanted.0 >= queues {
            let topic = TopicName::parse(&topic.topic_name)?;
            return Err(Refusal::NoSuchQueue { topic, queue: wanted, queues });
        }
        if wanted.0 >= 0 {
            return Ok(wanted);
        }
        // Any will do: each in turn.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let writable = u32::try_from(topic.write_queue_nums.max(1)).unwrap_or(1);
        Ok(QueueId((turn % writable) as i32))
    }

    fn unique_key(&self) -> String {
        let counter = self.turn.fetch_add(1, Ordering::Relaxed) as u16;
        UniqueId::new(self.origin, clock::now(), 0, counter).to_string()
    }
}

fn read_properties(text: &str) -> Result<PropertyList, Refusal> {
    PropertyList::read(Properties::new(text.as_bytes()))
        .map_err(|error| NotStored::Illegal(error.to_string()).into())
}

fn with_tags_of(sys_flag: SysFlag, topic: &TopicConfig) -> SysFlag {
    match topic.topic_filter_type {
        TopicFilter::MultiTag => sys_flag | SysFlag::MULTI_TAGS,
        TopicFilter::SingleTag => sys_flag,
    }
}
