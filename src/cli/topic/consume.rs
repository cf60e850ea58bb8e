//! `ferrymq topic peek` and `consume`: reading messages without being a group. Nobody's offsets change.

use bytes::Bytes;
use clap::Args;
use ferrymq_proto::position::{QueueId, QueueOffset};
use ferrymq_proto::record::Records;

use crate::cli::remote::{
    COLUMNS, Failure, Format, Found, Moment, Node, Reach, Remote, Table, show, shown_body, unreadable,
};

/// What one pull asks for.
const BATCH: i32 = 32;
/// How long a broker may wait for a message when a queue has none.
const WAIT_MS: i64 = 100;

/// Show some messages of a topic.
#[derive(Debug, Args)]
pub struct Peek {
    topic: String,
    /// Only of this queue.
    #[arg(long)]
    queue: Option<i32>,
    /// From this offset on, of each queue. Unless given: the newest ones.
    #[arg(long)]
    offset: Option<i64>,
    /// At most so many of each queue.
    #[arg(long, default_value_t = 5)]
    count: u32,
    #[command(flatten)]
    pub reach: Reach,
}

/// Print the bodies of a topic's messages, one a line.
#[derive(Debug, Args)]
pub struct Consume {
    topic: String,
    /// Only messages with these tags, as consumers write them: `a || b`.
    #[arg(long, default_value = "*")]
    tag: String,
    /// Where to begin: earliest, latest, or a time (2026-11-21T15:04:05Z, milliseconds, or an age such as 15m).
    #[arg(long, default_value = "earliest")]
    from: String,
    /// Wait for more at the end.
    #[arg(short, long)]
    follow: bool,
    /// End after so many messages.
    #[arg(long)]
    count: Option<u64>,
    #[command(flatten)]
    pub reach: Reach,
}

async fn queues(remote: &Remote, topic: &str, only: Option<i32>) -> Result<Vec<Found>, Failure> {
    let places = remote.readable(topic).await?;
    let queues = places.into_iter().flat_map(|(node, count)| {
        let found = move |queue| Found { node: node.clone(), queue: QueueId(queue), next: QueueOffset(0) };
        (0..count).map(found)
    });
    let queues: Vec<Found> = queues.filter(|found| only.is_none_or(|queue| queue == found.queue.0)).collect();
    if queues.is_empty() {
        let message =
            format!("the topic {} has no such queue that may be read", crate::config::quoted(topic));
        return Err(Failure::operation(message));
    }
    Ok(queues)
}

impl Peek {
    pub async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        peek(remote, &self.topic, self.queue, self.offset, self.count).await
    }
}

/// Shows messages of each queue, or of one: the newest, or those from an offset on.
pub async fn peek(
    remote: &Remote,
    topic: &str,
    queue: Option<i32>,
    offset: Option<i64>,
    count: u32,
) -> Result<(), Failure> {
    let mut table = Table::new(COLUMNS);
    for mut found in queues(remote, topic, queue).await? {
        let (min, max) = (remote.min_offset(&found, topic).await?, remote.max_offset(&found, topic).await?);
        let first = offset.unwrap_or(max.0 - i64::from(count)).max(min.0);
        let last = max.0.min(first.saturating_add(i64::from(count)));
        found.next = QueueOffset(first);
        while found.next.0 < last {
            let wanted = i32::try_from(last - found.next.0).unwrap_or(BATCH).min(BATCH);
            let pulled = remote.pull(&found, topic, "*", wanted, 0).await?;
            show(&pulled.records, &found.node.group, &mut table)?;
            if pulled.next <= found.next {
                break;
            }
            found.next = pulled.next;
        }
    }
    remote.print("ferrymq.topic.peek/1", &table);
    Ok(())
}

/// All messages of a topic, as they are, with the nodes that have them.
pub async fn all(remote: &Remote, topic: &str) -> Result<Vec<(Node, Bytes)>, Failure> {
    let mut all = Vec::new();
    for mut found in queues(remote, topic, None).await? {
        found.next = remote.min_offset(&found, topic).await?;
        loop {
            let pulled = remote.pull(&found, topic, "*", BATCH, 0).await?;
            all.push((found.node.clone(), pulled.records));
            found.next = pulled.next.max(found.next);
            if found.next >= pulled.max {
                break;
            }
        }
    }
    Ok(all)
}

impl Consume {
    pub async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        let mut queues = queues(remote, &self.topic, None).await?;
        for found in &mut queues {
            found.next = self.begin(remote, found).await?;
        }
        let mut left = self.count.unwrap_or(u64::MAX);
        loop {
            let mut is_at_end = true;
            for found in &mut queues {
                // With several queues none may keep the others waiting for long.
                let wait = if self.follow { WAIT_MS } else { 0 };
                let pulled = remote.pull(found, &self.topic, &self.tag, BATCH, wait).await?;
                is_at_end &= pulled.next >= pulled.max;
                found.next = pulled.next.max(found.next);
                left = self.print(&pulled.records, &found.node.group, left)?;
                if left == 0 {
                    return Ok(());
                }
            }
            if is_at_end && !self.follow {
                return Ok(());
            }
        }
    }

    async fn begin(&self, remote: &Remote, found: &Found) -> Result<QueueOffset, Failure> {
        match self.from.as_str() {
            "earliest" => remote.min_offset(found, &self.topic).await,
            "latest" => remote.max_offset(found, &self.topic).await,
            time => {
                let time: Moment =
                    time.parse().map_err(|error| Failure::usage(&format!("--from: {error}")))?;
                remote.offset_at(found, &self.topic, time).await
            }
        }
    }

    /// Prints up to `left` messages, and says how many may follow.
    fn print(&self, bytes: &[u8], broker: &str, mut left: u64) -> Result<u64, Failure> {
        for record in Records::new(bytes) {
            let record = record.map_err(|error| unreadable(&error))?;
            if left == 0 {
                break;
            }
            left -= 1;
            match self.reach.format {
                Format::Table => crate::cli::print(&format!("{}\n", shown_body(&record))),
                Format::Json => {
                    let mut table = Table::new(COLUMNS);
                    table.row(crate::cli::remote::row(&record, broker));
                    crate::cli::print(&table.written("ferrymq.topic.consume/1", Format::Json));
                }
            }
        }
        Ok(left)
    }
}
