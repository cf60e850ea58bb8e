//! What the name server has to be told: values that are already parsed and checked.
//!
//! The text form (files, environment, flags, requests 318 and 319) belongs to the binary, which hands it in as a [`ConfigDesk`].

use std::path::PathBuf;
use std::time::Duration;

/// The settings that requests and timers read. All but `kv_config_path` may change while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the key-value table is kept.
    pub kv_config_path: PathBuf,
    /// Answer routes with the `ORDER_TOPIC_CONFIG` entry of their topic.
    pub order_message_enable: bool,
    /// Hand the whole `ORDER_TOPIC_CONFIG` namespace to brokers that register.
    pub return_order_topic_config_to_broker: bool,
    /// How often silent brokers are looked for.
    pub scan_not_active_broker_interval: Duration,
    /// Departures that may wait for their batch; past this, a departing broker hears an error.
    pub unregister_broker_queue_capacity: usize,
    /// Present the smallest broker id as the master of a group that has none and allows it.
    pub support_acting_master: bool,
    /// Answer request 206, the list of all topics.
    pub enable_all_topic_list: bool,
    /// Answer request 224, the list of one cluster's topics.
    pub enable_topic_list: bool,
    /// Tell the members of a group when its smallest broker id changes.
    pub notify_min_broker_id_changed: bool,
    /// Refuse route lookups for `wait_for_service` after the start, so that brokers can register first.
    pub need_wait_for_service: bool,
    /// See `need_wait_for_service`.
    pub wait_for_service: Duration,
    /// Forget the topics of a broker that its newest registration does not name.
    pub delete_topic_with_broker_registration: bool,
}

/// The written configuration, owned by the binary: what request 319 shows and request 318 changes.
pub trait ConfigDesk: Send + Sync {
    /// All keys with their present values, one `key=value` a line.
    fn text(&self) -> String;

    /// Changes the keys named in `text` (properties syntax), all or none, and keeps them over a restart.
    fn update(&self, text: &str) -> Result<Settings, UpdateRefused>;
}

/// Why a change of the configuration was not made. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRefused {
    /// The key exists but must not change by request: it names a path, an address or a limit.
    #[error(
        "Can not update config in black list. {0} cannot be changed by request; set it in the file and restart"
    )]
    NotByRequest(String),
    /// No key has this name.
    #[error("Can not update config in black list. {0}")]
    UnknownKey(String),
    /// The text is no properties text, or a value is none of its key's type or range.
    #[error("string2Properties error: {0}")]
    Malformed(String),
    /// The change could not be kept on disk.
    #[error("the change could not be written to {path}: {reason}")]
    NotWritten { path: PathBuf, reason: String },
}

/// Apache's defaults.
#[cfg(test)]
pub(crate) fn for_tests() -> Settings {
    Settings {
        kv_config_path: PathBuf::new(),
        order_message_enable: false,
        return_order_topic_config_to_broker: true,
        scan_not_active_broker_interval: Duration::from_secs(5),
        unregister_broker_queue_capacity: 3000,
        support_acting_master: false,
        enable_all_topic_list: true,
        enable_topic_list: true,
        notify_min_broker_id_changed: false,
        need_wait_for_service: false,
        wait_for_service: Duration::from_secs(45),
        delete_topic_with_broker_registration: false,
    }
}
