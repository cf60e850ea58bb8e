//! Finding one message by its id, and giving it to consumers once more.

use bytes::Bytes;
use ferrymq_proto::bodies::{ConsumeResult, ConsumerConnections};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{
    ConsumeDirectly, GetConsumerConnections, QueryMessages, SendMessageV2, SendReply, ViewMessage,
};
use ferrymq_proto::position::{QueueId, Timestamp};
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::record::{PropertyList, Record, Records, SysFlag, TransactionState, property};
use ferrymq_proto::text::Text;

use super::{Failure, Remote, unreadable};
use crate::clock;
use crate::config::quoted;

const GROUP: &str = "TOOLS_PRODUCER";
/// Messages that may have been given the same id: a client that tries again uses it again.
const SAME_ID_MAX: i32 = 32;
/// What made a message wait, or says where it comes from. A copy is a message of today.
const NOT_COPIED: [&str; 9] = [
    property::DELAY_LEVEL,
    property::TIMER_DELAY_SECONDS,
    property::TIMER_DELAY_MS,
    property::TIMER_DELIVER_MS,
    property::TIMER_OUT_MS,
    property::REAL_TOPIC,
    property::REAL_QUEUE_ID,
    property::TRANSACTION_PREPARED,
    property::TRANSACTION_ID,
];

/// A message and the broker that has it.
#[derive(Debug)]
pub struct Located {
    pub address: String,
    bytes: Bytes,
}

/// The message with an id: that of its place, or with the topic the one that its client gave it.
pub async fn locate(remote: &Remote, topic: Option<&str>, id: &str) -> Result<Located, Failure> {
    match (OffsetMessageId::parse(id), topic) {
        // Both kinds may have the same length: what the address says is wrong for the other kind.
        (Ok(place), _) if is_served(remote, &place.store_host.to_string()).await? => {
            let address = place.store_host.to_string();
            let request = ViewMessage { topic: None, offset: place.log_offset };
            let (_, bytes) = remote.ask(&address, &request, Bytes::new()).await?;
            Ok(Located { address, bytes })
        }
        (_, Some(topic)) => with_unique_id(remote, topic, id).await?.into_iter().next().ok_or_else(|| {
            let help = "`ferrymq topic peek` shows the messages there are.";
            Failure::nothing(format!("no message of {} has the id {}", quoted(topic), quoted(id)), help)
        }),
        (_, None) => Err(Failure::usage(&format!(
            "{} is no id of a place in a log; for one that a client gave, name the topic too",
            quoted(id)
        ))),
    }
}

async fn is_served(remote: &Remote, address: &str) -> Result<bool, Failure> {
    Ok(remote.nodes().await?.iter().any(|node| node.address == address))
}

/// All messages that a client gave an id, on all brokers.
pub async fn with_unique_id(remote: &Remote, topic: &str, id: &str) -> Result<Vec<Located>, Failure> {
    let mut found = Vec::new();
    for (node, _) in remote.readable(topic).await? {
        let request = QueryMessages {
            topic: topic.into(),
            key: id.into(),
            max_num: SAME_ID_MAX,
            begin_timestamp: Timestamp(0),
            end_timestamp: Timestamp(i64::MAX),
            unique_key_query: true,
            ..QueryMessages::default()
        };
        match remote.ask(&node.address, &request, Bytes::new()).await {
            Ok((_, records)) => {
                let mut rest = records.clone();
                for record in Records::new(&records) {
                    record.map_err(|error| unreadable(&error))?;
                    let size = Record::decode(&rest).map_err(|error| unreadable(&error))?.1;
                    found.push(Located { address: node.address.clone(), bytes: rest.split_to(size) });
                }
            }
            Err(failure) if failure.is(ResponseCode::QUERY_NOT_FOUND) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(found)
}

impl Located {
    pub fn record(&self) -> Result<Record<'_>, Failure> {
        Ok(Record::decode(&self.bytes).map_err(|error| unreadable(&error))?.0)
    }

    /// Sends a copy to its topic: every group gets it once more.
    pub async fn send_again(&self, remote: &Remote) -> Result<SendReply, Failure> {
        let record = self.record()?;
        let mut properties = PropertyList::new();
        for (name, value) in record.properties.iter().filter(|(name, _)| !NOT_COPIED.contains(&&**name)) {
            let wrong = |error| Failure::operation(format!("the property {}: {error}", quoted(&name)));
            properties.set(&name, &value).map_err(wrong)?;
        }
        let of_its_record = [SysFlag::BORN_HOST_V6, SysFlag::STORE_HOST_V6];
        let sys_flag = of_its_record.into_iter().fold(record.sys_flag, SysFlag::without);
        let sys_flag = sys_flag.with_transaction(TransactionState::None);
        let request = SendMessageV2 {
            producer_group: GROUP.into(),
            topic: record.topic.into(),
            default_topic: "TBW102".into(),
            default_topic_queue_nums: 4,
            queue_id: QueueId(-1),
            sys_flag: sys_flag.0,
            born_timestamp: clock::now(),
            flag: record.flag,
            properties: Text::from_utf8(properties.into_bytes()),
            ..SendMessageV2::default()
        };
        let body = Bytes::copy_from_slice(record.body);
        let attempt = async || {
            let places = remote.writable(record.topic).await?;
            let (node, _) = places.first().ok_or_else(|| Failure::no_topic(record.topic))?;
            Ok(remote.ask(&node.address, &request, body.clone()).await?.0)
        };
        remote.patiently(attempt).await
    }

    /// Lets one consumer of a group consume it now, and says what came of it. Offsets stay where they are.
    pub async fn push(
        &self,
        remote: &Remote,
        group: &str,
        client: Option<&str>,
    ) -> Result<(String, ConsumeResult), Failure> {
        let record = self.record()?;
        let client = match client {
            Some(client) => client.to_owned(),
            None => self.any_consumer(remote, group).await?,
        };
        let request = ConsumeDirectly {
            consumer_group: group.into(),
            client_id: Some(client.as_str().into()),
            message_id: Some(record.message_id().to_string().into()),
            topic: Some(record.topic.into()),
            ..ConsumeDirectly::default()
        };
        let result = remote.ask_for(&self.address, &request).await?;
        Ok((client, result))
    }

    async fn any_consumer(&self, remote: &Remote, group: &str) -> Result<String, Failure> {
        let request = GetConsumerConnections { consumer_group: group.into() };
        let nobody = || {
            let help = "`ferrymq group describe` shows who is there.";
            Failure::nothing(format!("nobody of the group {} is connected", quoted(group)), help)
        };
        let found: ConsumerConnections = match remote.ask_for(&self.address, &request).await {
            Ok(found) => found,
            Err(failure) if failure.is(ResponseCode::CONSUMER_NOT_ONLINE) => return Err(nobody()),
            Err(failure) => return Err(failure),
        };
        found.connections.into_iter().next().map(|client| client.client_id).ok_or_else(nobody)
    }
}
