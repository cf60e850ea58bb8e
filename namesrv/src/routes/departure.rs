//! Brokers leave: by saying so, by losing their connection, or by falling silent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use ferrymq_proto::net::ConnectionId;

use super::{MASTER, Place, Routes, SmallestIdChanged, WRITE};
use crate::settings::Settings;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    pub cluster: String,
    pub group: String,
    pub id: i64,
    pub address: String,
}

/// Who was found silent.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub departures: Vec<Departure>,
    pub connections: Vec<ConnectionId>,
    pub notices: Vec<SmallestIdChanged>,
}

impl Routes {
    /// The brokers that live by this connection.
    pub fn on_connection(&self, connection: ConnectionId) -> Vec<Departure> {
        let lost = self.live.iter().filter(|(_, live)| live.connection == connection);
        lost.filter_map(|(place, _)| self.departure_of(place)).collect()
    }

    /// Removes the brokers that have been silent for too long. Their connections are to be closed.
    pub fn expire(&mut self, now: Instant, settings: &Settings) -> Expired {
        let silent = self.live.iter().filter(|(_, live)| live.heard + live.silence_max < now);
        let silent: Vec<_> = silent.map(|(place, live)| (place.clone(), live.connection)).collect();
        let departures: Vec<_> = silent.iter().filter_map(|(place, _)| self.departure_of(place)).collect();
        let notices = self.unregister(&departures, settings);
        for (place, _) in &silent {
            // Also those that another broker has taken the seat of.
            self.live.remove(place);
        }
        Expired {
            departures,
            connections: silent.into_iter().map(|(_, connection)| connection).collect(),
            notices,
        }
    }

    fn departure_of(&self, place: &Place) -> Option<Departure> {
        self.groups.iter().filter(|(_, group)| group.cluster == place.cluster).find_map(|(name, group)| {
            let (id, address) = group.members.iter().find(|(_, address)| **address == place.address)?;
            Some(Departure {
                cluster: place.cluster.clone(),
                group: name.to_string(),
                id: *id,
                address: address.clone(),
            })
        })
    }

    /// Removes brokers, and what hung on them alone. All of a batch are gone before topics are looked at, once.
    pub fn unregister(&mut self, departures: &[Departure], settings: &Settings) -> Vec<SmallestIdChanged> {
        let mut notices = Vec::new();
        let mut emptied = BTreeSet::new();
        let mut without_master = BTreeSet::new();
        for departure in departures {
            let place = Place::of(&departure.cluster, &departure.address);
            self.live.remove(&place);
            self.filter_servers.remove(&place);
            let Some((name, group)) = self.groups.get_key_value(departure.group.as_str()) else { continue };
            let (name, was_smallest) = (Arc::clone(name), group.smallest_id() == Some(departure.id));
            let Some(group) = self.groups.get_mut(&name) else { continue };
            group.members.retain(|_, address| *address != departure.address);
            group.show(&name);
            if group.members.is_empty() {
                self.dissolve(&name, &departure.cluster);
                emptied.insert(name);
                continue;
            }
            if group.acting_master && !group.members.contains_key(&MASTER) {
                without_master.insert(Arc::clone(&name));
            }
            if was_smallest && group.acting_master && settings.notify_min_broker_id_changed {
                notices.extend(self.departure_notice(&name, &departure.address));
            }
        }
        if !emptied.is_empty() || !without_master.is_empty() {
            self.prune_topics(&emptied, &without_master);
        }
        notices
    }

    /// Forgets a group without members.
    fn dissolve(&mut self, name: &str, cluster: &str) {
        self.groups.remove(name);
        if let Some(names) = self.clusters.get_mut(cluster) {
            names.remove(name);
            if names.is_empty() {
                self.clusters.remove(cluster);
            }
        }
    }

    /// Queues of vanished groups go; those of groups whose master is gone, and may be stood in for, become read-only.
    fn prune_topics(&mut self, emptied: &BTreeSet<Arc<str>>, without_master: &BTreeSet<Arc<str>>) {
        self.topics.retain(|_, by_group| {
            for name in emptied {
                by_group.remove(name);
            }
            for name in without_master {
                if let Some(queues) = by_group.get_mut(name) {
                    queues.permission &= !WRITE;
                }
            }
            !by_group.is_empty()
        });
        let topics = &self.topics;
        self.mappings.retain(|topic, _| topics.contains_key(topic));
    }

    fn departure_notice(&self, name: &str, departed: &str) -> Option<SmallestIdChanged> {
        let members = &self.groups.get(name)?.members;
        let (smallest_id, smallest_address) = members.iter().next()?;
        Some(SmallestIdChanged {
            smallest_id: *smallest_id,
            smallest_address: smallest_address.clone(),
            departed_address: Some(departed.to_owned()),
            ha_address: None,
            tell: members.values().cloned().collect(),
        })
    }
}
