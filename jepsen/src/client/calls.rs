//! The calls, in the words of the history.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::bodies::{
    ConsumerData, GroupConfig, HeartbeatData, LockedQueues, MappedTopicConfig, MessageQueue, ProducerData,
    QueueLocks, SubscriptionData, TopicFilter,
};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::command::Command;
use ferrymq_proto::header::{Header, Request};
use ferrymq_proto::headers::{
    DeleteTopic, EndTransaction, GetTopicConfig, Heartbeat, LockQueues, PullMessage, PullReply,
    QueryConsumerOffset, SendMessageV2, SendReply, UnlockQueues, UpdateConsumerOffset, UpdateGroup,
    UpdateTopic,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::{CallError, Client, Service};
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::batch::BatchEntry;
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::record::{PropertyList, Records, property};
use ferrymq_proto::text::Text;

use super::directory::{Directory, has_route};
use super::java::Java;
use crate::cluster::GROUP;
use crate::history::{NodeId, Seen};
use crate::message::{self, MessageId};

/// The topic whose configuration a topic that is made by its first message copies.
const DEFAULT_TOPIC: &str = "TBW102";
const READ_AND_WRITE: i32 = 6;
/// Of a pull: the request says what is wanted, so nobody must have registered for it.
const WITH_SUBSCRIPTION: i32 = 0x4;
/// Of a message: the first half of a transaction.
const PREPARED: i32 = 0x4;
const COMMIT: i32 = 8;
const ROLL_BACK: i32 = 12;
/// No queue is that long.
const FAR_AHEAD: QueueOffset = QueueOffset(1 << 40);
/// Messages of one answer.
const PULL_MAX: i32 = 256;
pub const PRODUCERS: &str = "jepsen-producers";
const READERS: &str = "jepsen-readers";

/// A message to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub id: MessageId,
    pub body: Bytes,
    /// Properties besides the key, which is the id.
    pub properties: Vec<(&'static str, String)>,
}

/// Where a message was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub offset: QueueOffset,
    pub log_offset: Option<LogOffset>,
    pub message_id: Text,
    pub node: Option<NodeId>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulled {
    pub seen: Vec<Seen>,
    /// With the time at which the broker stored each.
    pub stored_at: Vec<Timestamp>,
    pub next: QueueOffset,
    pub min: QueueOffset,
    pub max: QueueOffset,
}

/// The connections of one process.
pub struct Session {
    directory: Directory,
    topic: Arc<str>,
    call_max: Duration,
    connections: HashMap<NodeId, Client>,
    service: Option<Arc<dyn Service>>,
    /// Carries out what the official client can do, if it is to be used.
    java: Option<Java>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({})", self.topic)
    }
}

fn refused(answer: Command) -> CallError {
    CallError::Refused { code: ResponseCode(answer.code), remark: answer.remark.unwrap_or_default() }
}

impl Session {
    pub fn new(directory: Directory, topic: Arc<str>, call_max: Duration) -> Self {
        Self { directory, topic, call_max, connections: HashMap::new(), service: None, java: None }
    }

    /// Serves what brokers ask of it.
    pub fn with_service(mut self, service: Arc<dyn Service>) -> Self {
        self.service = Some(service);
        self
    }

    pub fn with_java(mut self, java: Option<Java>) -> Self {
        self.java = java;
        self
    }

    /// Whether somebody else decides who is asked.
    pub fn finds_nodes(&self) -> bool {
        self.java.is_some()
    }

    fn client(&mut self, node: NodeId) -> &Client {
        self.connections.entry(node).or_insert_with(|| {
            let address = self.directory.address(node).map(|address| address.to_string()).unwrap_or_default();
            let client = Client::new(address, self.call_max);
            match &self.service {
                Some(service) => client.with_service(Arc::clone(service)),
                None => client,
            }
        })
    }

    /// Closes what is open. The next call connects anew.
    pub async fn hang_up(&mut self) {
        for client in self.connections.values() {
            client.close().await;
        }
        self.connections.clear();
    }

