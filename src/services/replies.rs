//! Replies: messages that go straight to the client that waits for them.
//!
//! A requester names itself in its request; whoever replies sends to this broker, which hands the reply on over the connection
//! on which the requester is known as a producer. A requester that is connected elsewhere is not found, and its replier hears so.
//! A reply may be stored besides, for those who look for it later; that it could not be is nobody's concern.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{PushReply, SendMessageV2};
use ferrymq_proto::record::{PropertyList, property};
use ferrymq_proto::text::Text;
use tokio::sync::Semaphore;

use super::clients::{Clients, ask_over, request};
use super::message::Message;
use super::posting::Posting;
use crate::clock;
use crate::config::live::Live;
use crate::refusal::Refusal;
use crate::replication::Stored;

/// How long a requester may take to say that it has its reply.
const REQUESTER_WAIT: Duration = Duration::from_secs(10);
/// Replies that are on their way to their requesters. Those who send further ones hear that the broker is busy.
const PUSHED_MAX: usize = 4096;

#[derive(Debug)]
pub struct Replies {
    clients: Arc<Clients>,
    posting: Posting,
    host: SocketAddr,
    are_stored: Live<bool>,
    places: Semaphore,
}

/// What became of a reply.
#[derive(Clone, Debug)]
pub struct Sent {
    pub pushed: Result<(), NotPushed>,
    /// Where it lies, if it was stored.
    pub stored: Option<Stored>,
}

/// Why a requester has not got its reply, in Java's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPushed {
    #[error("reply message properties[{}] is null", property::REPLY_TO_CLIENT)]
    NoRequester,
    #[error("push reply message fail, channel of <{0}> not found.")]
    Away(String),
    #[error("push reply message to {0}fail.")]
    Failed(String),
}

impl Replies {
    pub fn new(clients: Arc<Clients>, posting: Posting, host: SocketAddr, are_stored: Live<bool>) -> Self {
        Self { clients, posting, host, are_stored, places: Semaphore::new(PUSHED_MAX) }
    }

    /// Hands a reply to its requester, and stores it if replies are stored.
    pub async fn send(&self, reply: Message, header: &SendMessageV2) -> Result<Sent, Refusal> {
        let pushed = {
            let _place = self.places.try_acquire().map_err(|_| Refusal::Overloaded)?;
            self.push(&reply, header).await
        };
        if let Err(reason) = &pushed {
            tracing::warn!(%reason, replier = %reply.born_host, "a reply did not reach its requester");
        }
        if !self.are_stored.get() {
            return Ok(Sent { pushed, stored: None });
        }
        let stored = self.posting.store(reply).await;
        if let Err(reason) = &stored {
            tracing::warn!(%reason, "a reply is not stored");
        }
        Ok(Sent { pushed, stored: stored.ok() })
    }

    async fn push(&self, reply: &Message, header: &SendMessageV2) -> Result<(), NotPushed> {
        let requester = reply.property(property::REPLY_TO_CLIENT).ok_or(NotPushed::NoRequester)?;
        let Some(connection) = self.clients.producer(&requester) else {
            return Err(NotPushed::Away(requester));
        };
        let mut properties = reply.properties.clone();
        if properties.set(property::REPLY_PUSH_TIME, &clock::now().to_string()).is_err() {
            return Err(NotPushed::Failed(requester));
        }
        let pushed = PushReply {
            producer_group: header.producer_group.clone(),
            topic: header.topic.clone(),
            default_topic: header.default_topic.clone(),
            default_topic_queue_nums: header.default_topic_queue_nums,
            queue_id: header.queue_id,
            sys_flag: header.sys_flag,
            born_timestamp: header.born_timestamp,
            flag: header.flag,
            properties: Some(text(properties)),
            reconsume_times: Some(header.reconsume_times),
            unit_mode: header.unit_mode,
            born_host: reply.born_host.to_string().into(),
            store_host: self.host.to_string().into(),
            store_timestamp: clock::now(),
        };
        let answer = ask_over(&connection, request(&pushed, reply.body.clone()), REQUESTER_WAIT).await;
        match answer {
            Ok(answer) if answer.code == ResponseCode::SUCCESS.0 => Ok(()),
            _ => Err(NotPushed::Failed(requester)),
        }
    }
}

/// Properties as headers carry them.
fn text(properties: PropertyList) -> Text {
    String::from_utf8_lossy(&properties.into_bytes()).into_owned().into()
}
