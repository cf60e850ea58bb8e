//! Who this broker is.

use std::net::Ipv6Addr;

use super::rows::{Row, fixed, live};
use crate::config::field::Field;
use crate::config::machine::{ADDRESS, HOST_NAME};
use ferrymq_proto::name::{BrokerName, ClusterName};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: ClusterName,
    /// The group's name: what clients call the broker.
    pub name: BrokerName,
    /// Where clients find it: an address or a host's name, without port.
    pub host: String,
    /// Where its slaves find it.
    pub slave_host: String,
    pub region: String,
    /// What its topics may be used for at most: 4 read, 2 write.
    pub permission: i32,
}

impl Identity {
    pub(super) fn blank() -> Self {
        Identity {
            cluster: constant(ClusterName::parse("-")),
            name: constant(BrokerName::parse("-")),
            host: String::new(),
            slave_host: String::new(),
            region: String::new(),
            permission: 0,
        }
    }
}

/// The outcome of parsing our own text.
fn constant<T, E: std::fmt::Debug>(parsed: Result<T, E>) -> T {
    parsed.unwrap_or_else(|error| panic!("a constant is no name: {error:?}"))
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "brokerName",
        HOST_NAME,
        Field::Parsed("a name of letters, digits and any of % | _ - . + @ $ *", |config, text| {
            config.identity.name = BrokerName::parse(text).ok()?;
            Some(text.to_string())
        }),
        "The name of the group: a master and its slaves have the same, and so have the nodes of a group that elects its leader.",
    )
    .important(),
    fixed(
        "brokerClusterName",
        "DefaultCluster",
        Field::Parsed("a name of letters, digits and any of % | _ - . + @ $ *", |config, text| {
            config.identity.cluster = ClusterName::parse(text).ok()?;
            Some(text.to_string())
        }),
        "The cluster that the group belongs to. Tools address all groups of a cluster at once.",
    )
    .important(),
    fixed(
        "brokerIP1",
        ADDRESS,
        Field::Parsed("an IP address or a host's name, without port", |config, text| {
            config.identity.host = host(text)?;
            Some(text.to_string())
        }),
        "Where clients find the broker; they take it from the name server, together with listenPort. Built in is the address \
         that Apache would choose: of the interfaces that are up the last IPv4 address, one of the internet before others.",
    )
    .important(),
    fixed(
        "brokerIP2",
        ADDRESS,
        Field::Parsed("an IP address or a host's name, without port", |config, text| {
            config.identity.slave_host = host(text)?;
            Some(text.to_string())
        }),
        "Where slaves find their master, together with haListenPort.",
    ),
    fixed(
        "regionId",
        "DefaultRegion",
        Field::Text(|config| &mut config.identity.region),
        "Handed to producers and consumers with each answer; message traces carry it.",
    ),
    live(
        "brokerPermission",
        "6",
        Field::Integer(0..=7, |config| &mut config.identity.permission),
        "What its topics may be used for at most: 6 is reading and writing, 4 only reading, as before a broker is taken out of \
         service, 2 only writing.",
    ),
];

/// A host as it may stand in front of a port.
pub(super) fn host(text: &str) -> Option<String> {
    const NAME_BYTES_MAX: usize = 253;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let v6: Option<Ipv6Addr> = bare.unwrap_or(text).parse().ok();
    if let Some(address) = v6 {
        return Some(format!("[{address}]"));
    }
    let is_allowed =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    let is_name = !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.chars().all(is_allowed);
    is_name.then(|| text.to_string())
}
