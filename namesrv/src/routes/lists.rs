//! Lists that tools ask for. All are in ascending order.

use std::collections::BTreeSet;

use ferrymq_proto::bodies::{ClusterInfo, TopicList};

use super::{ByGroup, Queues, Routes};

/// The topic belongs to a unit of a deployment in several places.
pub const UNIT: i32 = 0b01;
/// The topic is subscribed to by a unit.
pub const UNIT_SUBSCRIBED: i32 = 0b10;

impl Routes {
    pub fn cluster_info(&self) -> ClusterInfo {
        let groups = self
            .groups
            .iter()
            .map(|(name, group)| (name.to_string(), group.data(name, group.members.clone())));
        let clusters = self.clusters.iter().map(|(cluster, names)| {
            (cluster.clone(), names.iter().map(ToString::to_string).collect::<BTreeSet<_>>())
        });
        ClusterInfo { broker_addr_table: groups.collect(), cluster_addr_table: clusters.collect() }
    }

    pub fn all_topics(&self) -> TopicList {
        self.topics_where(|_| true)
    }

    /// Topics with queues on a group of this cluster.
    pub fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let names = self.clusters.get(cluster);
        self.topics_where(|by_group| {
            names.is_some_and(|names| names.iter().any(|name| by_group.contains_key(name)))
        })
    }

    /// Topics on whose first group the flag has all bits of `with` and none of `without`.
    pub fn topics_flagged(&self, with: i32, without: i32) -> TopicList {
        self.topics_where(|by_group| {
            let flag = by_group.values().next().map_or(0, |queues| queues.sys_flag);
            flag & with == with && flag & without == 0
        })
    }

    fn topics_where(&self, keep: impl Fn(&ByGroup<Queues>) -> bool) -> TopicList {
        let kept = self.topics.iter().filter(|(_, by_group)| keep(by_group));
        let mut topic_list: Vec<_> = kept.map(|(topic, _)| topic.clone()).collect();
        topic_list.sort_unstable();
        TopicList { broker_addr: None, topic_list }
    }

    /// Topics that brokers create for themselves: named as clusters and groups. With the address of some broker.
    pub fn system_topics(&self) -> TopicList {
        let mut topic_list = BTreeSet::new();
        for (cluster, names) in &self.clusters {
            topic_list.insert(cluster.clone());
            topic_list.extend(names.iter().map(ToString::to_string));
        }
        let some_group = self.groups.values().next();
        let broker_addr = some_group.and_then(|group| group.members.values().next().cloned());
        TopicList { broker_addr, topic_list: topic_list.into_iter().collect() }
    }
}