    /// Sends one message, or several as a batch, to a queue.
    pub async fn send(
        &mut self,
        node: NodeId,
        queue: QueueId,
        messages: &[Outgoing],
    ) -> Result<Stored, CallError> {
        let Some(java) = &self.java else { return self.store(node, queue, messages, 0).await };
        let (offset, id) = java.send(queue, messages).await?;
        let lies = OffsetMessageId::parse(&id).ok();
        let node = lies.and_then(|lies| self.directory.node(&lies.store_host.to_string()));
        Ok(Stored {
            offset,
            log_offset: lies.map(|lies| lies.log_offset),
            message_id: id.as_str().into(),
            node,
        })
    }

    /// Sends the first half of a transaction.
    pub async fn send_half(
        &mut self,
        node: NodeId,
        queue: QueueId,
        half: &Outgoing,
    ) -> Result<Stored, CallError> {
        self.store(node, queue, std::slice::from_ref(half), PREPARED).await
    }

    async fn store(
        &mut self,
        node: NodeId,
        queue: QueueId,
        messages: &[Outgoing],
        sys_flag: i32,
    ) -> Result<Stored, CallError> {
        let (properties, body) = match messages {
            [single] => (properties(single), single.body.clone()),
            several => (PropertyList::new(), batch(several)),
        };
        let header = SendMessageV2 {
            producer_group: PRODUCERS.into(),
            topic: (*self.topic).into(),
            default_topic: DEFAULT_TOPIC.into(),
            default_topic_queue_nums: 8,
            queue_id: queue,
            sys_flag,
            born_timestamp: now(),
            properties: Text::from_utf8(properties.into_bytes()),
            batch: messages.len() > 1,
            ..SendMessageV2::default()
        };
        let (reply, _): (SendReply, _) = self.client(node).call(&header, body).await?;
        let log_offset = OffsetMessageId::parse(&reply.message_id).ok().map(|id| id.log_offset);
        Ok(Stored { offset: reply.queue_offset, log_offset, message_id: reply.message_id, node: Some(node) })
    }

    /// Tells how a transaction ended. Nobody answers.
    pub async fn end(&mut self, node: NodeId, half: &Stored, commit: bool) -> Result<bool, CallError> {
        let header = EndTransaction {
            topic: Some((*self.topic).into()),
            producer_group: PRODUCERS.into(),
            transaction_table_offset: half.offset,
            commit_log_offset: half.log_offset.unwrap_or_default(),
            commit_or_rollback: if commit { COMMIT } else { ROLL_BACK },
            message_id: half.message_id.clone(),
            ..EndTransaction::default()
        };
        self.client(node).push(&header, Bytes::new()).await
    }

    /// Reads messages of a queue from an offset on. Does not wait for any.
    pub async fn pull(
        &mut self,
        node: NodeId,
        queue: QueueId,
        offset: QueueOffset,
    ) -> Result<Pulled, CallError> {
        if let Some(java) = &self.java {
            return java.pull(queue, offset).await;
        }
        let header = PullMessage {
            consumer_group: READERS.into(),
            topic: (*self.topic).into(),
            queue_id: queue,
            queue_offset: offset,
            max_message_nums: PULL_MAX,
            sys_flag: WITH_SUBSCRIPTION,
            subscription: Some("*".into()),
            ..PullMessage::default()
        };
        let mut request = Command::request(PullMessage::CODE);
        request.fields = header.to_fields();
        let answer = self.client(node).exchange(request).await?;
        match ResponseCode(answer.code) {
            ResponseCode::SUCCESS
            | ResponseCode::PULL_NOT_FOUND
            | ResponseCode::PULL_RETRY_IMMEDIATELY
            | ResponseCode::PULL_OFFSET_MOVED => {}
            _ => return Err(refused(answer)),
        }
        let reply = PullReply::decode(&answer.fields)?;
        let mut pulled = Pulled {
            next: reply.next_begin_offset,
            min: reply.min_offset,
            max: reply.max_offset,
            ..Pulled::default()
        };
        if answer.code == ResponseCode::SUCCESS.0 {
            for record in Records::new(&answer.body) {
                // What cannot be read is shown as a message that nobody sent; what comes after it is to be asked for again.
                let Ok(record) = record else {
                    let place = QueueOffset(offset.0 + i64::try_from(pulled.seen.len()).unwrap_or_default());
                    pulled.seen.push(Seen { offset: place, ..Seen::default() });
                    pulled.next = QueueOffset(place.0 + 1);
                    break;
                };
                let key = record.properties.get(property::KEYS).unwrap_or_default().into_owned();
                let hash = message::hash(record.body, &key);
                let id = message::id_in(record.body).unwrap_or_default();
                pulled.seen.push(Seen { id, hash, offset: record.queue_offset });
                pulled.stored_at.push(record.store_timestamp);
            }
        }
        Ok(pulled)
    }

