//! Verbs about clients, and what clients say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use ferrymq_proto::bodies::{
    Connection, ConsumerConnections, ConsumerRunningInfo, MessageQueue, ProducerConnections,
};
use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::headers::{GetConsumerConnections, GetConsumerRunningInfo, GetProducerConnections};
use ferrymq_proto::version;

use super::options::Given;
use super::{shown, topics};
use crate::cli::print;
use crate::cli::remote::{Failure, Remote};
use crate::config::{quoted, shown as harmless};

/// The members of a group on all leaders, or on one broker. `None`: nobody is there.
pub async fn connections(
    remote: &Remote,
    group: &str,
    broker: Option<&str>,
) -> Result<Option<ConsumerConnections>, Failure> {
    let addresses = match broker {
        Some(address) => vec![address.to_owned()],
        None => remote.leaders(None).await?.into_iter().map(|node| node.address).collect(),
    };
    let mut all: Option<ConsumerConnections> = None;
    for address in addresses {
        let request = GetConsumerConnections { consumer_group: group.into() };
        let found: ConsumerConnections = match remote.ask_for(&address, &request).await {
            Ok(found) => found,
            Err(failure) if failure.is(ResponseCode::CONSUMER_NOT_ONLINE) => continue,
            Err(failure) => return Err(failure),
        };
        match &mut all {
            None => all = Some(found),
            Some(all) => {
                let known: BTreeSet<String> =
                    all.connections.iter().map(|member| member.client_id.clone()).collect();
                let others =
                    found.connections.into_iter().filter(|member| !known.contains(&member.client_id));
                all.connections.extend(others);
            }
        }
    }
    Ok(all)
}

fn nobody(group: &str) -> Failure {
    Failure::nothing(
        format!("nobody of the group {} is connected", quoted(group)),
        "`ferrymq group list` shows all groups.",
    )
}

fn member(client: &Connection) -> String {
    format!(
        "{:<36} {:<22} {:<10} {}\n",
        harmless(&client.client_id),
        harmless(&client.client_addr),
        client.language.name(),
        version::name(client.version)
    )
}

pub async fn consumers(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let group = given.text('g');
    let found = connections(remote, group, given.get('b')).await?.ok_or_else(|| nobody(group))?;
    let mut text = format!("{:<36} {:<22} {:<10} {}\n", "#ClientId", "#ClientAddr", "#Language", "#Version");
    text.extend(found.connections.iter().map(member));
    text += &format!("\nBelow is subscription:\n{:<20} {}\n", "#Topic", "#SubExpression");
    for (topic, data) in &found.subscriptions {
        text += &format!("{:<20} {}\n", harmless(topic), harmless(&data.expression));
    }
    print(&format!(
        "{text}\nConsumeType: {}\nMessageModel: {}\nConsumeFromWhere: {}\n",
        found.consume_type.as_str(),
        found.message_model.as_str(),
        found.consume_from_where.as_str()
    ));
    Ok(())
}

pub async fn producers(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (group, mut number) = (given.text('g'), 0);
    for address in topics::holders(remote, given.text('t')).await? {
        let request = GetProducerConnections { producer_group: group.into() };
        let found: ProducerConnections = remote.ask_for(&address, &request).await?;
        for client in found.connections {
            number += 1;
            print(&format!(
                "{number:04}  {:<32} {:<22} {:<8} {}\n",
                harmless(&client.client_id),
                harmless(&client.client_addr),
                client.language.name(),
                version::name(client.version)
            ));
        }
    }
    if number == 0 { Err(nobody(group)) } else { Ok(()) }
}

