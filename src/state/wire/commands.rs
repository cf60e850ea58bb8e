//! Commands to messages and back.

use std::sync::Arc;

use ferrymq_proto::name::{GroupName, NameError, TopicName};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};

use super::messages::{self, Kind};
use super::{DecodeError, configs, decode};
use crate::state::{
    ClientId, Command, DelayLevel, GrantNumber, Group, LockGrant, OffsetChange, Register, Stamp, Topic,
};

/// Where a command stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Alone,
    /// In a [`Command::Together`].
    Inside,
}

impl From<&Command> for messages::Command {
    fn from(command: &Command) -> Self {
        Self { kind: Some(kind(command)) }
    }
}

fn kind(command: &Command) -> Kind {
    match command {
        Command::CreateTopics { topics, stamp } => Kind::CreateTopics(write_topics(topics, *stamp)),
        Command::PutTopics { topics, stamp } => Kind::PutTopics(write_topics(topics, *stamp)),
        Command::DeleteTopics { topics, offsets, stamp } => {
            Kind::DeleteTopics(write_deletion(strings(topics), *offsets, *stamp))
        }
        Command::CreateGroups { groups, stamp } => Kind::CreateGroups(write_groups(groups, *stamp)),
        Command::PutGroups { groups, stamp } => Kind::PutGroups(write_groups(groups, *stamp)),
        Command::DeleteGroups { groups, offsets, stamp } => {
            Kind::DeleteGroups(write_deletion(strings(groups), *offsets, *stamp))
        }
        Command::Forbid { group, topic, bits, stamp } => Kind::Forbid(messages::Forbid {
            forbidden: messages::Forbidden {
                group: group.to_string(),
                topic: topic.to_string(),
                bits: *bits,
            },
            stamp: (*stamp).into(),
        }),
        Command::CommitOffsets { changes, stamp } => Kind::CommitOffsets(write_changes(changes, *stamp)),
        Command::ResetOffsets { changes, stamp } => Kind::ResetOffsets(write_changes(changes, *stamp)),
        Command::ForgetResets { group, topic, queues } => Kind::ForgetResets(messages::ForgetResets {
            group: group.to_string(),
            topic: topic.to_string(),
            queues: queues.iter().map(|queue| queue.0).collect(),
        }),
        Command::CloneOffsets { from, to, topics, stamp } => Kind::CloneOffsets(messages::CloneOffsets {
            from: from.to_string(),
            to: to.to_string(),
            topics: strings(topics),
            stamp: (*stamp).into(),
        }),
        Command::RemoveOffsets { group, topic, stamp } => Kind::RemoveOffsets(messages::RemoveOffsets {
            group: group.as_ref().map(ToString::to_string),
            topic: topic.as_ref().map(ToString::to_string),
            stamp: (*stamp).into(),
        }),
        Command::GrantLocks { group, client, at, grants } => {
            Kind::GrantLocks(write_grants(group, client, *at, grants))
        }
        Command::ReleaseLocks { group, queues } => Kind::ReleaseLocks(messages::ReleaseLocks {
            group: group.to_string(),
            queues: queues
                .iter()
                .map(|(queue, number)| messages::Release { queue: queue.into(), number: number.0 })
                .collect(),
        }),
        Command::Advance { delay, registers } => Kind::Advance(messages::Advance {
            delay: delay
                .iter()
                .map(|(level, next)| messages::Delay { level: level.0, next: next.0 })
                .collect(),
            registers: registers
                .iter()
                .map(|(name, value)| configs::register(name, value.as_ref()))
                .collect(),
        }),
        Command::Configure { namespace, key, value } => Kind::Configure(messages::Setting {
            namespace: namespace.to_string(),
            key: key.to_string(),
            value: value.as_ref().map(ToString::to_string),
        }),
        Command::Together(commands) => {
            Kind::Together(messages::Together { commands: commands.iter().map(Command::encode).collect() })
        }
    }
}

fn strings<N: ToString>(names: &[N]) -> Vec<String> {
    names.iter().map(N::to_string).collect()
}

fn write_topics(topics: &[Topic], stamp: Stamp) -> messages::Topics {
    let topics = topics.iter().map(|topic| configs::topic(topic.name(), topic.config())).collect();
    messages::Topics { topics, stamp: stamp.into() }
}

fn write_groups(groups: &[Group], stamp: Stamp) -> messages::Groups {
    let groups = groups.iter().map(|group| configs::group(group.name(), group.config())).collect();
    messages::Groups { groups, stamp: stamp.into() }
}

fn write_deletion(names: Vec<String>, offsets: bool, stamp: Stamp) -> messages::Deletion {
    messages::Deletion { names, offsets, stamp: stamp.into() }
}

fn write_changes(changes: &[OffsetChange], stamp: Stamp) -> messages::OffsetChanges {
    let changes =
        changes.iter().map(|change| configs::offsets(&change.group, &change.topic, &change.queues)).collect();
    messages::OffsetChanges { changes, stamp: stamp.into() }
}

fn write_grants(
    group: &GroupName,
    client: &ClientId,
    at: Timestamp,
    grants: &[LockGrant],
) -> messages::GrantLocks {
    let grants = grants
        .iter()
        .map(|grant| messages::Grant {
            queue: (&grant.queue).into(),
            ends: grant.ends.map(|number| number.0),
        })
        .collect();
    messages::GrantLocks { group: group.to_string(), client: client.to_string(), at: at.0, grants }
}

