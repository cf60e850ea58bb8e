//! Making, changing and deleting topics.

use bytes::Bytes;
use clap::Args;
use ferrymq_proto::bodies::{MappedTopicConfig, TopicFilter};
use ferrymq_proto::headers::{DeleteRoute, DeleteTopic, GetTopicConfig, UpdateTopic};

use crate::cli::remote::{Failure, Reach, Remote};
use crate::state::permission;

/// Make a topic on every broker group, or on one.
#[derive(Debug, Args)]
pub struct Create {
    topic: String,
    /// Queues on each broker group.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(i32).range(1..=65_536))]
    queues: i32,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    pub reach: Reach,
}

/// Change a topic. What is not named stays as it is.
#[derive(Debug, Args)]
pub struct Update {
    topic: String,
    /// Queues on each broker group. Fewer hide what lies in the others.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..=65_536))]
    queues: Option<i32>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    pub reach: Reach,
}

#[derive(Debug, Args)]
struct Settings {
    /// What clients may do: rw, r, w or none.
    #[arg(long, value_parser = read_permission)]
    permission: Option<i32>,
    /// Keep the order of each queue even when that means to refuse messages.
    #[arg(long)]
    ordered: Option<bool>,
    /// Only on this broker group.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

/// Delete a topic and all its messages.
#[derive(Debug, Args)]
pub struct Delete {
    topic: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    pub reach: Reach,
}

fn read_permission(text: &str) -> Result<i32, String> {
    match text {
        "rw" => Ok(permission::READ | permission::WRITE),
        "r" => Ok(permission::READ),
        "w" => Ok(permission::WRITE),
        "none" => Ok(0),
        _ => Err("one of rw, r, w, none".to_owned()),
    }
}

impl Create {
    pub async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        if remote.find_route(&self.topic).await?.is_some() {
            return Err(Failure::operation(format!(
                "there is a topic {} already; `ferrymq topic update` changes it",
                crate::config::quoted(&self.topic)
            )));
        }
        // Whoever has it already takes it once more.
        let attempt = async || {
            let leaders = remote.leaders(self.settings.group.as_deref()).await?;
            for node in &leaders {
                let topic = MappedTopicConfig {
                    topic_name: self.topic.clone(),
                    read_queue_nums: self.queues,
                    write_queue_nums: self.queues,
                    ..MappedTopicConfig::default()
                };
                write(remote, &node.address, self.settings.applied(topic)).await?;
            }
            Ok(leaders)
        };
        for node in remote.patiently(attempt).await? {
            remote.say(&format!("created on {}", node.group));
        }
        Ok(())
    }
}

impl Update {
    pub async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        let places = remote.readable(&self.topic).await?;
        let wanted = self.settings.group.as_deref();
        let mut changed = 0;
        for (node, _) in places.iter().filter(|(node, _)| wanted.is_none_or(|group| group == node.group)) {
            let request = GetTopicConfig { topic: self.topic.as_str().into(), ..GetTopicConfig::default() };
            let mut topic: MappedTopicConfig = remote.ask_for(&node.address, &request).await?;
            if let Some(queues) = self.queues {
                (topic.read_queue_nums, topic.write_queue_nums) = (queues, queues);
            }
            write(remote, &node.address, self.settings.applied(topic)).await?;
            remote.say(&format!("changed on {}", node.group));
            changed += 1;
        }
        if changed == 0 { Err(Failure::no_leader(wanted)) } else { Ok(()) }
    }
}

impl Settings {
    fn applied(&self, mut topic: MappedTopicConfig) -> MappedTopicConfig {
        topic.perm = self.permission.unwrap_or(topic.perm);
        topic.order = self.ordered.unwrap_or(topic.order);
        topic
    }
}

/// Makes a topic on a leader, or changes it.
pub async fn write(remote: &Remote, address: &str, topic: MappedTopicConfig) -> Result<(), Failure> {
    // Only what was changed of them: a name with its sign before it.
    let changed: Vec<String> = topic.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let request = UpdateTopic {
        topic: topic.topic_name.into(),
        // Java's tools name the template here; brokers do not look at it.
        default_topic: "TBW102".into(),
        read_queue_nums: topic.read_queue_nums,
        write_queue_nums: topic.write_queue_nums,
        perm: topic.perm,
        topic_filter_type: TopicFilter::SingleTag,
        topic_sys_flag: topic.topic_sys_flag,
        order: topic.order,
        attributes: (!changed.is_empty()).then(|| changed.join(",").into()),
        ..UpdateTopic::default()
    };
    remote.ask(address, &request, Bytes::new()).await.map(drop)
}

fn attribute(name: &str, value: &str) -> String {
    match name.starts_with('-') {
        true => name.to_owned(),
        false => format!("+{}={value}", name.trim_start_matches('+')),
    }
}

impl Delete {
    pub async fn run(&self, remote: &Remote) -> Result<(), Failure> {
        delete(remote, &self.topic, self.yes).await
    }
}

pub async fn delete(remote: &Remote, topic: &str, is_sure: bool) -> Result<(), Failure> {
    let places = remote.readable(topic).await?;
    if !is_sure {
        let sentence = "this deletes the topic and all its messages; say --yes if that is meant";
        return Err(Failure::safety(sentence));
    }
    let request = DeleteTopic { topic: topic.into() };
    for (node, _) in &places {
        remote.ask(&node.address, &request, Bytes::new()).await?;
    }
    let request = DeleteRoute { topic: topic.into(), ..DeleteRoute::default() };
    remote.tell_name_servers(&request).await?;
    remote.say(&format!("deleted on {} broker groups", places.len()));
    Ok(())
}
