//! Verbs about brokers.

use std::collections::BTreeMap;

use bytes::Bytes;
use ferrymq_proto::bodies::KvTable;
use ferrymq_proto::headers::{AddWritePerm, GetRuntimeInfo, WipeWritePerm};

use super::options::Given;
use crate::cli::print;
use crate::cli::remote::{Failure, LEADER, Node, Remote};
use crate::clock;
use crate::config::shown;

const HOUR_MS: f64 = 3_600_000.0;

/// Whom -b or -c names: one broker, or those of a cluster.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    Leaders,
    All,
}

/// The nodes of a cluster, or of all of them, each with the name of its cluster.
pub async fn nodes(remote: &Remote, cluster: Option<&str>) -> Result<Vec<(String, Node)>, Failure> {
    let info = remote.cluster().await?;
    let mut nodes = Vec::new();
    for (name, groups) in &info.cluster_addr_table {
        if cluster.is_some_and(|wanted| wanted != name) {
            continue;
        }
        for group in groups {
            let members = info.broker_addr_table.get(group).map(|data| &data.broker_addrs);
            for (id, address) in members.into_iter().flatten() {
                let node = Node { group: shown(group), id: *id, address: shown(address) };
                nodes.push((shown(name), node));
            }
        }
    }
    Ok(nodes)
}

/// The addresses that -b or -c stands for.
pub async fn addresses(remote: &Remote, given: &Given, whom: Whom) -> Result<Vec<String>, Failure> {
    match (given.get('b'), given.get('c')) {
        (Some(address), _) => Ok(vec![address.to_owned()]),
        (None, None) => Err(Failure::usage("say which: -b HOST:PORT, or -c CLUSTER")),
        (None, Some(cluster)) => {
            let nodes = nodes(remote, Some(cluster)).await?.into_iter();
            let wanted = nodes.filter(|(_, node)| whom == Whom::All || node.id == LEADER);
            let addresses: Vec<String> = wanted.map(|(_, node)| node.address).collect();
            if addresses.is_empty() { Err(Failure::no_leader(None)) } else { Ok(addresses) }
        }
    }
}

async fn info(remote: &Remote, address: &str) -> Result<BTreeMap<String, String>, Failure> {
    let info: KvTable = remote.ask_for(address, &GetRuntimeInfo {}).await?;
    Ok(info.table.iter().map(|(name, value)| (shown(name), shown(value))).collect())
}

pub async fn list(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let has_more = given.has('m');
    print(&match has_more {
        true => format!(
            "{:<16}  {:<32} {:>14} {:>14} {:>14} {:>14}\n",
            "#Cluster Name",
            "#Broker Name",
            "#InTotalYest",
            "#OutTotalYest",
            "#InTotalToday",
            "#OutTotalToday"
        ),
        false => format!(
            "{:<22}  {:<22}  {:<4}  {:<22} {:<16}  {:>16}  {:>30}  {:<22}  {:<11}  {:<12}  {:<8}  {:<10}\n",
            "#Cluster Name",
            "#Broker Name",
            "#BID",
            "#Addr",
            "#Version",
            "#InTPS(LOAD)",
            "#OutTPS(LOAD)",
            "#Timer(Progress)",
            "#PCWait(ms)",
            "#Hour",
            "#SPACE",
            "#ACTIVATED"
        ),
    });
    for (cluster, node) in nodes(remote, given.get('c')).await? {
        // A broker that does not answer is listed too, as one that does nothing.
        let info = info(remote, &node.address).await.unwrap_or_default();
        print(&if has_more { totals(&cluster, &node, &info) } else { load(&cluster, &node, &info) });
    }
    Ok(())
}

fn value<'a>(info: &'a BTreeMap<String, String>, key: &str) -> &'a str {
    info.get(key).map_or("", String::as_str)
}

fn number(info: &BTreeMap<String, String>, key: &str) -> i64 {
    value(info, key).parse().unwrap_or_default()
}

/// The first number: rates are given over 10 s, a minute and ten minutes.
fn real(info: &BTreeMap<String, String>, key: &str) -> f64 {
    value(info, key).split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

fn load(cluster: &str, node: &Node, info: &BTreeMap<String, String>) -> String {
    let waits = |lane: &str| {
        let size = value(info, &format!("{lane}ThreadPoolQueueSize"));
        let wait = value(info, &format!("{lane}ThreadPoolQueueHeadWaitTimeMills"));
        match (lane, size.is_empty()) {
            ("ack", true) => "N,Nms".to_owned(),
            _ => format!("{size},{wait}ms"),
        }
    };
    let age = clock::now().0 - number(info, "earliestMessageTimeStamp");
    let hours = if info.contains_key("earliestMessageTimeStamp") { age as f64 / HOUR_MS } else { 0.0 };
    let timer = format!(
        "{}-{}({:.1}w, {:.1}, {:.1})",
        number(info, "timerReadBehind"),
        number(info, "timerOffsetBehind"),
        number(info, "timerCongestNum") as f64 / 10_000.0,
        real(info, "timerEnqueueTps"),
        real(info, "timerDequeueTps"),
    );
    format!(
        "{cluster:<22}  {:<22}  {:<4}  {:<22} {:<16}  {:>16}  {:>30}  {timer:<22}  {:>11}  {:<12}  {:<8}  {:>10}\n",
        node.group,
        node.id,
        node.address,
        value(info, "brokerVersionDesc"),
        format!("{:>9.2}({})", real(info, "putTps"), waits("send")),
        format!("{:>9.2}({}|{})", real(info, "getTransferredTps"), waits("pull"), waits("ack")),
        value(info, "pageCacheLockTimeMills"),
        format!("{hours:.2}"),
        format!("{:.4}", real(info, "commitLogDiskRatio")),
        value(info, "brokerActive") == "true",
    )
}

fn totals(cluster: &str, node: &Node, info: &BTreeMap<String, String>) -> String {
    let between = |from: &str, to: &str| number(info, to) - number(info, from);
    format!(
        "{cluster:<16}  {:<32} {:>14} {:>14} {:>14} {:>14}\n",
        node.group,
        between("msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning"),
        between("msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning"),
        between("msgPutTotalTodayMorning", "msgPutTotalTodayNow"),
        between("msgGetTotalTodayMorning", "msgGetTotalTodayNow"),
    )
}

pub async fn status(remote: &Remote, given: &Given) -> Result<(), Failure> {
    for address in addresses(remote, given, Whom::All).await? {
        for (key, value) in info(remote, &address).await? {
            print(&match given.has('b') {
                true => format!("{key:<32}: {value}\n"),
                false => format!("{address:<24} {key:<32}: {value}\n"),
            });
        }
    }
    Ok(())
}

pub async fn wipe_write(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let broker = given.text('b');
    for address in remote.name_servers() {
        let request = WipeWritePerm { broker_name: broker.into() };
        let (reply, _) = remote.ask(address, &request, Bytes::new()).await?;
        print(&told("wipe", broker, address, reply.wipe_topic_count));
    }
    Ok(())
}

pub async fn add_write(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let broker = given.text('b');
    for address in remote.name_servers() {
        let request = AddWritePerm { broker_name: broker.into() };
        let (reply, _) = remote.ask(address, &request, Bytes::new()).await?;
        print(&told("add", broker, address, reply.add_topic_count));
    }
    Ok(())
}

fn told(what: &str, broker: &str, address: &str, topics: i32) -> String {
    format!("{what} write perm of broker[{broker}] in name server[{address}] OK, {topics}\n")
}
