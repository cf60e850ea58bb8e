//! `ferrymq config`: what the keys of configuration files mean, and what running brokers are set to.

use std::collections::BTreeMap;
use std::process::ExitCode;

use bytes::Bytes;
use clap::{Args, Subcommand};
use ferrymq_proto::headers::{GetBrokerConfig, UpdateBrokerConfig};

use super::remote::{Failure, Node, Reach, Remote, Table, run as with_remote};
use super::server::{self, Options};
use crate::config::broker::BROKER;
use crate::config::namesrv_keys::NAMESRV;
use crate::config::{docs, properties, quoted};

/// What says who a node is: it differs from node to node.
const OWN: [&str; 8] = [
    "brokerId",
    "brokerIP1",
    "brokerIP2",
    "listenPort",
    "dLegerSelfId",
    "haListenPort",
    "brokerConfigPath",
    "metricsPromExporterPort",
];

/// Configuration: what its keys mean, and what running brokers are set to.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a key does, what it may be and what it is unless set.
    Explain { key: String },
    /// Check a configuration file and list every mistake: ends with 0 if there is none, with 3 else.
    Lint {
        file: String,
        /// It is that of a name server.
        #[arg(long)]
        namesrv: bool,
    },
    /// Print what a broker would be set to, and where each value comes from.
    Dump {
        /// The broker's file.
        #[arg(short = 'c', long = "config", value_name = "FILE")]
        file: Option<String>,
    },
    /// What running brokers are set to: all keys, or those that are named.
    Get {
        keys: Vec<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Change a key of running brokers at once, and in their files.
    Set {
        key: String,
        value: String,
        #[command(flatten)]
        of: Of,
    },
    /// The keys in which the nodes of a group differ, other than by who they are: ends with 3 if there are any.
    Diff {
        #[command(flatten)]
        of: Of,
    },
    /// Print docs/config.md.
    #[command(hide = true)]
    Docs,
}

#[derive(Debug, Args)]
pub struct Of {
    /// Only this broker group.
    #[arg(long)]
    group: Option<String>,
    /// Only the node at this address.
    #[arg(long, value_name = "HOST:PORT")]
    broker: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

pub fn run(command: &Command) -> ExitCode {
    match command {
        Command::Explain { key } => match docs::explained(key) {
            Some(text) => super::print(&text),
            None => return unknown(key).tell(),
        },
        Command::Docs => super::print(&docs::page()),
        Command::Lint { file, namesrv } => {
            let options = Options::lint(file);
            return match namesrv {
                true => server::configured(&NAMESRV, &options, Vec::new(), false).err(),
                false => server::configured(&BROKER, &options, Vec::new(), false).err(),
            }
            .unwrap_or(ExitCode::SUCCESS);
        }
        Command::Dump { file } => {
            let options = Options::dump(file.clone());
            let ended = server::configured(&BROKER, &options, Vec::new(), false).err();
            return ended.unwrap_or(ExitCode::SUCCESS);
        }
        Command::Get { keys, of } => return with(of, async |remote, of| get(&remote, of, keys).await),
        Command::Set { key, value, of } => {
            return with(of, async |remote, of| set(&remote, of, key, value).await);
        }
        Command::Diff { of } => return with(of, async |remote, of| diff(&remote, of).await),
    }
    ExitCode::SUCCESS
}

fn unknown(key: &str) -> Failure {
    let help =
        "`ferrymq broker -p` and `ferrymq namesrv -p` print all keys; docs/config.md has them in tables.";
    Failure::nothing(format!("no server has the key {}", quoted(key)), help)
}

fn with(of: &Of, work: impl AsyncFnOnce(Remote, &Of) -> Result<(), Failure>) -> ExitCode {
    with_remote(&of.reach, async |remote| work(remote, of).await)
}

impl Of {
    async fn nodes(&self, remote: &Remote) -> Result<Vec<Node>, Failure> {
        let mut nodes = remote.nodes().await?;
        nodes.retain(|node| {
            self.group.as_ref().is_none_or(|group| *group == node.group)
                && self.broker.as_ref().is_none_or(|address| *address == node.address)
        });
        if nodes.is_empty() {
            let help = "`ferrymq cluster status` shows who is there.";
            return Err(Failure::nothing("there is no such broker".to_owned(), help));
        }
        Ok(nodes)
    }
}

async fn values(remote: &Remote, node: &Node) -> Result<BTreeMap<String, String>, Failure> {
    let (_, body) = remote.ask(&node.address, &GetBrokerConfig {}, Bytes::new()).await?;
    Ok(properties::read(&body).entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
}

async fn get(remote: &Remote, of: &Of, keys: &[String]) -> Result<(), Failure> {
    let mut table = Table::new(&["broker", "address", "key", "value"]);
    for node in of.nodes(remote).await? {
        for (key, value) in values(remote, &node).await? {
            if keys.is_empty() || keys.contains(&key) {
                table.row([
                    node.group.as_str().into(),
                    node.address.as_str().into(),
                    key.into(),
                    value.into(),
                ]);
            }
        }
    }
    if table.is_empty() {
        return Err(unknown(&keys.join(", ")));
    }
    remote.print("ferrymq.config.get/1", &table);
    Ok(())
}

async fn set(remote: &Remote, of: &Of, key: &str, value: &str) -> Result<(), Failure> {
    let line = format!("{}={}\n", properties::escape_key(key), properties::escape_value(value));
    for node in of.nodes(remote).await? {
        remote.ask(&node.address, &UpdateBrokerConfig {}, Bytes::from(line.clone())).await?;
        remote.say(&format!("set on {} of {}", node.address, node.group));
    }
    Ok(())
}

async fn diff(remote: &Remote, of: &Of) -> Result<(), Failure> {
    let mut groups = BTreeMap::<String, BTreeMap<String, BTreeMap<String, String>>>::new();
    for node in of.nodes(remote).await? {
        for (key, value) in values(remote, &node).await? {
            let of_group = groups.entry(node.group.clone()).or_default();
            of_group.entry(key).or_default().insert(node.address.clone(), value);
        }
    }
    let mut table = Table::new(&["broker", "key", "address", "value"]);
    for (group, keys) in groups {
        for (key, of_nodes) in keys.into_iter().filter(|(key, _)| !is_own(key)) {
            let mut different: Vec<&String> = of_nodes.values().collect();
            different.dedup();
            if different.len() > 1 {
                for (address, value) in of_nodes {
                    table.row([group.as_str().into(), key.as_str().into(), address.into(), value.into()]);
                }
            }
        }
    }
    let is_same = table.is_empty();
    remote.print("ferrymq.config.diff/1", &table);
    if is_same { Ok(()) } else { Err(Failure::degraded()) }
}

fn is_own(key: &str) -> bool {
    OWN.contains(&key) || key.starts_with("storePath")
}
