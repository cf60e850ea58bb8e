//! All that a client can hear instead of an answer. The first clause of each text is Apache's, which runbooks know.

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::header::HeaderError;
use ferrymq_proto::json::JsonError;
use ferrymq_proto::name::NameError;

use crate::kv::KvError;
use crate::settings::UpdateRefused;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error(" request type {0} not supported")]
    NotSupported(i32),
    #[error("{0}")]
    Header(#[from] HeaderError),
    #[error("the body cannot be read: {0}")]
    Body(#[from] JsonError),
    #[error("Failed to decode RegisterBrokerBody: {0}")]
    Registration(String),
    #[error("crc32 not match: the body was damaged on its way")]
    Checksum,
    #[error("register broker failed: a single topic before the first whole registration of the broker")]
    TooEarly,
    #[error("{0}")]
    Name(#[from] NameError),
    #[error(
        "No topic route info in name server for the topic: {0}\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."
    )]
    NoRoute(String),
    #[error("name server not ready")]
    NotReady,
    #[error("No config item, Namespace: {namespace} Key: {key}")]
    NoValue { namespace: String, key: String },
    #[error("No config item, Namespace: {0}")]
    NoNamespace(String),
    #[error("{0}")]
    Kv(#[from] KvError),
    #[error("disable")]
    ListDisabled,
    #[error("{0}")]
    Config(#[from] UpdateRefused),
    #[error("the configuration text is not UTF-8")]
    ConfigNotUtf8,
    #[error("[OVERLOAD]system busy, start flow control for a while")]
    Overloaded,
    #[error("too many departures are waiting")]
    DeparturesFull,
}

impl Refusal {
    pub fn code(&self) -> ResponseCode {
        match self {
            Self::NotSupported(_) => ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            Self::NoRoute(_) => ResponseCode::TOPIC_NOT_EXIST,
            Self::NoValue { .. } | Self::NoNamespace(_) => ResponseCode::QUERY_NOT_FOUND,
            Self::Config(UpdateRefused::NotByRequest(_) | UpdateRefused::UnknownKey(_)) => {
                ResponseCode::NO_PERMISSION
            }
            Self::Overloaded => ResponseCode::SYSTEM_BUSY,
            Self::Name(_) => ResponseCode::INVALID_PARAMETER,
            Self::Header(_)
            | Self::Body(_)
            | Self::Registration(_)
            | Self::Checksum
            | Self::TooEarly
            | Self::NotReady
            | Self::Kv(_)
            | Self::ListDisabled
            | Self::Config(_)
            | Self::ConfigNotUtf8
            | Self::DeparturesFull => ResponseCode::SYSTEM_ERROR,
        }
    }
}
