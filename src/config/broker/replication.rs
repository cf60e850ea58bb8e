//! Master and slave.

use std::time::Duration;

use super::registration::Endpoint;
use super::rows::{DAY_MS, Row, fixed, live, milliseconds, switch};
use crate::config::field::Field;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// Where the master waits for its slaves; 0 is the port behind the one for clients.
    pub port: u16,
    /// For a slave that does not ask the name servers.
    pub master: Option<Endpoint>,
    pub heartbeat_interval: Duration,
    /// A connection that is silent for so long is closed.
    pub silence_max: Duration,
    pub batch_bytes_max: usize,
    /// A slave further behind is not waited for.
    pub lag_bytes_max: usize,
    /// A producer waits for the slaves no longer than this.
    pub slave_timeout: Duration,
    pub replicas: usize,
    /// Replicas, this one included, that must have a message before it is acknowledged.
    pub replicas_in_sync: usize,
    pub replicas_in_sync_min: usize,
    /// Go down to `replicas_in_sync_min` when fewer are near.
    pub adapts_replicas: bool,
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "haListenPort",
        "0",
        Field::Port(|config| &mut config.replication.port),
        "Where a master waits for its slaves. 0 is the port behind listenPort.",
    ),
    fixed(
        "haMasterAddress",
        "",
        Field::Parsed("an address such as 10.0.0.1:10912", |config, text| {
            config.replication.master = match text {
                "" => None,
                text => Some(Endpoint::parse(text)?),
            };
            Some(text.to_string())
        }),
        "For a slave that does not ask the name servers: its master's address and haListenPort.",
    )
    .listed_if_set()
    .important(),
    fixed(
        "haSendHeartbeatInterval",
        "5000",
        milliseconds(10..=DAY_MS, |config| &mut config.replication.heartbeat_interval),
        "How often master and slave say that they are there.",
    ),
    fixed(
        "haHousekeepingInterval",
        "20000",
        milliseconds(100..=DAY_MS, |config| &mut config.replication.silence_max),
        "A connection between them that is silent for so long is closed.",
    ),
    fixed(
        "haTransferBatchSize",
        "32768",
        Field::Size(1024..=67_108_864, |config| &mut config.replication.batch_bytes_max),
        "What a master sends at once.",
    ),
    fixed(
        "haMaxGapNotInSync",
        "268435456",
        Field::Size(1..=1_099_511_627_776, |config| &mut config.replication.lag_bytes_max),
        "A slave that is further behind is not waited for.",
    ),
    live(
        "slaveTimeout",
        "3000",
        milliseconds(1..=DAY_MS, |config| &mut config.replication.slave_timeout),
        "How long a send waits for the slaves before it is answered with FLUSH_SLAVE_TIMEOUT.",
    ),
    live(
        "totalReplicas",
        "1",
        Field::Number(1..=100, |config| &mut config.replication.replicas),
        "Replicas of the group, the master among them.",
    )
    .important(),
    live(
        "inSyncReplicas",
        "1",
        Field::Number(1..=100, |config| &mut config.replication.replicas_in_sync),
        "With SYNC_MASTER: replicas, the master among them, that must have a message before it is acknowledged.",
    )
    .important(),
    live(
        "minInSyncReplicas",
        "1",
        Field::Number(1..=100, |config| &mut config.replication.replicas_in_sync_min),
        "With enableAutoInSyncReplicas: so many suffice when no more are near.",
    )
    .important(),
    live(
        "enableAutoInSyncReplicas",
        "false",
        switch(|config| &mut config.replication.adapts_replicas),
        "Go down to minInSyncReplicas by itself.",
    )
    .important(),
];
