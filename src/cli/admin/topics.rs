//! Verbs about topics.

use std::collections::{BTreeMap, BTreeSet};

use ferrymq_proto::bodies::{
    BrokerStats, ClusterInfo, ConsumeStats, GroupList, MappedTopicConfig, TopicList, TopicRoute, TopicStats,
};
use ferrymq_proto::headers::{
    DeleteRoute, DeleteTopic, GetConsumeStats, GetTopicStats, ListTopicGroups, ListTopics, ViewBrokerStats,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::{DEAD_LETTER_PREFIX, RETRY_PREFIX};

use super::cluster::{Whom, addresses};
use super::options::Given;
use super::shown;
use crate::cli::print;
use crate::cli::remote::{Failure, LEADER, Remote, parsed};
use crate::cli::topic;
use crate::config::shown as harmless;

/// A topic of a unit, and one that units subscribe to.
const UNIT: i32 = 1;
const UNIT_SUBSCRIBED: i32 = 2;
const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

async fn all(remote: &Remote) -> Result<Vec<String>, Failure> {
    let (_, body) = remote.ask_name_server(&ListTopics {}).await?;
    let list: TopicList = parsed("the name server", &body)?;
    Ok(list.topic_list)
}

/// Topics that users made.
fn is_plain(topic: &str) -> bool {
    !topic.starts_with(RETRY_PREFIX) && !topic.starts_with(DEAD_LETTER_PREFIX)
}

/// The leaders that have a topic; of a group that has none, a follower.
pub async fn holders(remote: &Remote, topic: &str) -> Result<Vec<String>, Failure> {
    Ok(remote.readable(topic).await?.into_iter().map(|(node, _)| node.address).collect())
}

/// The groups that consume a topic.
pub async fn groups(remote: &Remote, topic: &str) -> Result<BTreeSet<String>, Failure> {
    let mut groups = BTreeSet::new();
    for address in holders(remote, topic).await? {
        let found: GroupList = remote.ask_for(&address, &ListTopicGroups { topic: topic.into() }).await?;
        groups.extend(found.groups);
    }
    Ok(groups)
}

fn clusters_of<'a>(info: &'a ClusterInfo, route: &'a TopicRoute) -> impl Iterator<Item = &'a String> {
    let has =
        |names: &BTreeSet<String>| route.broker_datas.iter().any(|data| names.contains(&data.broker_name));
    info.cluster_addr_table.iter().filter(move |(_, names)| has(names)).map(|(cluster, _)| cluster)
}

pub async fn list(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let topics = all(remote).await?;
    if !given.has('c') {
        print(&topics.iter().map(|topic| format!("{}\n", harmless(topic))).collect::<String>());
        return Ok(());
    }
    let info = remote.cluster().await?;
    print(&format!("{:<20}  {:<48}  {:<48}\n", "#Cluster Name", "#Topic", "#Consumer Group"));
    for topic in topics.iter().filter(|topic| is_plain(topic)) {
        let route = remote.find_route(topic).await?.unwrap_or_default();
        let cluster = clusters_of(&info, &route).next().cloned().unwrap_or_default();
        let mut groups = groups(remote, topic).await.unwrap_or_default();
        if groups.is_empty() {
            groups.insert(String::new());
        }
        for group in groups {
            let (cluster, topic, group) = (harmless(&cluster), harmless(topic), harmless(&group));
            print(&format!("{cluster:<20}  {topic:<64}  {group:<64}\n"));
        }
    }
    Ok(())
}

pub async fn clusters(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (info, route) = (remote.cluster().await?, remote.route(given.text('t')).await?);
    print(&clusters_of(&info, &route).map(|cluster| format!("{}\n", harmless(cluster))).collect::<String>());
    Ok(())
}

pub async fn route(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let mut route = remote.route(given.text('t')).await?;
    if !given.has('l') {
        print(&format!("{}\n", shown::pretty(&json::to_string(&route, Dialect::Fastjson))));
        return Ok(());
    }
    let line = |cells: [&str; 6]| {
        let [cluster, broker, addresses, read, write, permission] = cells.map(harmless);
        format!("{cluster:<45} {broker:<32} {addresses:<50} {read:<10} {write:<11} {permission:<5}\n")
    };
    print(&line(["#ClusterName", "#BrokerName", "#BrokerAddrs", "#ReadQueue", "#WriteQueue", "#Perm"]));
    route.broker_datas.sort_by(|one, other| one.broker_name.cmp(&other.broker_name));
    let (mut read, mut write) = (0, 0);
    for data in &route.broker_datas {
        let queues = route.queue_datas.iter().find(|queues| queues.broker_name == data.broker_name);
        let Some(queues) = queues else { continue };
        read += queues.read_queue_nums;
        write += queues.write_queue_nums;
        let members: Vec<String> =
            data.broker_addrs.iter().map(|(id, address)| format!("{id}={address}")).collect();
        print(&line([
            &data.cluster,
            &data.broker_name,
            &format!("{{{}}}", members.join(", ")),
            &queues.read_queue_nums.to_string(),
            &queues.write_queue_nums.to_string(),
            &queues.perm.to_string(),
        ]));
    }
    let brokers = route.queue_datas.len().to_string();
    print(&format!("{}\n", "-".repeat(158)));
    print(&line(["Total:", &brokers, "", &read.to_string(), &write.to_string(), ""]));
    Ok(())
}

pub async fn status(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let topic = given.text('t');
    let (mut queues, mut rate) = (BTreeMap::new(), 0.0);
    for address in holders(remote, topic).await? {
        let stats: TopicStats = remote.ask_for(&address, &GetTopicStats { topic: topic.into() }).await?;
        queues.extend(stats.offsets);
        rate += stats.put_tps;
    }
    let mut text = format!(
        "{:<32}  {:<4}  {:<20}  {:<20}    {}\n",
        "#Broker Name", "#QID", "#Min Offset", "#Max Offset", "#Last Updated"
    );
    for (queue, offset) in queues {
        let last = offset.last_update_timestamp;
        let last = if last.0 > 0 { shown::time(last) } else { String::new() };
        text += &format!(
            "{:<32}  {:<4}  {:<20}  {:<20}    {last}\n",
            harmless(&queue.broker_name),
            queue.queue_id.0,
            offset.min_offset.0,
            offset.max_offset.0
        );
    }
    print(&format!("{text}\nTopic Put TPS: {rate:?}\n"));
    Ok(())
}

/// Of several windows the longest that has counted anything.
fn of_a_day(stats: &BrokerStats) -> i64 {
    let sums = [stats.day.sum, stats.hour.sum, stats.minute.sum];
    sums.into_iter().find(|sum| *sum != 0).unwrap_or_default()
}

/// The rate, and how many in a day, on all leaders.
async fn counted(remote: &Remote, route: &TopicRoute, name: &str, key: &str) -> (f64, i64) {
    let (mut rate, mut count) = (0.0, 0);
    for address in route.broker_datas.iter().filter_map(|data| data.broker_addrs.get(&LEADER)) {
        let request = ViewBrokerStats { stats_name: name.into(), stats_key: key.into() };
        // Nothing was counted yet: the broker refuses then.
        if let Ok(stats) = remote.ask_for::<_, BrokerStats>(address, &request).await {
            rate += stats.minute.tps;
            count += of_a_day(&stats);
        }
    }
    (rate, count)
}

pub async fn rates(remote: &Remote, given: &Given) -> Result<(), Failure> {
    print(&format!(
        "{:<64}  {:<64} {:>12} {:>11} {:>11} {:>14} {:>14}\n",
        "#Topic", "#Consumer Group", "#Accumulation", "#InTPS", "#OutTPS", "#InMsg24Hour", "#OutMsg24Hour"
    ));
    let wanted = given.get('t').filter(|topic| !topic.is_empty());
    for topic in all(remote).await? {
        if !is_plain(&topic) || wanted.is_some_and(|wanted| wanted != topic) {
            continue;
        }
        let Some(route) = remote.find_route(&topic).await? else { continue };
        let groups = groups(remote, &topic).await?;
        let (rate_in, count_in) = counted(remote, &route, "TOPIC_PUT_NUMS", &topic).await;
        if groups.is_empty() && (!given.has('a') || count_in > 0) {
            print(&format!(
                "{topic:<64}  {:<64} {:>12} {rate_in:>11.2} {:>11} {count_in:>14} {:>14}\n",
                "", 0, "", "NO_CONSUMER"
            ));
        }
        for group in groups {
            let (rate, count) = counted(remote, &route, "GROUP_GET_NUMS", &format!("{topic}@{group}")).await;
            let lag = behind(remote, &group, &topic).await?.max(0);
            if !given.has('a') || count_in > 0 || count > 0 {
                print(&format!(
                    "{topic:<64}  {group:<64} {lag:>12} {rate_in:>11.2} {rate:>11.2} {count_in:>14} {count:>14}\n"
                ));
            }
        }
    }
    Ok(())
}

async fn behind(remote: &Remote, group: &str, topic: &str) -> Result<i64, Failure> {
    let mut lag = 0;
    for address in holders(remote, topic).await? {
        let request =
            GetConsumeStats { consumer_group: group.into(), topic: Some(topic.into()), topic_list: None };
        let stats: ConsumeStats = remote.ask_for(&address, &request).await?;
        lag += stats.offsets.values().map(|at| at.broker_offset.0 - at.consumer_offset.0).sum::<i64>();
    }
    Ok(lag)
}

pub async fn put(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let flag = |letter: char, bit: i32| if given.truth(letter).unwrap_or_default() { bit } else { 0 };
    let config = MappedTopicConfig {
        topic_name: given.text('t').to_owned(),
        read_queue_nums: given.number('r')?.unwrap_or(8),
        write_queue_nums: given.number('w')?.unwrap_or(8),
        perm: given.number('p')?.unwrap_or(6),
        topic_sys_flag: flag('u', UNIT) | flag('s', UNIT_SUBSCRIBED),
        order: given.truth('o').unwrap_or_default(),
        attributes: attributes(given.text('a')),
        ..MappedTopicConfig::default()
    };
    let targets = addresses(remote, given, Whom::Leaders).await?;
    for address in &targets {
        topic::write(remote, address, config.clone()).await?;
        print(&format!("create topic to {address} success.\n"));
    }
    if config.order {
        order(remote, &targets, &config, given.has('c')).await?;
    }
    print(&format!("{}\n", shown::topic(&config)));
    Ok(())
}

/// `+key=value,-key` as Java's tools keep it: with the signs.
fn attributes(text: &str) -> BTreeMap<String, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        (name.trim().to_owned(), value.trim().to_owned())
    };
    words.map(pair).collect()
}

