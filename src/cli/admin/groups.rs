//! Verbs about consumer groups.

use bytes::Bytes;
use ferrymq_proto::bodies::{ConsumeStats, ConsumeType, GroupConfig, TopicList};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{
    DeleteGroup, DeleteRoute, DeleteTopic, GetConsumeStats, GetGroupConfig, ListTopics, UpdateGroup,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::name::{DEAD_LETTER_PREFIX, RETRY_PREFIX};
use ferrymq_proto::version;

use super::cluster::{self, Whom, addresses};
use super::inspect;
use super::options::Given;
use super::shown;
use crate::cli::print;
use crate::cli::remote::{Failure, LEADER, Remote, parsed};
use crate::config::{quoted, shown as harmless};

pub async fn put(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let usual = GroupConfig::default();
    let config = GroupConfig {
        group_name: given.text('g').to_owned(),
        consume_enable: given.truth('s').unwrap_or(usual.consume_enable),
        // Unlike a broker, the tool does not allow these unless told to.
        consume_from_min_enable: given.truth('m').unwrap_or_default(),
        consume_broadcast_enable: given.truth('d').unwrap_or_default(),
        consume_message_orderly: given.truth('o').unwrap_or_default(),
        retry_queue_nums: given.number('q')?.unwrap_or(usual.retry_queue_nums),
        retry_max_times: given.number('r')?.unwrap_or(usual.retry_max_times),
        broker_id: given.number('i')?.unwrap_or(usual.broker_id),
        which_broker_when_consume_slowly: given
            .number('w')?
            .unwrap_or(usual.which_broker_when_consume_slowly),
        notify_consumer_ids_changed_enable: given
            .truth('a')
            .unwrap_or(usual.notify_consumer_ids_changed_enable),
        ..usual
    };
    let body = Bytes::from(json::to_string(&config, Dialect::Fastjson));
    for address in addresses(remote, given, Whom::Leaders).await? {
        remote.ask(&address, &UpdateGroup {}, body.clone()).await?;
        print(&format!("create subscription group to {address} success.\n"));
    }
    print(&format!("{}\n", shown::group(&config)));
    Ok(())
}

pub async fn delete(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let group = given.text('g');
    let request =
        DeleteGroup { group_name: group.into(), clean_offset: given.truth('r').unwrap_or_default() };
    let targets = addresses(remote, given, Whom::Leaders).await?;
    for address in &targets {
        remote.ask(address, &request, Bytes::new()).await?;
        let place = match (given.has('b'), given.get('c')) {
            (false, Some(cluster)) => format!(" in cluster [{cluster}]"),
            _ => String::new(),
        };
        print(&format!("delete subscription group [{group}] from broker [{address}]{place} success.\n"));
    }
    if !given.has('b') {
        for topic in [format!("{RETRY_PREFIX}{group}"), format!("{DEAD_LETTER_PREFIX}{group}")] {
            for address in &targets {
                remote.ask(address, &DeleteTopic { topic: topic.as_str().into() }, Bytes::new()).await?;
            }
            let cluster_name = given.get('c').map(Into::into);
            remote.tell_name_servers(&DeleteRoute { topic: topic.as_str().into(), cluster_name }).await?;
        }
    }
    Ok(())
}

pub async fn config(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let group = given.text('g');
    let mut is_found = false;
    for (cluster, node) in cluster::nodes(remote, None).await? {
        if node.id != LEADER {
            continue;
        }
        let request = GetGroupConfig { group: group.into() };
        let config: GroupConfig = match remote.ask_for(&node.address, &request).await {
            Ok(config) => config,
            Err(failure) if failure.is(ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST) => continue,
            Err(failure) => return Err(failure),
        };
        is_found = true;
        let rule = "=".repeat(29);
        print(&format!("{rule}{cluster}:{}{rule}\n", node.group));
        for (name, value) in shown::group_settings(&config) {
            print(&format!("{name:<40}=  {value}\n"));
        }
    }
    if is_found { Ok(()) } else { Err(no_group(group)) }
}

fn no_group(group: &str) -> Failure {
    Failure::nothing(
        format!("the group {} has consumed nothing yet, or there is no such group", quoted(group)),
        "`ferrymq group list` shows all groups.",
    )
}

pub async fn stats(remote: &Remote, group: &str, topic: Option<&str>) -> Result<ConsumeStats, Failure> {
    let mut all = ConsumeStats::default();
    for node in remote.leaders(None).await? {
        let request =
            GetConsumeStats { consumer_group: group.into(), topic: topic.map(Into::into), topic_list: None };
        let stats: ConsumeStats = remote.ask_for(&node.address, &request).await?;
        all.offsets.extend(stats.offsets);
        all.consume_tps += stats.consume_tps;
    }
    Ok(all)
}

pub async fn progress(remote: &Remote, given: &Given) -> Result<(), Failure> {
    match given.get('g') {
        Some(group) => progress_of(remote, given, group).await,
        None => progress_of_all(remote).await,
    }
}

async fn progress_of(remote: &Remote, given: &Given, group: &str) -> Result<(), Failure> {
    let stats = stats(remote, group, given.get('t')).await?;
    if stats.offsets.is_empty() {
        return Err(no_group(group));
    }
    let has_clients = given.truth('s').unwrap_or_default();
    let owners = if has_clients { inspect::owners(remote, group).await? } else { Default::default() };
    let line = |cells: [&str; 9]| {
        let [topic, broker, queue, end, offset, client, diff, inflight, last] = cells.map(harmless);
        let client = if has_clients { format!("{client:<20} ") } else { String::new() };
        format!(
            "{topic:<64}  {broker:<32}  {queue:<4}  {end:<20}  {offset:<20}  {client}{diff:<20} {inflight:<20} {last}\n"
        )
    };
    let mut text = line([
        "#Topic",
        "#Broker Name",
        "#QID",
        "#Broker Offset",
        "#Consumer Offset",
        "#Client IP",
        "#Diff",
        "#Inflight",
        "#LastTime",
    ]);
    let (mut behind, mut inflight) = (0, 0);
    let is_known = |last: ferrymq_proto::position::Timestamp| last.0 > 0;
    for (queue, at) in &stats.offsets {
        let diff = at.broker_offset.0 - at.consumer_offset.0;
        let flying = at.pull_offset.0 - at.consumer_offset.0;
        behind += diff;
        inflight += flying;
        let last = at.last_timestamp;
        text += &line([
            &queue.topic,
            &queue.broker_name,
            &queue.queue_id.0.to_string(),
            &at.broker_offset.0.to_string(),
            &at.consumer_offset.0.to_string(),
            owners.get(queue).map_or("N/A", String::as_str),
            &diff.to_string(),
            &flying.to_string(),
            &if is_known(last) { shown::time_of_second(last) } else { "N/A".to_owned() },
        ]);
    }
    print(&format!(
        "{text}\nConsume TPS: {:.2}\nConsume Diff Total: {behind}\nConsume Inflight Total: {inflight}\n",
        stats.consume_tps
    ));
    Ok(())
}

async fn progress_of_all(remote: &Remote) -> Result<(), Failure> {
    print(&format!(
        "{:<64}  {:<6}  {:<24} {:<5}  {:<14}  {:<7}  {}\n",
        "#Group", "#Count", "#Version", "#Type", "#Model", "#TPS", "#Diff Total"
    ));
    let (_, body) = remote.ask_name_server(&ListTopics {}).await?;
    let topics: TopicList = parsed("the name server", &body)?;
    for group in topics.topic_list.iter().filter_map(|topic| topic.strip_prefix(RETRY_PREFIX)) {
        let stats = stats(remote, group, None).await?;
        let diff: i64 = stats.offsets.values().map(|at| at.broker_offset.0 - at.consumer_offset.0).sum();
        let members = inspect::connections(remote, group, None).await?;
        let (version, kind, model) = match &members {
            None => ("OFFLINE".to_owned(), "", ""),
            Some(members) => {
                let oldest = members.connections.iter().map(|member| member.version).min();
                let pushes = members.consume_type != ConsumeType::Actively;
                let model = if pushes { members.message_model.as_str() } else { "" };
                (version::name(oldest.unwrap_or_default()), if pushes { "PUSH" } else { "PULL" }, model)
            }
        };
        let count = members.map_or(0, |members| members.connections.len());
        let group = harmless(group);
        print(&format!(
            "{group:<64}  {count:<6}  {version:<24} {kind:<5}  {model:<14}  {:<7}  {diff}\n",
            stats.consume_tps as i64
        ));
    }
    Ok(())
}