pub fn read(bytes: &[u8], place: Place) -> Result<Command, DecodeError> {
    match decode::<messages::Command>(bytes) {
        Ok(messages::Command { kind: Some(kind) }) => read_kind(kind, place),
        Ok(messages::Command { kind: None }) => Err(DecodeError::Empty),
        Err(DecodeError::UnknownMember) => Err(unknown(bytes)),
        Err(error) => Err(error),
    }
}

/// What is unknown in a command: its kind, or something within.
fn unknown(mut bytes: &[u8]) -> DecodeError {
    match prost::encoding::decode_key(&mut bytes) {
        Ok((kind, _)) if !messages::KINDS.contains(&kind) => DecodeError::UnknownCommand(kind),
        _ => DecodeError::UnknownMember,
    }
}

fn read_kind(kind: Kind, place: Place) -> Result<Command, DecodeError> {
    Ok(match kind {
        Kind::CreateTopics(new) => {
            Command::CreateTopics { topics: read_all(new.topics)?, stamp: new.stamp.into() }
        }
        Kind::PutTopics(new) => Command::PutTopics { topics: read_all(new.topics)?, stamp: new.stamp.into() },
        Kind::DeleteTopics(old) => Command::DeleteTopics {
            topics: read_topic_names(&old.names)?,
            offsets: old.offsets,
            stamp: old.stamp.into(),
        },
        Kind::CreateGroups(new) => {
            Command::CreateGroups { groups: read_all(new.groups)?, stamp: new.stamp.into() }
        }
        Kind::PutGroups(new) => Command::PutGroups { groups: read_all(new.groups)?, stamp: new.stamp.into() },
        Kind::DeleteGroups(old) => Command::DeleteGroups {
            groups: old.names.iter().map(|name| GroupName::parse(name)).collect::<Result<_, _>>()?,
            offsets: old.offsets,
            stamp: old.stamp.into(),
        },
        Kind::Forbid(messages::Forbid { forbidden, stamp }) => Command::Forbid {
            group: GroupName::parse(&forbidden.group)?,
            topic: TopicName::parse(&forbidden.topic)?,
            bits: forbidden.bits,
            stamp: stamp.into(),
        },
        Kind::CommitOffsets(new) => {
            Command::CommitOffsets { changes: read_all(new.changes)?, stamp: new.stamp.into() }
        }
        Kind::ResetOffsets(new) => {
            Command::ResetOffsets { changes: read_all(new.changes)?, stamp: new.stamp.into() }
        }
        Kind::ForgetResets(told) => Command::ForgetResets {
            group: GroupName::parse(&told.group)?,
            topic: TopicName::parse(&told.topic)?,
            queues: told.queues.into_iter().map(QueueId).collect(),
        },
        Kind::CloneOffsets(copy) => Command::CloneOffsets {
            from: GroupName::parse(&copy.from)?,
            to: GroupName::parse(&copy.to)?,
            topics: read_topic_names(&copy.topics)?,
            stamp: copy.stamp.into(),
        },
        Kind::RemoveOffsets(old) => Command::RemoveOffsets {
            group: old.group.as_deref().map(GroupName::parse).transpose()?,
            topic: old.topic.as_deref().map(TopicName::parse).transpose()?,
            stamp: old.stamp.into(),
        },
        Kind::GrantLocks(grant) => read_grants(grant)?,
        Kind::ReleaseLocks(message) => read_releases(message)?,
        Kind::Advance(progress) => read_progress(progress),
        Kind::Configure(setting) => Command::Configure {
            namespace: setting.namespace.into(),
            key: setting.key.into(),
            value: setting.value.map(Arc::from),
        },
        Kind::Together(_) if place == Place::Inside => return Err(DecodeError::Nested),
        Kind::Together(together) => Command::Together(
            together.commands.iter().map(|bytes| read(bytes, Place::Inside)).collect::<Result<_, _>>()?,
        ),
    })
}

fn read_all<M, T: TryFrom<M, Error = DecodeError>>(messages: Vec<M>) -> Result<Vec<T>, DecodeError> {
    messages.into_iter().map(T::try_from).collect()
}

fn read_topic_names(names: &[String]) -> Result<Vec<TopicName>, NameError> {
    names.iter().map(|name| TopicName::parse(name)).collect()
}

fn read_grants(message: messages::GrantLocks) -> Result<Command, DecodeError> {
    let read = |grant: messages::Grant| {
        Ok(LockGrant { queue: grant.queue.try_into()?, ends: grant.ends.map(GrantNumber) })
    };
    Ok(Command::GrantLocks {
        group: GroupName::parse(&message.group)?,
        client: ClientId::from(message.client.as_str()),
        at: Timestamp(message.at),
        grants: message.grants.into_iter().map(read).collect::<Result<_, DecodeError>>()?,
    })
}

fn read_releases(message: messages::ReleaseLocks) -> Result<Command, DecodeError> {
    let read = |release: messages::Release| Ok((release.queue.try_into()?, GrantNumber(release.number)));
    Ok(Command::ReleaseLocks {
        group: GroupName::parse(&message.group)?,
        queues: message.queues.into_iter().map(read).collect::<Result<_, DecodeError>>()?,
    })
}

fn read_progress(message: messages::Advance) -> Command {
    let delay = message.delay.into_iter().map(|delay| (DelayLevel(delay.level), QueueOffset(delay.next)));
    let registers = message
        .registers
        .into_iter()
        .map(|register| (register.name.into(), register.value.map(Register::from)));
    Command::Advance { delay: delay.collect(), registers: registers.collect() }
}
