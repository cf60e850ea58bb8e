//! The state of a broker behind a place in the log: the tables, and how far every queue has come.

use ferrymq_proto::name::{NameError, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_storage::dispatch::QueueEnd;
use prost::Message;

use crate::state::{DecodeError, Tables};

#[derive(Debug, PartialEq)]
pub(super) struct Checkpoint {
    pub tables: Vec<u8>,
    pub ends: Vec<QueueEnd>,
    pub last_store_time: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("{0}")]
    Tables(#[from] DecodeError),
}

/// As it is stored. A tag is never used again for something else.
#[derive(Clone, PartialEq, Message)]
struct Stored {
    #[prost(bytes = "vec", tag = "1")]
    tables: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    topics: Vec<TopicEnds>,
    #[prost(int64, tag = "3")]
    last_store_time: i64,
}

#[derive(Clone, PartialEq, Message)]
struct TopicEnds {
    #[prost(string, tag = "1")]
    topic: String,
    /// Beside each other.
    #[prost(int32, repeated, tag = "2")]
    queues: Vec<i32>,
    #[prost(int64, repeated, tag = "3")]
    next: Vec<i64>,
}

/// The state of a broker with these tables, whose queues have come so far.
pub fn state_of(tables: Vec<u8>, ends: Vec<QueueEnd>, last_store_time: Timestamp) -> Vec<u8> {
    Checkpoint { tables, ends, last_store_time }.encode()
}

/// Whether somebody could begin with this state.
pub fn check(state: &[u8]) -> Result<(), CheckpointError> {
    Tables::restore(&Checkpoint::decode(state)?.tables)?;
    Ok(())
}

impl Checkpoint {
    pub fn encode(self) -> Vec<u8> {
        let mut topics: Vec<TopicEnds> = Vec::new();
        for end in self.ends {
            let is_same = |last: &&mut TopicEnds| last.topic == end.topic.as_str();
            match topics.last_mut().filter(is_same) {
                Some(last) => {
                    last.queues.push(end.queue.0);
                    last.next.push(end.next.0);
                }
                None => topics.push(TopicEnds {
                    topic: end.topic.to_string(),
                    queues: vec![end.queue.0],
                    next: vec![end.next.0],
                }),
            }
        }
        Stored { tables: self.tables, topics, last_store_time: self.last_store_time.0 }.encode_to_vec()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let stored = Stored::decode(bytes)?;
        let mut ends = Vec::new();
        for TopicEnds { topic, queues, next } in stored.topics {
            let topic = TopicName::parse(&topic)?;
            let pairs = queues.into_iter().zip(next);
            ends.extend(pairs.map(|(queue, next)| QueueEnd {
                topic: topic.clone(),
                queue: QueueId(queue),
                next: QueueOffset(next),
            }));
        }
        Ok(Self { tables: stored.tables, ends, last_store_time: Timestamp(stored.last_store_time) })
    }
}
