//! `ferrymq group`: consumer groups, who is in them, and how far they are.

use std::collections::BTreeSet;
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::bodies::{ConsumeStats, ConsumerConnections, GroupConfig, GroupTable, QueueOffsets};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{
    DeleteGroup, GetConsumeStats, GetConsumerConnections, GetGroupTable, ResetOffset, UpdateGroup,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::SYSTEM_GROUP_PREFIX;
use ferrymq_proto::position::{QueueId, Timestamp};

use super::remote::{Cell, Failure, Moment, Reach, Remote, Table, parsed, run as with_remote};
use crate::config::quoted;

/// Consumer groups: who is in them, how far they are, and moving them.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All groups.
    #[command(visible_alias = "ls")]
    List {
        /// Also those that brokers and tools make for themselves.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Who is in a group now, and what they subscribe to.
    #[command(visible_aliases = ["info", "show", "connections"])]
    Describe {
        group: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// How far a group is behind, in each queue.
    Lag {
        group: String,
        #[arg(long)]
        topic: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Make a group, for brokers that make none by themselves.
    Create {
        group: String,
        /// How often a message may fail before it becomes a dead letter.
        #[arg(long, default_value_t = 16)]
        retries: i32,
        #[command(flatten)]
        reach: Reach,
    },
    ResetOffset(Reset),
    /// Move a group to the end of a topic, past all that waits there.
    Skip {
        group: String,
        topic: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Delete a group and its offsets.
    #[command(visible_alias = "rm")]
    Delete {
        group: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Move a group to another place in a topic.
#[derive(Debug, Args)]
struct Reset {
    group: String,
    topic: String,
    /// Where to: earliest, latest, or a time (2026-11-21T15:04:05Z, milliseconds, or an age such as 15m).
    #[arg(long)]
    to: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    reach: Reach,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::List { all, reach } => with_remote(reach, async |remote| list(&remote, *all).await),
        Verb::Describe { group, reach } => with_remote(reach, async |remote| describe(&remote, group).await),
        Verb::Lag { group, topic, reach } => {
            with_remote(reach, async |remote| lag(&remote, group, topic.as_deref()).await)
        }
        Verb::Create { group, retries, reach } => {
            with_remote(reach, async |remote| create(&remote, group, *retries).await)
        }
        Verb::ResetOffset(reset) => with_remote(&reset.reach, async |remote| {
            move_to(&remote, (&reset.group, &reset.topic), time(&reset.to)?, reset.yes).await
        }),
        Verb::Skip { group, topic, yes, reach } => {
            with_remote(reach, async |remote| move_to(&remote, (group, topic), time(LATEST)?, *yes).await)
        }
        Verb::Delete { group, yes, reach } => {
            with_remote(reach, async |remote| delete(&remote, group, *yes).await)
        }
    }
}

async fn list(remote: &Remote, all: bool) -> Result<(), Failure> {
    let mut table = Table::new(&["group", "broker", "canConsume", "retryQueues", "retriesMax"]);
    for node in remote.leaders(None).await? {
        let groups: GroupTable = remote.ask_for(&node.address, &GetGroupTable::default()).await?;
        for (name, group) in groups.groups {
            if all || !is_internal(&name) {
                table.row([
                    name.into(),
                    node.group.as_str().into(),
                    group.consume_enable.into(),
                    group.retry_queue_nums.into(),
                    group.retry_max_times.into(),
                ]);
            }
        }
    }
    remote.print("ferrymq.group.list/1", &table);
    Ok(())
}

/// Groups that every broker has from its start on.
fn is_internal(group: &str) -> bool {
    group.starts_with(SYSTEM_GROUP_PREFIX) || crate::state::Groups::is_predefined(group)
}

async fn describe(remote: &Remote, group: &str) -> Result<(), Failure> {
    let mut members = Table::new(&["client", "address", "language", "version"]);
    let mut subscriptions = Table::new(&["topic", "expression", "kind"]);
    let mut seen = BTreeSet::new();
    for node in remote.leaders(None).await? {
        let request = GetConsumerConnections { consumer_group: group.into() };
        let found: ConsumerConnections = match remote.ask_for(&node.address, &request).await {
            Ok(found) => found,
            Err(failure) if failure.is(ResponseCode::CONSUMER_NOT_ONLINE) => continue,
            Err(failure) => return Err(failure),
        };
        for member in found.connections {
            if seen.insert(member.client_id.clone()) {
                let cells: [Cell; 4] = [
                    member.client_id.into(),
                    member.client_addr.into(),
                    format!("{:?}", member.language).into(),
                    member.version.into(),
                ];
                members.row(cells);
            }
        }
        if subscriptions.is_empty() {
            for (topic, data) in found.subscriptions {
                subscriptions.row([topic.into(), data.expression.into(), data.expression_type.into()]);
            }
        }
    }
    if members.is_empty() {
        return Err(Failure::nothing(
            format!("nobody of the group {} is connected", quoted(group)),
            "`ferrymq group lag` shows where it stands; `ferrymq group list` shows all groups.",
        ));
    }
    remote.print("ferrymq.group.members/1", &members);
    remote.say("");
    remote.print("ferrymq.group.subscriptions/1", &subscriptions);
    Ok(())
}

async fn lag(remote: &Remote, group: &str, topic: Option<&str>) -> Result<(), Failure> {
    let columns = &["topic", "broker", "queue", "brokerOffset", "groupOffset", "lag", "lastConsumed"];
    let mut table = Table::new(columns);
    let mut total = 0;
    for node in remote.leaders(None).await? {
        let request =
            GetConsumeStats { consumer_group: group.into(), topic: topic.map(Into::into), topic_list: None };
        let stats: ConsumeStats = remote.ask_for(&node.address, &request).await?;
        for (queue, offset) in stats.offsets {
            let behind = offset.broker_offset.0 - offset.consumer_offset.0;
            total += behind;
            let last = offset.last_timestamp;
            table.row([
                queue.topic.into(),
                queue.broker_name.into(),
                queue.queue_id.0.into(),
                offset.broker_offset.0.into(),
                offset.consumer_offset.0.into(),
                behind.into(),
                (last.0 > 0).then(|| Moment(last).to_string()).into(),
            ]);
        }
    }
    if table.is_empty() {
        return Err(Failure::nothing(
            format!("the group {} has consumed nothing yet, or there is no such group", quoted(group)),
            "`ferrymq group list` shows all groups.",
        ));
    }
    remote.print("ferrymq.group.lag/1", &table);
    remote.say(&format!("behind by {total} messages in all"));
    Ok(())
}

const LATEST: &str = "latest";

/// As the request to reset says it.
fn time(text: &str) -> Result<Timestamp, Failure> {
    match text {
        LATEST => Ok(Timestamp(-1)),
        "earliest" => Ok(Timestamp(0)),
        time => Ok(time.parse::<Moment>().map_err(|error| Failure::usage(&format!("--to: {error}")))?.0),
    }
}

async fn create(remote: &Remote, group: &str, retries: i32) -> Result<(), Failure> {
    let config =
        GroupConfig { group_name: group.to_owned(), retry_max_times: retries, ..GroupConfig::default() };
    let body = Bytes::from(json::to_string(&config, Dialect::Fastjson));
    let attempt = async || {
        let leaders = remote.leaders(None).await?;
        for node in &leaders {
            remote.ask(&node.address, &UpdateGroup {}, body.clone()).await?;
        }
        Ok(leaders)
    };
    for node in remote.patiently(attempt).await? {
        remote.say(&format!("created on {}", node.group));
    }
    Ok(())
}

async fn move_to(
    remote: &Remote,
    (group, topic): (&str, &str),
    time: Timestamp,
    is_sure: bool,
) -> Result<(), Failure> {
    let places = remote.readable(topic).await?;
    if !is_sure {
        let sentence = "messages may be skipped, or consumed again; say --yes if that is meant";
        return Err(Failure::safety(sentence));
    }
    let mut table = Table::new(&["broker", "queue", "offset"]);
    for (node, _) in places {
        let request = ResetOffset {
            topic: topic.into(),
            group: group.into(),
            timestamp: time,
            is_force: true,
            queue_id: QueueId(-1),
            offset: None,
        };
        let (_, body) = remote.ask(&node.address, &request, Bytes::new()).await?;
        let moved: QueueOffsets = parsed(&node.address, &body)?;
        for (queue, offset) in moved.offset_table {
            table.row([queue.broker_name.into(), queue.queue_id.0.into(), offset.0.into()]);
        }
    }
    remote.print("ferrymq.group.reset-offset/1", &table);
    Ok(())
}

async fn delete(remote: &Remote, group: &str, is_sure: bool) -> Result<(), Failure> {
    if !is_sure {
        let sentence = "this deletes the group and where it stands; say --yes if that is meant";
        return Err(Failure::safety(sentence));
    }
    let request = DeleteGroup { group_name: group.into(), clean_offset: true };
    for node in remote.leaders(None).await? {
        remote.ask(&node.address, &request, Bytes::new()).await?;
        remote.say(&format!("deleted on {}", node.group));
    }
    Ok(())
}
