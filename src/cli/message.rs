//! `ferrymq message`: finding single messages.

use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::bodies::ConsumeOutcome;
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{QueryMessages, ViewMessage};
use ferrymq_proto::position::Timestamp;
use ferrymq_proto::record::message_id::OffsetMessageId;
use ferrymq_proto::record::{Record, Records};

use super::remote::{
    COLUMNS, Failure, Format, Located, Moment, Reach, Remote, Table, locate, row, run as with_remote, show,
    shown_body,
};
use crate::config::{quoted, shown};

/// Messages: find them and look at them.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Query(Query),
    /// Show one message with all its properties, by the id that the broker answered when it was sent (offsetMsgId).
    Print {
        id: String,
        /// Ask this broker, and not the one in the id.
        #[arg(long, value_name = "HOST:PORT")]
        broker: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Give a message to consumers once more: to one consumer of a group, at once (--group); else as a copy to all groups of its
    /// topic. The offsets of groups stay where they are.
    Resend {
        /// The id of its place (offsetMsgId); with --topic also the one that its producer gave it (msgId).
        id: String,
        #[arg(long)]
        topic: Option<String>,
        /// Only to this group.
        #[arg(long)]
        group: Option<String>,
        /// To this member of the group, by its client id. Unless given, to any.
        #[arg(long, requires = "group", value_name = "ID")]
        client: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Say what a message id is made of.
    DecodeId {
        id: String,
    },
}

/// Find messages of a topic by a key, or by the id that the producer gave them (msgId).
#[derive(Debug, Args)]
struct Query {
    #[arg(long)]
    topic: String,
    #[arg(long, conflicts_with = "unique_key", required_unless_present = "unique_key")]
    key: Option<String>,
    #[arg(long, visible_alias = "id", value_name = "ID")]
    unique_key: Option<String>,
    /// Stored since (2026-11-21T15:04:05Z, milliseconds, or an age such as 15m).
    #[arg(long, default_value = "0")]
    from: Moment,
    #[arg(long, default_value = "9999-12-31")]
    to: Moment,
    /// At most so many from each broker group.
    #[arg(long, default_value_t = 32)]
    count: i32,
    #[command(flatten)]
    reach: Reach,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::Query(query) => with_remote(&query.reach, async |remote| query.run(&remote).await),
        Verb::Print { id, broker, reach } => {
            with_remote(reach, async |remote| print(&remote, id, broker.as_deref(), reach.format).await)
        }
        Verb::Resend { id, topic, group, client, yes, reach } => with_remote(reach, async |remote| {
            let found = locate(&remote, topic.as_deref(), id).await?;
            match group {
                Some(group) => push(&remote, &found, group, client.as_deref()).await,
                None => copy(&remote, &found, *yes).await,
            }
        }),
        Verb::DecodeId { id } => match decode(id) {
            Ok(id) => {
                super::print(&format!("broker {}, log offset {}\n", id.store_host, id.log_offset.0));
                ExitCode::SUCCESS
            }
            Err(failure) => failure.tell(),
        },
    }
}

fn decode(id: &str) -> Result<OffsetMessageId, Failure> {
    OffsetMessageId::parse(id).map_err(|error| Failure::usage(&format!("{}: {error}", quoted(id))))
}

impl Query {
    async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        let (key, is_unique) = match (&self.key, &self.unique_key) {
            (_, Some(id)) => (id.as_str(), true),
            (key, None) => (key.as_deref().unwrap_or_default(), false),
        };
        let mut table = Table::new(COLUMNS);
        for (node, _) in remote.readable(&self.topic).await? {
            let request = QueryMessages {
                topic: self.topic.as_str().into(),
                key: key.into(),
                max_num: self.count,
                begin_timestamp: self.from.0,
                end_timestamp: Timestamp(self.to.0.0),
                unique_key_query: is_unique,
                ..QueryMessages::default()
            };
            match remote.ask(&node.address, &request, Bytes::new()).await {
                Ok((_, records)) => show(&records, &node.group, &mut table)?,
                Err(failure) if failure.is(ResponseCode::QUERY_NOT_FOUND) => {}
                Err(failure) => return Err(failure),
            }
        }
        if table.is_empty() {
            return Err(Failure::nothing(
                format!("no message of {} has the key {}", quoted(&self.topic), quoted(key)),
                "an index may reach back less far than the messages; `ferrymq topic peek` shows those there are.",
            ));
        }
        remote.print("ferrymq.message.query/1", &table);
        Ok(())
    }
}

