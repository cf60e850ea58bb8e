//! All that a client can hear instead of an answer. The first clause of each text is Apache's, which runbooks know.

use std::time::Duration;

use ferrymq_namesrv::settings::UpdateRefused;
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::filter::{FilterError, SqlError};
use ferrymq_proto::header::HeaderError;
use ferrymq_proto::json::JsonError;
use ferrymq_proto::name::{NameError, TopicName};
use ferrymq_proto::position::{LogOffset, QueueId, Timestamp};

use crate::replication::NotStored;
use crate::services::clients::TooMuch;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(" request type {0} not supported")]
    NotSupported(i32),
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("the body cannot be read: {0}")]
    Body(#[from] JsonError),
    #[error("{0}")]
    Name(#[from] NameError),
    /// What was asked for makes no sense, in words of our own.
    #[error("{0}")]
    Parameter(String),
    #[error("{0}")]
    TooMuch(#[from] TooMuch),
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    Overloaded,
    #[error(
        "[REJECTREQUEST]system busy, start flow control for a while: this is a slave, and slaveReadEnable is off"
    )]
    NoReadsFromSlave,

    #[error(
        "topic[{0}] not exist, apply first please!\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )]
    NoSuchTopic(String),
    #[error("the topic[{topic}] {operation} is forbidden")]
    TopicForbidden { topic: TopicName, operation: &'static str },
    #[error("Sending message to topic[{0}] is forbidden.")]
    SystemTopicForbidden(TopicName),
    #[error("the broker[{address}] {operation} is forbidden")]
    BrokerForbidden { address: String, operation: &'static str },
    #[error("broker unable to service, until {opens_at}: {address} takes no messages before that moment")]
    NotOpen { address: String, opens_at: Timestamp },
    #[error("request queueId[{queue}] is illegal, {topic} has {queues} queues")]
    NoSuchQueue { topic: TopicName, queue: QueueId, queues: i32 },
    #[error("subscription group not exist, {0} does not exist")]
    NoSuchGroup(String),
    #[error("subscription group no permission, {0}")]
    GroupForbidden(String),
    #[error("the consumer group[{0}] can not consume by broadcast way")]
    BroadcastForbidden(String),
    #[error("the consumer's group info not exist: {0} has sent no heartbeat")]
    GroupUnknown(String),
    #[error("the consumer's subscription not exist: {group} has not subscribed to {topic}")]
    NotSubscribed { group: String, topic: String },
    #[error("the consumer's subscription not latest")]
    SubscriptionOld,
    #[error("parse the consumer's subscription failed: {0}")]
    Filter(#[from] FilterError),
    #[error(
        "The broker's consumer filter data is not exist!Your expression may be wrong!: what the group has stated does not compile: {0}"
    )]
    NoFilter(SqlError),
    #[error("The broker does not support consumer to filter message by {0}: enablePropertyFilter is off")]
    FilterUnsupported(String),
    #[error("no consumer for this group, {0}")]
    NoConsumer(String),
    #[error("Not found, V3_0_6_SNAPSHOT maybe this consumer group boot first: {0}")]
    NoOffset(String),
    #[error("query message failed: nothing was found for key {0}")]
    NothingFound(String),
    #[error("can not find message by the offset, {0}")]
    NoMessageAt(LogOffset),

    #[error("the message is illegal: {0}")]
    MessageIllegal(String),
    #[error("not allowed now: {0}")]
    IllegalOperation(String),
    /// The transaction is not there, or is somebody else's.
    #[error("{0}")]
    NotThisTransaction(&'static str),
    #[error("no permission: {0}")]
    NoPermission(String),
    #[error("The Consumer <{group}> <{client}> not online")]
    NotOnline { group: String, client: String },
    #[error("the consumer group[{0}] not online")]
    GroupOffline(String),
    #[error("the producer group[{0}] not exist: no producer is connected")]
    NoProducers(String),
    #[error("The Consumer <{client}> Version <{version}> too low to finish, please upgrade it")]
    ClientTooOld { client: String, version: i32 },
    #[error("consumer <{group}> <{client}> Timeout: no answer within {after:?}")]
    ClientTimeout { group: String, client: String, after: Duration },
    #[error("{0}")]
    Configuration(#[from] UpdateRefused),
    #[error("{0}")]
    NotStored(#[from] NotStored),
    /// Something of ours that does not work; the log knows more.
    #[error("{0}")]
    Failed(String),
}

impl Refusal {
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::NotSupported(_) => ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            Self::Name(_) | Self::NoSuchQueue { .. } | Self::Parameter(_) | Self::TooMuch(_) => {
                ResponseCode::INVALID_PARAMETER
            }
            Self::NotOpen { .. } => ResponseCode::SYSTEM_ERROR,
            Self::Overloaded | Self::NoReadsFromSlave => ResponseCode::SYSTEM_BUSY,
            Self::NoSuchTopic(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::TopicForbidden { .. }
            | Self::SystemTopicForbidden(_)
            | Self::BrokerForbidden { .. }
            | Self::GroupForbidden(_)
            | Self::BroadcastForbidden(_)
            | Self::NoPermission(_) => ResponseCode::NO_PERMISSION,
            Self::NoSuchGroup(_) => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Self::GroupUnknown(_) | Self::NotSubscribed { .. } => ResponseCode::SUBSCRIPTION_NOT_EXIST,
            Self::SubscriptionOld => ResponseCode::SUBSCRIPTION_NOT_LATEST,
            Self::Filter(_) => ResponseCode::SUBSCRIPTION_PARSE_FAILED,
            Self::NoFilter(_) => ResponseCode::FILTER_DATA_NOT_EXIST,
            Self::NoOffset(_) | Self::NothingFound(_) => ResponseCode::QUERY_NOT_FOUND,
            Self::MessageIllegal(_) => ResponseCode::MESSAGE_ILLEGAL,
            Self::IllegalOperation(_) => ResponseCode::ILLEGAL_OPERATION,
            Self::ClientTimeout { .. } => ResponseCode::CONSUME_MSG_TIMEOUT,
            Self::GroupOffline(_) => ResponseCode::CONSUMER_NOT_ONLINE,
            Self::Configuration(UpdateRefused::NotByRequest(_) | UpdateRefused::UnknownKey(_)) => {
                ResponseCode::NO_PERMISSION
            }
            Self::NotStored(reason) => reason.code(),
            Self::Header(_)
            | Self::Body(_)
            | Self::FilterUnsupported(_)
            | Self::NoConsumer(_)
            | Self::NoMessageAt(_)
            | Self::NotThisTransaction(_)
            | Self::NotOnline { .. }
            | Self::NoProducers(_)
            | Self::Configuration(_)
            | Self::ClientTooOld { .. }
            | Self::Failed(_) => ResponseCode::SYSTEM_ERROR,
        }
    }
}
