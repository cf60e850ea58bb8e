use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use super::{KEYS, NamesrvConfig};
use crate::config::field::Field;
use crate::config::keys::{Change, Class, nearest};
use crate::config::machine::Machine;
use crate::config::written::Written;

fn built_in(blank: NamesrvConfig) -> Written<NamesrvConfig> {
    Written::built_in(KEYS, blank, Machine { home: Some(PathBuf::from("/home/me")), ..Machine::default() })
}

#[test]
fn every_key_of_apache_is_known() {
    let apache = include_str!("../testdata/apache-5.5.0-keys.txt");
    for name in apache.lines().filter(|line| !line.starts_with('#')) {
        assert!(KEYS.iter().any(|key| key.is(name)), "{name} has no row");
    }
}

#[test]
fn no_spelling_means_two_keys() {
    let mut seen = BTreeSet::new();
    for key in KEYS.iter() {
        for name in std::iter::once(key.name).chain(key.aliases.iter().copied()) {
            let owners: Vec<_> =
                KEYS.iter().filter(|other| other.is_variable(name)).map(|other| other.name).collect();
            assert_eq!(owners, [key.name], "{name}");
            assert!(seen.insert(name), "{name} stands twice");
        }
    }
}

/// What `mqadmin getNamesrvConfig` got from Apache's name server 5.5.0 without a file, in the home folder /home/me.
#[test]
fn what_is_shown_is_what_apache_shows_and_our_limits() {
    let text = built_in(NamesrvConfig::blank()).text();
    let ours = [
        "connectionsMax=32768",
        "connectionsPerAddressMax=16384",
        "heldBytesMax=1073741824",
        "frameBytesMax=16777216",
        "logFilter=",
    ];
    let shown: Vec<&str> = text.lines().filter(|line| !ours.contains(line)).collect();
    let apache: Vec<&str> = include_str!("../testdata/apache-5.5.0-namesrv-config.txt").lines().collect();
    assert_eq!(shown, apache);
    assert_eq!(text.lines().count(), apache.len() + ours.len());
}

/// Each blank value here differs from the one in `blank()`, so a field that no row sets would show.
#[test]
fn the_built_in_values_reach_every_field() {
    let mut other = NamesrvConfig::blank();
    other.bind_address = "::1".parse().unwrap();
    other.listen_port = 1;
    other.config_store_path = PathBuf::from("x");
    other.config_black_list = "x".to_string();
    other.log_filter = "debug".to_string();
    other.shutdown_wait = Duration::MAX;
    other.limits.connections_max = 1;
    other.limits.connections_per_address_max = 1;
    other.limits.frame_bytes_max = 1;
    other.limits.held_bytes_max = 1;
    other.limits.idle = Duration::MAX;
    let settings = &mut other.settings;
    settings.kv_config_path = PathBuf::from("x");
    settings.order_message_enable = true;
    settings.return_order_topic_config_to_broker = true;
    settings.scan_not_active_broker_interval = Duration::MAX;
    settings.unregister_broker_queue_capacity = 1;
    settings.support_acting_master = true;
    settings.enable_all_topic_list = true;
    settings.enable_topic_list = true;
    settings.notify_min_broker_id_changed = true;
    settings.need_wait_for_service = true;
    settings.wait_for_service = Duration::MAX;
    settings.delete_topic_with_broker_registration = true;
    assert_eq!(built_in(other).config(), built_in(NamesrvConfig::blank()).config());
}

#[test]
fn our_limits_are_built_in_as_the_protocol_has_them() {
    assert_eq!(built_in(NamesrvConfig::blank()).config().limits, ferrymq_proto::net::Limits::default());
}

/// One more here is one more thing that anyone who reaches the port may change.
#[test]
fn the_allow_list() {
    let allowed: Vec<&str> = KEYS
        .iter()
        .filter_map(|key| match &key.class {
            Class::Effective { field, change: Change::ByRequest, .. } => {
                assert!(
                    matches!(field, Field::Switch(_) | Field::Time(..)) || key.name == "logFilter",
                    "{} could name something",
                    key.name
                );
                Some(key.name)
            }
            _ => None,
        })
        .collect();
    let expected = [
        "orderMessageEnable",
        "returnOrderTopicConfigToBroker",
        "scanNotActiveBrokerInterval",
        "supportActingMaster",
        "enableAllTopicList",
        "enableTopicList",
        "notifyMinBrokerIdChanged",
        "needWaitForService",
        "waitSecondsForService",
        "deleteTopicWithBrokerRegistration",
        "logFilter",
    ];
    assert_eq!(allowed, expected);
}

#[test]
fn typos_find_their_key() {
    for (word, expected) in [
        ("listenPrt", Some("listenPort")),
        ("listenport", Some("listenPort")),
        ("LISTEN_PORT", Some("listenPort")),
        ("enableTopcList", Some("enableTopicList")),
        ("scanNotActiveBrokerIntervall", Some("scanNotActiveBrokerInterval")),
        ("kvConfigpath", Some("kvConfigPath")),
        ("waitSecondForService", Some("waitSecondsForService")),
        ("tls.server.mod", Some("tls.server.mode")),
        ("processReadEvents", Some("processReadEvent")),
        ("bindAddr", Some("bindAddress")),
        ("serverChannelMaxIdleTime", Some("serverChannelMaxIdleTimeSeconds")),
        ("bind", None),
        ("brokerPort", None),
        ("brokerClusterName", None),
        ("x", None),
        ("", None),
        (&"listenPort".repeat(100), None),
    ] {
        assert_eq!(nearest(KEYS, word), expected, "{word}");
    }
}