async fn info(
    remote: &Remote,
    group: &str,
    client: &str,
    has_stacks: bool,
) -> Result<ConsumerRunningInfo, Failure> {
    let request = GetConsumerRunningInfo {
        consumer_group: group.into(),
        client_id: client.into(),
        jstack_enable: has_stacks,
    };
    let mut last = nobody(group);
    // A client keeps a connection to each leader that it has to do with.
    for node in remote.leaders(None).await? {
        match remote.ask_for(&node.address, &request).await {
            Ok(info) => return Ok(info),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// Which machine has which queue.
pub async fn owners(remote: &Remote, group: &str) -> Result<BTreeMap<MessageQueue, String>, Failure> {
    let mut owners = BTreeMap::new();
    for client in connections(remote, group, None).await?.unwrap_or_default().connections {
        let info = info(remote, group, &client.client_id, false).await?;
        let machine = client.client_id.split('@').next().unwrap_or_default().to_owned();
        owners.extend(info.queues.into_keys().map(|queue| (queue, machine.clone())));
    }
    Ok(owners)
}

pub async fn running(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let (group, has_stacks) = (given.text('g'), given.has('s'));
    if let Some(client) = given.get('i') {
        print(&written(&info(remote, group, client, has_stacks).await?));
        return Ok(());
    }
    let found = connections(remote, group, given.get('b')).await?.ok_or_else(|| nobody(group))?;
    print(&format!("{:<10} {:<40} {:<20} {}\n", "#Index", "#ClientId", "#Version", "#Queues"));
    let mut subscriptions = BTreeSet::new();
    for (number, client) in (1..).zip(&found.connections) {
        let info = info(remote, group, &client.client_id, has_stacks).await?;
        print(&format!(
            "{number:<10} {:<40} {:<20} {}\n",
            harmless(&client.client_id),
            version::name(client.version),
            info.queues.len() + info.pop_queues.len()
        ));
        let of_client = info.subscriptions.into_iter().map(|data| (data.topic, data.expression));
        subscriptions.insert(of_client.collect::<BTreeSet<_>>());
    }
    print(match subscriptions.len() {
        0 | 1 => "\n\nSame subscription in the same group of consumer\n",
        _ => "\n\nWARN: Different subscription in the same group of consumer!!!\n",
    });
    Ok(())
}

fn written(info: &ConsumerRunningInfo) -> String {
    let mut text = String::from("#Consumer Properties#\n");
    for (name, value) in &info.properties {
        text += &format!("{:<40}: {}\n", harmless(name), harmless(value));
    }
    text += &format!("\n\n#Consumer Subscription#\n{:<40} {:<10} {}\n", "#Topic", "#Version", "#Expression");
    for data in &info.subscriptions {
        let (topic, expression) = (harmless(&data.topic), harmless(&data.expression));
        text += &format!("{topic:<40} {:<10} {expression}\n", data.version);
    }
    text += &format!(
        "\n\n#Consumer Offset#\n{:<32} {:<32} {:<4} {:<20} {}\n",
        "#Topic", "#Broker Name", "#QID", "#Consumer Offset", "#Last Pull"
    );
    for (queue, state) in &info.queues {
        text += &format!(
            "{:<32} {:<32} {:<4} {:<20} {}\n",
            harmless(&queue.topic),
            harmless(&queue.broker_name),
            queue.queue_id.0,
            state.commit_offset.0,
            shown::time(state.last_pull_timestamp)
        );
    }
    text += &format!(
        "\n\n#Consumer RT&TPS#\n{:<64} {:>14} {:>14} {:>14} {:>14} {:>18} {:>25}\n",
        "#Topic",
        "#Pull RT",
        "#Pull TPS",
        "#Consume RT",
        "#ConsumeOK TPS",
        "#ConsumeFailed TPS",
        "#ConsumeFailedMsgsInHour"
    );
    for (topic, status) in &info.status_table {
        text += &format!(
            "{:<64} {:>14.2} {:>14.2} {:>14.2} {:>14.2} {:>18.2} {:>25}\n",
            harmless(topic),
            status.pull_rt,
            status.pull_tps,
            status.consume_rt,
            status.consume_ok_tps,
            status.consume_failed_tps,
            status.consume_failed_messages
        );
    }
    if let Some(stacks) = &info.jstack {
        // Its lines are the client's own, and shown to be.
        let lines = stacks.lines().map(|line| format!("  {}\n", harmless(line)));
        text += &format!("\n\n#Consumer jstack#\n{}", lines.collect::<String>());
    }
    text
}
