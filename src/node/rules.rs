//! What the services of a node are told of its configuration.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ferrymq_proto::position::Timestamp;
use ferrymq_storage::disk::Percent;
use ferrymq_storage::retention::{Hours, RetentionSettings};

use super::StartError;
use crate::config::broker::{BrokerConfig, Clients};
use crate::config::desk::BrokerDesk;
use crate::config::live::Live;
use crate::services::message::MessageLimits;
use crate::services::produce::ProduceRules;
use crate::services::pull::{Portion, Portions};
use crate::services::query::QueryRules;
use crate::services::topics::{AdminRules, Permission, TopicSettings};
use crate::services::transactions::TransactionRules;
use crate::state::{GroupRules, TopicRules};
use crate::system_tables::SystemTables;

pub(super) fn topic_settings(config: &BrokerConfig, desk: &BrokerDesk) -> Result<TopicSettings, StartError> {
    let admin = |config: &BrokerConfig| AdminRules {
        may_mix_types: config.topics.may_mix_types,
        guards_system_topics: config.topics.guards_system_topics,
        deletes_retry_topics: config.topics.deletes_retry_topics,
    };
    let rules = |config: &BrokerConfig| TopicRules { auto_create: config.topics.are_created };
    Ok(TopicSettings {
        rules: Live::new(desk.follow(), rules),
        admin: Live::new(desk.follow(), admin),
        permission: Live::new(desk.follow(), |config| Permission(config.identity.permission)),
        system: SystemTables::of(config)?.names().cloned().collect(),
        broker_ip: config.identity.host.clone(),
    })
}

pub(super) fn retention(config: &BrokerConfig) -> RetentionSettings {
    let retention = &config.retention;
    RetentionSettings {
        reserved: retention.kept_for,
        hours: Hours::of(&retention.hours),
        run_interval: retention.interval,
        segments_per_run: retention.files_max,
        interval: retention.file_pause,
        clean_above: Percent(retention.disk_use_clean),
        force_above: Percent(retention.disk_use_force),
        refuse_above: Percent(retention.disk_use_refuse),
        may_force: retention.deletes_unexpired,
    }
}

pub(super) fn query_rules(config: &BrokerConfig) -> QueryRules {
    QueryRules {
        messages_max: config.store.query_messages_max,
        unique_messages_max: config.store.unique_query_messages_max,
    }
}

pub(super) fn transaction_rules(config: &BrokerConfig) -> TransactionRules {
    let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    let rules = &config.transactions;
    TransactionRules {
        timeout_ms: milliseconds(rules.timeout),
        check_interval: rules.check_interval,
        checks_max: u32::try_from(rules.checks_max).unwrap_or(u32::MAX),
        kept_ms: milliseconds(config.retention.kept_for),
        marks_bytes_max: rules.decisions_bytes_max,
        marks_interval: rules.decisions_interval,
    }
}

/// As much of the end of the log as is taken to be in memory.
pub(super) fn recent_bytes(percent_of_memory: u8) -> i64 {
    /// Where the size of the memory cannot be told.
    const SOME: i64 = 4 << 30;
    let status = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = status
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.trim().parse().ok());
    let total = total.map_or(SOME, |kibibytes: i64| kibibytes.saturating_mul(1024));
    total / 100 * i64::from(percent_of_memory)
}

pub(super) fn message_limits(config: &BrokerConfig) -> MessageLimits {
    MessageLimits { body_bytes_max: config.store.message_bytes_max }
}

pub(super) fn group_rules(config: &BrokerConfig) -> GroupRules {
    GroupRules {
        auto_create: config.topics.groups_are_created,
        auto_create_system: config.topics.system_groups_are_created,
    }
}

pub(super) fn clients(config: &BrokerConfig) -> Clients {
    let mut clients = config.clients.clone();
    // Transactions need to know their producers.
    clients.producers_are_registered |= !config.transactions.are_refused;
    clients
}

pub(super) fn produce_rules(config: &BrokerConfig) -> ProduceRules {
    let since_1970 = |at: SystemTime| at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    ProduceRules {
        traces: config.produce.traces,
        opens_at: config.produce.opens_at.and_then(|at| i64::try_from(since_1970(at)).ok()).map(Timestamp),
        refuses_transactions: config.transactions.are_refused,
        batch_bytes_max: config.store.message_bytes_max,
    }
}

pub(super) fn portions(config: &BrokerConfig) -> Portions {
    const ENTRY_BYTES: usize = 20;
    let pull = &config.pull;
    Portions {
        hot: Portion { bytes_max: pull.bytes_max, messages_max: pull.messages_max },
        cold: Portion { bytes_max: pull.cold_bytes_max, messages_max: pull.cold_messages_max },
        scanned_max: pull.filtered_bytes_max / ENTRY_BYTES,
    }
}
