//! `ferrymq topic produce`: single messages from the command line.

use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use clap::Args;
use ferrymq_proto::headers::SendMessageV2;
use ferrymq_proto::position::{QueueId, QueueOffset};
use ferrymq_proto::record::message_id::{Origin, UniqueId};
use ferrymq_proto::record::{PropertyList, property};

use crate::cli::remote::{Cell, Failure, Reach, Remote, Table};
use crate::clock;

/// Tells ids made here from those of other programs on this machine.
const ORIGIN_INSTANCE: u32 = 0xFE88_0C11;
const GROUP: &str = "TOOLS_PRODUCER";

/// Send messages: each text is one; without texts, each line of standard input.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    message: Outgoing,
    texts: Vec<String>,
    #[command(flatten)]
    pub reach: Reach,
}

/// What is common to messages that are sent, and where they go.
#[derive(Debug, Default, Args)]
pub struct Outgoing {
    pub topic: String,
    #[arg(long)]
    pub tag: Option<String>,
    /// Keys to find the message by.
    #[arg(long)]
    pub key: Vec<String>,
    #[arg(long, value_name = "NAME=VALUE")]
    pub property: Vec<String>,
    /// Only to this broker group.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Only to this queue of the first broker group, or of the named one. Unless given, to all in turn.
    #[arg(long)]
    pub queue: Option<i32>,
    /// Deliver it after so many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "delay_level")]
    pub delay: Option<u32>,
    /// Deliver it after this delay level (1 to 18).
    #[arg(long, value_name = "LEVEL")]
    pub delay_level: Option<u8>,
}

/// Where a message that was sent lies, and how it is called.
#[derive(Debug)]
pub struct Sent {
    pub broker: String,
    pub queue: QueueId,
    pub offset: QueueOffset,
    pub id: String,
}

impl Arguments {
    pub async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        let mut table = Table::new(&["broker", "queue", "offset", "id"]);
        let mut number = 0_usize;
        if self.texts.is_empty() {
            for line in io::stdin().lock().lines() {
                let line = line
                    .map_err(|error| Failure::operation(format!("standard input cannot be read: {error}")))?;
                table.row(self.message.send(remote, number, line.into_bytes()).await?.row());
                number += 1;
            }
        }
        for text in &self.texts {
            table.row(self.message.send(remote, number, text.clone().into_bytes()).await?.row());
            number += 1;
        }
        remote.print("ferrymq.topic.produce/1", &table);
        Ok(())
    }
}

impl Sent {
    fn row(self) -> [Cell; 4] {
        [Cell::from(self.broker), self.queue.0.into(), self.offset.0.into(), self.id.into()]
    }
}

impl Outgoing {
    /// Every queue that may be written. A topic nobody knows is tried at all leaders: they may create it.
    async fn places(&self, remote: &Remote) -> Result<Vec<(String, String, QueueId)>, Failure> {
        let mut groups = Vec::new();
        if remote.find_route(&self.topic).await?.is_some() {
            groups = remote.writable(&self.topic).await?;
        }
        if groups.is_empty() {
            // A negative queue lets the broker choose.
            let leaders = remote.leaders(self.group.as_deref()).await?;
            return Ok(leaders.into_iter().map(|node| (node.group, node.address, QueueId(-1))).collect());
        }
        groups.retain(|(node, _)| self.group.as_ref().is_none_or(|group| *group == node.group));
        let queues = |(node, count): (crate::cli::remote::Node, i32)| {
            (0..count).map(move |queue| (node.group.clone(), node.address.clone(), QueueId(queue)))
        };
        let mut places: Vec<_> = groups.into_iter().flat_map(queues).collect();
        if let Some(wanted) = self.queue {
            places.retain(|(_, _, queue)| queue.0 == wanted);
            places.truncate(1);
        }
        if places.is_empty() {
            return Err(Failure::operation(format!(
                "the topic {} has no such queue that may be written",
                crate::config::quoted(&self.topic)
            )));
        }
        Ok(places)
    }

    /// Sends one message; its number chooses the queue.
    pub async fn send(&self, remote: &Remote, number: usize, body: Vec<u8>) -> Result<Sent, Failure> {
        let (id, properties) = self.properties(number)?;
        let body = Bytes::from(body);
        let attempt = async || {
            let places = self.places(remote).await?;
            let place = places.get(number % places.len().max(1));
            let (broker, address, queue) = place.ok_or_else(|| Failure::no_leader(None))?;
            let request = SendMessageV2 {
                producer_group: GROUP.into(),
                topic: self.topic.as_str().into(),
                default_topic: "TBW102".into(),
                default_topic_queue_nums: 4,
                queue_id: *queue,
                born_timestamp: clock::now(),
                properties: Some(properties.clone()),
                ..SendMessageV2::default()
            };
            let (reply, _) = remote.ask(address, &request, body.clone()).await?;
            Ok((broker.clone(), reply))
        };
        let (broker, reply) = remote.patiently(attempt).await?;
        Ok(Sent { broker, queue: reply.queue_id, offset: reply.queue_offset, id })
    }

    fn properties(&self, number: usize) -> Result<(String, ferrymq_proto::text::Text), Failure> {
        let origin = Origin {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            process: (std::process::id() & 0xFFFF) as u16,
            instance: ORIGIN_INSTANCE,
        };
        let id = UniqueId::new(origin, clock::now(), 0, (number & 0xFFFF) as u16).to_string();
        let mut properties = PropertyList::new();
        let mut set = |name: &str, value: &str| {
            let wrong =
                |error| Failure::usage(&format!("the property {}: {error}", crate::config::quoted(name)));
            properties.set(name, value).map_err(wrong)
        };
        for property in &self.property {
            let pair = property.split_once('=');
            let (name, value) = pair.ok_or_else(|| Failure::usage("--property wants NAME=VALUE"))?;
            set(name, value)?;
        }
        set(property::UNIQUE_KEY, &id)?;
        set(property::WAIT, "true")?;
        if let Some(tag) = &self.tag {
            set(property::TAGS, tag)?;
        }
        if !self.key.is_empty() {
            set(property::KEYS, &self.key.join(" "))?;
        }
        if let Some(seconds) = self.delay {
            set(property::TIMER_DELAY_SECONDS, &seconds.to_string())?;
        }
        if let Some(level) = self.delay_level {
            set(property::DELAY_LEVEL, &level.to_string())?;
        }
        let text = ferrymq_proto::text::Text::from_utf8(properties.into_bytes());
        Ok((id, text.ok_or_else(|| Failure::usage("a property is not UTF-8"))?))
    }
}
