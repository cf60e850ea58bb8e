//! Where the broker listens, and what it takes from those who connect.

use std::net::IpAddr;
use std::time::Duration;

use super::rows::{Row, fixed, seconds};
use crate::config::field::Field;
use ferrymq_proto::net::Limits;

#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    pub bind_address: IpAddr,
    pub listen_port: u16,
    pub limits: Limits,
    /// A stop takes no longer.
    pub shutdown_wait: Duration,
}

impl Network {
    pub(super) fn blank() -> Self {
        Network {
            bind_address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            listen_port: 0,
            limits: Limits::default(),
            shutdown_wait: Duration::ZERO,
        }
    }
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "bindAddress",
        "0.0.0.0",
        Field::Address(|config| &mut config.network.bind_address),
        "The address to listen on; 0.0.0.0 means all of this machine.",
    ),
    fixed(
        "listenPort",
        "10911",
        Field::Port(|config| &mut config.network.listen_port),
        "The port to listen on, which clients hear from the name server. 0 takes a free one, which the ready line names.",
    ),
    fixed(
        "serverChannelMaxIdleTimeSeconds",
        "120",
        seconds(1..=86_400, |config| &mut config.network.limits.idle),
        "A connection that is silent for so long is closed. Clients speak every 30 seconds.",
    ),
    fixed(
        "shutdownWaitTimeSeconds",
        "30",
        seconds(1..=3600, |config| &mut config.network.shutdown_wait),
        "A stop takes no longer than this: connections that are still open then are cut.",
    ),
    fixed(
        "connectionsMax",
        "32768",
        Field::Number(1..=1_048_576, |config| &mut config.network.limits.connections_max),
        "Open connections. The next one is closed as soon as it is accepted.",
    ),
    fixed(
        "connectionsPerAddressMax",
        "16384",
        Field::Number(1..=1_048_576, |config| &mut config.network.limits.connections_per_address_max),
        "Open connections from one address. Wide, since whole data centres sit behind one.",
    ),
    fixed(
        "heldBytesMax",
        "1073741824",
        Field::Size(33_554_432..=1_099_511_627_776, |config| &mut config.network.limits.held_bytes_max),
        "Bytes that all connections together may have sent without being served, or leave unread. Past this, only \
         connections that hold none are read from until there is room.",
    ),
    fixed(
        "frameBytesMax",
        "16777216",
        Field::Size(65_536..=67_108_864, |config| &mut config.network.limits.frame_bytes_max),
        "The longest request. A connection that sends a longer one is closed.",
    ),
];
