//! `ferrymq topic`: what topics there are, their queues, and single messages in and out of them.

mod consume;
mod manage;
mod produce;

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ferrymq_proto::bodies::{TopicConfig, TopicStats, TopicTable};
use ferrymq_proto::headers::{GetTopicStats, GetTopicTable};
use ferrymq_proto::name::{DEAD_LETTER_PREFIX, RETRY_PREFIX, SYSTEM_TOPIC_PREFIX, SystemTopic, TopicName};

pub use self::consume::all;
pub use self::manage::{delete, write};
pub use self::produce::Outgoing;
use super::remote::{Cell, Failure, Moment, Reach, Remote, Table, run as with_remote};
use crate::state::permission;

/// Topics: list them, look into them, write and read messages.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// All topics and how many queues they have.
    #[command(visible_alias = "ls")]
    List {
        /// Also those that brokers make for themselves, and retry and dead-letter topics.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        reach: Reach,
    },
    /// Each queue of a topic and what is in it.
    #[command(visible_aliases = ["stats", "info", "show"])]
    Describe {
        topic: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Where clients find a topic.
    Route {
        topic: String,
        #[command(flatten)]
        reach: Reach,
    },
    Create(manage::Create),
    Update(manage::Update),
    #[command(visible_alias = "rm")]
    Delete(manage::Delete),
    Produce(produce::Arguments),
    Peek(consume::Peek),
    Consume(consume::Consume),
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::List { all, reach } => with_remote(reach, async |remote| list(&remote, *all).await),
        Verb::Describe { topic, reach } => with_remote(reach, async |remote| describe(&remote, topic).await),
        Verb::Route { topic, reach } => with_remote(reach, async |remote| route(&remote, topic).await),
        Verb::Create(create) => with_remote(&create.reach, async |remote| create.run(&remote).await),
        Verb::Update(update) => with_remote(&update.reach, async |remote| update.run(&remote).await),
        Verb::Delete(delete) => with_remote(&delete.reach, async |remote| delete.run(&remote).await),
        Verb::Produce(produce) => with_remote(&produce.reach, async |remote| produce.run(&remote).await),
        Verb::Peek(peek) => with_remote(&peek.reach, async |remote| peek.run(&remote).await),
        Verb::Consume(consume) => with_remote(&consume.reach, async |remote| consume.run(&remote).await),
    }
}

/// Shows the newest messages of a topic.
pub async fn peek(remote: &Remote, topic: &str, count: u32) -> Result<(), Failure> {
    consume::peek(remote, topic, None, None, count).await
}

/// What a topic is on all leaders together.
#[derive(Default)]
struct Sum {
    brokers: i32,
    read: i32,
    write: i32,
    permission: i32,
}

async fn list(remote: &Remote, all: bool) -> Result<(), Failure> {
    let mut topics = BTreeMap::<String, Sum>::new();
    for node in remote.leaders(None).await? {
        let table: TopicTable = remote.ask_for(&node.address, &GetTopicTable::default()).await?;
        for (name, topic) in table.topic_config_table {
            if all || !is_internal(&name, &node.group) {
                let sum = topics.entry(name).or_default();
                sum.add(&topic);
            }
        }
    }
    let mut table = Table::new(&["topic", "brokers", "readQueues", "writeQueues", "permission"]);
    for (name, sum) in topics {
        let permission = written_permission(sum.permission);
        table.row([name.into(), sum.brokers.into(), sum.read.into(), sum.write.into(), permission.into()]);
    }
    remote.print("ferrymq.topic.list/1", &table);
    Ok(())
}

impl Sum {
    fn add(&mut self, topic: &TopicConfig) {
        self.brokers += 1;
        self.read += topic.read_queue_nums;
        self.write += topic.write_queue_nums;
        self.permission |= topic.perm;
    }
}

/// Every broker also has a topic of its own name, for its own use.
fn is_internal(topic: &str, group: &str) -> bool {
    let prefixes = [RETRY_PREFIX, DEAD_LETTER_PREFIX];
    prefixes.iter().any(|prefix| topic.starts_with(prefix)) || is_system(topic) || topic == group
}

fn is_system(topic: &str) -> bool {
    TopicName::parse(topic).is_ok_and(|topic| SystemTopic::find(&topic).is_some())
        || topic.starts_with(SYSTEM_TOPIC_PREFIX)
}

fn written_permission(permission: i32) -> &'static str {
    match (permission & permission::READ != 0, permission & permission::WRITE != 0) {
        (true, true) => "rw",
        (true, false) => "r",
        (false, true) => "w",
        (false, false) => "none",
    }
}

async fn describe(remote: &Remote, topic: &str) -> Result<(), Failure> {
    let columns = &["broker", "queue", "minOffset", "maxOffset", "messages", "lastStored"];
    let mut table = Table::new(columns);
    for (node, _) in remote.readable(topic).await? {
        let stats: TopicStats = remote.ask_for(&node.address, &GetTopicStats { topic: topic.into() }).await?;
        for (queue, offset) in stats.offsets {
            let is_used = offset.last_update_timestamp.0 > 0;
            table.row([
                queue.broker_name.into(),
                queue.queue_id.0.into(),
                offset.min_offset.0.into(),
                offset.max_offset.0.into(),
                (offset.max_offset.0 - offset.min_offset.0).into(),
                is_used.then(|| Moment(offset.last_update_timestamp).to_string()).into(),
            ]);
        }
    }
    remote.print("ferrymq.topic.describe/1", &table);
    Ok(())
}

async fn route(remote: &Remote, topic: &str) -> Result<(), Failure> {
    let route = remote.route(topic).await?;
    let mut table =
        Table::new(&["broker", "id", "role", "address", "readQueues", "writeQueues", "permission"]);
    for queues in &route.queue_datas {
        let members = route.broker_datas.iter().filter(|data| data.broker_name == queues.broker_name);
        for (id, address) in members.flat_map(|data| &data.broker_addrs) {
            let role = if *id == super::remote::LEADER { "leader" } else { "follower" };
            let cells: [Cell; 7] = [
                queues.broker_name.as_str().into(),
                (*id).into(),
                role.into(),
                address.as_str().into(),
                queues.read_queue_nums.into(),
                queues.write_queue_nums.into(),
                written_permission(queues.perm).into(),
            ];
            table.row(cells);
        }
    }
    remote.print("ferrymq.topic.route/1", &table);
    Ok(())
}
