//! Routes, written as the JSON that clients read.
//!
//! A lookup is what a name server does all day, so it builds no tree: the part about a group is kept written, in both dialects,
//! and changes with the group; the part about queues is a few numbers.

use std::collections::BTreeMap;

use ferrymq_proto::bodies::BrokerData;
use ferrymq_proto::json::{self, Dialect, ToJson, Writer};

use super::{ByGroup, Group, MASTER, Place, Queues, Routes, WRITE};

/// Topics under which brokers find each other; they must see who is really there.
const MEMBER_TOPIC_PREFIX: &str = "rmq_sys_SYNC_BROKER_MEMBER_";

/// About what one group takes in a route.
const GROUP_BYTES: usize = 256;

/// How a route is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    pub dialect: Dialect,
    /// Only groups of this zone, and those without a master.
    pub zone: Option<&'a str>,
    /// Where a group has no master and allows it, show its smallest id as one.
    pub acting_masters: bool,
    /// The queue order of the topic, when clients shall see it.
    pub order: Option<&'a str>,
}

/// A group as JSON, in both dialects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    fastjson: String,
    standard: String,
}

impl Group {
    /// Writes the group anew after a change.
    pub(super) fn show(&mut self, name: &str) {
        let data = self.data(name, self.members.clone());
        self.shown = Shown {
            fastjson: json::to_string(&data, Dialect::Fastjson),
            standard: json::to_string(&data, Dialect::Standard),
        };
    }

    pub(super) fn data(&self, name: &str, members: BTreeMap<i64, String>) -> BrokerData {
        BrokerData {
            broker_addrs: members,
            broker_name: name.to_owned(),
            cluster: self.cluster.clone(),
            enable_acting_master: self.acting_master,
            zone_name: self.zone.clone(),
        }
    }

    /// The members with the smallest id shown as master, where that is due.
    fn acting(&self, queues: &Queues) -> Option<BTreeMap<i64, String>> {
        if !self.acting_master || queues.permission & WRITE != 0 || self.members.contains_key(&MASTER) {
            return None;
        }
        let mut members = self.members.clone();
        let (_, address) = members.pop_first()?;
        members.insert(MASTER, address);
        Some(members)
    }

    fn is_in(&self, zone: &str) -> bool {
        let same = self.zone.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(zone));
        same || !self.members.contains_key(&MASTER)
    }
}

impl Routes {
    /// The route of a topic, or `None` when no registered group serves it.
    pub fn route(&self, topic: &str, lookup: &Lookup<'_>) -> Option<String> {
        let by_group = self.topics.get(topic)?;
        let groups = || {
            let found =
                by_group.iter().filter_map(|(name, queues)| Some((name, queues, self.groups.get(name)?)));
            found.filter(|(_, _, group)| lookup.zone.is_none_or(|zone| group.is_in(zone)))
        };
        if !by_group.keys().any(|name| self.groups.contains_key(name)) {
            return None;
        }
        let acting = lookup.acting_masters && !topic.starts_with(MEMBER_TOPIC_PREFIX);
        let mut writer = Writer::new(lookup.dialect);
        writer.reserve(by_group.len() * GROUP_BYTES + 64);
        writer.object(|writer| {
            writer.key("brokerDatas");
            writer.array(|writer| {
                for (name, queues, group) in groups() {
                    writer.element();
                    match acting.then(|| group.acting(queues)).flatten() {
                        Some(members) => group.data(name, members).write(writer),
                        None => writer.source(group.shown.in_dialect(lookup.dialect)),
                    }
                }
            });
            writer.key("filterServerTable");
            writer.object(|writer| self.write_filter_servers(groups().map(|(_, _, group)| group), writer));
            if let Some(order) = lookup.order {
                writer.key("orderTopicConf");
                writer.string(order);
            }
            writer.key("queueDatas");
            writer.array(|writer| write_queues(by_group, |name| self.shows(name, lookup), writer));
            if let Some(mappings) = self.mappings.get(topic) {
                writer.key("topicQueueMappingByBroker");
                mappings.write(writer);
            }
        });
        Some(writer.finish())
    }

    /// Queues of a group that is not registered are shown; those of another zone are not.
    fn shows(&self, name: &str, lookup: &Lookup<'_>) -> bool {
        let Some(zone) = lookup.zone else { return true };
        self.groups.get(name).is_none_or(|group| group.is_in(zone))
    }

    fn write_filter_servers<'a>(&self, groups: impl Iterator<Item = &'a Group>, writer: &mut Writer) {
        if self.filter_servers.is_empty() {
            return;
        }
        for group in groups {
            for address in group.members.values() {
                if let Some(servers) = self.filter_servers.get(&Place::of(&group.cluster, address)) {
                    writer.key(address);
                    servers.write(writer);
                }
            }
        }
    }
}

impl Shown {
    fn in_dialect(&self, dialect: Dialect) -> &str {
        match dialect {
            Dialect::Fastjson => &self.fastjson,
            Dialect::Standard => &self.standard,
        }
    }
}

fn write_queues(by_group: &ByGroup<Queues>, shows: impl Fn(&str) -> bool, writer: &mut Writer) {
    for (name, queues) in by_group.iter().filter(|(name, _)| shows(name)) {
        writer.element();
        writer.object(|writer| {
            writer.key("brokerName");
            writer.string(name);
            for (key, value) in [
                ("perm", queues.permission),
                ("readQueueNums", queues.read),
                ("topicSysFlag", queues.sys_flag),
                ("writeQueueNums", queues.write),
            ] {
                writer.key(key);
                writer.integer(i64::from(value));
            }
        });
    }
}