async fn print(remote: &Remote, id: &str, broker: Option<&str>, format: Format) -> Result<(), Failure> {
    let decoded = decode(id)?;
    let address = broker.map_or_else(|| decoded.store_host.to_string(), str::to_owned);
    let request = ViewMessage { topic: None, offset: decoded.log_offset };
    let (_, body) = remote.ask(&address, &request, Bytes::new()).await?;
    let record = Records::new(&body).next().transpose();
    let record =
        record.map_err(|error| Failure::operation(format!("the message cannot be read: {error}")))?;
    let Some(record) = record else {
        return Err(Failure::nothing(
            format!("there is no message {id}"),
            "it may have been deleted with its age.",
        ));
    };
    match format {
        Format::Table => super::print(&whole(&record)),
        Format::Json => {
            let mut table = Table::new(COLUMNS);
            table.row(row(&record, &address));
            remote.print("ferrymq.message.print/1", &table);
        }
    }
    Ok(())
}

async fn copy(remote: &Remote, found: &Located, is_sure: bool) -> Result<(), Failure> {
    if !is_sure {
        let sentence = "every group of its topic consumes it once more; say --yes if that is meant, or --group for one of them";
        return Err(Failure::safety(sentence));
    }
    let sent = found.send_again(remote).await?;
    let mut table = Table::new(&["queue", "offset", "id"]);
    table.row([sent.queue_id.0.into(), sent.queue_offset.0.into(), sent.message_id.to_string().into()]);
    remote.print("ferrymq.message.resend/1", &table);
    Ok(())
}

async fn push(remote: &Remote, found: &Located, group: &str, client: Option<&str>) -> Result<(), Failure> {
    let (client, result) = found.push(remote, group, client).await?;
    let mut table = Table::new(&["client", "result", "milliseconds", "remark"]);
    let outcome = result.outcome.map(|outcome| outcome.as_str());
    table.row([client.into(), outcome.into(), result.spent_time_millis.into(), result.remark.into()]);
    remote.print("ferrymq.message.push/1", &table);
    match result.outcome {
        Some(ConsumeOutcome::Success | ConsumeOutcome::Commit) => Ok(()),
        _ => Err(Failure::degraded()),
    }
}

fn whole(record: &Record<'_>) -> String {
    let mut lines = vec![
        ("topic", record.topic.to_owned()),
        ("queue", record.queue_id.0.to_string()),
        ("queue offset", record.queue_offset.0.to_string()),
        ("log offset", record.log_offset.0.to_string()),
        ("born", format!("{} at {}", Moment(record.born_timestamp), record.born_host)),
        ("stored", format!("{} at {}", Moment(record.store_timestamp), record.store_host)),
        ("retries", record.reconsume_times.to_string()),
    ];
    let transaction = record.sys_flag.transaction();
    if transaction != ferrymq_proto::record::TransactionState::None {
        lines.push(("transaction", format!("{transaction:?}")));
    }
    let mut text: String =
        lines.into_iter().map(|(name, value)| format!("{name:<13} {}\n", shown(&value))).collect();
    for (name, value) in record.properties.iter() {
        text.push_str(&format!("property      {}={}\n", shown(&name), shown(&value)));
    }
    text.push_str(&format!("body          {}\n", shown_body(record)));
    text
}
