//! A broker says that it is there, and which topics it serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::bodies::{DataVersion, QueueMappingInfo};
use ferrymq_proto::name::{BrokerName, ClusterName, TopicName};
use ferrymq_proto::net::ConnectionId;

use super::lookup::Shown;
use super::{Group, Live, MASTER, Place, Queues, Routes, SILENCE_MAX, SmallestIdChanged, WRITE};
use crate::settings::Settings;

#[derive(Clone, Debug)]
pub struct Registration {
    pub cluster: ClusterName,
    pub group: BrokerName,
    pub id: i64,
    pub address: String,
    pub ha_address: Option<String>,
    pub zone: Option<String>,
    /// `None` when the broker keeps to the default.
    pub silence_max: Option<Duration>,
    /// `None` from brokers too old to know of acting masters.
    pub acting_master: Option<bool>,
    pub version: DataVersion,
    pub topics: Vec<(TopicName, Queues)>,
    pub mappings: BTreeMap<String, QueueMappingInfo>,
    /// `None` leaves them as they are.
    pub filter_servers: Option<Vec<String>>,
    /// The broker is there as long as this connection is.
    pub connection: ConnectionId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    Accepted {
        /// The master's address and HA address, for a slave whose master is alive.
        master: Option<(String, Option<String>)>,
        smallest_id_changed: Option<SmallestIdChanged>,
    },
    /// Another broker holds the id with a newer state version: this one has been deposed.
    Fenced { holder: String, holder_version: i64 },
    /// A single topic came before the broker's first whole registration.
    TooEarly,
}

impl Routes {
    pub fn register(&mut self, registration: &Registration, settings: &Settings, now: Instant) -> Registered {
        let place = Place::of(registration.cluster.as_str(), &registration.address);
        let members = self.groups.get(registration.group.as_str()).map(|group| &group.members);
        let holder = members.and_then(|members| members.get(&registration.id));
        if let Some(fenced) = self.fence(registration, holder) {
            self.unseat(registration, &place);
            return fenced;
        }
        if holder.is_none() && registration.topics.len() == 1 {
            return Registered::TooEarly;
        }
        let first = holder.is_none();
        let previous_smallest = members.and_then(|members| members.keys().next().copied());
        let name = self.seat(registration);
        let changed = first || self.live.get(&place).is_none_or(|live| live.version != registration.version);
        self.take_topics(&name, registration, changed, settings);
        self.note_life(place, registration, now);
        let smallest_id_changed = previous_smallest
            .filter(|previous| registration.id < *previous && settings.notify_min_broker_id_changed)
            .and_then(|_| self.newcomer_notice(&name, registration.ha_address.clone()));
        Registered::Accepted { master: self.master_of(&name, registration.id), smallest_id_changed }
    }

    /// Two brokers claim one id: the older state version (in Raft groups, the term) gives way.
    fn fence(&self, registration: &Registration, holder: Option<&String>) -> Option<Registered> {
        let holder = holder.filter(|holder| **holder != registration.address)?;
        let live = self.live.get(&Place::of(registration.cluster.as_str(), holder))?;
        let holder_version = live.version.state_version;
        (holder_version > registration.version.state_version)
            .then(|| Registered::Fenced { holder: holder.clone(), holder_version })
    }

    /// A deposed broker leaves whatever seat it had; it will register again once it knows its new one.
    fn unseat(&mut self, registration: &Registration, place: &Place) {
        self.live.remove(place);
        let name = registration.group.as_str();
        if let Some(group) = self.groups.get_mut(name) {
            group.members.retain(|_, address| *address != registration.address);
            group.show(name);
        }
    }

