//! The route table: which brokers serve which topic, and where they are.
//!
//! Pure: it is fed registrations, departures and the time, and asked for routes and lists. Only brokers write it; nothing in it
//! outlives the process, since every broker registers again within half a minute.
//!
//! A broker *group* is named by its broker name, whatever its cluster; its *members* differ by id, 0 being the master.
//! Invariants: an address stands under one id of its group; a group has at least one member; a topic has queues on at least one
//! group.

mod departure;
mod lists;
mod lookup;
mod permissions;
mod registration;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferrymq_proto::bodies::{DataVersion, QueueMappingInfo};
use ferrymq_proto::net::ConnectionId;

pub use departure::{Departure, Expired};
pub use lists::{UNIT, UNIT_SUBSCRIBED};
pub use lookup::Lookup;
pub use registration::{Registered, Registration};

/// The id of a master.
pub const MASTER: i64 = 0;
/// Silence after which a broker that named no timeout is gone.
const SILENCE_MAX: Duration = Duration::from_secs(120);

pub const READ: i32 = 0b100;
pub const WRITE: i32 = 0b010;

/// The queues of one topic on one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    pub read: i32,
    pub write: i32,
    /// Bits of [`READ`] and [`WRITE`], and others that only brokers and clients know.
    pub permission: i32,
    pub sys_flag: i32,
}

/// The brokers that share a name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    cluster: String,
    members: BTreeMap<i64, String>,
    zone: Option<String>,
    acting_master: bool,
    /// How a route shows this group; derived from the above by [`lookup`].
    shown: lookup::Shown,
}

/// A broker is known by its cluster and its address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    cluster: String,
    address: String,
}

/// What we last heard from a broker.
#[derive(Clone, Debug)]
struct Live {
    heard: Instant,
    silence_max: Duration,
    version: DataVersion,
    connection: ConnectionId,
    ha_address: Option<String>,
}

type ByGroup<T> = BTreeMap<Arc<str>, T>;

#[derive(Debug, Default)]
pub struct Routes {
    clusters: BTreeMap<String, BTreeSet<Arc<str>>>,
    groups: BTreeMap<Arc<str>, Group>,
    topics: HashMap<String, ByGroup<Queues>>,
    live: BTreeMap<Place, Live>,
    filter_servers: BTreeMap<Place, Vec<String>>,
    mappings: HashMap<String, BTreeMap<String, QueueMappingInfo>>,
}

/// What the members of a group must hear: another of them has the smallest id now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallestIdChanged {
    pub smallest_id: i64,
    pub smallest_address: String,
    pub departed_address: Option<String>,
    pub ha_address: Option<String>,
    pub tell: Vec<String>,
}

impl Routes {
    /// The version of its topics that a broker last registered.
    pub fn data_version(&self, cluster: &str, address: &str) -> Option<&DataVersion> {
        self.live.get(&Place::of(cluster, address)).map(|live| &live.version)
    }

    /// A broker has given a sign of life.
    pub fn touch(&mut self, cluster: &str, address: &str, now: Instant) {
        if let Some(live) = self.live.get_mut(&Place::of(cluster, address)) {
            live.heard = now;
        }
    }

    /// The members of a group, by id.
    pub fn members(&self, group: &str) -> Option<&BTreeMap<i64, String>> {
        self.groups.get(group).map(|group| &group.members)
    }
}

impl Place {
    fn of(cluster: &str, address: &str) -> Self {
        Self { cluster: cluster.to_owned(), address: address.to_owned() }
    }
}

impl Group {
    fn smallest_id(&self) -> Option<i64> {
        self.members.keys().next().copied()
    }
}

#[cfg(test)]
mod tests;
