//! `ferrymq dlq`: messages that consumers gave up.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use ferrymq_proto::bodies::{TopicStats, TopicTable};
use ferrymq_proto::headers::{GetTopicStats, GetTopicTable};
use ferrymq_proto::name::DEAD_LETTER_PREFIX;

use super::remote::{Failure, Moment, Reach, Remote, Table, run as with_remote};
use super::topic;

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
    }
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