    /// The first offset of a queue, and the one that its next message will get. Whoever does not lead answers only those who
    /// pull, so they are asked for by a pull that is too far ahead.
    pub async fn ends(
        &mut self,
        node: NodeId,
        queue: QueueId,
    ) -> Result<(QueueOffset, QueueOffset), CallError> {
        let pulled = self.pull(node, queue, FAR_AHEAD).await?;
        Ok((pulled.min.max(QueueOffset(0)), pulled.max.max(QueueOffset(0))))
    }

    pub async fn commit(
        &mut self,
        node: NodeId,
        group: &str,
        queue: QueueId,
        offset: QueueOffset,
    ) -> Result<(), CallError> {
        if let Some(java) = &self.java {
            return java.commit(group, queue, offset).await;
        }
        let header = UpdateConsumerOffset {
            consumer_group: group.into(),
            topic: (*self.topic).into(),
            queue_id: queue,
            commit_offset: offset,
        };
        self.client(node).call(&header, Bytes::new()).await.map(drop)
    }

    /// `None`: the broker knows of no offset.
    pub async fn fetch(
        &mut self,
        node: NodeId,
        group: &str,
        queue: QueueId,
    ) -> Result<Option<QueueOffset>, CallError> {
        if let Some(java) = &self.java {
            return java.fetch(group, queue).await;
        }
        let header = QueryConsumerOffset {
            consumer_group: group.into(),
            topic: (*self.topic).into(),
            queue_id: queue,
            set_zero_if_not_found: Some(false),
        };
        match self.client(node).call(&header, Bytes::new()).await {
            Ok((reply, _)) => Ok(Some(reply.offset)),
            Err(CallError::Refused { code: ResponseCode::QUERY_NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn locks(&self, group: &str, owner: &str, queue: QueueId) -> Bytes {
        let queue =
            MessageQueue { broker_name: GROUP.to_owned(), queue_id: queue, topic: self.topic.to_string() };
        let locks = QueueLocks {
            client_id: owner.to_owned(),
            consumer_group: group.to_owned(),
            queues: BTreeSet::from([queue]),
            only_this_broker: false,
        };
        Bytes::from(json::to_string(&locks, Dialect::Fastjson))
    }

    /// Whether `owner` has the queue now.
    pub async fn lock(
        &mut self,
        node: NodeId,
        group: &str,
        owner: &str,
        queue: QueueId,
    ) -> Result<bool, CallError> {
        let body = self.locks(group, owner, queue);
        let (_, answer) = self.client(node).call(&LockQueues {}, body).await?;
        // A body that cannot be read grants nothing.
        let locked: LockedQueues = json::from_slice(&answer).unwrap_or_default();
        Ok(locked.queues.iter().any(|locked| locked.queue_id == queue))
    }

    pub async fn unlock(
        &mut self,
        node: NodeId,
        group: &str,
        owner: &str,
        queue: QueueId,
    ) -> Result<(), CallError> {
        let body = self.locks(group, owner, queue);
        self.client(node).call(&UnlockQueues {}, body).await.map(drop)
    }

    pub async fn create_topic(&mut self, node: NodeId, topic: &str, queues: i32) -> Result<(), CallError> {
        let header = UpdateTopic {
            topic: topic.into(),
            default_topic: DEFAULT_TOPIC.into(),
            read_queue_nums: queues,
            write_queue_nums: queues,
            perm: READ_AND_WRITE,
            topic_filter_type: TopicFilter::SingleTag,
            ..UpdateTopic::default()
        };
        self.client(node).call(&header, Bytes::new()).await.map(drop)
    }

    pub async fn delete_topic(&mut self, node: NodeId, topic: &str) -> Result<(), CallError> {
        self.client(node).call(&DeleteTopic { topic: topic.into() }, Bytes::new()).await.map(drop)
    }

    pub async fn create_group(&mut self, node: NodeId, group: &str) -> Result<(), CallError> {
        let config = GroupConfig { group_name: group.to_owned(), ..GroupConfig::default() };
        let body = Bytes::from(json::to_string(&config, Dialect::Fastjson));
        self.client(node).call(&UpdateGroup {}, body).await.map(drop)
    }

    /// How many queues a topic has; `None` when there is no such topic.
    pub async fn find_topic(&mut self, node: NodeId, topic: &str) -> Result<Option<i64>, CallError> {
        let header = GetTopicConfig { topic: topic.into(), logical: None };
        match self.client(node).call(&header, Bytes::new()).await {
            Ok((_, body)) => {
                let config: MappedTopicConfig = json::from_slice(&body).unwrap_or_default();
                Ok(Some(i64::from(config.write_queue_nums)))
            }
            Err(CallError::Refused { code: ResponseCode::TOPIC_NOT_EXIST, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// "I am here": as a producer, and as a consumer of the topic if a group is named.
    pub async fn heartbeat(
        &mut self,
        node: NodeId,
        client: &str,
        group: Option<&str>,
    ) -> Result<(), CallError> {
        let subscription = SubscriptionData {
            expression: "*".to_owned(),
            version: 1,
            topic: self.topic.to_string(),
            ..SubscriptionData::default()
        };
        let consumer = group.map(|group| ConsumerData {
            group_name: group.to_owned(),
            subscriptions: vec![subscription],
            ..ConsumerData::default()
        });
        let data = HeartbeatData {
            client_id: client.to_owned(),
            consumers: consumer.into_iter().collect(),
            producers: vec![ProducerData { group_name: PRODUCERS.to_owned() }],
            ..HeartbeatData::default()
        };
        let body = Bytes::from(json::to_string(&data, Dialect::Fastjson));
        self.client(node).call(&Heartbeat {}, body).await.map(drop)
    }

    /// Whether the name server leads clients to the topic of this session.
    pub async fn has_route(&self, name_server: std::net::SocketAddr) -> bool {
        has_route(&Client::new(name_server.to_string(), self.call_max), &self.topic).await
    }
}

fn properties(message: &Outgoing) -> PropertyList {
    let mut list = PropertyList::new();
    let own = [(property::KEYS, message.id.to_string()), (property::UNIQUE_KEY, unique_key(message.id))];
    for (name, value) in own.iter().chain(&message.properties) {
        // Ids are digits and dots: they fit.
        let _ = list.set(name, value);
    }
    list
}

fn unique_key(id: MessageId) -> String {
    format!("7F000001{:08X}{:016X}", id.producer, id.counter)
}

fn batch(messages: &[Outgoing]) -> Bytes {
    let mut body = BytesMut::new();
    for message in messages {
        let properties = properties(message);
        let entry = BatchEntry { flag: 0, body: &message.body, properties: properties.as_properties() };
        // A body that is too long for a batch is too long for any broker: the send is refused then.
        let _ = entry.encode(&mut body);
    }
    body.freeze()
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or_default())
}

/// A sentence for the history.
pub fn told(error: &CallError) -> String {
    match error {
        CallError::Connect { source, .. } if source.kind() == io::ErrorKind::TimedOut => {
            "connecting took too long".to_owned()
        }
        CallError::Connect { .. } => "refused connection".to_owned(),
        CallError::Timeout { after, .. } => format!("no answer within {} ms", after.as_millis()),
        CallError::Closed { .. } => "closed before the answer".to_owned(),
        CallError::Refused { code, remark } => {
            let first: String = remark.chars().take_while(|c| *c != '\n').take(80).collect();
            format!("{code}: {first}")
        }
        CallError::BadAnswer(error) => format!("bad answer: {error}"),
    }
}
