//! How the broker tells the name servers that it is there.

use super::identity::host;
use super::rows::{Row, fixed, milliseconds, switch};
use crate::config::field::Field;
use std::fmt;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    pub name_servers: Vec<Endpoint>,
    pub period: Duration,
    pub timeout: Duration,
    /// Let the smallest broker id of the group act for a missing master.
    pub has_acting_master: bool,
    /// After so long a silence a name server takes the broker for gone.
    pub silence_max: Duration,
}

/// A host and a port. The host may be a name or an address, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Endpoint {
    /// `host:port`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, port) = text.trim().rsplit_once(':')?;
        let port = port.parse().ok().filter(|port| *port != 0)?;
        Some(Endpoint { host: host(name)?, port })
    }
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "namesrvAddr",
        "",
        Field::Parsed("addresses such as 127.0.0.1:9876, separated by ;", |config, text| {
            let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
            config.registration.name_servers = parts.map(Endpoint::parse).collect::<Option<_>>()?;
            Some(text.to_string())
        }),
        "The name servers, separated by `;`. The broker registers with each of them. `-n` sets it; NAMESRV_ADDR does if nothing \
         else does.",
    )
    .listed_if_set()
    .important(),
    fixed(
        "registerNameServerPeriod",
        "30000",
        milliseconds(10_000..=60_000, |config| &mut config.registration.period),
        "How often the broker registers, besides when something changed. A name server forgets it after 120 seconds.",
    ),
    fixed(
        "registerBrokerTimeoutMills",
        "24000",
        milliseconds(100..=120_000, |config| &mut config.registration.timeout),
        "How long a name server may take to answer.",
    ),
    fixed(
        "enableSlaveActingMaster",
        "false",
        switch(|config| &mut config.registration.has_acting_master),
        "Tell name servers that the smallest broker id of the group may act for a missing master: it serves consumers, and takes no \
         messages.",
    ),
    fixed(
        "brokerNotActiveTimeoutMillis",
        "10000",
        milliseconds(1000..=600_000, |config| &mut config.registration.silence_max),
        "With enableSlaveActingMaster: a name server that hears nothing for so long takes the broker for gone.",
    ),
];
