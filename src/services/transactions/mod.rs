//! Transactions: halves that wait for their outcome.

use ferrymq_proto::name::SystemTopic;
use ferrymq_proto::position::QueueId;
use ferrymq_proto::record::{TransactionState, property};

use super::message::Message;
use crate::replication::NotStored;

/// Makes the half of a transaction out of a message: it waits where no consumer looks, and remembers where it belongs.
pub fn prepare(message: &mut Message) -> Result<(), NotStored> {
    let (topic, queue) = (message.topic.clone(), message.queue_id);
    message.set(property::REAL_TOPIC, topic.as_str())?;
    message.set(property::REAL_QUEUE_ID, &queue.to_string())?;
    if let Some(id) = message.property(property::UNIQUE_KEY) {
        message.set(property::TRANSACTION_ID, &id)?;
    }
    // What tells it from others is its topic.
    message.sys_flag = message.sys_flag.with_transaction(TransactionState::None);
    message.topic = SystemTopic::TransactionHalf.into();
    message.queue_id = QueueId(0);
    Ok(())
}
