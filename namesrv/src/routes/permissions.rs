//! Tools change what is served: permissions of a whole group, single topics.

use std::collections::BTreeMap;

use super::{Queues, READ, Routes, WRITE};

impl Routes {
    /// Sends producers away from a group. Returns how many topics it serves. Lasts until the group's topics change.
    pub fn wipe_write_permission(&mut self, group: &str) -> i32 {
        self.change_permission(group, |permission| permission & !WRITE)
    }

    /// Lets producers back to a group. Returns how many topics it serves.
    pub fn add_write_permission(&mut self, group: &str) -> i32 {
        self.change_permission(group, |_| READ | WRITE)
    }

    fn change_permission(&mut self, group: &str, change: impl Fn(i32) -> i32) -> i32 {
        let mut count = 0;
        for queues in self.topics.values_mut().filter_map(|by_group| by_group.get_mut(group)) {
            queues.permission = change(queues.permission);
            count += 1;
        }
        count
    }

    /// Forgets a topic, on the groups of one cluster or on all. Brokers that still have it bring it back.
    pub fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(cluster) = cluster else {
            self.topics.remove(topic);
            return;
        };
        let Some(by_group) = self.topics.get_mut(topic) else { return };
        for name in self.clusters.get(cluster).into_iter().flatten() {
            by_group.remove(name);
        }
        if by_group.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Adds queues of one topic on groups that are registered. The first unknown group ends it; a topic that is new is then not
    /// added at all.
    pub fn add_topic(&mut self, topic: &str, queues: &[(String, Queues)]) {
        let known: BTreeMap<_, _> = queues
            .iter()
            .map_while(|(group, queues)| {
                let (name, _) = self.groups.get_key_value(group.as_str())?;
                Some((name.clone(), *queues))
            })
            .collect();
        let all_known = queues.iter().all(|(group, _)| known.contains_key(group.as_str()));
        if let Some(by_group) = self.topics.get_mut(topic) {
            by_group.extend(known);
        } else if all_known && !known.is_empty() {
            self.topics.insert(topic.to_owned(), known);
        }
    }
}