/// Tells the name servers which queues an ordered topic has.
async fn order(
    remote: &Remote,
    targets: &[String],
    config: &MappedTopicConfig,
    is_cluster: bool,
) -> Result<(), Failure> {
    let nodes = remote.nodes().await?;
    let names = nodes.iter().filter(|node| targets.contains(&node.address));
    let parts: Vec<String> =
        names.map(|node| format!("{}:{}", node.group, config.write_queue_nums)).collect();
    let order = parts.join(";");
    let request = ferrymq_proto::headers::PutKv {
        namespace: ORDER_NAMESPACE.into(),
        key: config.topic_name.as_str().into(),
        value: order.as_str().into(),
    };
    remote.tell_name_servers(&request).await?;
    let what = if is_cluster { "cluster" } else { "broker" };
    print(&format!("set {what} orderConf. isOrder=true, orderConf=[{order}]\n"));
    Ok(())
}

pub async fn allow(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let name = given.text('t');
    let wanted: i32 = given.number('p')?.unwrap_or_default();
    let route = remote.route(name).await?;
    for address in addresses(remote, given, Whom::Leaders).await? {
        let data = route.broker_datas.iter().find(|data| data.broker_addrs.get(&LEADER) == Some(&address));
        let queues = data
            .and_then(|data| route.queue_datas.iter().find(|queues| queues.broker_name == data.broker_name));
        let Some(queues) = queues else {
            return Err(Failure::operation(format!("{address} leads no group that has this topic")));
        };
        if queues.perm == wanted {
            print("new perm equals to the old one!\n");
            continue;
        }
        let config = MappedTopicConfig {
            topic_name: name.to_owned(),
            read_queue_nums: queues.read_queue_nums,
            write_queue_nums: queues.write_queue_nums,
            topic_sys_flag: queues.topic_sys_flag,
            perm: wanted,
            ..MappedTopicConfig::default()
        };
        topic::write(remote, &address, config.clone()).await?;
        print(&format!("update topic perm from {} to {wanted} in {address} success.\n", queues.perm));
        print(&format!("{}.\n", shown::topic(&config)));
    }
    Ok(())
}

pub async fn delete(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (topic, cluster) = (given.text('t'), given.text('c'));
    for address in addresses(remote, given, Whom::Leaders).await? {
        remote.ask(&address, &DeleteTopic { topic: topic.into() }, bytes::Bytes::new()).await?;
    }
    print(&format!("delete topic [{topic}] from cluster [{cluster}] success.\n"));
    let request = DeleteRoute { topic: topic.into(), cluster_name: Some(cluster.into()) };
    remote.tell_name_servers(&request).await?;
    print(&format!("delete topic [{topic}] from NameServer success.\n"));
    Ok(())
}
