//! All tables in one message.

use std::sync::Arc;

use ferrymq_proto::name::GroupName;
use ferrymq_proto::position::{QueueOffset, Timestamp};

use super::{DecodeError, configs, messages};
use crate::state::{
    ClientId, DelayLevel, GrantNumber, Group, Lock, OffsetChange, Register, Tables, Topic, TopicQueue,
};

impl From<&Tables> for messages::Checkpoint {
    fn from(tables: &Tables) -> Self {
        let Tables { topics, groups, offsets, locks, progress, settings } = tables;
        Self {
            format: messages::CHECKPOINT_FORMAT,
            topics_version: topics.version().into(),
            topics: topics.iter().map(|(name, config)| configs::topic(name, config)).collect(),
            groups_version: groups.version().into(),
            groups: groups.iter().map(|(name, config)| configs::group(name, config)).collect(),
            forbidden: groups.all_forbidden().map(forbidden).collect(),
            offsets_version: offsets.version().into(),
            offsets: offsets
                .iter()
                .map(|(group, topic, lines)| configs::offsets(group, topic, lines))
                .collect(),
            resets: offsets
                .resets()
                .map(|(group, topic, lines)| configs::offsets(group, topic, lines))
                .collect(),
            last_grant: locks.last().0,
            locks: locks.iter().map(lock).collect(),
            delays: progress
                .delays()
                .map(|(level, next)| messages::Delay { level: level.0, next: next.0 })
                .collect(),
            registers: progress
                .registers()
                .map(|(name, value)| configs::register(name, Some(value)))
                .collect(),
            settings: settings.iter().map(setting).collect(),
        }
    }
}

fn forbidden(
    (group, topic, bits): (&GroupName, &ferrymq_proto::name::TopicName, i32),
) -> messages::Forbidden {
    messages::Forbidden { group: group.to_string(), topic: topic.to_string(), bits }
}

fn lock((group, queue, lock): (&GroupName, &TopicQueue, &Lock)) -> messages::Lock {
    messages::Lock {
        group: group.to_string(),
        queue: queue.into(),
        client: lock.client.to_string(),
        granted: lock.granted.0,
        number: lock.number.0,
    }
}

fn setting((namespace, key, value): (&Arc<str>, &Arc<str>, &Arc<str>)) -> messages::Setting {
    messages::Setting {
        namespace: namespace.to_string(),
        key: key.to_string(),
        value: Some(value.to_string()),
    }
}

impl TryFrom<messages::Checkpoint> for Tables {
    type Error = DecodeError;

    fn try_from(stored: messages::Checkpoint) -> Result<Self, DecodeError> {
        let mut tables = Self::default();
        let topics: Vec<Topic> = stored.topics.into_iter().map(Topic::try_from).collect::<Result<_, _>>()?;
        tables.topics.load(topics, stored.topics_version.into());
        let groups: Vec<Group> = stored.groups.into_iter().map(Group::try_from).collect::<Result<_, _>>()?;
        tables.groups.load(groups, stored.groups_version.into());
        for forbidden in stored.forbidden {
            let (group, topic) = (GroupName::parse(&forbidden.group)?, forbidden.topic.as_str());
            tables.groups.put_forbidden(
                &group,
                &ferrymq_proto::name::TopicName::parse(topic)?,
                forbidden.bits,
            );
        }
        tables.offsets.load_version(stored.offsets_version.into());
        for offsets in stored.offsets {
            let OffsetChange { group, topic, queues } = offsets.try_into()?;
            tables.offsets.load(&group, &topic, queues.into_iter());
        }
        for offsets in stored.resets {
            let OffsetChange { group, topic, queues } = offsets.try_into()?;
            tables.offsets.load_reset(&group, &topic, queues.into_iter());
        }
        tables.locks.load_last(GrantNumber(stored.last_grant));
        for lock in stored.locks {
            let messages::Lock { group, queue, client, granted, number } = lock;
            let client = ClientId::from(client.as_str());
            let lock = Lock { client, granted: Timestamp(granted), number: GrantNumber(number) };
            tables.locks.load(GroupName::parse(&group)?, queue.try_into()?, lock);
        }
        for delay in stored.delays {
            tables.progress.set_delay(DelayLevel(delay.level), QueueOffset(delay.next));
        }
        for messages::Register { name, value } in stored.registers {
            tables.progress.set_register(Arc::from(name), value.map(Register::from));
        }
        for messages::Setting { namespace, key, value } in stored.settings {
            tables.settings.put(namespace.into(), key.into(), value.unwrap_or_default().into());
        }
        Ok(tables)
    }
}
