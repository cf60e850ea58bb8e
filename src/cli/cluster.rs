//! `ferrymq cluster`: who is there, and is it well?

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use ferrymq_proto::bodies::KvTable;
use ferrymq_proto::headers::GetRuntimeInfo;

use super::remote::{Cell, Failure, LEADER, Node, Reach, Remote, Table, run as with_remote};

/// The cluster: its broker groups, their nodes, and whether they are well.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(Status),
    /// Say nothing but a word, and end with 0: all well; 3: something is wrong, but every group has a leader; 4: one has none.
    Health {
        /// Nodes that each group shall have.
        #[arg(long, default_value_t = 1)]
        min_nodes: usize,
        /// End with 0 as long as every group has a leader.
        #[arg(long)]
        accept_degraded: bool,
        #[command(flatten)]
        reach: Reach,
    },
}

/// Every node, its role and how far it is.
#[derive(Debug, Args)]
struct Status {
    /// Show it again and again.
    #[arg(short, long)]
    watch: bool,
    /// Wait until all is well, and end then.
    #[arg(long)]
    exit_when_healthy: bool,
    /// Nodes that each group shall have.
    #[arg(long, default_value_t = 1)]
    min_nodes: usize,
    /// Give up after so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    patience: u64,
    #[command(flatten)]
    reach: Reach,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match &arguments.verb {
        Verb::Status(status) => with_remote(&status.reach, async |remote| status.run(&remote).await),
        Verb::Health { min_nodes, accept_degraded, reach } => with_remote(reach, async |remote| {
            let picture = look(&remote).await?;
            let verdict = picture.verdict(*min_nodes);
            super::print(&format!("{}\n", verdict.word()));
            match verdict {
                Verdict::Degraded(_) if *accept_degraded => Ok(()),
                verdict => verdict.ending(),
            }
        }),
    }
}

/// Between two looks.
const AGAIN: Duration = Duration::from_secs(1);
const SOON: Duration = Duration::from_millis(200);

/// All nodes that the name servers know, and what they said of themselves, if they answered.
pub struct Picture {
    pub nodes: Vec<(Node, Option<BTreeMap<String, String>>)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Healthy,
    /// Every group has a leader.
    Degraded(String),
    Unavailable(String),
}

impl Status {
    async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let looked = look(remote).await;
            if self.exit_when_healthy {
                let is_healthy =
                    matches!(&looked, Ok(picture) if picture.verdict(self.min_nodes) == Verdict::Healthy);
                if !is_healthy && began.elapsed() < Duration::from_secs(self.patience) {
                    tokio::time::sleep(SOON).await;
                    continue;
                }
            }
            let picture = looked?;
            let verdict = picture.verdict(self.min_nodes);
            remote.say(&verdict.sentence(&picture));
            remote.print("ferrymq.cluster.status/1", &picture.table());
            if !self.watch || self.exit_when_healthy {
                return verdict.ending();
            }
            tokio::time::sleep(AGAIN).await;
            remote.say("");
        }
    }
}

pub async fn look(remote: &Remote) -> Result<Picture, Failure> {
    let mut nodes = Vec::new();
    for node in remote.nodes().await? {
        let answer: Result<KvTable, _> = remote.ask_for(&node.address, &GetRuntimeInfo {}).await;
        let info = match answer {
            Ok(info) => Some(info.table),
            // It lives; it only does not tell.
            Err(failure) => failure.is_answer().then(BTreeMap::new),
        };
        nodes.push((node, info));
    }
    Ok(Picture { nodes })
}

pub fn role(node: &Node, answers: bool) -> &'static str {
    match answers {
        false => "silent",
        true if node.id == LEADER => "leader",
        true => "follower",
    }
}

/// That of the last 10 s. Java writes `10 s average, 60 s, 600 s`.
pub fn recent_rate(rates: Option<&str>) -> Cell {
    let first = rates.and_then(|rates| rates.split(' ').next()?.parse().ok());
    first.map_or(Cell::Unknown, Cell::Real)
}

/// `0.25`, as people read it.
pub fn share(ratio: &str) -> Option<String> {
    let ratio: f64 = ratio.parse().ok()?;
    Some(format!("{:.0}%", ratio * 100.0))
}

impl Picture {
    fn verdict(&self, min_nodes: usize) -> Verdict {
        let groups: BTreeSet<&str> = self.nodes.iter().map(|(node, _)| node.group.as_str()).collect();
        if groups.is_empty() {
            return Verdict::Unavailable("the name server knows no broker".to_owned());
        }
        for group in &groups {
            if !self.members(group).any(|(node, info)| node.id == LEADER && info.is_some()) {
                return Verdict::Unavailable(format!("{group} has no leader that answers"));
            }
        }
        for group in &groups {
            let silent: Vec<&str> = self
                .members(group)
                .filter(|(_, info)| info.is_none())
                .map(|(node, _)| node.address.as_str())
                .collect();
            if !silent.is_empty() {
                return Verdict::Degraded(format!("{} of {group} does not answer", silent.join(", ")));
            }
            let count = self.members(group).count();
            if count < min_nodes {
                return Verdict::Degraded(format!("{group} has {count} of {min_nodes} nodes"));
            }
        }
        Verdict::Healthy
    }

    fn members<'a>(
        &'a self,
        group: &'a str,
    ) -> impl Iterator<Item = &'a (Node, Option<BTreeMap<String, String>>)> {
        self.nodes.iter().filter(move |(node, _)| node.group == group)
    }

    fn table(&self) -> Table {
        let columns = &["group", "id", "role", "address", "end", "put/s", "get/s", "disk", "version"];
        let mut table = Table::new(columns);
        for (node, info) in &self.nodes {
            let value = |key: &str| info.as_ref().and_then(|info| info.get(key)).map(String::as_str);
            let end = value("commitLogMaxOffset").and_then(|end| end.parse::<i64>().ok());
            let role = role(node, info.is_some());
            table.row([
                node.group.as_str().into(),
                node.id.into(),
                role.into(),
                node.address.as_str().into(),
                end.into(),
                recent_rate(value("putTps")),
                recent_rate(value("getTotalTps")),
                value("commitLogDiskRatio").and_then(share).into(),
                value("brokerVersionDesc").into(),
            ]);
        }
        table
    }
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded(_) => "degraded",
            Self::Unavailable(_) => "unavailable",
        }
    }

    fn sentence(&self, picture: &Picture) -> String {
        let groups: BTreeSet<&str> = picture.nodes.iter().map(|(node, _)| node.group.as_str()).collect();
        let counts = format!("{} nodes, {} groups", picture.nodes.len(), groups.len());
        match self {
            Self::Healthy => format!("HEALTHY  {counts}"),
            Self::Degraded(why) => format!("DEGRADED  {counts}: {why}"),
            Self::Unavailable(why) => format!("UNAVAILABLE  {counts}: {why}"),
        }
    }

    fn ending(&self) -> Result<(), Failure> {
        match self {
            Self::Healthy => Ok(()),
            Self::Degraded(_) => Err(Failure::degraded()),
            Self::Unavailable(_) => Err(Failure::unavailable()),
        }
    }
}
