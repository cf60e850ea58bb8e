//! Clients, as they introduce themselves and as brokers tell of them.

use std::collections::{BTreeMap, BTreeSet};

use super::word::words;
use crate::json::{FromJson, JsonError, Kind, Reader, ToJson, Writer};
use crate::language::Language;
use crate::position::Timestamp;

words! {
    pub enum ConsumeType {
        /// Pulls when it likes.
        Actively = "CONSUME_ACTIVELY",
        /// Is pushed to, as it seems to its user.
        #[default]
        Passively = "CONSUME_PASSIVELY",
        Pop = "CONSUME_POP",
    }

    pub enum MessageModel {
        /// Every member of a group gets every message.
        Broadcasting = "BROADCASTING",
        /// The members share them.
        #[default]
        Clustering = "CLUSTERING",
        /// Since 5.5.
        LiteSelective = "LITE_SELECTIVE",
    }

    /// Where a new group starts.
    pub enum ConsumeFromWhere {
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// Out of use, as the next two.
        LastOffsetOrMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

family! {
    pub struct HeartbeatData {
        client_id: String = "clientID",
        consumers: Vec<ConsumerData> = "consumerDataSet",
        /// Not 0: the client may leave its subscriptions out next time.
        heartbeat_fingerprint: i32 = "heartbeatFingerprint",
        producers: Vec<ProducerData> = "producerDataSet",
        /// The subscriptions are left out; those of the last full heartbeat stay.
        without_subscriptions: bool = "withoutSub",
    }

    pub struct ProducerData {
        group_name: String = "groupName",
    }

    pub struct ConsumerData {
        consume_from_where: ConsumeFromWhere = "consumeFromWhere",
        consume_type: ConsumeType = "consumeType",
        group_name: String = "groupName",
        message_model: MessageModel = "messageModel",
        subscriptions: Vec<SubscriptionData> = "subscriptionDataSet",
        unit_mode: bool = "unitMode",
    }

    pub struct SubscriptionData {
        class_filter_mode: bool = "classFilterMode",
        /// The hash of each tag.
        codes: BTreeSet<i32> = "codeSet",
        expression_type: String = "expressionType" or "TAG".to_owned(),
        expression: String = "subString",
        version: i64 = "subVersion",
        tags: BTreeSet<String> = "tagsSet",
        topic: String = "topic",
    }

    /// The members of a group by their client ids.
    pub struct ConsumerList {
        consumer_ids: Vec<String> = "consumerIdList",
    }

    /// Would this filter compile? (RocketMQ: CheckClientRequestBody)
    pub struct ClientCheck {
        client_id: String = "clientId",
        group: String = "group",
        namespace: Option<String> = "namespace",
        subscription: Option<SubscriptionData> = "subscriptionData",
    }

    pub struct Connection {
        client_addr: String = "clientAddr",
        client_id: String = "clientId",
        language: Language = "language" or Language::Java,
        version: i32 = "version",
    }

    /// Tools fail when any of it is missing (RocketMQ: ConsumerConnection).
    pub struct ConsumerConnections {
        connections: Vec<Connection> = "connectionSet",
        consume_from_where: ConsumeFromWhere = "consumeFromWhere",
        consume_type: ConsumeType = "consumeType",
        message_model: MessageModel = "messageModel",
        /// By topic.
        subscriptions: BTreeMap<String, SubscriptionData> = "subscriptionTable",
    }

    pub struct ProducerConnections {
        connections: Vec<Connection> = "connectionSet",
    }

    /// All producers of a broker by group (RocketMQ: ProducerTableInfo).
    pub struct ProducerTable {
        producers: BTreeMap<String, Vec<ProducerInfo>> = "data",
    }

    pub struct ProducerInfo {
        client_id: String = "clientId",
        language: Language = "language" or Language::Java,
        last_update_timestamp: Timestamp = "lastUpdateTimestamp",
        remote_ip: String = "remoteIP",
        version: i32 = "version",
    }
}

/// By name, or by number.
impl FromJson for Language {
    fn read(reader: &mut Reader<'_>) -> Result<Self, JsonError> {
        match reader.kind()? {
            Kind::Number => {
                let number = i32::read(reader)?;
                Ok(u8::try_from(number).map_or(Self::Other, Self::from_number))
            }
            _ => Ok(Self::from_name(&String::read(reader)?)),
        }
    }
}

impl ToJson for Language {
    fn write(&self, writer: &mut Writer) {
        writer.string(self.name());
    }
}
