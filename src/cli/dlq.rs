//! `ferrymq dlq`: messages that consumers gave up.

use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::bodies::{TopicStats, TopicTable};
use ferrymq_proto::headers::{GetTopicStats, GetTopicTable, SendMessageV2};
use ferrymq_proto::name::{DEAD_LETTER_PREFIX, RETRY_PREFIX};
use ferrymq_proto::position::QueueId;
use ferrymq_proto::record::{PropertyList, Record, Records, property};
use ferrymq_proto::text::Text;

use super::remote::{Failure, Moment, Reach, Remote, Table, run as with_remote, unreadable};
use super::topic;
use crate::config::quoted;

const GROUP: &str = "TOOLS_PRODUCER";
/// What the broker has put on a dead letter, and what would hold it back.
const LETTER_ONLY: [&str; 4] = [
    property::DEAD_LETTER_ORIGIN_TOPIC,
    property::DEAD_LETTER_ORIGIN_MESSAGE_ID,
    property::DELAY_LEVEL,
    property::RECONSUME_TIME,
];

/// Dead letters: messages that a group gave up after too many tries.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Groups that have dead letters, and how many.
    #[command(visible_alias = "ls")]
    List {
        #[command(flatten)]
        reach: Reach,
    },
    /// Give dead letters to their group once more, each with all its tries. They stay among the dead letters too.
    Resend {
        group: String,
        /// Only the one with this id (msgId).
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Delete all dead letters of a group.
    Purge {
        group: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Show the newest dead letters of a group.
    Peek {
        group: String,
        /// At most so many.
        #[arg(long, default_value_t = 10)]
        count: u32,
        #[command(flatten)]
        reach: Reach,
    },
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::List { reach } => with_remote(reach, async |remote| list(&remote).await),
        Verb::Peek { group, count, reach } => with_remote(reach, async |remote| {
            topic::peek(&remote, &format!("{DEAD_LETTER_PREFIX}{group}"), *count).await
        }),
        Verb::Resend { group, id, yes, reach } => {
            with_remote(reach, async |remote| resend(&remote, group, id.as_deref(), *yes).await)
        }
        Verb::Purge { group, yes, reach } => with_remote(reach, async |remote| {
            topic::delete(&remote, &format!("{DEAD_LETTER_PREFIX}{group}"), *yes).await
        }),
    }
}

async fn resend(remote: &Remote, group: &str, id: Option<&str>, is_sure: bool) -> Result<(), Failure> {
    let letters = topic::all(remote, &format!("{DEAD_LETTER_PREFIX}{group}")).await?;
    if !is_sure {
        let sentence = "the group consumes its dead letters once more; say --yes if that is meant";
        return Err(Failure::safety(sentence));
    }
    let mut sent = 0;
    for (node, records) in letters {
        for record in Records::new(&records) {
            let record = record.map_err(|error| unreadable(&error))?;
            let known = record.properties.get(property::UNIQUE_KEY);
            if id.is_some_and(|id| known.as_deref() != Some(id)) {
                continue;
            }
            let again = letter_again(group, &record)?;
            let body = Bytes::copy_from_slice(record.body);
            remote.ask(&node.address, &again, body).await?;
            sent += 1;
        }
    }
    if sent == 0 {
        let help = "`ferrymq dlq peek` shows those there are.";
        return Err(Failure::nothing(format!("{} has no such dead letter", quoted(group)), help));
    }
    remote.say(&format!("{sent} dead letters given to {group} again"));
    Ok(())
}

/// To the group's own retry topic: no other group of the first topic sees it.
fn letter_again(group: &str, record: &Record<'_>) -> Result<SendMessageV2, Failure> {
    let mut properties = PropertyList::new();
    for (name, value) in record.properties.iter() {
        if !LETTER_ONLY.contains(&&*name) {
            let wrong = |error| Failure::operation(format!("the property {}: {error}", quoted(&name)));
            properties.set(&name, &value).map_err(wrong)?;
        }
    }
    // Consumers show the message under this topic.
    if let Some(origin) = record.properties.get(property::DEAD_LETTER_ORIGIN_TOPIC)
        && record.properties.get(property::RETRY_TOPIC).is_none()
    {
        let wrong = |error| Failure::operation(format!("its first topic: {error}"));
        properties.set(property::RETRY_TOPIC, &origin).map_err(wrong)?;
    }
    let properties = Text::from_utf8(properties.into_bytes());
    Ok(SendMessageV2 {
        producer_group: GROUP.into(),
        topic: format!("{RETRY_PREFIX}{group}").into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 1,
        queue_id: QueueId(0),
        sys_flag: record.sys_flag.0,
        born_timestamp: record.born_timestamp,
        flag: record.flag,
        properties,
        ..SendMessageV2::default()
    })
}

async fn list(remote: &Remote) -> Result<(), Failure> {
    let mut table = Table::new(&["group", "broker", "messages", "last"]);
    for node in remote.leaders(None).await? {
        let topics: TopicTable = remote.ask_for(&node.address, &GetTopicTable::default()).await?;
        for topic in topics.topic_config_table.into_keys() {
            let Some(group) = topic.strip_prefix(DEAD_LETTER_PREFIX) else { continue };
            let request = GetTopicStats { topic: topic.as_str().into() };
            let stats: TopicStats = remote.ask_for(&node.address, &request).await?;
            let count: i64 =
                stats.offsets.values().map(|offset| offset.max_offset.0 - offset.min_offset.0).sum();
            let last = stats.offsets.values().map(|offset| offset.last_update_timestamp).max();
            let last = last.filter(|last| last.0 > 0).map(|last| Moment(last).to_string());
            table.row([group.into(), node.group.as_str().into(), count.into(), last.into()]);
        }
    }
    remote.print("ferrymq.dlq.list/1", &table);
    Ok(())
}
