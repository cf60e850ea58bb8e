//! What a broker is started with, in small groups that services receive by value.
//!
//! One file a theme: the group, and the rows of the key table that fill it. No value means anything until the rows'
//! built-in values are laid over [`BrokerConfig::blank`]; `mode` is settled last, out of several keys.

use std::path::PathBuf;

use super::field::Field;
use super::keys::KeyTable;
use super::server::Server;
use rows::{Row, fixed};

mod clients;
mod delay;
mod flush_default;
mod identity;
mod ignored;
mod metrics;
mod mode;
mod network;
mod offsets;
mod produce;
mod pull;
mod refused;
mod registration;
mod replication;
mod retention;
mod rows;
mod settle;
mod store;
mod timer;
mod topics;
mod transactions;

pub use clients::Clients;
pub use delay::{Delay, DelayLevels};
pub use flush_default::choose_flush;
pub use identity::Identity;
pub use metrics::Metrics;
pub use mode::{BrokerRole, Mode, ModeKeys, Peer, RaftGroup};
pub use network::Network;
pub use offsets::Offsets;
pub use produce::Produce;
pub use pull::Pull;
pub use registration::{Endpoint, Registration};
pub use replication::Replication;
pub use retention::Retention;
pub use store::{FlushDisk, Store};
pub use timer::{Recall, Timer};
pub use topics::Topics;
pub use transactions::Transactions;

#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    pub identity: Identity,
    /// What this node is in its group. Follows from `mode_keys`.
    pub mode: Mode,
    pub mode_keys: ModeKeys,
    pub network: Network,
    pub metrics: Metrics,
    pub registration: Registration,
    pub store: Store,
    pub retention: Retention,
    pub replication: Replication,
    pub topics: Topics,
    pub clients: Clients,
    pub produce: Produce,
    pub pull: Pull,
    pub offsets: Offsets,
    pub delay: Delay,
    pub timer: Timer,
    pub recall: Recall,
    pub transactions: Transactions,
    /// The file that is read at the start and keeps changes made by request.
    pub config_path: PathBuf,
    /// Keys that must not change by request although their row allows it, separated by `;`.
    pub config_black_list: String,
}

impl BrokerConfig {
    /// The shape alone.
    pub fn blank() -> Self {
        BrokerConfig {
            identity: Identity::blank(),
            mode: Mode::Master,
            mode_keys: ModeKeys::default(),
            network: Network::blank(),
            metrics: Metrics::default(),
            registration: Registration::default(),
            store: Store::default(),
            retention: Retention::default(),
            replication: Replication::default(),
            topics: Topics::blank(),
            clients: Clients::default(),
            produce: Produce::default(),
            pull: Pull::default(),
            offsets: Offsets::default(),
            delay: Delay::default(),
            timer: Timer::default(),
            recall: Recall::default(),
            transactions: Transactions::default(),
            config_path: PathBuf::new(),
            config_black_list: String::new(),
        }
    }
}

/// How a broker is configured.
pub static BROKER: Server<BrokerConfig> = Server {
    noun: "broker",
    keys: KEYS,
    prefix: "FERRYMQ_BROKER_",
    variables: &["NAMESRV_ADDR"],
    file_key: "brokerConfigPath",
    update_verb: "updateBrokerConfig",
    blank: BrokerConfig::blank,
    dependent: settle::dependent,
    settle: settle::settle,
    file: |config| &config.config_path,
    black_list: |config| &config.config_black_list,
};

/// Every key.
pub static KEYS: KeyTable<BrokerConfig> = KeyTable(&[
    identity::KEYS,
    mode::KEYS,
    network::KEYS,
    metrics::KEYS,
    registration::KEYS,
    store::KEYS,
    retention::KEYS,
    replication::KEYS,
    topics::KEYS,
    clients::KEYS,
    produce::KEYS,
    pull::KEYS,
    offsets::KEYS,
    delay::KEYS,
    timer::KEYS,
    transactions::KEYS,
    OWN,
    refused::KEYS,
    ignored::BROKER,
    ignored::STORE,
    ignored::OTHERS,
]);

/// The configuration's own keys.
static OWN: &[Row] = &[
    fixed(
        "brokerConfigPath",
        "~/store/config/broker.properties",
        Field::Path(|config| &mut config.config_path),
        "The file that is read at the start and keeps changes made by request. `-c FILE` sets it; in a file it means nothing.",
    )
    .listed_if_set(),
    fixed(
        "configBlackList",
        "configBlackList;brokerConfigPath",
        Field::Text(|config| &mut config.config_black_list),
        "Keys, separated by `;`, that must not change by request. It can only forbid more: keys whose row here says \
         `restart` never change by request.",
    ),
];

#[cfg(test)]
mod tests;