    /// Puts the broker into its cluster and group, under this id alone.
    fn seat(&mut self, registration: &Registration) -> Arc<str> {
        let known = self.groups.get_key_value(registration.group.as_str()).map(|(name, _)| Arc::clone(name));
        let name = known.unwrap_or_else(|| Arc::from(registration.group.as_str()));
        let cluster = registration.cluster.as_str();
        self.clusters.entry(cluster.to_owned()).or_default().insert(Arc::clone(&name));
        let group = self.groups.entry(Arc::clone(&name)).or_insert_with(|| Group {
            cluster: cluster.to_owned(),
            members: BTreeMap::new(),
            zone: None,
            acting_master: false,
            shown: Shown::default(),
        });
        group.acting_master = registration.acting_master.unwrap_or(false);
        group.zone.clone_from(&registration.zone);
        group.members.retain(|id, address| *id == registration.id || *address != registration.address);
        group.members.insert(registration.id, registration.address.clone());
        group.show(&name);
        name
    }

    /// Topics count when they come from the master, or from the member that may act as one.
    fn take_topics(
        &mut self,
        name: &Arc<str>,
        registration: &Registration,
        changed: bool,
        settings: &Settings,
    ) {
        let Some(group) = self.groups.get(name) else { return };
        let smallest = group.smallest_id() == Some(registration.id);
        let stands_in = registration.id != MASTER && smallest && registration.acting_master.is_some();
        if registration.id != MASTER && !stands_in {
            return;
        }
        let read_only = stands_in && group.acting_master;
        if settings.delete_topic_with_broker_registration && registration.mappings.is_empty() {
            self.forget_other_topics(name, registration);
        }
        for (topic, queues) in &registration.topics {
            let mut queues = *queues;
            if read_only {
                queues.permission &= !WRITE;
            }
            match self.topics.get_mut(topic.as_str()) {
                Some(by_group) if changed || !by_group.contains_key(name) => {
                    by_group.insert(Arc::clone(name), queues);
                }
                Some(_) => {}
                None => {
                    let by_group = BTreeMap::from([(Arc::clone(name), queues)]);
                    self.topics.insert(topic.as_str().to_owned(), by_group);
                }
            }
        }
        if changed {
            for (topic, mapping) in &registration.mappings {
                let by_group = self.mappings.entry(topic.clone()).or_default();
                by_group.insert(mapping.broker_name.clone().unwrap_or_default(), mapping.clone());
            }
        }
    }

    /// Drops the group's queues of every topic that its broker no longer names.
    fn forget_other_topics(&mut self, name: &Arc<str>, registration: &Registration) {
        let named: std::collections::HashSet<&str> =
            registration.topics.iter().map(|(topic, _)| topic.as_str()).collect();
        self.topics.retain(|topic, by_group| {
            if !named.contains(topic.as_str()) {
                by_group.remove(name);
            }
            !by_group.is_empty()
        });
    }

    fn note_life(&mut self, place: Place, registration: &Registration, now: Instant) {
        match &registration.filter_servers {
            Some(servers) if servers.is_empty() => drop(self.filter_servers.remove(&place)),
            Some(servers) => drop(self.filter_servers.insert(place.clone(), servers.clone())),
            None => {}
        }
        let live = Live {
            heard: now,
            silence_max: registration.silence_max.unwrap_or(SILENCE_MAX),
            version: registration.version.clone(),
            connection: registration.connection,
            ha_address: registration.ha_address.clone(),
        };
        self.live.insert(place, live);
    }

    fn master_of(&self, name: &str, id: i64) -> Option<(String, Option<String>)> {
        let group = self.groups.get(name).filter(|_| id != MASTER)?;
        let master = group.members.get(&MASTER)?;
        let live = self.live.get(&Place::of(&group.cluster, master))?;
        Some((master.clone(), live.ha_address.clone()))
    }

    /// All but the newcomer hear of it; when it is alone, it hears of itself.
    fn newcomer_notice(&self, name: &str, ha_address: Option<String>) -> Option<SmallestIdChanged> {
        let members = &self.groups.get(name)?.members;
        let (smallest_id, smallest_address) = members.iter().next()?;
        let others = members.iter().filter(|(id, _)| members.len() == 1 || *id != smallest_id);
        Some(SmallestIdChanged {
            smallest_id: *smallest_id,
            smallest_address: smallest_address.clone(),
            departed_address: None,
            ha_address,
            tell: others.map(|(_, address)| address.clone()).collect(),
        })
    }
}
